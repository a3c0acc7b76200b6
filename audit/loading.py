"""From a YAML file to a `Config`: strict reading, and errors with file, line, column, path, what is allowed and what was meant.

PyYAML follows YAML 1.1, where `no` is False, `010` is 8, `1e-6` is a string and `12:30` is 750; duplicate keys pass silently.
Here scalars follow the YAML 1.2 core schema, and pydantic is strict too: it would read the string `on` as True.
"""

import codecs
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple, final, get_args

import yaml
from pydantic import JsonValue, ValidationError

from audit.config import IMAGE_COMPOSITES, IMAGE_GATES, IMAGE_WITNESSES, LRP, Block, Config
from audit.errors import ConfigError, did_you_mean

MAX_BYTES: Final = 1_000_000
MAX_VALUES: Final = 10_000
MAX_DEPTH: Final = 32
TAG: Final = "tag:yaml.org,2002:"
PATTERNS: Final = {
    f"{TAG}null": re.compile(r"~|null|Null|NULL|"),
    f"{TAG}bool": re.compile(r"true|True|TRUE|false|False|FALSE"),
    f"{TAG}int": re.compile(r"[-+]?[0-9]+"),
    f"{TAG}float": re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"),
}
CURES: Final = {
    "string_type": "; put it in quotes",
    "bool_type": "; write true or false",
    "tuple_type": "; write a list: [a, b]",
    "string_pattern_mismatch": "; letters, digits, blanks, '.', '_' and '-', a letter or digit first",
}
Loc = tuple[int | str, ...]


class _Place(NamedTuple):
    """Where a value was written; sorts in reading order. `source` is 0 for the file and n for the n-th `--set`."""

    source: int
    line: int
    column: int
    label: str


# PyYAML's parser with the plain scalars of YAML 1.2
_Loader: Any = type(
    "_Loader",
    (yaml.SafeLoader,),
    {"yaml_implicit_resolvers": {None: [(tag, re.compile(f"(?:{p.pattern})$")) for tag, p in PATTERNS.items()]}},
)


@final
@dataclass(frozen=True, slots=True)
class LoadedConfig:
    """A resolved config, its file, the folder that the paths in it are relative to, and where each value was written.

    `written` is the file's text, `overrides` are the `--set` beside it; `command` is what the command line was given.
    """

    config: Config
    path: Path
    folder: Path
    places: Mapping[Loc, "_Place"] = field(repr=False)
    written: str = field(default="", repr=False)
    overrides: tuple[str, ...] = ()
    command: tuple[str, ...] = ()

    def at(self, *loc: int | str) -> str:
        """`file:line:column: path` of a value, for an error message; of the block that would hold it where it was left out."""
        place = next(self.places[loc[:n]] for n in range(len(loc), -1, -1) if loc[:n] in self.places)
        return f"{place.label}: {_dotted(loc)}"


def load_config(path: Path, overrides: Sequence[str] = ()) -> LoadedConfig:
    """Read, override (`a.b=c`) and validate; raises `ConfigError` with every problem that validation finds, one a line."""
    text = _text(path)
    values: dict[Loc, _Place] = {}
    reading = _Reading(str(path), 0, values, {})
    node = reading.compose(text)
    if not isinstance(node, yaml.MappingNode):
        problem = "is empty" if node is None else f"is {_kind(node)}, not a mapping"
        raise ConfigError(f"{path}:1:1: config: {problem}; write `key: value` lines: data, model, target, groups")
    document: Any = reading.build(node, ())
    _default(document, path.stem)
    for number, override in enumerate(overrides, start=1):
        _override(document, override, _Reading(f"--set {override:.100}", number, values, reading.keys))
    _default_composites(document)
    try:
        config = Config.model_validate_json(json.dumps(document), strict=True)
    except ValidationError as error:
        raise ConfigError("\n".join(_messages(error, reading))) from None
    return LoadedConfig(config, path, path.parent, values, text, tuple(overrides))


def recorded_config(
    document: Mapping[str, Any], source: Path, path: Path, *, written: str = "", overrides: Sequence[str] = ()
) -> LoadedConfig:
    """The resolved config that a record, `source`, holds, as if it stood in the file `path`; ConfigError if this release reads no such."""
    try:
        config = Config.model_validate_json(json.dumps(document), strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = _dotted(first["loc"])
        raise ConfigError(
            f"{source}: config.{where}: {first['msg']}; use the release that wrote the record to run its config"
        ) from None
    return LoadedConfig(config, path, path.parent, {(): _Place(0, 0, 0, str(source))}, written, tuple(overrides))


def _default(document: dict[str, Any], name: str) -> None:
    """Fill in what depends on the file's name and on the task."""
    document.setdefault("name", name)
    if document.get("task") == "image":
        document.setdefault("gates", list(IMAGE_GATES))


def _default_composites(document: dict[str, Any]) -> None:
    """Fill in those of images, where relevance is by composites."""
    relevance = document.setdefault("relevance", {}) if document.get("task") == "image" else None
    if isinstance(relevance, dict) and relevance.get("method", LRP) == LRP:
        relevance.setdefault("composites", list(IMAGE_COMPOSITES))
        relevance.setdefault("witnesses", list(IMAGE_WITNESSES))


def config_schema() -> dict[str, Any]:
    """JSON Schema of a config file, in which `name` may be left out."""
    schema = Config.model_json_schema()
    schema["required"] = [key for key in schema["required"] if key != "name"]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "lrp-audit config"}


def _text(path: Path) -> str:
    try:
        exists = path.exists()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    if not exists:
        near = (
            [] if not path.parent.is_dir() else [p.name for p in path.parent.iterdir() if p.suffix in (".yaml", ".yml")]
        )
        raise ConfigError(f"{path}: there is no such config file{did_you_mean(path.name, near)}")
    if not path.is_file():
        raise ConfigError(f"{path}: is not a regular file; give the YAML file itself")
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    if len(raw) > MAX_BYTES:
        raise ConfigError(f"{path}: has more than {MAX_BYTES} bytes, which is no config; is it the data file?")
    raw = raw.removeprefix(codecs.BOM_UTF8)  # "utf-8-sig" would count error.start from behind it
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        line, column = _end(raw[: error.start].decode())
        where = f"{path}:{line + 1}:{column + 1}"
        raise ConfigError(
            f"{where}: config: byte 0x{raw[error.start]:02x} is not UTF-8; save the file as UTF-8"
        ) from None


def _end(text: str) -> tuple[int, int]:
    """0-based line and column behind the text."""
    return text.count("\n"), len(text) - text.rfind("\n") - 1


@final
@dataclass(frozen=True, slots=True)
class _Reading:
    """One source, `name`, and where every value and key of the document (shared by all sources) was written."""

    name: str
    number: int
    values: dict[Loc, _Place]
    keys: dict[Loc, _Place]

    def place(self, line: int, column: int) -> _Place:
        """Place of a 0-based line and column."""
        return _Place(self.number, line, column, self.name if self.number else f"{self.name}:{line + 1}:{column + 1}")

    def compose(self, text: str) -> yaml.Node | None:
        """The node tree; ConfigError where the text is no YAML, or several documents."""
        try:
            node: yaml.Node | None = yaml.compose(text, Loader=_Loader)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            where = self.place(mark.line, mark.column).label if mark else self.name
            raise ConfigError(f"{where}: not valid YAML: {error.problem or error.context}") from None
        except yaml.reader.ReaderError as error:
            label = self.place(*_end(text[: error.position])).label
            raise ConfigError(f"{label}: not valid YAML: character {text[error.position]!r} is not allowed") from None
        except RecursionError:
            raise ConfigError(f"{self.place(0, 0).label}: config: nested deeper than {MAX_DEPTH} levels") from None
        return node

    def build(self, node: yaml.Node, loc: Loc, above: tuple[yaml.Node, ...] = ()) -> JsonValue:
        """The plain value of a node at `loc`, alias by alias; `above` holds the nodes it is nested in."""
        if any(node is other for other in above):
            raise self.error(node, loc, "the alias stands for something that holds it")
        if len(above) > MAX_DEPTH:
            raise self.error(node, loc, f"nested deeper than {MAX_DEPTH} levels")
        if len(self.values) >= MAX_VALUES:
            raise self.error(node, loc, f"more than {MAX_VALUES} values once the aliases are written out")
        if node.tag.removeprefix(TAG) not in TYPES[type(node)]:
            raise self.error(node, loc, f"tag {node.tag!r} is not allowed; write plain values")
        self.values[loc] = self.place(node.start_mark.line, node.start_mark.column)
        if isinstance(node, yaml.MappingNode):
            return {key: self.build(value, (*loc, key), (*above, node)) for key, value in self.pairs(node, loc)}
        if isinstance(node, yaml.SequenceNode):
            return [self.build(item, (*loc, i), (*above, node)) for i, item in enumerate(node.value)]
        return self.scalar(node, loc)

    def pairs(self, node: yaml.MappingNode, loc: Loc) -> Iterator[tuple[str, yaml.Node]]:
        """Keys as they are written (`0` and `no` stay text) with their nodes; a key that stands twice is an error."""
        lines: dict[str, int] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise self.error(key, loc, f"a key is plain text, not {_kind(key)}")
            if key.value in lines:
                raise self.error(
                    key, (*loc, key.value), f"key stands twice, first in line {lines[key.value]}; keep one"
                )
            lines[key.value] = key.start_mark.line + 1
            _refuse_surrogates(self, key, loc)
            self.keys[(*loc, key.value)] = self.place(key.start_mark.line, key.start_mark.column)
            yield key.value, value

    def scalar(self, node: yaml.Node, loc: Loc) -> JsonValue:
        """Null, bool, int, float or string of a scalar node."""
        _refuse_surrogates(self, node, loc)
        try:
            return parse_scalar(node.value, node.tag.removeprefix(TAG))
        except ValueError as error:
            raise self.error(node, loc, str(error)) from None

    def error(self, node: yaml.Node, loc: Loc, problem: str) -> ConfigError:
        """An error at a node."""
        return ConfigError(
            f"{self.place(node.start_mark.line, node.start_mark.column).label}: {_dotted(loc)}: {problem}"
        )


TYPES: Final[Mapping[type, tuple[str, ...]]] = {
    yaml.MappingNode: ("map",),
    yaml.SequenceNode: ("seq",),
    yaml.ScalarNode: ("null", "bool", "int", "float", "str"),
}


def parse_scalar(text: str, kind: str) -> bool | int | float | str | None:
    """The value of a scalar whose tag is `kind`; ValueError says what does not fit.

    >>> parse_scalar("010", "int"), parse_scalar("1e-6", "float"), parse_scalar("no", "str")
    (10, 1e-06, 'no')
    """
    if kind == "str":
        return text
    if not PATTERNS[TAG + kind].fullmatch(text):
        raise ValueError(f"{text!r:.80} is no {kind}")
    if kind in ("null", "bool"):
        return text.lower() == "true" if kind == "bool" else None
    if not math.isfinite(float(text)):
        raise ValueError(f"{text!r:.80} is too large")
    return int(text) if kind == "int" else float(text)


def _kind(node: yaml.Node) -> str:
    if isinstance(node, yaml.MappingNode):
        return "a mapping"
    return "a list" if isinstance(node, yaml.SequenceNode) else "a single value"


def _refuse_surrogates(reading: _Reading, node: yaml.Node, loc: Loc) -> None:
    if not node.value.isascii() and re.search("[\ud800-\udfff]", node.value):
        raise reading.error(node, loc, f"{node.value!r:.80} holds half a character (a surrogate); write it whole")


def _override(document: Any, override: str, reading: _Reading) -> None:
    """Put one `a.b=c` into the document; digits count list items from 0, and missing blocks are made."""
    path, equals, text = override.partition("=")
    keys = path.strip().split(".")
    if not equals or not all(keys):
        raise ConfigError(f"{reading.name}: write --set a.b=c, for example --set statistics.alpha=0.01")
    parent, loc = document, Loc()
    for key in keys[:-1]:
        step = _step(parent, key, loc, reading)
        loc = (*loc, step)
        if isinstance(parent, dict) and parent.get(key) is None:
            parent[key], reading.values[loc], reading.keys[loc] = {}, reading.place(0, 0), reading.place(0, 0)
        parent = parent[step]
    step = _step(parent, keys[-1], loc, reading)
    loc = (*loc, step)
    for places in (reading.values, reading.keys):
        for old in [old for old in places if old[: len(loc)] == loc]:
            del places[old]
    reading.keys[loc] = reading.values[loc] = reading.place(0, 0)
    node = reading.compose(text)
    parent[step] = None if node is None else reading.build(node, loc)


def _step(parent: object, key: str, loc: Loc, reading: _Reading) -> int | str:
    if isinstance(parent, dict):
        return key
    if not isinstance(parent, list):
        raise ConfigError(f"{reading.name}: {_dotted(loc)} is {parent!r:.80}, which has no key {key!r:.80}")
    if not re.fullmatch("[0-9]{1,5}", key) or int(key) >= len(parent):
        raise ConfigError(f"{reading.name}: {_dotted(loc)} is a list of {len(parent)}, counted from 0; got {key!r:.80}")
    return int(key)


def _messages(error: ValidationError, reading: _Reading) -> list[str]:
    """One line a problem, in reading order."""
    found = []
    problems = error.errors(include_url=False)
    for problem in problems:
        loc = tuple(part for part in problem["loc"] if part != "[key]")
        message = _what(problem, loc)
        if not loc and problem["type"] == "value_error":  # a rule over the whole config starts with the key it is about
            key, _, message = message.partition(": ")
            loc = tuple(key.split("."))
        if problem["type"] == "too_short" and any(p["loc"][: len(loc)] == loc != p["loc"] for p in problems):
            continue  # pydantic counts only the items that are valid
        unknown = problem["type"] == "extra_forbidden" or len(loc) < len(problem["loc"])
        places = reading.keys if unknown and loc in reading.keys else reading.values
        place = next((places[loc[:n]] for n in range(len(loc), -1, -1) if loc[:n] in places), reading.place(0, 0))
        found.append((place, f"{place.label}: {_dotted(loc)}: {message}"))
    return [message for _, message in sorted(found)]


def _what(problem: Mapping[str, Any], loc: Loc) -> str:
    kind, message = problem["type"], str(problem["msg"])
    if kind == "extra_forbidden":
        allowed = tuple(_block(loc[:-1]).model_fields)
        return f"unknown key{did_you_mean(str(loc[-1]), allowed) or ';'} allowed are {', '.join(allowed)}"
    if kind == "missing":
        description = _block(loc[:-1]).model_fields[str(loc[-1])].description
        return f"required key is missing{f': {description}' if description else ''}"
    if kind == "value_error":
        return message.removeprefix("Value error, ")
    expected = re.findall(r"'([^']*)'", str(problem.get("ctx", {}).get("expected", "")))
    return (
        f"{message} (got {problem['input']!r:.80}){did_you_mean(str(problem['input']), expected)}{CURES.get(kind, '')}"
    )


def _block(loc: Loc) -> type[Block]:
    """The block of the schema that describes the mapping at `loc`."""
    block: type[Block] = Config
    for key in loc:
        if isinstance(key, str):
            annotation = block.model_fields[key].annotation
            block = next(a for a in (annotation, *get_args(annotation)) if isinstance(a, type) and issubclass(a, Block))
    return block


def _dotted(loc: Loc) -> str:
    """Path for a message, which stays on one line: a key with odd characters is quoted."""
    parts = (str(part) if re.fullmatch(r"[\w. -]+", str(part)) else f"{part!r:.80}" for part in loc)
    return ".".join(parts) or "config"

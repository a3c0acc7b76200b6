"""From a YAML file to a `Config`: strict reading, and errors with file, line, column, path, what is allowed and what was meant.

PyYAML follows YAML 1.1, where `no` is False, `010` is 8, `1e-6` is a string and `12:30` is 750; duplicate keys pass silently.
This reader keeps PyYAML's parser and marks, and resolves scalars as YAML 1.2's core schema does.
"""

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import yaml
from pydantic import ValidationError

from audit.config import Config
from audit.errors import ConfigError

MAX_BYTES = 1_000_000
MAX_NODES = 20_000
INTEGER = re.compile(r"[-+]?[0-9]+")
FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
WORDS: Mapping[str, Any] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
PLAIN_TAGS = tuple(
    f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "timestamp", "value", "merge")
)
Path_ = tuple[str | int, ...]
Marks = dict[Path_, str]


@final
@dataclass(frozen=True, slots=True)
class LoadedConfig:
    """A resolved config, its file, and the folder that the paths in it are relative to."""

    config: Config
    path: Path
    folder: Path


def load_config(path: Path, overrides: Sequence[str] = ()) -> LoadedConfig:
    """Read, override (`a.b=c`) and validate; raises `ConfigError` with every problem of the file, one a line."""
    document, marks = _read(path)
    for override in overrides:
        _override(document, marks, override)
    document.setdefault("name", path.stem)
    try:
        config = Config.model_validate(document)
    except ValidationError as error:
        raise ConfigError("\n".join(_messages(error, marks, str(path)))) from None
    return LoadedConfig(config, path, path.parent)


def config_schema() -> dict[str, Any]:
    """JSON Schema of the config, for editors."""
    schema = Config.model_json_schema()
    required = [name for name in schema["required"] if name != "name"]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "lrp-audit config",
        "required": required,
    }


def _read(path: Path) -> tuple[dict[str, Any], Marks]:
    if not path.exists():
        near = (
            difflib.get_close_matches(path.name, [p.name for p in path.parent.glob("*.y*ml")], n=1)
            if path.parent.is_dir()
            else []
        )
        raise ConfigError(f"{path}: no such config file" + (f"; did you mean {path.parent / near[0]}?" if near else ""))
    if not path.is_file():
        raise ConfigError(f"{path}: is not a file; give the YAML file itself")
    raw = path.read_bytes()
    if len(raw) > MAX_BYTES:
        raise ConfigError(f"{path}: {len(raw)} bytes is no config; at most {MAX_BYTES} are read")
    try:
        node = yaml.compose(raw.decode("utf-8-sig"), Loader=yaml.SafeLoader)
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise ConfigError(
            f"{path}:{line}:1: byte {raw[error.start]:#04x} is not UTF-8; save the file as UTF-8"
        ) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else str(path)
        raise ConfigError(f"{where}: not valid YAML: {error.problem or error.context}") from None
    except (yaml.YAMLError, RecursionError) as error:
        raise ConfigError(f"{path}: not valid YAML: {str(error).splitlines()[0]}") from None
    if not isinstance(node, yaml.MappingNode):
        raise ConfigError(
            f"{path}:1:1: the file must hold `key: value` lines (name, data, model, target, groups), not {_kind(node)}"
        )
    reader = _Reader(str(path))
    return reader.mapping(node, ()), reader.marks


def _kind(node: yaml.Node | None) -> str:
    if node is None:
        return "nothing"
    return "a list" if isinstance(node, yaml.SequenceNode) else "a single value"


class _Reader:
    """Builds plain values from composed nodes and remembers where each path was written."""

    def __init__(self, source: str) -> None:
        self.source, self.marks, self.count = source, Marks(), 0
        self.open: set[int] = set()

    def value(self, node: yaml.Node, at: Path_) -> Any:
        """A scalar, list or dict."""
        self.count += 1
        if self.count > MAX_NODES or id(node) in self.open:
            raise self.error(node, "aliases expand without end; write the values out")
        self.marks.setdefault(at, self.where(node))
        self.open.add(id(node))
        try:
            if isinstance(node, yaml.MappingNode):
                return self.mapping(node, at)
            if isinstance(node, yaml.SequenceNode):
                return [self.value(item, (*at, i)) for i, item in enumerate(node.value)]
            return self.scalar(node)
        finally:
            self.open.discard(id(node))

    def mapping(self, node: yaml.MappingNode, at: Path_) -> dict[str, Any]:
        """A dict with unique text keys, whose marks are those of the keys."""
        found: dict[str, Any] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise self.error(key, "a key must be plain text")
            name = str(key.value)
            if name in found:
                raise self.error(key, f"{_dotted((*at, name))}: this key is given twice; keep one")
            self.marks[(*at, name)] = self.where(key)
            found[name] = self.value(value, (*at, name))
        return found

    def scalar(self, node: yaml.Node) -> Any:
        """YAML 1.2 core schema; quoted text stays text."""
        text = str(node.value)
        if node.tag not in PLAIN_TAGS:
            raise self.error(node, f"tag {node.tag} is not allowed; write plain values")
        return text if node.style in ("'", '"', "|", ">") else scalar(text)

    def where(self, node: yaml.Node) -> str:
        """`file:line:column` of a node."""
        return f"{self.source}:{node.start_mark.line + 1}:{node.start_mark.column + 1}"

    def error(self, node: yaml.Node, what: str) -> ConfigError:
        """A ConfigError at a node."""
        return ConfigError(f"{self.where(node)}: {what}")


def scalar(text: str) -> Any:
    """What a person expects of an unquoted value.

    >>> scalar("1e-6"), scalar("no"), scalar("010"), scalar("12:30:00"), scalar("true"), scalar("~")
    (1e-06, 'no', 10, '12:30:00', True, None)
    """
    if text in WORDS:
        return WORDS[text]
    if INTEGER.fullmatch(text) and len(text) < 300:
        return int(text)
    return float(text) if FLOAT.fullmatch(text) else text


def _override(document: dict[str, Any], marks: Marks, override: str) -> None:
    source = f"--set {override}"
    key, equals, text = override.partition("=")
    names = key.strip().split(".")
    if not equals or not all(names):
        raise ConfigError(f"{source}: write --set a.b=c, for example --set statistics.alpha=0.01")
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise ConfigError(f"{source}: the value is not valid YAML: {str(error).splitlines()[0]}") from None
    target: Any = document
    for depth, name in enumerate(names[:-1]):
        target = _child(target, name, source, names[: depth + 1])
    reader = _Reader(source)
    value = None if node is None else reader.value(node, ())
    leaf: str | int = names[-1]
    if isinstance(target, list):
        leaf = _position(target, names[-1], source)
        target[leaf] = value
    else:
        target[leaf] = value
    marks[tuple(int(n) if n.isdigit() else n for n in names)] = source


def _child(parent: Any, name: str, source: str, so_far: Sequence[str]) -> Any:
    if isinstance(parent, list):
        return parent[_position(parent, name, source)]
    child = parent.setdefault(name, {})
    if child is None:
        child = parent[name] = {}
    if not isinstance(child, dict | list):
        raise ConfigError(f"{source}: {_dotted(tuple(so_far))} holds the value {child!r}, which has no keys inside")
    return child


def _position(parent: list[Any], name: str, source: str) -> int:
    if not name.isdigit() or int(name) >= len(parent):
        raise ConfigError(f"{source}: {name!r} is no position in a list of {len(parent)}; count from 0")
    return int(name)


def _messages(error: ValidationError, marks: Marks, path: str) -> Iterator[str]:
    for problem in error.errors(include_url=False):
        at = tuple(problem["loc"])
        where = next((marks[at[:n]] for n in range(len(at), 0, -1) if at[:n] in marks), f"{path}:1:1")
        yield f"{where}: {_dotted(at) or 'config'}: {_what(problem, at)}"


def _what(problem: Mapping[str, Any], at: Path_) -> str:
    given = problem["input"]
    if problem["type"] == "extra_forbidden":
        allowed = _fields(at[:-1])
        return f"unknown key; allowed here: {', '.join(allowed)}{_meant(str(at[-1]), allowed)}"
    if problem["type"] == "missing":
        return f"this key is required; add it{_described(at)}"
    message = str(problem["msg"]).removeprefix("Value error, ")
    if problem["type"] == "value_error":
        return message
    expected = re.findall("'([^']*)'", str(problem.get("ctx", {}).get("expected", "")))
    return f"{message} (got {_short(given)}){_meant(str(given), expected)}"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _meant(given: str, allowed: Sequence[str]) -> str:
    near = difflib.get_close_matches(given, allowed, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _fields(at: Path_) -> list[str]:
    """Names of the fields of the block at a path."""
    model = _block(at)
    return [] if model is None else list(model.model_fields)


def _described(at: Path_) -> str:
    model = _block(at[:-1])
    about = None if model is None or at[-1] not in model.model_fields else model.model_fields[str(at[-1])].description
    return f" ({about})" if about else ""


def _block(at: Path_) -> Any:
    """The pydantic model that describes the mapping at a path, found through the field annotations."""
    model: Any = Config
    for name in at:
        if isinstance(name, int):
            continue
        if model is None or name not in model.model_fields:
            return None
        model = _model_in(model.model_fields[name].annotation)
    return model


def _model_in(annotation: Any) -> Any:
    from typing import get_args

    if isinstance(annotation, type) and hasattr(annotation, "model_fields"):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_in(part)) is not None), None)


def _dotted(at: Path_) -> str:
    return ".".join(str(name) for name in at)

"""The files `profiles/NAME.yaml`: what each text asks of a report, and where that is found. Data, so that who knows the law can mend it.

A field says exactly one of: where the record holds it, which section has it, who declares it, which impact table answers it, what
computes it, or why this tool does not cover it. Reading one costs milliseconds, and anything unexpected in it is an error.
"""

from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Final, Literal, final, get_args

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError, model_validator
from pydantic import Field as Described

from audit.config import Config, Declarations
from audit.config.compliance import Profile
from audit.errors import ConfigError, did_you_mean
from audit.records import AuditRecord
from audit.report.computed import COMPUTED
from audit.report.conditions import CONDITIONS

FOLDER: Final = Path(__file__).with_name("profiles")
NAMES: Final[tuple[str, ...]] = get_args(Profile)
SOURCES: Final = ("record", "section", "declaration", "impact", "computed", "outside")
KNOWN: Final[Mapping[str, tuple[str, ...]]] = {
    "declaration": tuple(Declarations.model_fields), "computed": tuple(COMPUTED), "when": tuple(CONDITIONS), "needs": tuple(CONDITIONS),
}  # fmt: skip
Words = Annotated[str, Described(min_length=1, max_length=600)]


def _listed(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


@final
class Field(BaseModel):
    """One thing that a text asks for, at the article or section named by `source`.

    `when`: a condition without which it is not asked; `needs`: one without which a section does not hold it. `empty` says what an
    empty value of `record` means, where that is an answer.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
    field: Words
    source: Words
    record: str | None = None
    section: Literal["A", "B", "C", "D", "E", "F", "G", "H", "I", "J", "K", "L"] | None = None
    declaration: str | None = None
    impact: Literal["sex", "race_ethnicity", "sex x race_ethnicity", "all"] | None = None
    computed: str | None = None
    outside: Words | None = None
    when: str | None = None
    needs: str | None = None
    empty: Words | None = None
    note: Words | None = None

    @model_validator(mode="after")
    def _one_source(self) -> "Field":
        given = [name for name in SOURCES if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"give exactly one of {', '.join(SOURCES)}; given: {', '.join(given) or 'none'}")
        if self.needs and not self.section:
            raise ValueError("needs: only for a field with a section")
        if self.empty and not self.record:
            raise ValueError("empty: only for a field with a record path")
        return self

    @model_validator(mode="after")
    def _known_names(self) -> "Field":
        for key, allowed in KNOWN.items():
            name = getattr(self, key)
            if name is not None and name not in allowed:
                raise ValueError(
                    f"{key}: {name!r} is unknown{did_you_mean(name, allowed)}; known: {', '.join(allowed)}"
                )
        if self.record is not None:
            _known_path(self.record)
        return self


@final
class ProfileFile(BaseModel):
    """A whole file. `dated`: when it was written; `basis`: how the text was read; `caveat`: what must stand beside it."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
    title: Words
    dated: date
    basis: Annotated[str, Described(min_length=1, max_length=1500)]
    caveat: Annotated[str, Described(min_length=1, max_length=1500)]
    fields: Annotated[tuple[Field, ...], BeforeValidator(_listed), Described(min_length=1)]

    @model_validator(mode="after")
    def _once(self) -> "ProfileFile":
        named = [(each.field, each.source) for each in self.fields]
        twice = next((name for name in named if named.count(name) > 1), None)
        if twice:
            raise ValueError(f"fields: {twice[0]!r} of {twice[1]!r} stands twice; keep one, or say how they differ")
        return self


def read(path: Path) -> ProfileFile:
    """A file of the schema above; raises `ConfigError` with every problem: the file, the field and what is wrong."""
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: {' '.join(str(error).split())}") from None
    try:
        return ProfileFile.model_validate(document)
    except ValidationError as error:
        raise ConfigError("\n".join(f"{path}: {message}" for message in _messages(error, document))) from None


def shipped(name: str) -> ProfileFile:
    """The profile of that name that comes with lrp-audit; raises `ConfigError` for one that does not."""
    if name not in NAMES:
        raise ConfigError(f"compliance.profile: {name!r:.80} is no profile; choose from {', '.join(NAMES)}")
    return read(FOLDER / f"{name}.yaml")


def _messages(error: ValidationError, document: object) -> Iterator[str]:
    for problem in error.errors(include_url=False):
        where = [_part(document, problem["loc"][: i + 1]) for i in range(len(problem["loc"]))]
        message = problem["msg"].removeprefix("Value error, ")
        yield f"{'.'.join(where) or 'profile'}: {message}"


def _part(document: object, loc: tuple[int | str, ...]) -> str:
    """A key as it is, and of a place in the list of fields the name of the field too."""
    found: object = document
    for key in loc if isinstance(loc[-1], int) else ():
        if isinstance(found, list) and isinstance(key, int):
            found = found[key]
        elif isinstance(found, dict):
            found = found.get(key)
    named = found.get("field") if isinstance(found, dict) and isinstance(loc[-1], int) else None
    return f"{loc[-1]} ({named!r:.80})" if named else str(loc[-1])


def _known_path(path: str) -> None:
    """ValueError where a part of a dotted path is no field of the record, or of the config in it; keys of mappings are free."""
    block: type[BaseModel] | None = AuditRecord
    for part in path.split("."):
        if block is None:
            return
        if part not in block.model_fields:
            allowed = tuple(block.model_fields)
            raise ValueError(
                f"record: {part!r} of {path!r} is unknown{did_you_mean(part, allowed)}; known: {', '.join(allowed)}"
            )
        block = Config if (block, part) == (AuditRecord, "config") else _inner(block.model_fields[part].annotation)


def _inner(annotation: object) -> type[BaseModel] | None:
    """The model in `X`, `X | None` and `tuple[X, ...]`; None for anything else."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for each in get_args(annotation) if (found := _inner(each)) is not None), None)

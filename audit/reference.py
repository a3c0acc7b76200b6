"""The run that a config names as its baseline: found, whole, and asked what this one is, or `ConfigError` before any explanation."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

from audit.config import Config
from audit.config.settings import flat
from audit.errors import AuditError, ConfigError
from audit.files import file_sha256
from audit.loading import LoadedConfig, recorded_config
from audit.records import AuditRecord
from audit.store.manifest import RECORD
from audit.store.runs import load_record, require_sound
from audit.tasks.task import Task, contrast_name

SAME: Final = ("task", "target", "groups", "regions", "relevance", "statistics", "margins", "data.columns")
"""Blocks that say what is estimated, and in which a baseline must not differ; model and data may."""
FREE: Final = tuple(f"statistics.{name}" for name in ("alpha", "looks", "discovery", "placebos", "permutations"))
"""What of these only says how surely."""
CURE: Final = "; give a run of this protocol, or run the baseline's data and model with this config first"
NAMED: Final = 5  # differences in a message


@final
@dataclass(frozen=True, slots=True)
class Reference:
    """A finished run to be held against; `sha256` is that of its record."""

    folder: Path
    record: AuditRecord
    sha256: str


def record_sha256(loaded: LoadedConfig) -> str | None:
    """Hash of the baseline's audit.json, by which it belongs to the protocol; None where the config names none."""
    folder = _folder(loaded)
    if folder is None:
        return None
    if not (folder / RECORD).is_file():
        raise ConfigError(
            f"{loaded.at('baseline', 'run')}: {folder}: holds no {RECORD}; give the folder of one finished run"
        )
    return file_sha256(folder / RECORD)


def reference(task: Task[Any]) -> Reference | None:
    """The baseline's run, None where there is none; `ConfigError` where it cannot be read, or asks something else than this audit."""
    loaded = task.loaded
    folder, place = _folder(loaded), loaded.at("baseline", "run") if loaded.config.baseline else ""
    if folder is None:
        return None
    try:
        record = load_record(folder)
        require_sound(folder)
        before = recorded_config(record.config, folder / RECORD, folder / RECORD).config
    except AuditError as error:
        raise ConfigError(f"{place}: {error}") from None
    differing = [*_differing(before, loaded.config), *_otherwise(task, record)]
    if differing:
        more = f" and {len(differing) - NAMED} more" if len(differing) > NAMED else ""
        raise ConfigError(f"{place}: {folder} asks something else: {'; '.join(differing[:NAMED])}{more}{CURE}")
    return Reference(folder, record, file_sha256(folder / RECORD))


def _folder(loaded: LoadedConfig) -> Path | None:
    return loaded.folder / loaded.config.baseline.run if loaded.config.baseline else None


def _differing(before: Config, after: Config) -> Iterator[str]:
    """Settings in which the baseline asks something else."""
    one, two = (flat(config.model_dump(mode="json")) for config in (before, after))
    for name in sorted(one.keys() | two.keys()):
        asked = any(name == block or name.startswith(f"{block}.") for block in SAME)
        if asked and name not in FREE and one.get(name) != two.get(name):
            yield f"{name} was {one.get(name)!r:.60}, is {two.get(name)!r:.60}"


def _otherwise(task: Task[Any], record: AuditRecord) -> Iterator[str]:
    """What the settings do not tell: the words of a lexicon, and the classes that a model gives the contrast."""
    lexicons = {each.attribute: each.sha256 for each in record.lexicons}
    for attribute in sorted(lexicons.keys() | task.lexicons.keys()):
        if lexicons.get(attribute) != task.lexicons.get(attribute):
            yield f"the terms of {attribute!r:.60} are others"
    contrast = contrast_name(task.explainer, task.model.classes)
    if record.model.contrast != contrast:
        yield f"the contrast was {record.model.contrast!r:.60}, is {contrast!r:.60}"

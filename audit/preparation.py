"""What a run and a check share: a config's task with its model and data loaded, and the hash of its protocol."""

import hashlib
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from audit.config import DELIVERY, Config
from audit.config.settings import flat
from audit.errors import AuditError, ConfigError, OutputError, did_you_mean
from audit.files import file_sha256
from audit.loading import LoadedConfig
from audit.parts import digest
from audit.provenance import code_sha256, release, versions
from audit.records import ProtocolChange
from audit.reference import record_sha256, reference
from audit.relevance.methods import Method
from audit.stats.cases import NO_GROUP
from audit.stats.draws import short_of_draws
from audit.stats.groupings import MENTIONED
from audit.stats.prospects import between
from audit.store.runs import read_record
from audit.store.summaries import read_summaries
from audit.tasks.image_explanation import load_image_explainer
from audit.tasks.images import load_image_task
from audit.tasks.resolving import data_block
from audit.tasks.task import Task
from audit.tasks.texts import load_text_explainer, load_text_task

UNHASHED: Final[dict[str, Any]] = {  # asks nothing of model or data
    "output": True, "engine": True, "report": True, "debug": True, "compliance": {"declarations": True, "profile": True},
    "baseline": {"run": True}, **dict.fromkeys(DELIVERY, True),
}  # fmt: skip
ELSEWHERE: Final[dict[str, Any]] = {  # changes no file of a run but where the config is written down
    "output": True, "engine": {"kind", "workers", "address"}, **dict.fromkeys(DELIVERY, True),
}  # fmt: skip
TASKS: Final[Mapping[str, Callable[[LoadedConfig], Task[Any]]]] = MappingProxyType(
    {"text": load_text_task, "image": load_image_task}
)


DECIDING: Final = frozenset({"torch", "transformers", "tokenizers", "numpy", "pillow", "captum"})
EXPLAINERS: Final[Mapping[str, Callable[[LoadedConfig], Any]]] = MappingProxyType(
    {"text": load_text_explainer, "image": load_image_explainer}
)


def load_explainer(loaded: LoadedConfig) -> Any:
    """The model with what explains it, for a worker: no data."""
    return EXPLAINERS[loaded.config.task](loaded)


def prepare(loaded: LoadedConfig) -> Task[Any]:
    """Everything that is known before the first example is explained.

    ConfigError for too few draws, a reference that nobody is of, or a baseline that asks something else.
    """
    task = TASKS[loaded.config.task](loaded)
    statistics = loaded.config.statistics
    tests = between(task.columns, task.features, cluster=task.data.cluster, statistics=statistics)
    short = short_of_draws({**task.tests, **tests}, loaded.config)
    problems = [f"{loaded.at('statistics', key)}: {problem}" for key, problem in short.items()]
    problems += [
        f"{loaded.at('statistics', 'reference', name)}: no example has the group {group!r} of {name}; groups: {', '.join(seen)}"
        + did_you_mean(group, seen)
        for name, group in statistics.reference.items()
        for seen in [_groups(task.columns, name)]
        if group not in seen
    ]
    if problems:
        raise ConfigError("\n".join(problems))
    reference(task)
    _try_layers(task)
    return task


def _try_layers(task: Task[Any]) -> None:
    """Ask one example, so that a wrong name is told before hours of work; ConfigError with its place."""
    debug, loaded = task.loaded.config.debug, task.loaded
    for i, layer in enumerate(debug.layers):
        try:
            task.concepts(np.zeros(1, dtype=np.int64), (layer,))
        except AuditError as error:
            raise ConfigError(f"{loaded.at('debug', 'layers', i)}: {error}") from error


def declared(task: Task[Any]) -> dict[str, str]:
    """Hashes of the files that say what is asked: of lexicons by attribute, of the ids, and of the baseline's record."""
    ids, baseline = data_block(task.loaded).ids, record_sha256(task.loaded)
    return {
        **task.lexicons,
        **({} if ids is None else {"data.ids": file_sha256(Path(ids))}),
        **({} if baseline is None else {"baseline.run": baseline}),
    }


def _groups(columns: Mapping[str, NDArray[np.str_]], name: str) -> list[str]:
    """The groups of an attribute that occur, in the data's column or in what texts mention."""
    found = [column for key, column in columns.items() if key.removesuffix(MENTIONED) == name]
    return sorted({group for column in found for group in np.unique(column).tolist()} - set(NO_GROUP))


def protocol_sha256(config: Config, lexicons: Mapping[str, str]) -> str:
    """Hash of what is asked and how, taken before the first example is explained: settings, terms of the lexicons, release."""
    settings = config.model_dump(mode="json", exclude=UNHASHED)
    if config.baseline is None:
        del settings["baseline"]  # a config without one asks what it asked before there were any
    document = {**settings, "lexicons": dict(lexicons), "release": release()}
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def identity(task: Task[Any]) -> str:
    """Hash of all that goes into a run: what has the same ends with the same record but for times."""
    config = task.loaded.config
    settings = config.model_dump(mode="json", exclude=ELSEWHERE)
    inputs = task.data.sha256, task.model.sha256, declared(task), task.explainer.device, _methods(task)
    return digest(settings, inputs, code_sha256(), dict(versions()))


def identity_of_parts(task: Task[Any]) -> str:
    """Hash of what decides the parts of a stage beside the examples that they are of."""
    config = task.loaded.config
    blocks = {name: getattr(config, name).model_dump(mode="json") for name in ("model", "target", "relevance")}
    versions_ = {name: version for name, version in versions() if name in DECIDING}
    engine = config.engine.batch_size, config.engine.threads, config.engine.gpus > 0
    where = task.explainer.device, *engine, config.seed
    return digest(blocks, task.model.sha256, where, code_sha256(), _methods(task), versions_)


def _methods(task: Task[Any]) -> dict[str, str]:
    """What stands in the place of a composite, by name; of a function of one's own that names its code."""
    return {name: each.used for name, each in task.explainer.composites.items() if isinstance(each, Method)}


def protocol_change(task: Task[Any], protocol: str, folder: Path) -> ProtocolChange | None:
    """How the protocol differs from that of the last finished run in `folder` (`output/name`) that had another one."""
    config = task.loaded.config.model_dump(mode="json")
    now = {**config, "lexicons": dict(task.lexicons), "release": release()}
    runs = read_summaries(folder, last=1).runs
    other = [name for name, run in runs.items() if run.protocol_sha256 != protocol]
    for name in reversed(other):
        with suppress(OutputError):
            run = read_record(folder / name)
            lexicons = {entry.attribute: entry.sha256 for entry in run.lexicons}
            then = {**run.config, "lexicons": lexicons, "release": run.provenance.packages["lrp-audit"]}
            changed = tuple(_differing(now, then))
            return ProtocolChange(run_id=run.run_id, protocol_sha256=run.protocol_sha256, settings=changed)
    return None


def _differing(*documents: Mapping[str, Any]) -> list[str]:
    now, then = (flat(each) for each in documents)
    return sorted(name for name in now.keys() | then.keys() if now.get(name) != then.get(name) and _hashed(name))


def _hashed(name: str) -> bool:
    return not any(name == block or name.startswith(f"{block}.") for block in flat(UNHASHED))

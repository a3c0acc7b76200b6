"""From what a config names to what it stands for: paths, built-ins, composites and classes."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from audit.config import BUILTIN, LRP, Data, Engine
from audit.errors import ConfigError, DataError, did_you_mean
from audit.loading import LoadedConfig
from audit.models.builtin import builtin_data, builtin_model
from audit.models.own_module import own_function
from audit.questions import Task
from audit.relevance.explainer import composite_name, make_composite
from audit.relevance.methods import METHODS, make_method, own_method

BATCH: Final[Mapping[Task, int]] = MappingProxyType({"text": 2048, "image": 32})


def resolve_model(loaded: LoadedConfig) -> str:
    """Folder of the model, relative to the config; a built-in model; else the name is left for the hub."""
    path = loaded.config.model.source
    if path.startswith(BUILTIN):
        return str(builtin_model(path.removeprefix(BUILTIN)))
    local = (loaded.folder / path).absolute()
    return str(local) if local.exists() or path.startswith((".", "/", "~")) else path


def resolve_data(loaded: LoadedConfig) -> Path:
    """File of the data, relative to the config, or a built-in dataset."""
    path = loaded.config.data.path
    if path.startswith(BUILTIN):
        return builtin_data(path.removeprefix(BUILTIN))
    found = (loaded.folder / path).absolute()
    if loaded.config.requires and not found.exists():
        needed = "; ".join(loaded.config.requires)
        raise DataError(
            f"{found}: there is no such data file. This config requires {needed}; name it with --set data.path=FILE"
        )
    return found


def data_block(loaded: LoadedConfig) -> Data:
    """The block `data` with the file of ids where it is."""
    data = loaded.config.data
    return data if data.ids is None else data.model_copy(update={"ids": str((loaded.folder / data.ids).absolute())})


def batch_size(engine: Engine, model: Any, task: Task) -> int:
    """Most tokens, with padding, or photographs in one batch: as asked, or by rule.

    The clock has no say, for what is in a batch decides the last bits of floats.
    """
    return BATCH[task] if engine.batch_size == "auto" else engine.batch_size


def composites(loaded: LoadedConfig, known: Mapping[str, Mapping[str, Any]] | None = None) -> dict[str, Any]:
    """What is explained under, by the name that a report shows; `known` are parameters by composite, where the config gives none.

    A method other than LRP stands alone.
    """
    if loaded.config.relevance.method != LRP:
        return {loaded.config.relevance.method: _method(loaded)}
    return {
        name: composite for key in ("composites", "witnesses") for name, composite in _rules(loaded, key, known or {})
    }


def witnesses(loaded: LoadedConfig) -> tuple[str, ...]:
    """Those of the composites that have no vote."""
    if loaded.config.relevance.method != LRP:
        return ()
    voting = {composite_name(given) for given in loaded.config.relevance.composites}
    return tuple(
        name for given in loaded.config.relevance.witnesses for name in [composite_name(given)] if name not in voting
    )


def _rules(loaded: LoadedConfig, key: str, known: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, Any]]:
    seen = set[str]()
    for i, given in enumerate(getattr(loaded.config.relevance, key)):
        where, name = loaded.at("relevance", key, i), composite_name(given)
        if name in seen:
            raise ConfigError(f"{where}: {name} stands twice; keep one, or give it a name of its own")
        seen.add(name)
        yield name, make_composite(_completed(given, known), where)


def _method(loaded: LoadedConfig) -> Any:
    """The method that the config names: one of the engine's composites, one of the table, or a function of one's own."""
    asked, where = loaded.config.relevance, loaded.at("relevance", "method")
    if ":" in asked.method:
        return own_method(asked.method, *own_function(asked.method, loaded.folder, where))
    if asked.method not in METHODS:
        return make_composite(asked.method, where)
    return make_method(asked.method, where, steps=asked.steps, samples=asked.samples, seed=loaded.config.seed)


def _completed(given: Any, known: Mapping[str, Mapping[str, Any]]) -> Any:
    name = given if isinstance(given, str) else given["name"]
    if name not in known or (not isinstance(given, str) and "rules" in given):
        return given
    return {"name": name, **known[name], **(given if isinstance(given, dict) else {})}


def contrast(loaded: LoadedConfig, classes: Sequence[str]) -> tuple[int, int | None]:
    """Indices of the classes `favour` and `against` (None: the logit of `favour` alone is explained)."""
    target = loaded.config.target
    favour = class_index(classes, loaded.at("target", "favour"), target.favour)
    against = None if target.against is None else class_index(classes, loaded.at("target", "against"), target.against)
    if against is None and len(classes) == 2:
        against = 1 - favour
    if against == favour:
        raise ConfigError(
            f"{loaded.at('target')}: favour and against are both {target.favour!r}; name two different classes"
        )
    return favour, against


def class_index(classes: Sequence[str], where: str, name: str) -> int:
    """Which logit the class is; raises `ConfigError` that starts with `where`, the place where the name was given."""
    if name not in classes:
        allowed = f"it has {', '.join(classes)}{did_you_mean(name, classes)}"
        raise ConfigError(f"{where}: the model has no class {name!r}; {allowed}")
    return classes.index(name)

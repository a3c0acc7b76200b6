"""The table of engines, and the one that a config asks for."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from audit.engines.kept import Kept
from audit.engines.processes import Processes
from audit.engines.ray_cluster import RayCluster, require_ray
from audit.engines.worker import Load
from audit.loading import LoadedConfig
from audit.parts import Executor, InProcess

Made = tuple[Executor, Callable[[], None]]  # and how it is let go


def _local(load: Load, loaded: LoadedConfig, explainer: Any, scratch: Path) -> Made:
    if loaded.config.engine.workers == 1:
        return InProcess(explainer), _threads(loaded.config.engine.threads)
    processes = Processes(load, loaded, loaded.config.engine.workers, scratch)
    return processes, processes.close


def _threads(asked: int | None) -> Callable[[], None]:
    """Take so many threads in this process; what is returned gives back those of before."""
    if asked is None:
        return lambda: None
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(asked)
    return lambda: torch.set_num_threads(before)


def _ray(load: Load, loaded: LoadedConfig, explainer: Any, scratch: Path) -> Made:
    cluster = RayCluster(load, loaded, loaded.config.engine)
    return cluster, cluster.close


ENGINES: Final[Mapping[str, Callable[[Load, LoadedConfig, Any, Path], Made]]] = MappingProxyType(
    {"local": _local, "ray": _ray}
)


def check_engine(loaded: LoadedConfig) -> None:
    """ConfigError, before any work, for an engine whose package is not installed."""
    if loaded.config.engine.kind == "ray":
        require_ray(loaded.at("engine", "kind"))


@contextmanager
def engine(load: Load, loaded: LoadedConfig, explainer: Any, *, folder: Path, identity: str) -> Iterator[Kept]:
    """The engine of the config, which keeps its parts in `folder`; its workers, each of which loads the model, end with the block."""
    executor, close = ENGINES[loaded.config.engine.kind](load, loaded, explainer, folder)
    try:
        yield Kept(explainer, executor, folder, identity)
    finally:
        close()

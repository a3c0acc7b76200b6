"""Folders for parts and notes, what stands for a model, and work that shows who did it how often."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audit.errors import ModelError
from audit.loading import LoadedConfig, load_config
from audit.parts import Shard, digest


def explained(loaded: LoadedConfig) -> Any:
    """In the place of a model that takes long to load."""
    return loaded.config.name


def refused(loaded: LoadedConfig) -> Any:
    """In the place of a model that cannot be loaded."""
    raise ModelError("the folder of the model is empty")


@dataclass(frozen=True)
class Squares:
    """Squares numbers, and notes each time that it does so; `fatal`: the number at which the first process that sees it dies.

    `lasting`: every process does. That shard takes `seconds`, another one a quarter.
    """

    folder: Path
    fatal: int = -1
    lasting: bool = False
    seconds: float = 0

    @property
    def digest(self) -> str:
        return digest("squares", self.fatal)

    def do(self, explainer: Any, content: list[int]) -> dict[str, np.ndarray]:
        note = self.folder / f"{content[0]}.{len(list(self.folder.glob(f'{content[0]}.*')))}"
        note.write_text(str(os.getpid()))
        time.sleep(self.seconds if self.fatal in content else self.seconds / 4)
        if self.fatal in content and (self.lasting or note.suffix == ".0"):
            os.kill(os.getpid(), signal.SIGKILL)
        return {"row.square": np.array(content) ** 2, "size": np.array([len(content)])}


def shards(n: int, size: int = 3) -> Iterator[Shard[list[int]]]:
    for start in range(0, n, size):
        content = list(range(start, min(start + size, n)))
        yield Shard(np.array(content), content, digest(content))


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """For parts, and for notes of who did what."""
    places = tmp_path / "parts", tmp_path / "notes"
    for place in places:
        place.mkdir()
    return places


@pytest.fixture
def config(project: Callable[..., Path]) -> Callable[..., LoadedConfig]:
    """Of a small audit whose block `engine` is given."""
    return lambda **block: load_config(project(engine=block))

"""What a worker is, in whatever process: the model, loaded once, and the work that it was given last."""

import pickle
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, final

from audit.loading import LoadedConfig
from audit.parts import Part

Load = Callable[[LoadedConfig], Any]  # gives the explainer; it is shipped by name


@final
@dataclass(slots=True)
class Worker:
    """Not frozen: it remembers the work that it unpacked."""

    explainer: Any
    known: tuple[str, Any] = field(default=("", None))

    @classmethod
    def of(cls, load: Load, loaded: LoadedConfig, threads: int) -> "Worker":
        """With the model of the config, on so many threads."""
        import torch

        torch.set_num_threads(threads)
        return cls(load(loaded))

    def do(self, digest: str, packed: Callable[[], bytes], content: Any) -> dict[str, Any]:
        """The part of a shard by the work that was packed by the run itself, which is unpacked once."""
        if self.known[0] != digest:
            self.known = digest, pickle.loads(packed())
        part: Part = self.known[1].do(self.explainer, content)
        return dict(part)

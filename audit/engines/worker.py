"""What a worker is, in whatever process: the model, loaded once, and the work that it was given last."""

import pickle
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, final

from audit.loading import LoadedConfig
from audit.parts import Part

Load = Callable[[LoadedConfig], Any]  # gives the explainer; it is shipped by name


@final
@dataclass
class Worker:
    """Not frozen: it remembers the model and the work that it unpacked.

    The first shard loads the model, so that what is wrong with it comes back as an answer; a pool and a cluster lose what is
    raised when their workers start.
    """

    load: Load
    loaded: LoadedConfig
    threads: int
    known: tuple[str, Any] = ("", None)

    @cached_property
    def explainer(self) -> Any:
        """The model of the config, on so many threads."""
        import torch

        torch.set_num_threads(self.threads)
        return self.load(self.loaded)

    def do(self, digest: str, packed: Callable[[], bytes], content: Any) -> dict[str, Any]:
        """The part of a shard by the work that was packed by the run itself, which is asked for and unpacked once."""
        if self.known[0] != digest:
            self.known = digest, pickle.loads(packed())
        part: Part = self.known[1].do(self.explainer, content)
        return dict(part)

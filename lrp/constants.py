"""Which ledger entry a constant belongs to: those of position and type embeddings, of a decoder, and what is computed from them."""

import re
from collections.abc import Sequence
from typing import Any, final

from torch import Tensor, nn

from lrp.calls import storage_of, tensors

# Names of parameters and buffers that are position or type embeddings.
_POSITIONAL = re.compile(
    r"pos(ition)?(al)?_?(emb|enc|bias)|type_emb|\bwpe\b|relative_attention_bias|relative_position_bias"
)


@final
class Constants:
    """Entries by the memory of the tensor that they are about."""

    def __init__(self, model: nn.Module) -> None:
        self.entries: dict[int, tuple[str, Tensor]] = {}  # tensors kept alive, so that no address is used twice
        for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
            if _POSITIONAL.search(name):
                self.mark(tensor, "positional")

    def mark(self, constant: Tensor, entry: str) -> None:
        """Name the ledger entry of a constant and of what is computed from it."""
        self.entries[storage_of(constant)] = (entry, constant)

    def entry_of(self, constant: object) -> str:
        """The ledger entry of a constant."""
        return self.entries.get(storage_of(constant), ("constant",))[0] if isinstance(constant, Tensor) else "constant"

    def entry_of_all(self, constants: Sequence[Tensor]) -> str:
        """The one entry of all these constants, or "constant"."""
        entries = {self.entry_of(t) for t in constants if t.is_floating_point()}
        return entries.pop() if len(entries) == 1 else "constant"

    def inherit(self, result: Tensor, args: tuple[Any, ...]) -> None:
        """A constant has the entry of what it is computed from."""
        for tensor in tensors(args):
            found = self.entries.get(storage_of(tensor))
            if found is not None:
                self.mark(result, found[0])
                return

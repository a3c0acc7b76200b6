"""What the audited model itself makes of an input before it decides: the inputs of its last two linear layers."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from audit.tables import FloatArray

if TYPE_CHECKING:
    from torch import Tensor

WHOLE = 2  # dimensions of a layer that reads one vector an example


@contextmanager
def penultimate(model: Any) -> "Iterator[Callable[[Tensor], FloatArray]]":
    """A function from the logits of the latest forward pass to its representations `[batch, d]`.

    Two layers, each of unit length: the last one may be 0 for a whole class, where rectified units hold evidence for the other alone. Of a
    layer that reads a vector a token or place, the mean over them; of a model without linear layers, the logits.
    """
    import torch

    seen: list[Tensor] = []

    def remember(module: Any, inputs: "tuple[Tensor, ...]") -> None:
        seen[:] = [*seen[-1:], inputs[0].detach()]

    hooks = [each.register_forward_pre_hook(remember) for each in model.modules() if isinstance(each, torch.nn.Linear)]

    def read(logits: "Tensor") -> FloatArray:
        parts = [_unit(each, len(logits)) for each in (seen or [logits])]
        seen.clear()
        return np.asarray(torch.cat(parts, dim=1).cpu().numpy())

    try:
        yield read
    finally:
        for hook in hooks:
            hook.remove()


def _unit(found: "Tensor", n: int) -> "Tensor":
    """`[n, d]` of unit length, or 0."""
    if found.ndim > WHOLE:
        found = found.reshape(n, -1, found.shape[-1]).mean(1)
    found = found.reshape(n, -1).float()
    length: Tensor = found.norm(dim=1, keepdim=True)
    return found / length.clamp(min=1e-12)

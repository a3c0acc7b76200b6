"""What the audited model itself makes of an input before it decides: the input of its last linear layer."""

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

    Where the last linear layer reads a vector a token or place, its mean over them; of a model without one, the logits.
    """
    import torch

    seen: list[Tensor] = []

    def remember(module: Any, inputs: "tuple[Tensor, ...]") -> None:
        seen[:] = [inputs[0].detach()]

    hooks = [each.register_forward_pre_hook(remember) for each in model.modules() if isinstance(each, torch.nn.Linear)]

    def read(logits: "Tensor") -> FloatArray:
        found = seen[0] if seen else logits
        if found.ndim > WHOLE:
            found = found.reshape(len(logits), -1, found.shape[-1]).mean(1)
        return np.asarray(found.reshape(len(logits), -1).float().cpu().numpy())

    try:
        yield read
    finally:
        for hook in hooks:
            hook.remove()

"""What the audited model itself makes of an input before it decides: the inputs of its last two linear layers."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from audit.tables import FloatArray

if TYPE_CHECKING:
    from torch import Tensor

WHOLE: Final = 2  # dimensions of a layer that reads one vector an example


@contextmanager
def last_layers(model: Any) -> "Iterator[Callable[[Tensor], FloatArray]]":
    """A function from the logits of the latest forward pass to its representations `[batch, d]`.

    Two layers, each of unit length: the last one may be 0 for a whole class, where rectified units hold evidence for the other alone. Of a
    layer that reads a vector a token or place, the mean over them; of a model without linear layers, the logits.
    """
    import torch

    seen: list[Tensor] = []
    masks: list[Tensor] = []

    def attend(module: Any, inputs: "tuple[Any, ...]", named: dict[str, Any]) -> None:
        masks[:] = [named["attention_mask"]] if "attention_mask" in named else []

    def remember(module: Any, inputs: "tuple[Tensor, ...]", named: "dict[str, Tensor]") -> None:
        seen[:] = [*seen[-1:], (inputs[0] if inputs else named["input"]).detach()]

    linear = [each for each in model.modules() if isinstance(each, torch.nn.Linear)]
    hooks = [model.register_forward_pre_hook(attend, with_kwargs=True)]
    hooks += [each.register_forward_pre_hook(remember, with_kwargs=True) for each in linear]

    def read(logits: "Tensor") -> FloatArray:
        parts = [_unit(each, len(logits), masks) for each in (seen or [logits])]
        seen.clear()
        return np.asarray(torch.cat(parts, dim=1).cpu().numpy())

    try:
        yield read
    finally:
        for hook in hooks:
            hook.remove()


def _unit(found: "Tensor", n: int, masks: "list[Tensor]") -> "Tensor":
    """`[n, d]` of unit length, or 0; of tokens those that are attended."""
    if found.ndim > WHOLE:
        found = found.reshape(n, -1, found.shape[-1])
        seen = masks[0] if masks and masks[0].shape == found.shape[:2] else found.new_ones(found.shape[:2])
        found = (found * seen[:, :, None]).sum(1)
    found = found.reshape(n, -1).float()
    length: Tensor = found.norm(dim=1, keepdim=True)
    return found / length.clamp(min=1e-12)

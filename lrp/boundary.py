"""What goes into an explanation and what it is of: the input to explain, the logits, the explained value."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from lrp.errors import InputError
from lrp.types import Target

Inputs = Tensor | Mapping[str, Any]


def prepare(model: nn.Module, inputs: Inputs) -> tuple[dict[str, Any], str]:
    """The inputs by name, the explained one as a leaf when it is a float tensor, and its name.

    Explained is `input_ids`, otherwise the model's `main_input_name`, otherwise the first float tensor; the others are constants.
    """
    named = dict(inputs) if isinstance(inputs, Mapping) else {"inputs": inputs}
    if any(parameter.is_inference() for parameter in model.parameters()):
        raise InputError("the model was made inside torch.inference_mode, which autograd cannot use; make it outside")
    named = {name: _usable(value) for name, value in named.items()}
    tensors = {name: value for name, value in named.items() if isinstance(value, Tensor)}
    floats = [name for name, value in tensors.items() if value.is_floating_point()]
    main = getattr(model, "main_input_name", None)
    key = "input_ids" if "input_ids" in tensors else main if main in tensors else next(iter(floats), None)
    if key is None:
        kinds = {name: str(value.dtype) for name, value in tensors.items()} or type(inputs).__name__
        raise InputError(f"no input to explain in {kinds}: give a float tensor, or a mapping with 'input_ids'")
    if named[key].is_floating_point():
        named[key] = named[key].detach().clone().requires_grad_()
    return named, key


def logits_of(output: Any) -> Tensor:
    """Logits `[batch, classes]` of a tensor, a Hugging Face output or a tuple; a single logit becomes one class."""
    first = output[0] if isinstance(output, tuple | list) and output else output
    logits = output.get("logits", list(output)) if isinstance(output, Mapping) else first
    if not isinstance(logits, Tensor) or logits.dim() not in (1, 2):
        shape = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        found = f"a mapping with {logits}" if isinstance(output, Mapping) else f"{shape}"
        raise InputError(
            f"the model's output must be logits [batch, classes], not {found}; wrap the model to return them"
        )
    if logits.is_complex():
        raise InputError(
            f"the model returns complex logits ({logits.dtype}); wrap it to return real ones, such as logits.real"
        )
    return logits if logits.dim() == 2 else logits.unsqueeze(1)


def _usable(value: Any) -> Any:
    """A tensor that was made in inference mode as one that autograd may save."""
    return value.clone() if isinstance(value, Tensor) and value.is_inference() else value


def explained_value(output: Tensor, target: Target) -> tuple[Tensor, Tensor]:
    """Target indices and the explained value `[batch]`. Its gradient of 1 is the seed c = 1, that is R = the logit itself."""
    batch, classes = output.shape
    if not output.numel():
        raise InputError(f"the model returns logits of shape {tuple(output.shape)}: give at least one example")
    if isinstance(target, bool) or (isinstance(target, Tensor) and target.dtype is torch.bool):
        raise InputError(
            f"target {target!r}: give class indices, not truth values; the model has classes 0 to {classes - 1}"
        )
    if target is None:
        chosen = output.detach().argmax(1)
    else:
        try:
            chosen = torch.as_tensor([target] * batch if isinstance(target, tuple) else target, device=output.device)
        except (TypeError, ValueError, RuntimeError):
            raise InputError(
                f"target {target!r}: give class indices, not names; the model has classes 0 to {classes - 1}"
            ) from None
        chosen = chosen.expand(batch) if chosen.dim() == 0 else chosen
    if chosen.shape not in ((batch,), (batch, 2)):
        raise InputError(
            f"target of shape {tuple(chosen.shape)}: give [{batch}] class indices, or [{batch}, 2] for contrasts"
        )
    if chosen.is_floating_point() or chosen.is_complex() or chosen.min() < 0 or chosen.max() >= classes:
        raise InputError(f"target {target!r}: the model has classes 0 to {classes - 1}")
    chosen = chosen.long()
    taken = output.gather(1, chosen.view(batch, -1))
    explained = taken[:, 0] if chosen.dim() == 1 else taken[:, 0] - taken[:, 1]
    broken = (~explained.isfinite()).nonzero().flatten().tolist()
    if broken:
        raise InputError(
            f"the explained logit is NaN or infinite for {len(broken)} of {batch} examples, the first is {broken[0]}; "
            "look at its input, at the weights, or compute in float32"
        )
    return chosen, explained

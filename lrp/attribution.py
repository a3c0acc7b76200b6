"""`attribute` and `attribute_each`: from a model and its inputs to relevance, leaving no trace on the model."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from lrp.composites import Composite, resolve
from lrp.engine import Interceptor
from lrp.errors import InputError
from lrp.ledger import Account
from lrp.rules import Epsilon
from lrp.types import Ledger, Relevance, Target

Inputs = Tensor | Mapping[str, Any]


def attribute(
    model: nn.Module, inputs: Inputs, target: Target = None, composite: str | Composite = "auto", *, strict: bool = True
) -> Relevance:
    """Relevance of `inputs` for `target` under one composite.

    `inputs`: a float tensor `[batch, ...]` or what a Hugging Face tokenizer returns. `target`: class index or indices
    `[batch]`, None for the predicted class, or `(a, b)` (one per example: `[batch, 2]`) for the contrast logit a - logit b;
    each logit is seeded with its own value. Raises `UncoveredOperation` when relevance meets an
    operation without a rule, unless `strict=False`.
    """
    return attribute_each(model, inputs, target, (composite,), strict=strict)[0]


def attribute_each(
    model: nn.Module,
    inputs: Inputs,
    target: Target = None,
    composites: Sequence[str | Composite] = ("auto",),
    *,
    strict: bool = True,
) -> tuple[Relevance, ...]:
    """As `attribute`, for several composites in order, which share one forward pass (gradient x input has its own)."""
    resolved = [resolve(composite) for composite in composites]
    results: dict[int, Relevance] = {}
    for plain in (False, True):
        chosen = {i: composite for i, composite in enumerate(resolved) if (composite.rules is None) == plain}
        if chosen:
            found = _one_forward(model, inputs, target, list(chosen.values()), plain=plain, strict=strict)
            results.update(zip(chosen, found, strict=True))
    return tuple(results[i] for i in range(len(resolved)))


def _one_forward(
    model: nn.Module, inputs: Inputs, target: Target, composites: list[Composite], *, plain: bool, strict: bool
) -> list[Relevance]:
    named, key = _prepare(inputs)
    ids = None if named[key].is_floating_point() else named[key]
    stabilised = any(isinstance(rule, Epsilon) for c in composites if c.rules is not None for rule in c.rules.values())
    mode = Interceptor(model=model, token_ids=ids, plain=plain, strict=strict, stabilised=stabilised)
    with _untouched(model), torch.inference_mode(False), torch.enable_grad():
        with mode:
            output = _logits(model(**named) if isinstance(inputs, Mapping) else model(named[key]))
        leaf = named[key] if ids is None else mode.embedded
        if leaf is None:
            raise InputError(
                f"the model never embeds inputs[{key!r}], so there is nothing to attribute to; pass the float input"
            )
        mode.resolve(output)
        chosen, explained = _explained(output, target)
        found = [
            _backward(mode, leaf, output, chosen, explained, composite, named, last=i == len(composites))
            for i, composite in enumerate(composites, start=1)
        ]
        mode.release()
        return found


def _backward(
    mode: Interceptor,
    leaf: Tensor,
    output: Tensor,
    target: Tensor,
    explained: Tensor,
    composite: Composite,
    inputs: Mapping[str, Any],
    *,
    last: bool,
) -> Relevance:
    mode.assign(composite)
    mode.account = account = Account(len(explained))
    (c,) = torch.autograd.grad(explained.sum(), leaf, retain_graph=not last)
    with torch.no_grad():
        values = leaf * c
        if mode.token_ids is not None:
            values = values.sum(-1)
            mask = inputs.get("attention_mask")
            if isinstance(mask, Tensor) and mask.shape == values.shape:
                account.add("padding", values.masked_fill(mask != 0, 0.0))
                values = values.masked_fill(mask == 0, 0.0)
        account.add("inputs", values)
    ledger = Ledger(explained.detach().double().cpu(), dict(account.entries))
    return Relevance(values, output.detach(), target, ledger, mode.trace(composite), composite.name)


def _prepare(inputs: Inputs) -> tuple[dict[str, Any], str]:
    """The inputs by name, the explained one as a leaf when it is a float tensor, and its name."""
    named = dict(inputs) if isinstance(inputs, Mapping) else {"inputs": inputs}
    tensors = {name: value for name, value in named.items() if isinstance(value, Tensor)}
    if "input_ids" in tensors:
        return named, "input_ids"
    for name, value in tensors.items():
        if value.is_floating_point():
            named[name] = value.detach().clone().requires_grad_()
            return named, name
    kinds = {name: str(value.dtype) for name, value in tensors.items()} or type(inputs).__name__
    raise InputError(f"no input to explain in {kinds}: give a float tensor, or a mapping with 'input_ids'")


def _logits(output: Any) -> Tensor:
    """Logits `[batch, classes]` of a tensor, a Hugging Face output or a tuple; a single logit becomes one class."""
    logits = output["logits"] if isinstance(output, Mapping) else output[0] if isinstance(output, tuple) else output
    if not isinstance(logits, Tensor) or logits.dim() not in (1, 2):
        found = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise InputError(
            f"the model's output must be logits [batch, classes], not {found}; wrap the model to return them"
        )
    return logits if logits.dim() == 2 else logits.unsqueeze(1)


def _explained(output: Tensor, target: Target) -> tuple[Tensor, Tensor]:
    """Target indices and the explained value `[batch]`. Its gradient of 1 is the seed c = 1, that is R = the logit itself."""
    batch, classes = output.shape
    if target is None:
        chosen = output.detach().argmax(1)
    elif isinstance(target, tuple):
        chosen = torch.tensor([target] * batch, device=output.device)
    else:
        chosen = torch.as_tensor(target, device=output.device)
        chosen = chosen.expand(batch) if chosen.dim() == 0 else chosen
    if chosen.shape not in ((batch,), (batch, 2)):
        raise InputError(
            f"target of shape {tuple(chosen.shape)}: give [{batch}] class indices, or [{batch}, 2] for contrasts"
        )
    if chosen.is_floating_point() or chosen.min() < 0 or chosen.max() >= classes:
        raise InputError(f"target {target!r}: the model has classes 0 to {classes - 1}")
    if chosen.dim() == 1:
        return chosen, output.gather(1, chosen.unsqueeze(1)).squeeze(1)
    return chosen, output.gather(1, chosen[:, :1]).squeeze(1) - output.gather(1, chosen[:, 1:]).squeeze(1)


@contextmanager
def _untouched(model: nn.Module) -> Iterator[None]:
    """Evaluation mode and constant parameters inside; training flags and `requires_grad` as before afterwards."""
    training = [(module, module.training) for module in model.modules()]
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    try:
        model.eval()
        for parameter in trainable:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter in trainable:
            parameter.requires_grad_(True)
        for module, flag in training:
            module.training = flag

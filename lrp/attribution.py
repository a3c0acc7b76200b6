"""`attribute` and `attribute_each`: from a model and its inputs to relevance, leaving no trace on the model."""

import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

import torch
from torch import Tensor, nn

from lrp.boundary import Inputs, explained_value, logits_of, prepare
from lrp.composites import Composite
from lrp.engine import FreeTensors, Interceptor
from lrp.errors import BrokenRelevance, InputError, UncoveredOperation
from lrp.ledger import Account, joined
from lrp.resolving import resolve
from lrp.types import Relevance, Target
from lrp.watch import Watch


def attribute(
    model: nn.Module,
    inputs: Inputs,
    target: Target = None,
    composite: str | Mapping[str, Any] | Composite = "auto",
    *,
    strict: bool = True,
    layers: Sequence[str] = (),
    condition: Mapping[str, Sequence[int]] | None = None,
) -> Relevance:
    """Relevance of `inputs` for `target` under one composite.

    `inputs`: a float tensor `[batch, ...]` or what a Hugging Face tokenizer or image processor returns. `target`: class index or
    indices `[batch]`, None for the predicted class, or `(a, b)` (one per example: `[batch, 2]`) for the contrast logit a - logit b;
    each logit is seeded with its own value. `layers`: names of modules whose outputs' relevance is returned too.
    `condition`: per module name the channels through which relevance may flow (concept relevance, Achtibat et al. 2023). Raises
    `UncoveredOperation` when relevance meets an operation without a rule, unless `strict=False`, and `BrokenRelevance` where the
    ledger is NaN or infinite. Threads may share a model: its explanations wait for each other.
    """
    return attribute_each(model, inputs, target, (composite,), strict=strict, layers=layers, condition=condition)[0]


def attribute_each(
    model: nn.Module,
    inputs: Inputs,
    target: Target = None,
    composites: Sequence[str | Mapping[str, Any] | Composite] = ("auto",),
    *,
    strict: bool = True,
    layers: Sequence[str] = (),
    condition: Mapping[str, Sequence[int]] | None = None,
) -> tuple[Relevance, ...]:
    """As `attribute`, for several composites in order, which share one forward pass (gradient x input has its own)."""
    if not isinstance(model, nn.Module):
        raise InputError(
            f"model is a {type(model).__name__}: give a torch.nn.Module that returns logits [batch, classes]"
        )
    resolved = [resolve(composite) for composite in composites]
    results: dict[int, Relevance] = {}
    for plain in (False, True):
        chosen = {i: composite for i, composite in enumerate(resolved) if (composite.rules is None) == plain}
        if chosen:
            watch = Watch(model, layers, {} if condition is None else condition)
            with _lock(model):
                found = _explain(model, inputs, target, list(chosen.values()), watch, strict=strict)
                if not plain and any(_mixed(relevance) for relevance in found):
                    found = _split(model, inputs, list(chosen.values()), watch, found, strict=strict)
            results.update(zip(chosen, found, strict=True))
    return tuple(results[i] for i in range(len(resolved)))


def _mixed(relevance: Relevance) -> bool:
    """Whether the books close over the batch but not for each example: the model puts the batch on another axis inside."""
    ledger, rounding = relevance.ledger, 1e3 * torch.finfo(relevance.output.dtype).eps
    scale = sum(entry.abs().sum() for entry in ledger.entries.values()) + ledger.output.abs().sum()
    return len(ledger.output) > 1 and bool(
        ledger.closure.max() > rounding and ledger.residual.sum().abs() / scale < 0.1 * ledger.closure.max()
    )


def _split(
    model: nn.Module,
    inputs: Inputs,
    composites: list[Composite],
    watch: Watch,
    found: list[Relevance],
    *,
    strict: bool,
) -> list[Relevance]:
    """The same relevance with the ledger of each example from a pass of its own."""
    batch = len(found[0].output)

    def alone(value: Any, i: int) -> Any:
        return value[i : i + 1] if isinstance(value, Tensor) and value.dim() and len(value) == batch else value

    singles = [
        _explain(
            model,
            {k: alone(v, i) for k, v in inputs.items()} if isinstance(inputs, Mapping) else alone(inputs, i),
            found[0].target[i : i + 1],
            composites,
            watch,
            strict=strict,
        )
        for i in range(batch)
    ]
    return [
        replace(relevance, ledger=joined([single[c].ledger for single in singles])) for c, relevance in enumerate(found)
    ]


def _explain(
    model: nn.Module, inputs: Inputs, target: Target, composites: list[Composite], watch: Watch, *, strict: bool
) -> list[Relevance]:
    """One forward pass; another with copies for a model that overwrites what autograd saved, and with free tensors as constants."""
    free: list[Tensor] = []
    try:
        while True:
            copies = model in _OVERWRITING
            saved = torch.autograd.graph.allow_mutation_on_saved_tensors() if copies else nullcontext()
            try:
                with saved:
                    return _one_forward(model, inputs, target, composites, watch, strict=strict)
            except FreeTensors as found:
                free += [tensor.requires_grad_(False) for tensor in found.tensors]
            except RuntimeError as error:
                if "returns multiple views" in str(error):
                    raise InputError(
                        "the model overwrites a part that chunk, split or unbind returned, or what it is a part of, which autograd "
                        "cannot follow: clone the part first"
                    ) from error
                if "modified by an inplace operation" not in str(error) or copies:
                    raise
                _OVERWRITING.add(model)  # remembered, for torch never frees the graph of a backward pass that failed so
    finally:
        for tensor in free:
            tensor.requires_grad_(True)


def _one_forward(
    model: nn.Module, inputs: Inputs, target: Target, composites: list[Composite], watch: Watch, *, strict: bool
) -> list[Relevance]:
    named, key = prepare(model, inputs)
    ids = None if named[key].is_floating_point() else named[key]
    mode = Interceptor(model=model, token_ids=ids, composites=composites, strict=strict)
    leaf = None if ids is not None else named[key]
    try:
        with (
            _untouched(model),
            _uncompiled(),
            torch.inference_mode(False),
            torch.enable_grad(),
            watch.hooked(mode),
        ):
            with mode:
                if leaf is not None:
                    named[key] = mode.begin(leaf)
                output = logits_of(model(**named) if isinstance(inputs, Mapping) else model(named[key]))
            leaf = mode.embedded if leaf is None else leaf
            if leaf is None:
                raise UncoveredOperation(
                    f"embedding of inputs[{key!r}] in module {type(model).__name__!r} carries relevance and has no rule: the model "
                    "looks up no row for a token itself, only values computed from the ids (or none). Cure: pass float inputs, such as "
                    "inputs_embeds alone."
                )
            if not output.requires_grad:
                raise InputError(
                    f"the model's output does not depend on inputs[{key!r}] through any operation that passes relevance on{mode.stops()}"
                )
            mode.resolve(output)
            chosen, explained = explained_value(output, target)
            with torch.autocast(output.device.type, enabled=False):
                return [
                    _backward(mode, leaf, output, chosen, explained, composite, named, watch, last=i == len(composites))
                    for i, composite in enumerate(composites, start=1)
                ]
    finally:
        mode.release()


def _backward(
    mode: Interceptor,
    leaf: Tensor,
    output: Tensor,
    target: Tensor,
    explained: Tensor,
    composite: Composite,
    inputs: Mapping[str, Any],
    watch: Watch,
    *,
    last: bool,
) -> Relevance:
    used = mode.assign(composite, last=last)
    mode.account = account = Account(len(explained), mode.token_ids.shape if mode.token_ids is not None else None)
    watch.start()
    (c,) = torch.autograd.grad(explained.sum(), leaf, retain_graph=not last, allow_unused=True)
    with torch.no_grad():
        # In R-form, behind a float input, the gradient is the relevance itself.
        values = torch.zeros_like(leaf) if c is None else leaf * c if mode.plain or mode.token_ids is not None else c
        if mode.token_ids is not None:
            assert mode.alignment is not None
            everywhere = values.sum(-1)
            values = mode.alignment(everywhere)
            if values.numel() < everywhere.numel():  # the model made the sequence longer
                account.add("padding", everywhere[:, values.shape[1] :])
            mask = inputs.get("attention_mask")
            if isinstance(mask, Tensor) and mask.shape == values.shape:
                account.add("padding", values.masked_fill(mask != 0, 0.0))
                values = values.masked_fill(mask == 0, 0.0)
        account.add("inputs", values)
    ledger = account.ledger(explained.detach().double().cpu())
    found = Relevance(
        values, output.detach(), target, ledger, mode.trace(), used.name, account.positional, watch.take()
    )
    broken = (~ledger.residual.isfinite()).nonzero().flatten().tolist()
    if broken and not mode.plain:
        entries = ", ".join(name for name, entry in ledger.entries.items() if not entry.isfinite().all())
        raise BrokenRelevance(
            f"the ledger is NaN or infinite for {len(broken)} of {len(explained)} examples, the first is {broken[0]} (entries {entries}); "
            "compute in float32, or look for an operation that is not finite at its values, and for a rule of your own that divides by 0",
            found,
        )
    return found


def _uncompiled() -> AbstractContextManager[None]:
    """Compiled regions run as the modules they were made from. Without dynamo there is none, and it is slow to import."""
    if "torch._dynamo" not in sys.modules:
        return nullcontext()
    stance: AbstractContextManager[None] = torch.compiler.set_stance("force_eager")
    return stance


_OVERWRITING: WeakSet[nn.Module] = WeakSet()  # models that overwrite what autograd saved
_GUARD = threading.Lock()
_LOCKS: WeakKeyDictionary[nn.Module, threading.RLock] = WeakKeyDictionary()


def _lock(model: nn.Module) -> threading.RLock:
    """One lock per model, since an explanation changes flags and hooks of the model while it runs."""
    with _GUARD:
        return _LOCKS.setdefault(model, threading.RLock())


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

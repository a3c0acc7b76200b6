"""One handler per kind of operation: what the interceptor does around a call. To add a kind, write one and add it to `HANDLERS`."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lrp import joins, operations, recurrent, weighted
from lrp.calls import Function, bind, carries, mutates, name_of, on_backward, storage_of, tensors
from lrp.errors import InputError
from lrp.linear import Call
from lrp.nodes import Gate, IdentityRule, LayerNormRule, Operation
from lrp.opening import OPENED
from lrp.rules import RULES, Factors

if TYPE_CHECKING:
    from lrp.engine import Interceptor


def embedding(mode: "Interceptor", func: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The embedding of the token ids becomes the leaf; all others are constants."""
    result: Tensor = func(*args, **kwargs)
    weight, indices = bind(("weight", "indices"), args, kwargs)
    if mode.token_ids is not None and mode.embedded is None:
        mode.alignment = _alignment(indices, mode.token_ids)
        if mode.alignment is not None:
            mode.embedded, mode.table = result.detach().requires_grad_(), storage_of(weight)
            return mode.embedded.clone()  # which the model may overwrite
    mode.mark(result, "decoder" if storage_of(weight) == mode.table else "positional")
    return result


def _alignment(indices: Tensor, ids: Tensor) -> Callable[[Tensor], Tensor] | None:
    """How values at `indices` belong to the token ids: the same places, transposed, or padded at the end."""
    if storage_of(indices) == storage_of(ids) or (indices.shape == ids.shape and torch.equal(indices, ids)):
        return lambda values: values.reshape(ids.shape)
    if ids.dim() != 2 or indices.dim() != 2:
        return None
    if indices.shape == ids.T.shape and torch.equal(indices, ids.T):
        return lambda values: values.transpose(0, 1)
    length = ids.shape[1]
    if len(indices) == len(ids) and indices.shape[1] > length and torch.equal(indices[:, :length], ids):
        return lambda values: values[:, :length]
    return None


def _embedding_bag(mode: "Interceptor", func: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Sums or means of embeddings, written out. Maxima and weights per sample are not covered."""
    names = ("weight", "indices", "offsets", "scale", "mode", "sparse", "weights", "last", "padding")
    weight, indices, offsets, _, kind, _, weights, last, padding = bind(names, args, kwargs)
    if mode.token_ids is None or storage_of(indices) != storage_of(mode.token_ids):
        return func(*args, **kwargs)
    if kind == 2 or weights is not None or last:
        mode.uncovered(f"{name_of(func)} with maxima, weights or a last offset")
    rows = embedding(mode, torch.embedding, (weight, indices), {})
    bags = torch.searchsorted(offsets, torch.arange(len(indices), device=indices.device), right=True) - 1
    counted = (indices != (-1 if padding is None else padding)).to(rows.dtype)
    sizes = rows.new_zeros(len(offsets)).index_add(0, bags, counted)
    with mode:
        sums = rows.new_zeros(len(offsets), rows.shape[1]).index_add(0, bags, rows * counted.unsqueeze(1))
        return (sums / sizes.clamp(min=1).unsqueeze(1) if kind == 1 else sums), None, None, None


def _glu(mode: "Interceptor", func: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The first half times the sigmoid of the second, written out."""
    x, axis = bind(("input", "dim"), args, kwargs)
    if not carries(x):
        return func(*args, **kwargs)
    with mode:
        signal, gate = x.chunk(2, -1 if axis is None else axis)
        return signal * gate.sigmoid()


def _activation(mode: "Interceptor", func: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    x = args[0]
    if any(carries(a) for a in [*args[1:], *kwargs.values()]):
        mode.refuse_free(*tensors([*args[1:], *kwargs.values()]))
        mode.uncovered(f"{name_of(func)} with a parameter that depends on the input")
    if not carries(x):
        return func(*args, **kwargs)
    mode.record(func, "activation")
    run, in_place = _OUT_OF_PLACE.get(func, func), func in _OUT_OF_PLACE

    def function(value: Tensor) -> Tensor:
        result: Tensor = run(value, *args[1:], **kwargs)
        return result

    name, shift = func.__name__, cast("Tensor | float", 0.0)
    if name in operations.SHIFTED or func not in operations.ACTIVATIONS:
        at_zero = function(x.new_zeros(1)).detach()
        if not at_zero.isfinite().all():
            mode.uncovered(f"{name_of(func)} with f(0) = {float(at_zero.flatten()[0])}", _NO_ACTIVATION)
            return func(*args, **kwargs)
        shift = float(at_zero) if at_zero.numel() == 1 else at_zero
    clips = name in operations.CLIPPING and not any(function(x.new_full((1,), v)).any() for v in _BELOW)
    result: Tensor = IdentityRule.apply(x, function, name, in_place, shift, clips)  # type: ignore[no-untyped-call]
    if not (isinstance(shift, float) and shift == 0):
        mode.hook_constant(result, "constant", shift, in_place=in_place)
    return result


def _layer_norm(mode: "Interceptor", func: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    x, shape, weight, bias, eps = bind(("input", "normalized_shape", "weight", "bias", "eps"), args, kwargs)
    if not carries(x):
        return func(*args, **kwargs)
    operation = mode.record(func, "norm", weight)
    result = LayerNormRule.apply(x, list(shape), weight, bias, 1e-5 if eps is None else eps)  # type: ignore[no-untyped-call]
    if bias is not None:
        mode.hook_constant(result, "norm", bias, operation=operation)
    return result


def _group_norm(mode: "Interceptor", func: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Group and instance normalisation: layer normalisation over each group's channels and places, then scale and shift."""
    if func is torch.instance_norm:
        x, weight, bias, mean, variance, by_input, _, eps = bind(
            ("input", "weight", "bias", "running_mean", "running_var", "use_input_stats", "momentum", "eps"),
            args,
            kwargs,
        )
        groups = x.shape[1]
        if not by_input:
            return weighted.batch_norm(
                mode, torch.batch_norm, (x, weight, bias, mean, variance, False, 0.0, eps, False), {}
            )
    else:
        x, groups, weight, bias, eps = bind(("input", "num_groups", "weight", "bias", "eps"), args, kwargs)
    if not carries(x):
        return func(*args, **kwargs)
    operation = mode.record(func, "norm", weight)
    grouped = x.reshape(len(x), groups, -1)
    eps = 1e-5 if eps is None else eps
    result = LayerNormRule.apply(grouped, [grouped.shape[-1]], None, None, eps).view(x.shape)  # type: ignore[no-untyped-call]
    channels = (-1, *[1] * (x.dim() - 2))
    if weight is not None:
        result = result * weight.view(channels)
    if bias is not None:
        result = result + bias.view(channels)
        mode.hook_constant(result, "norm", bias, axis=1, operation=operation)
    return result


def _rms_norm(mode: "Interceptor", func: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    x, shape, weight, eps = bind(("input", "normalized_shape", "weight", "eps"), args, kwargs)
    if not carries(x):
        return func(*args, **kwargs)
    mode.record(func, "norm", weight)
    axes = tuple(range(-len(shape), 0))
    inverse = torch.rsqrt(
        x.detach().pow(2).mean(axes, keepdim=True) + (torch.finfo(x.dtype).eps if eps is None else eps)
    )
    return x * inverse if weight is None else x * inverse * weight


def _softmax(mode: "Interceptor", func: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if not carries(args[0]):
        return func(*args, **kwargs)
    operation = mode.record(func, "softmax")
    scores = Gate.apply(args[0], operation, 0)  # type: ignore[no-untyped-call]
    result: Tensor = func(scores, *args[1:], **kwargs)
    weights = result.detach()
    layer = operation.layer
    on_backward(result, lambda c: mode.book("softmax", c * weights, layer))
    # <scores, c> = <log weights, c>, because softmax gives c without a component along the ones; 0 log 0 = 0 where masked.
    on_backward(
        scores, lambda c: mode.book("softmax", -_factor(operation, 0) * torch.xlogy(c, weights.to(c.dtype)), layer)
    )
    return result


def _attention(mode: "Interceptor", func: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Fused attention stays fused: the factors sit at q, k and v (a quarter, a quarter, one half under AttnLRP)."""
    names = ("query", "key", "value", "attn_mask", "dropout_p", "is_causal")
    query, key, value, mask, dropout, causal = bind(names, args, kwargs)
    if not carries([query, key, value]):
        return func(*args, **kwargs)
    if carries(mask) or not (carries(query) and carries(key) and carries(value)):
        return _written_attention(mode, query, key, value, mask, kwargs, causal=bool(causal))
    operation = mode.record(func, "attention")
    q, k, v = (Gate.apply(t, operation, i) for i, t in enumerate((query, key, value)))  # type: ignore[no-untyped-call]
    rest = {name: kwargs[name] for name in ("scale", "enable_gqa") if name in kwargs}
    result: Tensor = func(q, k, v, attn_mask=mask, dropout_p=dropout or 0.0, is_causal=bool(causal), **rest)
    kept, queries, layer = result.detach(), query.detach(), operation.layer

    # The output is linear in v, so v's own share is exact; <k, c_k> = <q, c_q> = <scores, c>.
    def book_output(c: Tensor) -> None:
        share = 1 - _factor(operation, 2)
        if share:
            mode.book("softmax", share * (c * kept), layer)

    def book_query(c: Tensor) -> None:
        share = _factor(operation, 0) + _factor(operation, 1)
        if share:
            mode.book("softmax", -share * (c * queries), layer)

    on_backward(result, book_output)
    on_backward(q, book_query)
    return result


def _written_attention(
    mode: "Interceptor",
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    kwargs: dict[str, Any],
    *,
    causal: bool,
) -> Tensor:
    """Attention whose mask (a relative position bias times content) or only some of q, k, v carry relevance: written out."""
    scale = kwargs.get("scale") or query.shape[-1] ** -0.5
    if kwargs.get("enable_gqa"):
        key, value = (t.repeat_interleave(query.shape[-3] // t.shape[-3], -3) for t in (key, value))
    with mode:
        scores = torch.matmul(query, key.transpose(-2, -1)) * scale
        if causal:
            above = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).triu(1)
            scores = scores.masked_fill(above, float("-inf"))
        if mask is not None:
            scores = scores.masked_fill(~mask, float("-inf")) if mask.dtype is torch.bool else scores + mask
        return torch.matmul(torch.softmax(scores, -1), value)


def _factor(operation: Operation, position: int) -> float:
    assert isinstance(operation.rule, Factors)
    return operation.rule.factors[position]


def _product(mode: "Interceptor", func: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    args = (*args, *(kwargs.pop(name) for name in ("other", "mat2", "vec2") if name in kwargs))
    if func is torch.einsum and isinstance(args[1], tuple | list):
        args = (args[0], *args[1])
    positions = [i for i, a in enumerate(args) if isinstance(a, Tensor) and a.requires_grad]
    if not positions:
        return func(*args, **kwargs)
    if len(positions) == 1:
        return _scaled(mode, func, args, kwargs, positions[0])
    if mutates(func):
        return _written_back(mode, func, args, kwargs)
    args = tuple(mode.enter(a) if isinstance(a, Tensor) else a for a in args)
    operation = mode.record(func, "product")
    if len(positions) > 2:
        operation.rule, operation.fixed = Factors((1 / len(positions),)), True
    gated = list(args)
    for side, position in enumerate(positions):
        gated[position] = Gate.apply(args[position], operation, side)  # type: ignore[no-untyped-call]
    operation.gates = tuple(gated[position].grad_fn for position in positions) if len(positions) == 2 else ()
    return func(*gated, **kwargs)


def _scaled(mode: "Interceptor", func: Function, args: tuple[Any, ...], kwargs: dict[str, Any], carried: int) -> Any:
    """One factor is a constant: linear. A matrix of parameters is a weighted operation."""
    if (
        len(args) == 2
        and "linear" in mode.wraps
        and func in operations.MATRIX_PRODUCTS
        and storage_of(args[1 - carried]) in mode.names
    ):

        def apply(x: Tensor, weight: Tensor, _: Tensor | None) -> Tensor:
            result: Tensor = func(x, weight, **kwargs) if carried == 0 else func(weight, x, **kwargs)
            return result

        outputs = 1 if carried == 0 and args[1].dim() == 2 else None
        call = Call(apply, args[1 - carried], None, channels=-1, outputs=outputs)
        return weighted.weighted(mode, func, "linear", args[carried], call)
    mode.passed(func)
    return func(*(mode.enter(a) if i == carried else a for i, a in enumerate(args)), **kwargs)


def _written_back(mode: "Interceptor", func: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
    """A call in place whose rule needs the old values: computed from a copy, and written over them."""
    with mode:
        new = getattr(Tensor, func.__name__[:-1])(args[0].clone(), *args[1:], **kwargs)
    written: Tensor = args[0].copy_(new)
    return written


def _quotient(mode: "Interceptor", func: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The denominator is a constant."""
    divisor = args[1] if len(args) > 1 else kwargs.pop("other")
    if carries(divisor):
        operation = mode.record(func, "quotient")
        operation.rule, operation.fixed = RULES["first"](), True
        divisor = divisor.detach()
    elif carries(args[0]):
        mode.passed(func)
    return func(args[0], divisor, *args[2:], **kwargs)


def _power(mode: "Interceptor", func: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """x^n is a product of n equal factors, each with 1 / n of the relevance: the gradient over n. Roots are scales: constant."""
    exponent = 2 if func in (torch.square, Tensor.square) else (args[1] if len(args) > 1 else kwargs["exponent"])
    if not carries(args[0]) and not carries(exponent):
        return func(*args, **kwargs)
    if isinstance(exponent, Tensor) and (exponent.numel() > 1 or exponent.requires_grad):
        mode.uncovered(f"{name_of(func)} with a tensor of exponents")
        return func(*args, **kwargs)
    if mutates(func):
        return _written_back(mode, func, args, kwargs)
    if float(exponent) < 1:
        return _constant(mode, func, args, kwargs)
    operation = mode.record(func, "power")
    operation.rule, operation.fixed = Factors((1 / float(exponent),)), True
    return func(Gate.apply(args[0], operation, 0), *args[1:], **kwargs)  # type: ignore[no-untyped-call]


def _constant(mode: "Interceptor", func: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The scale of a normalisation that is written out, the decay of a scan: computed from a detached input."""
    if any(carries(a) for a in args):
        operation = mode.record(func, "constant")
        operation.rule, operation.fixed = RULES["constant"](), True
        args = tuple(a.detach() if isinstance(a, Tensor) else a for a in args)
    return func(*args, **kwargs)


def _stop(mode: "Interceptor", func: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if carries(args[0]):
        operation = mode.record(func, "stopped")
        operation.rule, operation.fixed = RULES["constant"](), True
    return func(*args, **kwargs)


_NO_ACTIVATION = "an activation must be finite at 0, so write a handler"
_BELOW = (-1e4, -1e-4)  # where a function that is 0 left of 0 is 0

# Activations that mutate their input, by the function that does not; the node writes the result back itself.
_OUT_OF_PLACE: dict[Function, Function] = {
    func: getattr(owner, name[:-1])
    for owner in (torch._C._nn, torch, Tensor)
    for name in dir(owner)
    if name.endswith("_") and not name.endswith("__") and (func := getattr(owner, name)) in operations.ACTIVATIONS
    and hasattr(owner, name[:-1])
}  # fmt: skip

HANDLERS: dict[Function, Callable[["Interceptor", Function, tuple[Any, ...], dict[str, Any]], Any]] = {
    torch.embedding: embedding,
    torch.layer_norm: _layer_norm,
    torch.rms_norm: _rms_norm,
    torch.group_norm: _group_norm,
    torch.instance_norm: _group_norm,
    torch.embedding_bag: _embedding_bag,
    torch._C._nn.glu: _glu,
    F.scaled_dot_product_attention: _attention,
    **weighted.HANDLERS,
    **recurrent.HANDLERS,
    **joins.HANDLERS,
    **dict.fromkeys(operations.ACTIVATIONS, _activation),
    **dict.fromkeys(operations.SOFTMAXES, _softmax),
    **dict.fromkeys(operations.PRODUCTS, _product),
    **dict.fromkeys(operations.QUOTIENTS, _quotient),
    **dict.fromkeys(operations.POWERS, _power),
    **dict.fromkeys(operations.CONSTANTS, _constant),
    **dict.fromkeys(operations.STOPS, _stop),
}


def cover(function: Function, like: Function) -> None:
    """Treat `function` as the engine treats `like`: `cover(torch.asin, like=torch.tanh)`. See docs/engine/operations.md.

    `like`: `torch.t` for what is linear or homogeneous, `torch.tanh` for an activation, `torch.mul` for a product,
    `torch.rsqrt` for the scale of a normalisation. Raises `InputError` where the engine has no rule for `like` either, and for
    what is no function that the engine could see.
    """
    for given, what in ((function, "the first argument"), (like, "like")):
        if isinstance(given, str | nn.Module | type) or not callable(given):
            raise InputError(
                f"{what} is {given!r}: give a function, such as torch.asin, not a name, a module or a class; "
                "for a module the function that its forward calls"
            )
    OPENED[function] = None
    if like in HANDLERS:
        HANDLERS[function] = HANDLERS[like]
    elif like in operations.PASSES:
        operations.PASSES.add(function)
    else:
        raise InputError(
            f"like={name_of(like)}: the engine has no rule for it; take torch.t, torch.tanh, torch.mul or torch.rsqrt"
        )

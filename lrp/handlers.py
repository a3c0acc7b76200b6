"""One handler per kind of operation: what the interceptor does around a call. To add a kind, write one and add it to `HANDLERS`."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from lrp import operations
from lrp.rules import RULES, EpsilonRule, Factors, Gate, IdentityRule, LayerNormRule, Operation

if TYPE_CHECKING:
    from lrp.engine import Interceptor

Function = Callable[..., Any]


def carries(value: object) -> bool:
    """Whether relevance reaches `value`: parameters are constants here, so whatever requires grad hangs on the input."""
    if isinstance(value, Tensor):
        return value.requires_grad
    return isinstance(value, tuple | list) and any(carries(item) for item in value)


def on_backward(y: Tensor, book: Callable[[Tensor], None]) -> None:
    """Call `book(c)` when the coefficient of `y` arrives; a cut branch (c undefined) books nothing."""

    def hook(c: Tensor | None) -> None:
        if c is not None:
            book(c)

    y.register_hook(hook)


def name_of(func: Function) -> str:
    """Name of a torch function for messages and the trace."""
    return str(getattr(func, "__qualname__", None) or getattr(func, "__name__", func))


def embedding(mode: "Interceptor", func: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The embedding of the token ids becomes the leaf; all others are constants."""
    result: Tensor = func(*args, **kwargs)
    indices = kwargs.get("indices", args[1] if func is torch.embedding and len(args) > 1 else args[0])
    if mode.token_ids is not None and mode.embedded is None and _same_storage(indices, mode.token_ids):
        mode.embedded = result.detach().requires_grad_()
        return mode.embedded
    mode.positional[result.untyped_storage().data_ptr()] = result
    return result


def _linear(mode: "Interceptor", func: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    result: Tensor = func(*args, **kwargs)
    if not carries(result):
        return result
    addmm = func in (torch.addmm, Tensor.addmm)
    weight, bias = (args[2], args[0]) if addmm else _bind(("input", "weight", "bias"), args, kwargs)[1:]
    if carries(weight) or (addmm and carries(bias)):
        mode.uncovered(f"{name_of(func)} with a weight or bias that depends on the input")
    operation = mode.record(func, "linear", weight)
    if bias is not None:
        mode.hook_constant(result, "bias", bias, axis=-1 if addmm or func is F.linear else 1)
    if not mode.stabilised:
        return result
    operation.ledger = mode.book
    return EpsilonRule.apply(result, operation)  # type: ignore[no-untyped-call]


def _addition(mode: "Interceptor", func: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    result: Tensor = func(*args, **kwargs)
    if not carries(result):
        if any(isinstance(a, Tensor) and a.untyped_storage().data_ptr() in mode.positional for a in args):
            mode.positional[result.untyped_storage().data_ptr()] = result
        return result
    left, right = args[0], args[1] if len(args) > 1 else kwargs["other"]
    constant, carried_first = (right, True) if carries(left) else (left, False)
    if carries(constant):
        return result
    name = name_of(func)
    sign = -1.0 if ("rsub" not in name and "sub" in name) == carried_first and "sub" in name else 1.0
    scale = sign * float(kwargs.get("alpha", 1)) if carried_first else sign
    positional = isinstance(constant, Tensor) and constant.untyped_storage().data_ptr() in mode.positional
    value = constant if scale == 1 else constant * scale
    mode.hook_constant(result, "positional" if positional else "constant", value)
    return result


def _activation(mode: "Interceptor", func: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    x = args[0]
    if not carries(x):
        return func(*args, **kwargs)
    mode.record(func, "activation")
    if kwargs.pop("inplace", False) or args[1:] == (True,):
        return IdentityRule.apply(x, lambda value: func(value))  # type: ignore[no-untyped-call]
    return IdentityRule.apply(x, lambda value: func(value, *args[1:], **kwargs))  # type: ignore[no-untyped-call]


def _layer_norm(mode: "Interceptor", func: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    x, shape, weight, bias, eps = _bind(("input", "normalized_shape", "weight", "bias", "eps"), args, kwargs)
    if not carries(x):
        return func(*args, **kwargs)
    mode.record(func, "norm", weight)
    result = LayerNormRule.apply(x, list(shape), weight, bias, 1e-5 if eps is None else eps)  # type: ignore[no-untyped-call]
    if bias is not None:
        mode.hook_constant(result, "norm", bias)
    return result


def _rms_norm(mode: "Interceptor", func: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    x, shape, weight, eps = _bind(("input", "normalized_shape", "weight", "eps"), args, kwargs)
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
    on_backward(result, lambda c: mode.book("softmax", c * weights))
    # <scores, c> = <log weights, c>, because softmax gives c without a component along the ones; 0 log 0 = 0 where masked.
    on_backward(scores, lambda c: _book_absorbed(mode, operation, torch.xlogy(c, weights)))
    return result


def _book_absorbed(mode: "Interceptor", operation: Operation, terms: Tensor) -> None:
    assert isinstance(operation.rule, Factors)
    mode.book("softmax", -operation.rule.factors[0] * terms)


def _attention(mode: "Interceptor", func: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Fused attention stays fused: the factors sit at q, k and v (a quarter, a quarter, one half under AttnLRP)."""
    names = ("query", "key", "value", "attn_mask", "dropout_p", "is_causal")
    query, key, value, mask, dropout, causal = _bind(names, args, kwargs)
    if not carries([query, key, value]):
        return func(*args, **kwargs)
    if carries(mask) or not (carries(query) and carries(key) and carries(value)):
        mode.uncovered("scaled_dot_product_attention whose mask depends on the input, or only some of q, k, v do")
    operation = mode.record(func, "attention")
    q, k, v = (Gate.apply(t, operation, i) for i, t in enumerate((query, key, value)))  # type: ignore[no-untyped-call]
    rest = {name: kwargs[name] for name in ("scale", "enable_gqa") if name in kwargs}
    result: Tensor = func(q, k, v, attn_mask=mask, dropout_p=dropout or 0.0, is_causal=bool(causal), **rest)
    kept, queries = result.detach(), query.detach()

    # The output is linear in v, so v's own share is exact; <k, c_k> = <q, c_q> = <scores, c>.
    def book_output(c: Tensor) -> None:
        share = 1 - _factor(operation, 2)
        if share:
            mode.book("softmax", share * (c * kept))

    def book_query(c: Tensor) -> None:
        share = _factor(operation, 0) + _factor(operation, 1)
        if share:
            mode.book("softmax", -share * (c * queries))

    on_backward(result, book_output)
    on_backward(q, book_query)
    return result


def _factor(operation: Operation, position: int) -> float:
    assert isinstance(operation.rule, Factors)
    return operation.rule.factors[position]


def _product(mode: "Interceptor", func: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    args = (*args, *(kwargs.pop(name) for name in ("other", "mat2", "vec2") if name in kwargs))
    positions = [i for i, a in enumerate(args) if isinstance(a, Tensor) and a.requires_grad]
    if func is torch.einsum and isinstance(args[1], tuple | list):
        args = (args[0], *args[1])
        positions = [i for i, a in enumerate(args) if isinstance(a, Tensor) and a.requires_grad]
    if len(positions) < 2:
        return func(*args, **kwargs)
    if len(positions) > 2:
        mode.uncovered(f"{name_of(func)} of more than two inputs that carry relevance")
    operation = mode.record(func, "product")
    gated = list(args)
    for side, position in enumerate(positions):
        gated[position] = Gate.apply(args[position], operation, side)  # type: ignore[no-untyped-call]
    operation.gates = tuple(gated[position].grad_fn for position in positions)
    return func(*gated, **kwargs)


def _quotient(mode: "Interceptor", func: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The denominator is a constant."""
    divisor = args[1] if len(args) > 1 else kwargs.pop("other")
    if carries(divisor):
        operation = mode.record(func, "quotient")
        operation.rule, operation.fixed = RULES["first"], True
        divisor = divisor.detach()
    return func(args[0], divisor, *args[2:], **kwargs)


def _power(mode: "Interceptor", func: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """x^n is a product of n equal factors, each with 1 / n of the relevance: the gradient over n. Roots are scales: constant."""
    if not carries(args[0]):
        return func(*args, **kwargs)
    exponent = 2 if func in (torch.square, Tensor.square) else (args[1] if len(args) > 1 else kwargs["exponent"])
    if isinstance(exponent, Tensor) and exponent.numel() > 1:
        mode.uncovered(f"{name_of(func)} with a tensor of exponents")
    if float(exponent) < 1:
        return _constant(mode, func, args, kwargs)
    operation = mode.record(func, "power")
    operation.rule, operation.fixed = Factors((1 / float(exponent),)), True
    return func(Gate.apply(args[0], operation, 0), *args[1:], **kwargs)  # type: ignore[no-untyped-call]


def _constant(mode: "Interceptor", func: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The scale of a normalisation that is written out: computed from a detached input."""
    if carries(args[0]):
        operation = mode.record(func, "constant")
        operation.rule, operation.fixed = RULES["constant"], True
        args = (args[0].detach(), *args[1:])
    return func(*args, **kwargs)


def _stop(mode: "Interceptor", func: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if carries(args[0]):
        operation = mode.record(func, "stopped")
        operation.rule, operation.fixed = RULES["constant"], True
    return func(*args, **kwargs)


def _bind(names: tuple[str, ...], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> list[Any]:
    return [args[i] if i < len(args) else kwargs.get(name) for i, name in enumerate(names)]


def _same_storage(a: object, b: Tensor) -> bool:
    return isinstance(a, Tensor) and a.untyped_storage().data_ptr() == b.untyped_storage().data_ptr()


HANDLERS: dict[Function, Callable[["Interceptor", Function, tuple[Any, ...], dict[str, Any]], Any]] = {
    torch.embedding: embedding,
    torch.layer_norm: _layer_norm,
    torch.rms_norm: _rms_norm,
    F.scaled_dot_product_attention: _attention,
    **dict.fromkeys(operations.LINEARS, _linear),
    **dict.fromkeys(operations.ADDITIONS, _addition),
    **dict.fromkeys(operations.ACTIVATIONS, _activation),
    **dict.fromkeys(operations.SOFTMAXES, _softmax),
    **dict.fromkeys(operations.PRODUCTS, _product),
    **dict.fromkeys(operations.QUOTIENTS, _quotient),
    **dict.fromkeys(operations.POWERS, _power),
    **dict.fromkeys(operations.CONSTANTS, _constant),
    **dict.fromkeys(operations.STOPS, _stop),
}

"""Handlers of products, quotients and powers, and of the scales that are constants."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from lrp import operations, weighted
from lrp.calls import Function, bind, carries, mutates, name_of, storage_of
from lrp.linear import Call
from lrp.nodes import Gate
from lrp.rules import RULES, Factors

if TYPE_CHECKING:
    from lrp.engine import Interceptor


def glu(mode: "Interceptor", func: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The first half times the sigmoid of the second, written out."""
    x, axis = bind(("input", "dim"), args, kwargs)
    if not carries(x):
        return func(*args, **kwargs)
    with mode:
        signal, gate = x.chunk(2, -1 if axis is None else axis)
        return signal * gate.sigmoid()


def product(mode: "Interceptor", func: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Of two that carry relevance, or of one and a constant."""
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


def quotient(mode: "Interceptor", func: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The denominator is a constant."""
    divisor = args[1] if len(args) > 1 else kwargs.pop("other")
    if carries(divisor):
        operation = mode.record(func, "quotient")
        operation.rule, operation.fixed = RULES["first"](), True
        divisor = divisor.detach()
    elif carries(args[0]):
        mode.passed(func)
    return func(args[0], divisor, *args[2:], **kwargs)


def power(mode: "Interceptor", func: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
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
        return constant(mode, func, args, kwargs)
    operation = mode.record(func, "power")
    operation.rule, operation.fixed = Factors((1 / float(exponent),)), True
    return func(Gate.apply(args[0], operation, 0), *args[1:], **kwargs)  # type: ignore[no-untyped-call]


def constant(mode: "Interceptor", func: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The scale of a normalisation that is written out, the decay of a scan: computed from a detached input."""
    if any(carries(a) for a in args):
        operation = mode.record(func, "constant")
        operation.rule, operation.fixed = RULES["constant"](), True
        args = tuple(a.detach() if isinstance(a, Tensor) else a for a in args)
    return func(*args, **kwargs)


HANDLERS: dict[Function, Callable[..., Any]] = {
    torch._C._nn.glu: glu,
    **dict.fromkeys(operations.PRODUCTS, product),
    **dict.fromkeys(operations.QUOTIENTS, quotient),
    **dict.fromkeys(operations.POWERS, power),
    **dict.fromkeys(operations.CONSTANTS, constant),
}

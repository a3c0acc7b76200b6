"""Handlers of weighted operations and of the batch normalisation behind them."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from lrp import operations
from lrp.calls import Function, bind, carries, name_of
from lrp.linear import Call, constant_leaf
from lrp.nodes import BatchNormNode, Keep, WeightedNode

if TYPE_CHECKING:
    from lrp.engine import Interceptor


def linear(mode: "Interceptor", func: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """y = x W' + b on the last axis."""
    x, weight, bias = bind(("input", "weight", "bias"), args, kwargs)
    return weighted(mode, func, "linear", x, Call(lambda x, w, b: func(x, w, b), weight, bias, channels=-1, outputs=0))


def affine(mode: "Interceptor", func: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """torch.addmm and baddbmm: b + x W, the weights of GPT-2's Conv1D."""
    bias, x, weight = args[:3] if len(args) > 2 else bind(("input", "mat1", "mat2"), args, kwargs)
    if not any(carries(t) for t in (bias, x, weight)):
        return func(*args, **kwargs)
    weight, bias = constant_leaf(weight), constant_leaf(bias)
    if weight.requires_grad or bias.requires_grad:
        mode.refuse_free(weight, bias)
    if carries(weight) or carries(bias) or kwargs.keys() & {"alpha", "beta"}:
        with mode:
            return bias * kwargs.get("beta", 1) + torch.matmul(x, weight) * kwargs.get("alpha", 1)

    def apply(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return torch.matmul(x, weight) if bias is None else func(bias, x, weight)

    return weighted(
        mode, func, "linear", x, Call(apply, weight, bias, channels=-1, outputs=1 if weight.dim() == 2 else None)
    )


def convolution(mode: "Interceptor", func: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Convolutions in 1 to 3 dimensions, transposed ones too, whatever their stride, padding, dilation and groups."""
    x, weight, bias = bind(("input", "weight", "bias"), args, kwargs)
    rest, named = args[3:], {k: v for k, v in kwargs.items() if k not in ("input", "weight", "bias")}
    outputs: int | None = 0
    if func in operations.TRANSPOSED_CONVOLUTIONS:
        groups = bind(("stride", "padding", "output_padding", "groups"), rest, named)[3]
        outputs = 1 if groups in (None, 1) else None

    def apply(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        result: Tensor = func(x, weight, bias, *rest, **named)
        return result

    return weighted(mode, func, "convolution", x, Call(apply, weight, bias, channels=1 - weight.dim(), outputs=outputs))


def weighted(mode: "Interceptor", func: Function, kind: str, x: Tensor, call: Call) -> Any:
    """The call itself; with a node of its own when a composite of this run may need more than the gradient."""
    if carries(call.weight) or carries(call.bias):
        call = call.without_leaves()
        mode.refuse_free(call.weight, call.bias)
    if carries(call.weight) or carries(call.bias):
        if not carries(x):
            return _mixed(mode, func, x, call)
        mode.uncovered(f"{name_of(func)} with a weight or bias that depends on the input")
    if not carries(x):
        return call.apply(x, call.weight, call.bias)
    operation = mode.record(func, kind, call.weight)
    if kind not in mode.wraps:
        result = call.apply(mode.enter(x), call.weight, call.bias)
        if call.bias is not None:
            # A linear operation on tokens returns a view; a hook on it would be lost if the model overwrites it in place.
            hooked = result._base if result._base is not None and result._base.requires_grad else result
            mode.hook_constant(hooked, "bias", call.bias, axis=call.channels, operation=operation)
        return result
    result = WeightedNode.apply(x, call, operation, mode.is_raw(x))  # type: ignore[no-untyped-call]
    mode.keep(result.grad_fn)
    operation.node = result.grad_fn
    return result


def _mixed(mode: "Interceptor", func: Function, x: Tensor, call: Call) -> Any:
    """A constant input times weights that carry relevance: linear in the weights, so the gradient is LRP-0."""
    mode.passed(func)
    result = call.apply(x, call.weight, call.bias)
    if call.bias is not None and not carries(call.bias):
        mode.hook_constant(result, "bias", call.bias, axis=call.channels)
    return result


def batch_norm(mode: "Interceptor", func: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Scale and shift by running statistics; the rule of a weighted operation that feeds it alone takes it in."""
    names = ("input", "weight", "bias", "running_mean", "running_var", "training", "momentum", "eps")
    x, weight, bias, mean, variance, training, _, eps = bind(names, args, kwargs)
    if not carries(x):
        return func(*args, **kwargs)
    if training or mean is None:
        mode.uncovered(f"{name_of(func)} with the statistics of the batch, which mix the examples")
        return func(*args, **kwargs)
    operation = mode.record(func, "batch_norm", weight)
    operation.fixed = True

    def apply(x: Tensor) -> Tensor:
        result: Tensor = func(x, *args[1:], **kwargs)
        return result

    if mode.is_raw(x):
        return mode.raw(Keep.apply(x, apply))  # type: ignore[no-untyped-call]
    scale = torch.rsqrt(variance + eps) if weight is None else weight * torch.rsqrt(variance + eps)
    shift = -mean * scale if bias is None else bias - mean * scale
    result = BatchNormNode.apply(x, apply, (scale, shift), operation)  # type: ignore[no-untyped-call]
    operation.node, operation.fold = result.grad_fn, (scale, shift)
    return result


HANDLERS: dict[Function, Callable[..., Any]] = {
    F.linear: linear,
    torch.batch_norm: batch_norm,
    **dict.fromkeys(operations.AFFINE, affine),
    **dict.fromkeys(operations.CONVOLUTIONS | operations.TRANSPOSED_CONVOLUTIONS, convolution),
}

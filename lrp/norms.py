"""Handlers of normalisations by the statistics of an example, whose scale is a constant."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

from lrp import weighted
from lrp.calls import Function, bind, carries
from lrp.nodes import LayerNormRule

if TYPE_CHECKING:
    from lrp.engine import Interceptor


def layer_norm(mode: "Interceptor", func: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Backward is the projection that removes the mean, with a constant scale."""
    x, shape, weight, bias, eps = bind(("input", "normalized_shape", "weight", "bias", "eps"), args, kwargs)
    if not carries(x):
        return func(*args, **kwargs)
    operation = mode.record(func, "norm", weight)
    result = LayerNormRule.apply(x, list(shape), weight, bias, 1e-5 if eps is None else eps)  # type: ignore[no-untyped-call]
    if bias is not None:
        mode.hook_constant(result, "norm", bias, operation=operation)
    return result


def group_norm(mode: "Interceptor", func: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
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


def rms_norm(mode: "Interceptor", func: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """x times a constant."""
    x, shape, weight, eps = bind(("input", "normalized_shape", "weight", "eps"), args, kwargs)
    if not carries(x):
        return func(*args, **kwargs)
    mode.record(func, "norm", weight)
    axes = tuple(range(-len(shape), 0))
    inverse = torch.rsqrt(
        x.detach().pow(2).mean(axes, keepdim=True) + (torch.finfo(x.dtype).eps if eps is None else eps)
    )
    return x * inverse if weight is None else x * inverse * weight


HANDLERS: dict[Function, Callable[..., Any]] = {
    torch.layer_norm: layer_norm,
    torch.rms_norm: rms_norm,
    torch.group_norm: group_norm,
    torch.instance_norm: group_norm,
}

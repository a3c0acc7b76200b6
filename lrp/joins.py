"""Handlers of what puts constants beside values that carry relevance: additions, joins, selections. The constants leak, and are booked."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from lrp import operations
from lrp.calls import Function, bind, carries, left, mapped, mutates, name_of, tensors

if TYPE_CHECKING:
    from lrp.engine import Interceptor

_FILLED = 1e30  # larger constants are masks: nothing flows back from them


def addition(mode: "Interceptor", func: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """x + y or x - alpha y, of which one may be a constant."""
    first, second = args[0], args[1] if len(args) > 1 else kwargs["other"]
    carried_first = carries(first)
    if not carried_first and not carries(second):
        return func(*args, **kwargs)
    mode.passed(func)
    in_place = mutates(func)
    constant = second if carried_first else first
    if in_place and not carried_first:
        constant = first.clone()
    result: Tensor = func(*args, **kwargs)
    if carries(constant) or isinstance(constant, bool):
        return result
    name = name_of(func)
    sign = -1.0 if "sub" in name and ("rsub" not in name) == carried_first else 1.0
    scale = sign * float(kwargs.get("alpha", 1)) if carried_first else sign
    entry = mode.constants.entry_of(constant)
    if scale != 1:
        constant = constant * scale
    elif isinstance(constant, Tensor):
        constant = mode.keep_constant(constant)
    mode.hook_constant(result, entry, constant, in_place=in_place)
    return result


def join(mode: "Interceptor", func: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Concatenation, stacking, selection, assignment: linear, and the constants are what is left where the input is 0."""
    if not carries(args) and not carries(tuple(kwargs.values())):
        return func(*args, **kwargs)
    reduction = {a for a in (*args, *kwargs.values()) if isinstance(a, str)}
    parts = list(tensors([*args, *kwargs.values()]))
    constants = [t for t in parts if not t.requires_grad and t.dtype.is_floating_point and t.numel()]
    if reduction & {"prod", "multiply"}:
        mode.uncovered(f"{name_of(func)} with a product")
    elif (
        reduction & {"amax", "amin", "max", "min"}
        and kwargs.get("include_self", True)
        and any(t.any() for t in constants)
    ):
        mode.uncovered(f"{name_of(func)} with the largest or smallest of values and constants")
    else:
        mode.passed(func)
    leaked = _at_zero(func, args, kwargs) if constants or _fills(func, args, kwargs) else None
    result = func(*args, **kwargs)
    if leaked is not None and leaked.any():
        y = args[0] if mutates(func) else result
        mode.hook_constant(y, mode.constants.entry_of_all(constants), leaked, in_place=mutates(func))
    return result


def _fills(func: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether a call gives entries the value of a number that is not 0."""
    if func in operations.PADS:
        return bool(bind(("", "", "", "value"), args, kwargs)[3] if func is torch._C._nn.pad else args[2:] and args[2])
    if func in operations.REPLACES:
        value = (*args[1:], *kwargs.values())[-1:]
        return bool(value) and not (isinstance(value[0], int | float) and value[0] == 0)
    return func in operations.FILLS and any(isinstance(a, int | float) and a for a in (*args[1:], *kwargs.values()))


def _at_zero(func: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
    with torch.no_grad():
        empty = mapped((args, kwargs), lambda t: torch.zeros_like(t) if t.requires_grad else t)
        found: Tensor = left(func, *empty)
    return torch.where(found.abs() < _FILLED, found, 0.0)


def extreme(mode: "Interceptor", func: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The larger or smaller of two, or of the entries along an axis; a constant leaks where it is the one, half where they tie."""
    second = args[1] if len(args) > 1 else kwargs.get("other")
    if not carries(args) and not carries(second):
        return func(*args, **kwargs)
    mode.passed(func)
    result = func(*args, **kwargs)
    if isinstance(second, Tensor):
        for constant, other in ((args[0], second), (second, args[0])):
            if not constant.requires_grad:
                y = result.detach()
                leaked = torch.where(y == other, y / 2, y).masked_fill(y != constant, 0.0)
                mode.hook_constant(result, mode.constants.entry_of(constant), leaked)
    return result


HANDLERS: dict[Function, Callable[..., Any]] = {
    **dict.fromkeys(operations.ADDITIONS, addition),
    **dict.fromkeys(operations.JOINS, join),
    **dict.fromkeys(operations.EXTREMES, extreme),
}

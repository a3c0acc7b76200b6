"""Calls in R-form: between a float input and the first operation that mixes features, relevance itself flows backward.

It stays where it is while values are only moved, scaled or shifted one by one, so that rules which give relevance to x = 0 are exact there.
"""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from lrp import operations, recurrent, weighted
from lrp.calls import Function, bind, carries, left, mapped, mutates, tensors
from lrp.handlers import HANDLERS
from lrp.nodes import Keep

if TYPE_CHECKING:
    from lrp.engine import Interceptor

_STARTS_RAW = {*weighted.HANDLERS, *recurrent.HANDLERS, *operations.MATRIX_PRODUCTS}
_KEEPS = operations.ADDITIONS | operations.QUOTIENTS | {torch.mul, torch.multiply, torch.neg, Tensor.neg, Tensor.__neg__} | {
    getattr(Tensor, name) for name in "mul mul_ multiply __mul__ __rmul__ __imul__ neg_".split()
}  # fmt: skip


def from_raw(mode: "Interceptor", func: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A call on a tensor in R-form: stay in it where relevance stays in place, otherwise pass to c-form."""
    if len(args) == 1 and "other" in kwargs:
        args = (*args, kwargs.pop("other"))
    carrying = [t for t in tensors([*args, *kwargs.values()]) if t.requires_grad]
    if not carrying:  # detached in place
        return mode.run(func, args, kwargs)
    alone = len(carrying) == 1
    averages = func in operations.AVERAGES and not any(bind(("", "", "", "padding"), args, kwargs)[3:] or ())
    replaces = func in operations.REPLACES and (not mutates(func) or mode.is_raw(args[0]))
    if (replaces or averages or func in operations.MOVES) and all(mode.is_raw(t) for t in carrying):
        mode.record(func, "keeps").fixed = True
        return _replaced(mode, func, args, kwargs) if replaces else mode.raw(func(*args, **kwargs))
    others = [a for a in args if isinstance(a, Tensor) and not a.requires_grad]
    place = next((i for i, a in enumerate(args) if a is carrying[0]), 0)
    alone = alone and not (place and mutates(func))
    if func in _KEEPS and alone and all(mode.constants.entry_of(t) == "constant" for t in others):
        mode.record(func, "keeps").fixed = True
        run = lambda x: func(*args[:place], x, *args[place + 1 :], **kwargs)  # noqa: E731
        return mode.raw(Keep.apply(carrying[0], run))  # type: ignore[no-untyped-call]
    if func in _STARTS_RAW:
        return mode.run(func, args, kwargs)
    if func not in HANDLERS and func not in operations.PASSES and not mutates(func):
        result = func(*args, **kwargs)
        if not carries(result):  # a shape, a dtype, a comparison
            return result
    if mutates(func) and args[0] is carrying[0] and mode.is_raw(carrying[0]):
        mode.enter_in_place(carrying[0])
    return mode.run(func, mapped(args, mode.enter), mapped(kwargs, mode.enter))


def _replaced(mode: "Interceptor", func: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A call in R-form that may put constants in the place of entries, or beside them: those are the same whatever x is."""

    def filled(value: float) -> Any:
        return left(
            func, *mapped((args, kwargs), lambda t: torch.full_like(t, value) if mode.is_raw(t) else t.detach())
        )

    added = filled(0) == filled(1)
    result = func(*args, **kwargs)
    if added.any():
        constants = [t for t in tensors([*args[1:], *kwargs.values()]) if not t.requires_grad]
        entry = "padding" if func in operations.PADS else mode.constants.entry_of_all(constants)
        mode.hook(args[0] if mutates(func) else result, lambda r: mode.book(entry, r * added), in_place=mutates(func))
    return mode.raw(result)

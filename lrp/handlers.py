"""One handler per kind of operation: what the interceptor does around a call. To add a kind, write one and add it to `HANDLERS`.

Handlers lie by subject in the modules imported here; those of activations are in this one.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from lrp import attention, embeddings, joins, norms, operations, products, recurrent, weighted
from lrp.calls import Function, carries, name_of, tensors
from lrp.errors import InputError
from lrp.nodes import IdentityRule
from lrp.opening import OPENED
from lrp.rules import RULES

if TYPE_CHECKING:
    from lrp.engine import Interceptor


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
    **embeddings.HANDLERS,
    **norms.HANDLERS,
    **attention.HANDLERS,
    **weighted.HANDLERS,
    **recurrent.HANDLERS,
    **joins.HANDLERS,
    **products.HANDLERS,
    **dict.fromkeys(operations.ACTIVATIONS, _activation),
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

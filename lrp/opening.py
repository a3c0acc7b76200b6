"""Functions of torch.nn.functional that are written in Python are opened: they run inside the mode, so that it sees what they call."""

import types
from typing import Any

from lrp import operations
from lrp.calls import Function

OPENED: dict[Function, Function | None] = {}  # filled as functions are met; None: not opened


def opened(func: Function) -> Function | None:
    """The function without its dispatch to modes, or None where it is to be seen as one call."""
    if func not in OPENED:
        written = isinstance(func, types.FunctionType) and func.__globals__.get("__name__") == "torch.nn.functional"
        OPENED[func] = without_dispatch(func) if written and func not in operations.MOVES else None
    return OPENED[func]


def without_dispatch(func: Any) -> Function:
    """A copy of the function that believes that no argument and no mode overrides it."""
    scope = {
        **func.__globals__,
        **{n: lambda *_: False for n in func.__globals__ if n.startswith("has_torch_function")},
    }
    clone = types.FunctionType(func.__code__, scope, func.__name__, func.__defaults__, func.__closure__)
    clone.__kwdefaults__ = func.__kwdefaults__
    return clone

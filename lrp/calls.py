"""Reading an intercepted call: what carries relevance, how its arguments bind, what it is called."""

import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from torch import Tensor, nn

Function = Callable[..., Any]


def carries(value: object) -> bool:
    """Whether relevance reaches `value`: parameters are constants here, so whatever requires grad hangs on the input."""
    if isinstance(value, Tensor):
        return value.requires_grad
    return isinstance(value, tuple | list) and any(carries(item) for item in value)


def tensors(value: object) -> Iterator[Tensor]:
    """Every tensor in nested tuples and lists."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, tuple | list):
        for item in value:
            yield from tensors(item)


def mapped(value: Any, function: Callable[[Tensor], Tensor]) -> Any:
    """`value` with `function` applied to every tensor in nested tuples, lists and dictionaries."""
    if isinstance(value, Tensor):
        return function(value)
    if type(value) is dict:
        return {name: mapped(item, function) for name, item in value.items()}
    return type(value)(mapped(item, function) for item in value) if type(value) in (tuple, list) else value


_MUTATES: dict[Function, bool] = {}


def mutates(func: Function) -> bool:
    """Whether a call overwrites its first argument, by torch's naming."""
    if func not in _MUTATES:
        name = func.__name__
        in_place = name.endswith("_") and not name.endswith("__") and name != "requires_grad_"
        _MUTATES[func] = name == "__setitem__" or in_place
    return _MUTATES[func]


def left(func: Function, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """What a call leaves behind: its result, or a copy of its first argument where it overwrites that."""
    if not mutates(func):
        return func(*args, **kwargs)
    first = args[0].clone()
    func(first, *args[1:], **kwargs)
    return first


def bind(names: tuple[str, ...], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> list[Any]:
    """The arguments by position or name; None where absent."""
    return [args[i] if i < len(args) else kwargs.get(name) for i, name in enumerate(names)]


def on_backward(y: Tensor, book: Callable[[Tensor], None]) -> None:
    """Call `book(c)` when the coefficient of `y` arrives; a cut branch (c undefined) books nothing."""

    def hook(c: Tensor | None) -> None:
        if c is not None:
            book(c)

    if y.requires_grad:
        y.register_hook(hook)


def name_of(func: Function) -> str:
    """Name of a torch function for messages and the trace."""
    name = str(getattr(func, "__qualname__", None) or getattr(func, "__name__", func))
    return name.removeprefix("_VariableFunctionsClass.")


def storage_of(tensor: Tensor) -> int:
    """Address of the memory that a tensor and its views share; 0 for tensors without any."""
    try:
        return tensor.untyped_storage().data_ptr()
    except (RuntimeError, NotImplementedError):
        return 0


def rest_of(base: Tensor, view: Tensor) -> Tensor:
    """The base with zeros where the view is."""
    rest = base.detach().clone()
    rest.as_strided(view.size(), view.stride(), view.storage_offset() - base.storage_offset()).zero_()
    return rest


def module_path(model: nn.Module) -> str:
    """The module whose forward is running, by a walk up the Python frames."""
    names = {id(module): name for name, module in model.named_modules()}
    frame = sys._getframe(1)
    while frame is not None:
        owner = frame.f_locals.get("self")
        if isinstance(owner, nn.Module) and id(owner) in names:
            return f"module {names[id(owner)] or type(owner).__name__!r}"
        frame = frame.f_back  # type: ignore[assignment]
    return "the model"

"""Relevance inside the model: at the outputs of named modules, and conditioned on some of their channels.

A hook on the tensor that a module returns sees c of that tensor, whole, because autograd adds up all its readers first. The
hook must run after everything downstream, which that guarantees, and before everything that books what lies upstream: a
bias and a shift are booked by hooks on the same tensor, which run in order of registration, so this one goes to the front.
Of nested modules that return one tensor the outer is registered later, hence runs first. The last call of a module counts,
for layers and conditions alike: relevance that is masked twice would not add up over the channels.

Relevance is y c, in R-form c itself. Before a normalisation that is folded c belongs to the folded operation, whose output
is y scale + shift: a convolution and the normalisation behind it are the same neurons, with the same relevance.
What a condition takes away is booked as `condition`. A module that returns its own input (Identity, dropout) is that tensor.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any, Protocol, final

import torch
from torch import Tensor, nn
from torch.autograd.graph import Node

from lrp.calls import tensors
from lrp.errors import InputError
from lrp.nodes import Operation
from lrp.rules import Zero

_CHANNELS_FIRST = (
    nn.modules.conv._ConvNd,
    nn.modules.batchnorm._BatchNorm,
    nn.modules.batchnorm._NormBase,
    nn.GroupNorm,
)
_CHANNELS_LAST = (nn.Linear, nn.LayerNorm, nn.Embedding, nn.MultiheadAttention, nn.RNNBase)
_FIRST_NODES = {"ConvolutionBackward0", "BatchNormNodeBackward"}
_LAST_NODES = {"AddmmBackward0", "MmBackward0", "BmmBackward0"}


class Books(Protocol):
    """Where a condition books what it takes away."""

    def book(self, entry: str, terms: Tensor, layer: str = "") -> None:
        """Add terms to the account of the backward pass that runs."""

    def is_raw(self, x: Tensor) -> bool:
        """Whether relevance itself flows back to x."""


@final
class Watch:
    """Modules to watch; `take` gives the relevance of their outputs after a backward pass. The last call of a module counts."""

    def __init__(self, model: nn.Module, layers: Sequence[str], condition: Mapping[str, Sequence[int]]) -> None:
        if isinstance(layers, str):
            raise InputError(f"layers={layers!r}: give a sequence of names, ({layers!r},)")
        if not isinstance(condition, Mapping):
            raise InputError(f"condition is a {type(condition).__name__}: give a mapping from module to channels")
        self.modules = dict(model.named_modules())
        for name in [*layers, *condition]:
            if name not in self.modules:
                raise InputError(f"module {name!r} does not exist; {_nearest(name, list(self.modules)[1:])}")
        self.layers, self.condition = tuple(dict.fromkeys(layers)), dict(condition)
        self._found: dict[str, Tensor] = {}
        self._outputs: dict[str, Tensor] = {}
        self._calls: Counter[str] = Counter()

    @contextmanager
    def hooked(self, books: Books) -> Iterator[None]:
        """Forward hooks on the modules while the context lasts."""
        self._outputs.clear()
        self._calls.clear()
        handles = [
            self.modules[name].register_forward_hook(
                lambda module, _, y, name=name: self._unseen(name, module, y, books)
            )
            for name in dict.fromkeys([*self.layers, *self.condition])
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def start(self) -> None:
        """Before a backward pass. Raises `InputError` for a module that did not run."""
        self._found.clear()
        for name in [*self.layers, *self.condition]:
            if name not in self._calls:
                raise InputError(f"module {name!r} did not run: the model does not call it for these inputs")

    def take(self) -> dict[str, Tensor]:
        """Relevance by layer, in the order asked for; zeros where none arrived."""
        return {name: self._found.get(name, torch.zeros_like(self._outputs[name])) for name in self.layers}

    def _unseen(self, name: str, module: nn.Module, output: Any, books: Books) -> None:
        with torch._C.DisableTorchFunction():  # none of this belongs to the model
            self._see(name, module, output, books)

    def _see(self, name: str, module: nn.Module, output: Any, books: Books) -> None:
        y = next(tensors(list(output.values()) if isinstance(output, Mapping) else output), None)
        if y is None or not y.requires_grad:
            raise InputError(f"module {name!r} returns nothing that depends on the input")
        self._calls[name] += 1
        call, kept, raw, value = self._calls[name], y.detach().clone(), books.is_raw(y), _value(y)
        axis = _axis(module, y) if name in self.condition else 0
        self._outputs[name] = kept

        def hook(c: Tensor | None) -> Tensor | None:
            if c is None or call != self._calls[name]:
                return None
            c_y = c.reshape(kept.shape)
            channels = self.condition.get(name)
            passed = c_y if channels is None else c_y * _mask(name, kept, axis, channels)
            y_seen = torch.ones_like(kept) if raw else value(kept)
            if channels is not None:
                books.book("condition", (c_y - passed) * y_seen, name)
            if name in self.layers:
                self._found[name] = passed * y_seen
            return None if channels is None else passed.reshape(c.shape)

        _hook_in_front(y, hook)


def _nearest(name: object, names: Sequence[str]) -> str:
    close = get_close_matches(str(name), names, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"{hint}names are those of model.named_modules(), such as {', '.join(names[:5])}"


def _hook_in_front(y: Tensor, hook: Callable[[Tensor], Tensor | None]) -> None:
    """Run before the hooks that y has. A linear operation on tokens returns a view, whose hooks an in-place call would drop."""
    base = y._base
    made = base.grad_fn.name() if base is not None and base.grad_fn is not None else ""
    hooked = base if base is not None and made in ("AddmmBackward0", "MmBackward0") and base.numel() == y.numel() else y
    handle = hooked.register_hook(hook)
    hooks: Any = hooked._backward_hooks
    earlier = {key: value for key, value in hooks.items() if key != handle.id}
    hooks.clear()  # autograd reads the order of insertion, which move_to_end leaves alone
    hooks.update({handle.id: hook, **earlier})


def _value(y: Tensor) -> Callable[[Tensor], Tensor]:
    """What c of y is the coefficient of: y, or y behind the normalisation that the rule takes in, known in backward."""
    node: Any = y.grad_fn
    operation = getattr(node, "operation", None)
    if not isinstance(operation, Operation) or not hasattr(node, "call"):
        return lambda kept: kept
    shape = [1] * y.dim()
    shape[node.call.channels] = -1

    def value(kept: Tensor) -> Tensor:
        if operation.fold is None or isinstance(operation.rule, Zero):
            return kept
        scale, shift = (t.to(kept.dtype).view(shape) for t in operation.fold)
        return kept * scale + shift

    return value


def _axis(module: nn.Module, y: Tensor) -> int:
    """The axis of the channels: 1 behind a convolution or a normalisation of channels, the last behind a linear layer.

    Other modules take it from the nearest such operation in front of them, through permutations; without one it is axis 1.
    """
    if y.dim() < 3 or isinstance(module, _CHANNELS_FIRST):
        return min(1, y.dim() - 1)
    return y.dim() - 1 if isinstance(module, _CHANNELS_LAST) else _traced(y)


def _traced(y: Tensor) -> int:
    places = tuple(range(y.dim()))  # the axis of y that each axis of the node's output has become
    queue: deque[tuple[Node, tuple[int, ...]]] = deque([(y.grad_fn, places)] if y.grad_fn is not None else [])
    seen: set[Node] = set()
    while queue:
        node, places = queue.popleft()
        if node in seen:
            continue
        seen.add(node)
        axis = _own_axis(node, len(places))
        if axis is not None:
            return places[axis]
        places = _before(node, places)
        queue.extend((following, places) for following, _ in node.next_functions if following is not None)
    return 1


def _own_axis(node: Any, dims: int) -> int | None:
    """The channels' axis of a node that has one by its kind."""
    name = node.name()
    if name == "WeightedNodeBackward":
        return int(node.call.channels) % dims
    if name == "LayerNormRuleBackward":  # without a weight it is a part of group normalisation
        return dims - 1 if node.saved_tensors[1] is not None else None
    return 1 if name in _FIRST_NODES else dims - 1 if name in _LAST_NODES else None


def _before(node: Any, places: tuple[int, ...]) -> tuple[int, ...]:
    """Axes in front of a permutation."""
    name, count = node.name(), len(places)
    order = list(range(count))
    if name == "PermuteBackward0" and len(node._saved_dims) == count:
        order = [_signed(d) % count for d in node._saved_dims]
    elif name == "TransposeBackward0":
        first, second = _signed(node._saved_dim0) % count, _signed(node._saved_dim1) % count
        order[first], order[second] = second, first
    return tuple(places[order.index(i)] for i in range(count))


def _signed(value: int) -> int:
    """Autograd keeps axes as unsigned numbers."""
    return value - 2**64 if value >= 2**63 else value


def _mask(name: str, y: Tensor, axis: int, channels: Sequence[int] | Tensor) -> Tensor:
    """Ones at the channels, shaped to broadcast against y."""
    count = y.shape[axis]
    chosen = channels.tolist() if isinstance(channels, Tensor) else channels
    several = isinstance(chosen, Sequence | range) and not isinstance(chosen, str)
    if not several or not all(type(i) is int and 0 <= i < count for i in chosen):
        raise InputError(f"condition on {name!r}: channels {channels!r}; give one or more from 0 to {count - 1}, [0]")
    mask = torch.zeros(count, dtype=y.dtype, device=y.device)
    mask[list(chosen)] = 1
    return mask.view(-1, *[1] * (y.dim() - axis - 1))

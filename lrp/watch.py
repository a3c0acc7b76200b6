"""Relevance inside the model: at the outputs of named modules, and conditioned on some of their channels."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, final

import torch
from torch import Tensor, nn

from lrp.errors import InputError


class Books(Protocol):
    """Where a condition books what it takes away."""

    def book(self, entry: str, terms: Tensor, layer: str = "") -> None:
        """Add terms to the account of the backward pass that runs."""


@final
class Watch:
    """Modules to watch; `found` holds the relevance of their outputs after a backward pass.

    A module that runs several times is watched in its last call.
    """

    def __init__(self, model: nn.Module, layers: Sequence[str], condition: Mapping[str, Sequence[int]]) -> None:
        if isinstance(layers, str):
            raise InputError(f"layers={layers!r}: give a sequence of names, ({layers!r},)")
        self.modules = dict(model.named_modules())
        for name in [*layers, *condition]:
            if name not in self.modules:
                some = ", ".join(list(self.modules)[1:6])
                raise InputError(
                    f"module {name!r} does not exist; names are those of model.named_modules(), such as {some}"
                )
        self.layers, self.condition = tuple(layers), dict(condition)
        self.found: dict[str, Tensor] = {}

    @contextmanager
    def hooked(self, books: Books) -> Iterator[None]:
        """Forward hooks on the modules while the context lasts."""
        handles = [
            self.modules[name].register_forward_hook(lambda module, _, y, name=name: self._see(name, module, y, books))
            for name in dict.fromkeys([*self.layers, *self.condition])
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _see(self, name: str, module: nn.Module, output: Any, books: Books) -> None:
        y = next(iter(_tensors(output)), None)
        if y is None or not y.requires_grad:
            raise InputError(f"module {name!r} returns nothing that depends on the input")
        kept = y.detach().clone()
        channels = self.condition.get(name)
        mask = None if channels is None else _mask(name, module, kept, channels)

        def hook(c: Tensor) -> Tensor | None:
            passed = c if mask is None else c * mask
            if mask is not None:
                books.book("condition", (c - passed) * kept, name)
            if name in self.layers:
                self.found[name] = passed * kept
            return None if mask is None else passed

        y.register_hook(hook)


def _mask(name: str, module: nn.Module, y: Tensor, channels: Sequence[int]) -> Tensor:
    """Ones at the channels: axis 1, or the last axis of a token model's `[batch, tokens, channels]`."""
    spatial = isinstance(module, nn.modules.conv._ConvNd | nn.modules.batchnorm._BatchNorm)
    axis = 2 if y.dim() == 3 and not spatial else min(1, y.dim() - 1)
    count = y.shape[axis]
    several = isinstance(channels, Sequence) and bool(channels)
    if not several or not all(isinstance(i, int) and 0 <= i < count for i in channels):
        raise InputError(f"condition on {name!r}: channels {channels!r}; give one or more from 0 to {count - 1}, [0]")
    mask = torch.zeros(count, dtype=y.dtype, device=y.device)
    mask[list(channels)] = 1
    return mask.view(-1, *[1] * (y.dim() - axis - 1))


def _tensors(output: Any) -> Iterator[Tensor]:
    if isinstance(output, Tensor):
        yield output
    elif isinstance(output, Mapping):
        yield from _tensors(tuple(output.values()))
    elif isinstance(output, tuple | list):
        for item in output:
            yield from _tensors(item)

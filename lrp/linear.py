"""What a rule on a weighted operation sees: one application y = W x + b, and the products that rules are made of.

A transposed product comes from autograd on the operation itself, so that convolutions with any stride, padding, dilation or
groups, transposed ones and matrix products need no code of their own. Every signed rule costs one extra product,
because the contributions of one sign sum to (y +- (|W| |x| + |b|)) / 2 and y is known.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import final

import torch
from torch import Tensor
from torch.autograd.graph import get_gradient_edge

Transpose = Callable[[Tensor], Tensor]


def constant_leaf(tensor: Tensor) -> Tensor:
    """The tensor; detached when it is a leaf."""
    return tensor.detach() if tensor.is_leaf else tensor


@final
@dataclass(slots=True, eq=False)
class Call:
    """A weighted operation as the model called it: `apply(x, weight, bias)` gives y.

    `outputs`: the axis of `weight` that runs over output channels (None: a normalisation behind it cannot be folded in).
    `channels`: the axis of y along which `bias` lies.
    """

    apply: Callable[[Tensor, Tensor, Tensor | None], Tensor]
    weight: Tensor
    bias: Tensor | None
    channels: int
    outputs: int | None = None

    def folded(self, scale: Tensor, shift: Tensor) -> "Call":
        """The same operation followed by `scale` y + `shift` per channel."""
        assert self.outputs is not None
        shape = [1] * self.weight.dim()
        shape[self.outputs] = -1
        bias = shift if self.bias is None else self.bias * scale + shift
        return Call(self.apply, self.weight * scale.view(shape), bias, self.channels, self.outputs)

    def without_leaves(self) -> "Call":
        """The same operation with parameters of other models as constants; the explained input never is a leaf here."""
        bias = None if self.bias is None else constant_leaf(self.bias)
        return Call(self.apply, constant_leaf(self.weight), bias, self.channels, self.outputs)

    def to(self, dtype: torch.dtype) -> "Call":
        """The same operation in another precision."""
        bias = None if self.bias is None else self.bias.to(dtype)
        return Call(self.apply, self.weight.to(dtype), bias, self.channels, self.outputs)


@final
class Application:
    """One application of a weighted operation, in float32 or better.

    `x` and `y`: its input and output. `rectified`: outputs y <= 0 carry no relevance (a ReLU follows), so a rule may treat them
    as it likes. `known`: the transposed product with W itself, where it is free. `own`: nothing else reads the memory of y.
    """

    def __init__(
        self, call: Call, x: Tensor, y: Tensor, *, rectified: bool, known: Transpose | None = None, own: bool = False
    ) -> None:
        self.call, self.x, self.y, self.rectified, self._known, self._own = call, x, y, rectified, known, own

    @property
    def weight(self) -> Tensor:
        """W, with a normalisation behind the operation folded in."""
        return self.call.weight

    @property
    def bias(self) -> Tensor | None:
        """b `[channels]` or a shape that broadcasts against y, or None."""
        return self.call.bias

    @cached_property
    def positive_input(self) -> bool:
        """Whether x >= 0 everywhere; measured, since padding and clipped activations hide it from names."""
        return bool(self.x.amin() >= 0)

    def product(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> tuple[Tensor, Transpose]:
        """The operation with other inputs or weights, and its transposed product, which may be asked for once."""
        with torch.enable_grad():
            leaf = x.detach().requires_grad_()
            z = self.call.apply(leaf, weight, bias)
        edge = get_gradient_edge(z)  # not z itself, so that its memory is free once the rule has used it
        return z.detach(), lambda s: torch.autograd.grad(edge, leaf, s)[0]

    def relevance(self, c: Tensor) -> Tensor:
        """R = c y, a new tensor; in the memory of y where it can be, so y is gone afterwards."""
        y = self.y
        del self.y
        return y.mul_(c) if self._own else y * c

    def transpose(self, s: Tensor) -> Tensor:
        """W's."""
        if self._known is None:
            return self.product(self.x, self.weight)[1](s)
        return self._known(s)

    def without_bias(self) -> Tensor:
        """W x."""
        return self.y if self.bias is None else self.y - self.along_channels(self.bias)

    @cached_property
    def sign(self) -> Tensor:
        """Of x, with sign(0) = 1."""
        return torch.copysign(torch.ones((), dtype=self.x.dtype, device=self.x.device), self.x + 0.0)

    def magnitudes(self, *, bias: bool = True) -> tuple[Tensor, Transpose]:
        """m = |W| |x| + |b|, which the rounding error of y is relative to, and the transposed product with |W|.

        The positive contributions to y sum to (y + m) / 2 and the negative ones to (y - m) / 2.
        """
        return self.product(
            self.x.abs(), self.weight.abs(), self.bias.abs() if bias and self.bias is not None else None
        )

    def along_channels(self, vector: Tensor) -> Tensor:
        """A vector `[channels]` shaped to broadcast against y."""
        if vector.dim() != 1:
            return vector
        shape = [1] * self.y.dim()
        shape[self.call.channels] = -1
        return vector.view(shape)

    def dot(self, s: Tensor, vector: Tensor | None) -> Tensor:
        """<s, vector along the channels> per leading index of s."""
        if vector is None:
            return s.new_zeros(len(s))
        if vector.dim() != 1:
            return (s * vector).flatten(1).sum(1)
        per_channel = s.movedim(self.call.channels, -1)
        between = tuple(range(1, s.dim() - 1))
        return (per_channel.sum(between) if between else per_channel) @ vector

    def spread(self, relevance: Tensor) -> tuple[Tensor, Tensor]:
        """Relevance of y shared equally among the inputs that each output sees (padding is not an input)."""
        relevance = relevance.movedim(self.call.channels, 0)
        alike = self.call.outputs == 0 and self.weight.shape[1] == self.x.shape[self.call.channels]
        weight = torch.ones_like(self.weight[:1] if alike else self.weight)
        if alike:  # no groups: all output channels are equal, so one is enough
            relevance = relevance.sum(0, keepdim=True)
        return self.share(relevance.movedim(0, self.call.channels), weight)

    def share(self, relevance: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Relevance of y shared in proportion to `weight`, whatever x is; and what outputs without any input lose."""
        z, _ = self.product(torch.ones_like(self.x[:1]), weight)
        _, transpose = self.product(self.x, weight)
        return transpose(torch.where(z == 0, 0.0, relevance / z)), torch.where(z == 0, relevance, 0.0)

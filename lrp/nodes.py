"""The autograd nodes that carry rules. A node asks its operation for the rule only in `backward`: one forward serves several composites.

c-form: the "gradient" is c = R / x, under which linear and homogeneous operations need no node. R-form: between a float
input and the first operation that mixes features it is R itself, so that rules which give relevance where x = 0 stay exact.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast, final

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lrp.linear import Application, Call
from lrp.propagation import WeightedRule
from lrp.rules import GRADIENT, Factors, Rule, Zero
from lrp.stabilize import away_from_zero, precision

Book = Callable[[str, Tensor, str], None]


@final
@dataclass(slots=True, eq=False)
class Operation:
    """One intercepted call. Mutable for one reason: its rule is assigned after the forward pass, once per composite.

    `first`, `last`, `depth` (0 to 1) are the place
    among the weighted operations; `rectified`: outputs <= 0 carry no relevance; `fold`: a normalisation that only this
    operation feeds, as (scale, shift) per channel; `source`: for that normalisation, this operation. `last_pass`: what its node
    keeps is not needed after the next backward.
    """

    function: str
    kind: str
    parameter: str = ""
    rule: Rule = GRADIENT
    fixed: bool = False
    gates: tuple[Any, ...] = ()
    book: Book | None = None
    node: Any = None
    first: bool = False
    last: bool = False
    depth: float = 0.0
    rectified: bool = False
    fold: tuple[Tensor, Tensor] | None = None
    source: "Operation | None" = None
    last_pass: bool = False

    @property
    def layer(self) -> str:
        """The module that owns the operation's parameter, or the function's name."""
        return self.parameter.rpartition(".")[0] or self.function


@final
@dataclass(slots=True, eq=False)
class Kept:
    """A tensor that a node needs in backward; the engine copies it before the model overwrites it in place.

    `clipped`: a ReLU overwrote it, which is as good wherever relevance flows.
    """

    tensor: Tensor
    output: bool = False
    clipped: bool = False


class Gate(torch.autograd.Function):
    """Identity in forward; in backward the factor of the operation's rule for this input."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, operation: Operation, position: int) -> Tensor:
        """`x` by another name, which goes straight into the operation; not a view, so that the model may overwrite `x` later."""
        ctx.operation, ctx.position = operation, position
        return x.detach()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, c: Tensor) -> tuple[Tensor | None, None, None]:
        """Undefined (not zero) where the factor is 0, so that autograd skips everything behind it."""
        rule = ctx.operation.rule
        assert isinstance(rule, Factors), rule
        factor = rule.factors[ctx.position] if len(rule.factors) > 1 else rule.factors[0]
        if factor == 0:
            return None, None, None
        return (c if factor == 1 else c * factor), None, None


class IdentityRule(torch.autograd.Function):
    """An elementwise function under the identity rule; keeps (f(x) - f(0)) / x instead of x and y. `shift`: f(0), a constant.

    `clips`: whether f is 0 wherever x < 0.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        function: Callable[[Tensor], Tensor],
        name: str,
        in_place: bool,
        shift: Tensor | float,
        clips: bool,
    ) -> Tensor:
        """Shape of `x`, unless a parameter of the function broadcasts it. At x = 0 the ratio is 0: no input, no relevance."""
        ctx.function_name, ctx.shape, ctx.clips = name, x.shape, clips
        y = function(x)
        ratio = (y if isinstance(shift, float) and shift == 0 else y - shift) / x
        ctx.save_for_backward(ratio.nan_to_num_(nan=0.0, posinf=0.0, neginf=0.0))
        if not in_place:
            return y
        ctx.mark_dirty(x)
        return x.copy_(y)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, c: Tensor) -> tuple[Tensor, None, None, None, None, None]:
        """c (f(x) - f(0)) / x."""
        (ratio,) = ctx.saved_tensors
        return (c * ratio).sum_to_size(ctx.shape), None, None, None, None, None


class LayerNormRule(torch.autograd.Function):
    """Layer normalisation whose scale is a constant: backward is the projection that removes the mean."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, shape: list[int], weight: Tensor | None, bias: Tensor | None, eps: float
    ) -> Tensor:
        """Shape of `x`; keeps the inverse standard deviation only."""
        y, _, inverse = torch.native_layer_norm(x, shape, weight, bias, eps)
        ctx.save_for_backward(inverse, weight)
        ctx.axes = tuple(range(x.dim() - len(shape), x.dim()))
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, c: Tensor) -> tuple[Tensor, None, None, None, None]:
        """s (w c - mean(w c))."""
        inverse, weight = ctx.saved_tensors
        scaled = c * weight if weight is not None else c.clone()
        return scaled.sub_(scaled.mean(ctx.axes, keepdim=True)).mul_(inverse.to(c.dtype)), None, None, None, None


class WeightedNode(torch.autograd.Function):
    """A weighted operation whose backward is its operation's rule. Keeps x and y, as copies if the model overwrites them."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, call: Call, operation: Operation, raw: bool) -> Tensor:
        """y of the model's own call, bit by bit. `raw`: x is in R-form, so backward returns R."""
        with torch.enable_grad():
            leaf = (
                x.data.requires_grad_()
            )  # without x's version: the product with W' needs W only, whatever happens to x
            y = call.apply(leaf, call.weight, call.bias)
        ctx.inner, ctx.call, ctx.operation, ctx.raw = (leaf, y), call, operation, raw
        ctx.x, ctx.y = Kept(x.detach()), Kept(y.detach(), output=True)
        return y.data

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, c: Tensor) -> tuple[Tensor, None, None, None]:
        """The rule's coefficient, or relevance where the input is in R-form."""
        operation = ctx.operation
        rule = cast("WeightedRule", operation.rule)  # the composite checked it; isinstance of a protocol is slow
        dtype = precision(c.dtype)
        application, dtype_x = _application(ctx, dtype), ctx.x.tensor.dtype
        if operation.last_pass:
            ctx.inner = ctx.x = ctx.y = (
                None  # memory falls while the backward pass runs, as it does in autograd's own nodes
            )
        found = rule.propagate(application, c.to(dtype))
        for entry, terms in found.leaks.items():
            operation.book(entry, terms, operation.layer)
        value = found.value
        if ctx.raw and not rule.gives_relevance:
            value = value * application.x
        elif rule.gives_relevance and not ctx.raw:
            divisor = away_from_zero(application.x, 1e-6)
            value = value / divisor
            operation.book("epsilon", value * (divisor - application.x), operation.layer)
        return value.to(dtype_x), None, None, None


def _application(ctx: Any, dtype: torch.dtype) -> Application:
    """What the rule sees: in `dtype`, with the normalisation behind the operation folded in."""
    operation, call, y = ctx.operation, ctx.call, ctx.y.tensor
    exact = ctx.x.tensor.dtype == y.dtype == dtype
    if not exact:
        call = call.to(dtype)
    x = ctx.x.tensor.to(dtype)
    if ctx.y.clipped and not operation.rectified:
        y = call.apply(x, call.weight, call.bias)
    known = _inner_product(ctx.inner, None) if exact else None
    if operation.fold is not None and not isinstance(operation.rule, Zero):
        scale, shift = (t.to(dtype) for t in operation.fold)
        shape = [1] * y.dim()
        shape[call.channels] = -1
        scale_y = scale.view(shape)
        y = torch.addcmul(shift.view(shape), y.to(dtype), scale_y)
        call = call.folded(scale, shift)
        known = _inner_product(ctx.inner, scale_y) if exact else None
    y = y.to(dtype)
    return Application(call, x, y, rectified=operation.rectified, known=known, own=y is not ctx.y.tensor)


def _inner_product(inner: tuple[Tensor, Tensor], scale: Tensor | None) -> Callable[[Tensor], Tensor]:
    leaf, y = inner
    return lambda s: torch.autograd.grad(y, leaf, s if scale is None else s * scale, retain_graph=True)[0]


class BatchNormNode(torch.autograd.Function):
    """Batch normalisation in evaluation mode: y = x scale + shift, folded into the weighted operation that feeds it."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, function: Callable[[Tensor], Tensor], affine: tuple[Tensor, Tensor], operation: Operation
    ) -> Tensor:
        """The model's own result, bit by bit; `affine`: (scale, shift), both `[channels]`."""
        ctx.affine, ctx.operation = affine, operation
        return function(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, c: Tensor) -> tuple[Tensor, None, None, None]:
        """c where the rule of the operation in front takes the normalisation in, otherwise c scale."""
        operation, (scale, shift) = ctx.operation, ctx.affine
        if operation.source is not None and not isinstance(operation.source.rule, Zero):
            return c, None, None, None
        operation.book("norm", (c.flatten(2).sum(2) if c.dim() > 2 else c) @ shift.to(c.dtype), operation.layer)
        return c * scale.to(c.dtype).view(-1, *[1] * (c.dim() - 2)), None, None, None


class Keep(torch.autograd.Function):
    """An operation in R-form that changes values one by one (scale, shift, normalise): the relevance stays where it is."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
        """The result of the call, which may broadcast or mutate x."""
        ctx.shape, ctx.dtype = x.shape, x.dtype
        y = function(x)
        if y.data_ptr() == x.data_ptr():
            ctx.mark_dirty(x)
            return x
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, r: Tensor) -> tuple[Tensor, None]:
        """R, summed where x was broadcast."""
        return r.sum_to_size(ctx.shape).to(ctx.dtype), None


class Enter(torch.autograd.Function):
    """The border between R-form (before) and c-form (behind): R = x c."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, in_place: bool) -> Tensor:
        """A view of `x`; or `x` itself, for a model that goes on to overwrite it."""
        ctx.kept = Kept(x.clone() if in_place else x.detach())
        if in_place:
            ctx.mark_dirty(x)
            return x
        return x.view_as(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, c: Tensor) -> tuple[Tensor, None]:
        """x c."""
        return ctx.kept.tensor * c, None


class Booked(torch.autograd.Function):
    """Identity in place on a view that was overwritten; books the coefficient, which a hook on the view would miss."""

    @staticmethod
    def forward(ctx: Any, y: Tensor, book: Callable[[Tensor], None]) -> Tensor:
        """`y` itself."""
        ctx.book = book
        ctx.mark_dirty(y)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, c: Tensor) -> tuple[Tensor, None]:
        """c."""
        ctx.book(c)
        return c, None


NODES = (Gate, IdentityRule, LayerNormRule, WeightedNode, BatchNormNode, Keep, Enter, Booked)

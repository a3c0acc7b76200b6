"""Rules as modified gradients: what an operation does to the coefficient c = R / x on its way back (design: docs/design/001).

A linear or homogeneous operation needs no rule: under autograd c passes through it as LRP-0 demands. The others get one
of the nodes below. A node asks its operation for the rule only in `backward`, so that one forward pass serves several composites.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


@final
@dataclass(frozen=True, slots=True)
class Factors:
    """Multiply the coefficient of input i by `factors[i]`; 0 treats that input as a constant.

    Source: Achtibat et al. 2024 (AttnLRP), eq. 13-15: a product of two inputs gives each one half; softmax is its own gradient
    (Taylor at x). Ali et al. 2022 (CP-LRP): attention weights are constants.
    """

    factors: tuple[float, ...]


@final
@dataclass(frozen=True, slots=True)
class Identity:
    """y = f(x) elementwise gives R_x = R_y, so c_x = c_y f(x) / x (AttnLRP eq. 9)."""


@final
@dataclass(frozen=True, slots=True)
class ConstantScale:
    """y = (x - mean x) s w + b with the scale s a constant (AttnLRP eq. 16; Ali et al. 2022)."""


@final
@dataclass(frozen=True, slots=True)
class Epsilon:
    """y = W x + b gives c_y y / (y + sign(y) epsilon) (Bach et al. 2015, eq. 58), with sign(0) = 1."""

    epsilon: float = 1e-6


Rule = Factors | Identity | ConstantScale | Epsilon

RULES: dict[str, Rule] = {
    "gradient": Factors((1.0,)),
    "constant": Factors((0.0,)),
    "halves": Factors((0.5, 0.5)),
    "first": Factors((1.0, 0.0)),
    "second": Factors((0.0, 1.0)),
    "quarters": Factors((0.25, 0.25, 0.5)),
    "values": Factors((0.0, 0.0, 1.0)),
    "identity": Identity(),
    "constant_scale": ConstantScale(),
    "epsilon": Epsilon(),
}


@final
@dataclass(slots=True, eq=False)
class Operation:
    """One intercepted call. Mutable for one reason: its rule is assigned after the forward pass, once per composite."""

    function: str
    kind: str
    parameter: str = ""
    rule: Rule = RULES["gradient"]
    fixed: bool = False
    gates: tuple[Any, ...] = ()
    ledger: Callable[[str, Tensor], None] | None = None


class Gate(torch.autograd.Function):
    """Identity in forward; in backward the factor of the operation's rule for this input."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, operation: Operation, position: int) -> Tensor:
        """Shape of `x`, a view of it."""
        ctx.operation, ctx.position = operation, position
        return x.view_as(x)

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
    """An elementwise function under the identity rule; keeps f(x) / x instead of x and y."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
        """Shape of `x`. At x = 0 the ratio is 0: no input, no relevance (where f(0) is not 0, the ledger's residual shows it)."""
        y = function(x)
        ctx.save_for_backward((y / x).nan_to_num_(nan=0.0, posinf=0.0, neginf=0.0))
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, c: Tensor) -> tuple[Tensor, None]:
        """c f(x) / x."""
        (ratio,) = ctx.saved_tensors
        return c * ratio, None


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
        return scaled.sub_(scaled.mean(ctx.axes, keepdim=True)).mul_(inverse), None, None, None, None


class EpsilonRule(torch.autograd.Function):
    """Identity on a linear operation's output in forward; in backward the epsilon stabiliser of the operation's rule."""

    @staticmethod
    def forward(ctx: Any, y: Tensor, operation: Operation) -> Tensor:
        """Shape of `y`, a view of it."""
        ctx.save_for_backward(y)
        ctx.operation = operation
        return y.view_as(y)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, c: Tensor) -> tuple[Tensor, None]:
        """c y / (y + sign(y) epsilon); what it absorbs goes to the ledger."""
        operation = ctx.operation
        if not isinstance(operation.rule, Epsilon):
            return c, None
        (y,) = ctx.saved_tensors
        kept = c * (y / (y + torch.where(y < 0, -operation.rule.epsilon, operation.rule.epsilon)))
        if operation.ledger is not None:
            operation.ledger("epsilon", (c - kept) * y)
        return kept, None

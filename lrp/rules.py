"""Rules: what an operation does to the coefficient c = R / x on its way back (design: docs/design/001 and 002).

Rules are data. Those of weighted operations (linear, convolution) also say how they propagate, from an `Application`
of the operation; any object with the same method and fields is a rule. To add one, write its class and one line in `RULES`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, final

import torch
from torch import Tensor

from lrp.input_rules import Flat, WSquare, ZBox
from lrp.linear import Application
from lrp.propagation import Propagated, WeightedRule, is_number, nothing_left, refuse_unless, total
from lrp.stabilize import divide, tiny


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
    """y = f(x) elementwise gives R_x = R_y, so c_x = c_y f(x) / x (AttnLRP eq. 9).

    Where f(0) is not 0 (sigmoid, softplus) that part is a constant and leaks; f(x) / x would have a pole there.
    """


@final
@dataclass(frozen=True, slots=True)
class ConstantScale:
    """y = (x - mean x) s w + b with the scale s a constant (AttnLRP eq. 16; Ali et al. 2022)."""


@final
@dataclass(frozen=True, slots=True)
class Zero:
    """LRP-0: R_i = x_i sum_j w_ij R_j / z_j (Bach et al. 2015, eq. 56); the bias keeps its part of z."""

    gives_relevance: ClassVar[bool] = False

    def propagate(self, application: Application, c: Tensor) -> Propagated:
        """W'c."""
        return Propagated(application.transpose(c), {"bias": application.dot(c, application.bias)})


@final
@dataclass(frozen=True, slots=True)
class Epsilon:
    """y = W x + b gives c_y y / (y + sign(y) epsilon) (Bach et al. 2015, eq. 58), with sign(0) = 1; the bias keeps its part."""

    epsilon: float = 1e-6
    gives_relevance: ClassVar[bool] = False

    def __post_init__(self) -> None:
        cure = "a number above 0, or take rule 'zero', which has no stabiliser"
        refuse_unless(is_number(self.epsilon) and self.epsilon > 0, "epsilon", self.epsilon, cure)

    def propagate(self, application: Application, c: Tensor) -> Propagated:
        """W'(c |y| / (|y| + epsilon))."""
        y, kept = application.y, application.y.abs()
        kept.div_(kept + self.epsilon).mul_(c)
        leaks = {"epsilon": total((c - kept).mul_(y)), "bias": application.dot(kept, application.bias)}
        return Propagated(application.transpose(kept), leaks)


@final
@dataclass(frozen=True, slots=True)
class Gamma:
    """Contributions of the sign of the output count 1 + gamma times (Montavon et al. 2019; signed inputs as in zennit's Gamma).

    Where y > 0: R_i = sum_j (z_ij + gamma z_ij+) R_j / (z_j + gamma z_j+), where y < 0 the same with the negative parts.
    The bias counts as a contribution and keeps its part. Denominators are never smaller than |y|.
    """

    gamma: float = 0.25
    gives_relevance: ClassVar[bool] = False

    def __post_init__(self) -> None:
        positive = is_number(self.gamma) and self.gamma > 0
        refuse_unless(positive, "gamma", self.gamma, "a number above 0, or take rule 'zero'")

    def propagate(self, application: Application, c: Tensor) -> Propagated:
        """2 forward and 2 backward products; 1 + 1 of them with W + gamma W+ where x >= 0 and a ReLU follows."""
        a, gamma = application, self.gamma
        if a.positive_input and a.rectified:
            positive = None if a.bias is None else a.bias.clamp(min=0)
            bias = None if a.bias is None or positive is None else a.bias + gamma * positive
            z, transpose = a.product(a.x, _leaky(a.weight, gamma), bias)
            s = a.relevance(c).div_(z.add_(tiny(z.dtype)))
            return Propagated(transpose(s), {"bias": a.dot(s, bias)})
        # y + gamma (y's part of its own sign) = sign(y) scale, since that part is (y +- m) / 2
        magnitude, transpose = a.magnitudes()
        size, k = a.y.abs(), gamma / 2
        scale = magnitude.mul_(k).add_(size, alpha=1 + k).add_(tiny(magnitude.dtype))
        ratio = c / scale
        s, signed = size.mul_(ratio), ratio.mul_(a.y)
        leaks = {"bias": (1 + k) * a.dot(s, a.bias) + k * a.dot(signed, _size(a.bias))}
        value = a.transpose(s).mul(1 + k).addcmul_(transpose(signed), a.sign, value=k)
        return Propagated(value, leaks)


@final
@dataclass(frozen=True, slots=True)
class ZPlus:
    """R_i = sum_j z_ij+ R_j / z_j+ (Montavon et al. 2017; Bach et al. 2015 with alpha 1, beta 0).

    With `bias` its positive part is a contribution and keeps its part (zennit), without it takes nothing (deep Taylor).
    """

    bias: bool = True
    gives_relevance: ClassVar[bool] = False

    def __post_init__(self) -> None:
        refuse_unless(isinstance(self.bias, bool), "bias", self.bias, "True or False")

    def propagate(self, application: Application, c: Tensor) -> Propagated:
        """1 forward and 1 backward product more than the gradient with W+ where x >= 0, otherwise 1 and 2."""
        a = application
        bias = _parts(a.bias)[0] if self.bias else None
        safe = a.rectified and self.bias  # relevance only where y > 0, and z >= y
        if a.positive_input:
            z, transpose = a.product(a.x, a.weight.clamp(min=0), bias)
            r = a.relevance(c)
            if safe:
                s, lost = r.div_(z.add_(tiny(z.dtype))), r.new_zeros(len(r))
            else:
                s = divide(r, z)
                lost = nothing_left(r, s)
            del r, z  # the transposed product is the peak of memory
            return Propagated(transpose(s), {"bias": a.dot(s, bias), "dead": lost})
        magnitude, transpose = a.magnitudes(bias=self.bias)
        if safe:
            z = magnitude.add_(a.y).add_(tiny(magnitude.dtype))
            r = a.relevance(c)
            s, lost = r.div_(z).mul_(2), r.new_zeros(len(r))
        else:
            z = ((a.y if self.bias else a.without_bias()) + magnitude).div_(2)
            r = a.relevance(c)
            s = divide(r, z, magnitude)
            lost = nothing_left(r, s)
        del r, z, magnitude
        value = a.transpose(s).addcmul_(transpose(s), a.sign).div_(2)
        return Propagated(value, {"bias": a.dot(s, bias), "dead": lost})


@final
@dataclass(frozen=True, slots=True)
class AlphaBeta:
    """R_i = sum_j (alpha z_ij+ / z_j+ - beta z_ij- / z_j-) R_j, alpha - beta = 1 (Bach et al. 2015, eq. 60).

    Each sign of the bias is a contribution to the part of its sign and keeps its share.
    """

    alpha: float = 2.0
    beta: float = 1.0
    gives_relevance: ClassVar[bool] = False

    def __post_init__(self) -> None:
        numbers = is_number(self.alpha) and is_number(self.beta)
        given = (self.alpha, self.beta)
        refuse_unless(numbers and self.alpha >= 1 and self.beta >= 0, "alpha, beta", given, "alpha >= 1 and beta >= 0")
        refuse_unless(
            abs(self.alpha - self.beta - 1) < 1e-9, "alpha - beta", self.alpha - self.beta, "alpha - beta = 1"
        )

    def propagate(self, application: Application, c: Tensor) -> Propagated:
        """1 forward and 2 backward products for any sign of x."""
        a = application
        r = c * a.y
        positive, negative = _parts(a.bias)
        magnitude, transpose = a.magnitudes()
        first = divide(r, (a.y + magnitude).div_(2), magnitude).mul_(self.alpha)
        second = divide(r, (a.y - magnitude).div_(2), magnitude).mul_(self.beta)
        value = a.transpose(first - second).addcmul(transpose(first + second), a.sign).div_(2)
        kept = torch.where(first != 0, self.alpha, 0.0) - torch.where(second != 0, self.beta, 0.0)
        leaks = {"bias": a.dot(first, positive) - a.dot(second, negative), "dead": total(r * (1 - kept))}
        return Propagated(value, leaks)


Rule = Factors | Identity | ConstantScale | WeightedRule

GRADIENT = Factors((1.0,))

RULES: dict[str, Callable[..., Rule]] = {
    "gradient": partial(Factors, (1.0,)),
    "constant": partial(Factors, (0.0,)),
    "halves": partial(Factors, (0.5, 0.5)),
    "first": partial(Factors, (1.0, 0.0)),
    "second": partial(Factors, (0.0, 1.0)),
    "quarters": partial(Factors, (0.25, 0.25, 0.5)),
    "values": partial(Factors, (0.0, 0.0, 1.0)),
    "identity": Identity,
    "constant_scale": ConstantScale,
    "zero": Zero,
    "epsilon": Epsilon,
    "gamma": Gamma,
    "z_plus": ZPlus,
    "alpha_beta": AlphaBeta,
    "z_box": ZBox,
    "flat": Flat,
    "w_square": WSquare,
}


def _parts(bias: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
    return (None, None) if bias is None else (bias.clamp(min=0), bias.clamp(max=0))


def _size(vector: Tensor | None) -> Tensor | None:
    return None if vector is None else vector.abs()


def _leaky(weight: Tensor, gamma: float) -> Tensor:
    """W + gamma W+ in one pass."""
    return torch.nn.functional.leaky_relu(weight, 1 / (1 + gamma)).mul_(1 + gamma)

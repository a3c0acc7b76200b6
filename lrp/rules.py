"""Rules: what an operation does to the coefficient c = R / x on its way back (design: docs/design/001 and 002).

Rules are data. Those of weighted operations (linear, convolution) also say how they propagate, from an `Application`
of the operation; any object with the same method and fields is a rule. To add one, write its class and one line in `RULES`.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar, Protocol, final, runtime_checkable

import torch
from torch import Tensor

from lrp.errors import InputError
from lrp.linear import Application
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
class Propagated:
    """`value`: shape of x. `leaks`: per ledger entry what did not reach x, any shape whose leading axis is that of x."""

    value: Tensor
    leaks: Mapping[str, Tensor] = field(default_factory=dict)


@runtime_checkable
class WeightedRule(Protocol):
    """A rule of a weighted operation. `gives_relevance`: its value is R_x, not R_x / x, so that it is exact where x = 0."""

    gives_relevance: ClassVar[bool]

    def propagate(self, application: Application, c: Tensor) -> Propagated:
        """`c`: the coefficient of y, shape of y."""


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
        _refuse_unless(_is_number(self.epsilon) and self.epsilon > 0, "epsilon", self.epsilon, cure)

    def propagate(self, application: Application, c: Tensor) -> Propagated:
        """W'(c |y| / (|y| + epsilon))."""
        y, kept = application.y, application.y.abs()
        kept.div_(kept + self.epsilon).mul_(c)
        leaks = {"epsilon": _total((c - kept).mul_(y)), "bias": application.dot(kept, application.bias)}
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
        positive = _is_number(self.gamma) and self.gamma > 0
        _refuse_unless(positive, "gamma", self.gamma, "a number above 0, or take rule 'zero'")

    def propagate(self, application: Application, c: Tensor) -> Propagated:
        """2 forward and 2 backward products; 1 + 1 of them with W + gamma W+ where x >= 0 and a ReLU follows."""
        a, gamma = application, self.gamma
        if a.positive_input and a.rectified:
            positive = None if a.bias is None else a.bias.clamp(min=0)
            bias = None if a.bias is None or positive is None else a.bias + gamma * positive
            z, transpose = a.product(a.x, _leaky(a.weight, gamma), bias)
            s = (c * a.y).div_(z.add_(tiny(z.dtype)))
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
        _refuse_unless(isinstance(self.bias, bool), "bias", self.bias, "True or False")

    def propagate(self, application: Application, c: Tensor) -> Propagated:
        """1 forward and 1 backward product more than the gradient with W+ where x >= 0, otherwise 1 and 2."""
        a = application
        r = c * a.y
        bias = _parts(a.bias)[0] if self.bias else None
        if a.positive_input:
            z, transpose = a.product(a.x, a.weight.clamp(min=0), bias)
            if a.rectified and self.bias:  # then r = 0 where z = 0
                s, lost = r.div_(z.add_(tiny(z.dtype))), r.new_zeros(len(r))
            else:
                s = divide(r, z)
                lost = _lost(r, s)
            del r, z  # the transposed product is the peak of memory
            return Propagated(transpose(s), {"bias": a.dot(s, bias), "dead": lost})
        magnitude, transpose = a.magnitudes(bias=self.bias)
        y = a.y if self.bias else a.without_bias()
        s = divide(r, (y + magnitude).div_(2), magnitude)
        value = a.transpose(s).addcmul(transpose(s), a.sign).div_(2)
        return Propagated(value, {"bias": a.dot(s, bias), "dead": _lost(r, s)})


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
        numbers = _is_number(self.alpha) and _is_number(self.beta)
        given = (self.alpha, self.beta)
        _refuse_unless(numbers and self.alpha >= 1 and self.beta >= 0, "alpha, beta", given, "alpha >= 1 and beta >= 0")
        _refuse_unless(
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
        leaks = {"bias": a.dot(first, positive) - a.dot(second, negative), "dead": _total(r * (1 - kept))}
        return Propagated(value, leaks)


@final
@dataclass(frozen=True, slots=True)
class ZBox:
    """R_i = sum_j (x_i w_ij - l_i w_ij+ - h_i w_ij-) R_j / sum_k of the same, for inputs in [low, high] (Montavon et al. 2017).

    `low`, `high`: numbers, or one per channel. The bias takes nothing.
    """

    low: float | tuple[float, ...]
    high: float | tuple[float, ...]
    gives_relevance: ClassVar[bool] = True

    def __post_init__(self) -> None:
        given = (self.low, self.high)
        for name, bound in zip(("low", "high"), given, strict=True):
            values = bound if isinstance(bound, tuple) else (bound,)
            _refuse_unless(
                values and all(map(_is_number, values)), name, bound, "a number, or a tuple of one per channel"
            )
        lengths = {len(bound) for bound in given if isinstance(bound, tuple)}
        _refuse_unless(len(lengths) < 2, "low, high", given, "as many values for low as for high")

    def propagate(self, application: Application, c: Tensor) -> Propagated:
        """1 forward product on a batch of one and 2 backward products; exact where x = 0."""
        a = application
        low, high = self._box(a, self.low), self._box(a, self.high)
        self._check(a, low, high)
        positive = a.weight.clamp(min=0)
        size = torch.ones_like(a.x[:1])
        z, _ = a.product(torch.cat([low * size, high * size]), positive)
        plain, _ = a.product(high * size, a.weight)
        # W+ l + W- h = W h + W+ (l - h)
        s = divide(c * a.y, a.without_bias() - plain - z[:1] + z[1:])
        value = (a.x - high) * a.transpose(s) + (high - low) * a.product(a.x, positive)[1](s)
        return Propagated(value, {"dead": _lost(c * a.y, s)})

    def _box(self, a: Application, bound: float | tuple[float, ...] | Tensor) -> Tensor:
        tensor = torch.as_tensor(bound, dtype=a.x.dtype, device=a.x.device)
        channels = a.x.shape[1] if a.x.dim() > 1 else 1
        if tensor.dim() == 1 and len(tensor) not in (1, channels):
            raise InputError(
                f"z-box bound {bound}: {len(tensor)} values for {channels} channels; give one, or one per channel"
            )
        return tensor.view(-1, *[1] * (a.x.dim() - 2)) if tensor.dim() == 1 else tensor

    def _check(self, a: Application, low: Tensor, high: Tensor) -> None:
        slack = 1e-4 * (high - low).abs().max()
        if ((a.x < low - slack) | (a.x > high + slack)).any() or (low >= high).any():
            found = f"{float(a.x.min()):.4g} to {float(a.x.max()):.4g}"
            raise InputError(
                f"z-box low={self.low}, high={self.high}: the first weighted operation sees values from {found}. "
                "Give the smallest and largest value that a pixel can have there, after normalisation (one per channel, or one for all)"
            )


@final
@dataclass(frozen=True, slots=True)
class Flat:
    """Each output shares its relevance equally among its inputs (Lapuschkin et al. 2019); weights and bias take no part."""

    gives_relevance: ClassVar[bool] = True

    def propagate(self, application: Application, c: Tensor) -> Propagated:
        """Almost free without groups: all output channels are alike. Exact where x = 0."""
        value, dead = application.spread(c * application.y)
        return Propagated(value, {"dead": dead})


@final
@dataclass(frozen=True, slots=True)
class WSquare:
    """R_i = sum_j w_ij^2 R_j / sum_k w_kj^2 (Montavon et al. 2017), for inputs without bounds; the bias takes nothing."""

    gives_relevance: ClassVar[bool] = True

    def propagate(self, application: Application, c: Tensor) -> Propagated:
        """1 forward and 1 backward product. Exact where x = 0."""
        value, dead = application.share(c * application.y, application.weight.square())
        return Propagated(value, {"dead": dead})


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


def _refuse_unless(holds: object, name: str, value: object, allowed: str) -> None:
    if not holds:
        raise InputError(f"{name}={value!r}: give {allowed}")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _parts(bias: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
    return (None, None) if bias is None else (bias.clamp(min=0), bias.clamp(max=0))


def _size(vector: Tensor | None) -> Tensor | None:
    return None if vector is None else vector.abs()


def _leaky(weight: Tensor, gamma: float) -> Tensor:
    """W + gamma W+ in one pass."""
    return torch.nn.functional.leaky_relu(weight, 1 / (1 + gamma)).mul_(1 + gamma)


def _lost(relevance: Tensor, s: Tensor) -> Tensor:
    """Relevance of outputs that have nothing to pass it to; per example."""
    return _total(torch.where(s == 0, relevance, 0.0))


def _total(terms: Tensor) -> Tensor:
    """Summed per leading index at once, so that no full tensor waits for the ledger."""
    return terms.reshape(len(terms), -1).sum(1)

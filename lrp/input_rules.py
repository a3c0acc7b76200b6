"""Rules of the first weighted operation: they give relevance itself, so that they are exact on black pixels."""

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from lrp.errors import InputError
from lrp.linear import Application
from lrp.propagation import Propagated, is_number, nothing_left, refuse_unless
from lrp.stabilize import divide


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
            refuse_unless(
                values and all(map(is_number, values)), name, bound, "a number, or a tuple of one per channel"
            )
        lengths = {len(bound) for bound in given if isinstance(bound, tuple)}
        refuse_unless(len(lengths) < 2, "low, high", given, "as many values for low as for high")

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
        return Propagated(value, {"dead": nothing_left(c * a.y, s)})

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

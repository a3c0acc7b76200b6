"""The one stabiliser policy: rules compute in float32 or better, and a denominator that is rounding noise gives no relevance."""

import torch
from torch import Tensor


def precision(dtype: torch.dtype) -> torch.dtype:
    """The type that rules compute in: float32 for float16 and bfloat16, otherwise `dtype` itself."""
    return torch.float32 if dtype in (torch.float16, torch.bfloat16) else dtype


def tiny(dtype: torch.dtype) -> float:
    """Added to denominators that are 0 only where their numerator is 0 too."""
    return torch.finfo(dtype).tiny


def divide(relevance: Tensor, z: Tensor, noise: Tensor | None = None) -> Tensor:
    """`relevance` / `z`, and 0 where |z| is 0 or, with `noise` (the sum of the magnitudes whose difference is z), rounding error.

    Overwrites `z`: what a rule costs beyond its products is new tensors.
    """
    quotient = relevance / z
    excess = z.abs_()
    if noise is not None:
        excess.sub_(noise, alpha=16 * torch.finfo(z.dtype).eps)
    return quotient.masked_fill_((excess > (tiny(z.dtype) if noise is None else 0)).logical_not_(), 0.0)


def away_from_zero(z: Tensor, epsilon: float) -> Tensor:
    """z + sign(z) epsilon with sign(0) = 1 (Bach et al. 2015, eq. 58)."""
    return z + torch.where(z < 0, -epsilon, epsilon)

"""Fractional logit: a share in 0 to 1 regressed on group and covariates, reported in units of the share.

Adjusts for covariates that are no strata (length, area, confidence). Zeros and ones need no special treatment, because only
the mean is modelled. Cost: one GLM fit.
"""

import warnings
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from audit.records import Estimate
from audit.stats.intervals import UNRELIABLE, BoolArray, few, linearised, missing, spread, units
from audit.tables import FloatArray

FEWEST: Final = 30
RANK: Final = 1e-10
SEPARATED: Final = 1e-6
UNIT: Final = "difference of mean shares at equal covariates"


def fractional_logit(
    values: FloatArray,
    group: BoolArray,
    *,
    covariates: FloatArray,
    cluster: NDArray[Any],
    level: float = 0.95,
) -> tuple[Estimate, float | None]:
    """Average marginal effect of `group` on the mean of values `[n]` in 0 to 1 given `covariates` `[n, k]`, and its two-sided p.

    Binomial quasi-likelihood (Papke and Wooldridge 1996, Journal of Applied Econometrics 11); the effect is the mean over
    rows of the predicted share with group set minus unset. Its influence values (delta method, and the spread of the rows'
    own effects) are summed by cluster (`spread`) and scaled for the covariates' degrees of freedom (HC1); without covariates
    it is Welch's t test. Rows with anything not finite are dropped and counted. No p with fewer than 30 clusters a side,
    without convergence, or if a group's shares are all 0 or all 1. At 20 against 200 with half of the
    shares 0 it would alarm at .11, as Welch's test does. ValueError for values
    outside 0 to 1.
    """
    finite = np.isfinite(values) & np.isfinite(covariates).all(axis=1)
    y, g, unit = np.asarray(values, dtype=float)[finite], group[finite].astype(bool), cluster[finite]
    if ((y < 0) | (y > 1)).any():
        raise ValueError(
            f"shares must lie in 0 to 1, got {y.min():g} to {y.max():g}; signed shares need difference_interval"
        )
    dropped = int((~finite).sum())
    design = _design(g, np.asarray(covariates, dtype=float)[finite])
    reason = _obstacle(y, g, design)
    effect = None if reason else _effect(y, g, design)
    if effect is None:
        reason = reason or "the fractional logit did not converge, or covariates tell 0 from 1 without error"
        return missing(reason, level=level, unit=UNIT, n=len(y), dropped=dropped), None
    value, influence = effect
    estimate = linearised(value, influence, g, cluster=unit, level=level, unit=UNIT, scale=1.0, dropped=dropped)
    found = spread(influence, g, unit)
    if found is None or estimate.low is None:
        return estimate, None
    fewest = min(units(unit[side]) for side in (g, ~g))
    said = estimate.model_copy(update={"reason": few(fewest) and f"{UNRELIABLE} in a group"})
    return said, None if fewest < FEWEST else float(2 * stats.t.sf(abs(value) / found.se, found.df))


def _design(group: BoolArray, covariates: FloatArray) -> FloatArray:
    """`[n, 2 + r]`: 1, group, and the r principal components of the covariates that vary, at mean 0 and sd 1.

    Of collinear columns (a dummy per class) statsmodels 0.15 returns an effect of exactly 0 without a word.
    """
    if len(group) == 0:
        return np.zeros((0, 2))
    centred = covariates - covariates.mean(axis=0)
    sd = centred.std(axis=0)
    varies = sd > 1e-12 * np.abs(covariates).max(axis=0, initial=0.0)
    scaled = centred[:, varies] / sd[varies]
    size, direction = np.linalg.eigh(scaled.T @ scaled / len(group))
    kept = size > RANK
    return np.column_stack([np.ones(len(group)), group, scaled @ (direction[:, kept] / np.sqrt(size[kept]))])


def _obstacle(y: FloatArray, group: BoolArray, design: FloatArray) -> str:
    """Why no model is fitted, else nothing."""
    if min(group.sum(), (~group).sum()) < 2:
        return "fewer than 2 rows in a group"
    if any(y[side].max() == 0 or y[side].min() == 1 for side in (group, ~group)):
        return "the shares of a group are all 0 or all 1, where a logit is infinite"
    if len(y) <= design.shape[1]:
        return f"{len(y)} rows are too few for {design.shape[1] - 2} covariates"
    if _rank(design) == _rank(np.delete(design, 1, axis=1)):
        return "the covariates determine the group"
    return ""


def _rank(design: FloatArray) -> int:
    return int(np.linalg.matrix_rank(design.T @ design / len(design), tol=RANK, hermitian=True))


def _effect(y: FloatArray, group: BoolArray, design: FloatArray) -> tuple[float, FloatArray] | None:
    """Average marginal effect and each row's influence on it `[n]`; None without convergence."""
    from statsmodels.genmod.families import Binomial
    from statsmodels.genmod.generalized_linear_model import GLM

    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # of separation by a covariate, after which nothing is left to vary
        fit = GLM(y, design, family=Binomial()).fit(maxiter=100)
    if not fit.converged:
        return None
    beta = np.asarray(fit.params)
    ones, zeros = design.copy(), design.copy()
    ones[:, 1], zeros[:, 1] = 1.0, 0.0
    upper, lower, fitted = (special.expit(x @ beta) for x in (ones, zeros, design))
    gradient = ((upper * (1 - upper)) @ ones - (lower * (1 - lower)) @ zeros) / len(y)
    weight = fitted * (1 - fitted)
    if weight.max() < SEPARATED:
        return None
    information = (design * weight[:, None]).T @ design
    direction = np.linalg.pinv(information, hermitian=True) @ gradient
    value = float((upper - lower).mean())
    lost = np.sqrt((len(y) - 2) / (len(y) - design.shape[1]))
    return value, lost * (y - fitted) * (design @ direction) + (upper - lower - value) / len(y)

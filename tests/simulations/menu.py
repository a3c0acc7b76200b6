"""The tests and intervals of audit.stats by name, as a simulation calls them, and the naive tests they replace."""

from collections.abc import Callable
from functools import cache
from typing import Final

import numpy as np
from scipy import stats

from audit.config import Statistics
from audit.records import Estimate
from audit.stats.counts import mcnemar, small_counts
from audit.stats.features import PARTS
from audit.stats.fractional import fractional_logit
from audit.stats.intervals import difference_interval, mean_interval, ratio_interval
from audit.stats.matching import Sample as Matched
from audit.stats.matching import confidence_bins
from audit.stats.nulls import contrast, enrichment, push
from audit.stats.placebos import Pool, build_pool
from audit.stats.rates import newcombe, two_proportions, wilson
from audit.stats.resampling import cluster_bootstrap, cluster_permutation
from audit.stats.stratified import common_odds, van_elteren
from audit.stats.tests import brunner_munzel, omnibus, rank_effect, sign_flip, stratified_permutation
from audit.tables import WordTable
from tests.simulations.samples import WORDS, Sample

RESAMPLES: Final = 199
Bounds = tuple[float, float] | None


def _larger(s: Sample, strata: np.ndarray, rng: np.random.Generator) -> float | None:
    """Larger p of the rank effect and the permutation within strata; none where a side has too few clusters with a counterpart."""
    sample = Matched(s.values, s.group, strata, s.cluster, np.arange(len(s.values)))
    if min(sample.units(sample.matched)) < Statistics().min_group_size:
        return None
    ranked, (permuted, _) = sample.effect().p, sample.permuted(rng, RESAMPLES)
    return None if ranked is None or permuted is None else max(ranked, permuted)


def _fine(s: Sample) -> np.ndarray:
    return confidence_bins(s.label, s.predicted, s.margin)


def _kept(s: Sample, values: np.ndarray, rows: np.ndarray) -> Sample:
    return Sample(values[rows], *(each[rows] for each in (s.group, s.cluster, s.label, s.predicted, s.margin)))


def _parts(s: Sample, rng: np.random.Generator) -> float | None:
    """All values, presence and the values above 0, each in fine bins of its own rows: Holm's first step over those that can be tested."""
    values = (s.values, *(part.of(s.values) for part in PARTS.values()))
    cases = [_kept(s, each, np.isfinite(each)) for each in values]
    tested = [p for case in cases for p in [_larger(case, _fine(case), rng)] if p is not None]
    return min(1.0, len(tested) * min(tested)) if tested else None


def _omnibus(s: Sample, rng: np.random.Generator) -> float | None:
    """The group, and the others dealt to three groups by cluster."""
    return omnibus(s.values, np.where(s.group, 3, s.cluster % 3), cluster=s.cluster, strata=_fine(s))


def _logit(s: Sample, rng: np.random.Generator) -> float | None:
    covariates = np.column_stack([s.label == 1, s.label == 2, np.abs(s.margin)]).astype(float)
    return fractional_logit(s.values, s.group, covariates=covariates, cluster=s.cluster)[1]


def _counts(s: Sample, rng: np.random.Generator) -> float | None:
    event = s.values > 0
    return _of_table(int((event & s.group).sum()), int(event.sum()), int(s.group.sum()), len(event))


@cache
def _of_table(inside: int, events: int, size: int, n: int) -> float | None:
    """`small_counts` of the table with these margins: exact tests take up to 0.05 s, and tables recur."""
    group = np.arange(n) < size
    event = (np.arange(n) < inside) | (np.arange(n) >= n - (events - inside))
    return small_counts(event, group)[0]


def _odds(s: Sample, rng: np.random.Generator) -> float | None:
    found = common_odds(s.values > 0, s.group, strata=s.label)
    return found.p if found else None


TESTS: Final[dict[str, Callable[[Sample, np.random.Generator], float | None]]] = {
    "brunner_munzel": lambda s, rng: brunner_munzel(s.values, s.group, cluster=s.cluster)[1],
    "brunner_munzel, strata": lambda s, rng: brunner_munzel(s.values, s.group, cluster=s.cluster, strata=s.label)[1],
    "stratified_permutation": lambda s, rng: stratified_permutation(
        s.values, s.group, strata=s.label, cluster=s.cluster, rng=rng, resamples=RESAMPLES
    )[0],
    "larger p, strata": lambda s, rng: _larger(s, s.label, rng),
    "brunner_munzel, fine bins": lambda s, rng: brunner_munzel(s.values, s.group, cluster=s.cluster, strata=_fine(s))[1],
    "larger p, fine bins": lambda s, rng: _larger(s, _fine(s), rng),
    "larger p with parts": _parts,
    "van_elteren": lambda s, rng: van_elteren(s.values, s.group, strata=s.label),
    "cluster_permutation": lambda s, rng: cluster_permutation(
        s.values, s.group, cluster=s.cluster, strata=s.label, rng=rng, resamples=RESAMPLES
    )[0],
    "omnibus of 4 groups, fine bins": _omnibus,
    "fractional_logit": _logit,
    "small_counts": _counts,
    "two_proportions": lambda s, rng: two_proportions(s.values > 0, s.group, cluster=s.cluster),
    "common_odds": _odds,
    "sign_flip": lambda s, rng: sign_flip(s.values, cluster=s.cluster, rng=rng, resamples=RESAMPLES),
    "mcnemar": lambda s, rng: mcnemar(s.values < 0, s.values > 0).p,
    "Mann-Whitney, rows pooled": lambda s, rng: float(
        stats.mannwhitneyu(s.values[s.group], s.values[~s.group], method="asymptotic").pvalue
    ),
    "brunner_munzel, rows as if independent": lambda s, rng: brunner_munzel(
        s.values, s.group, cluster=np.arange(len(s.values))
    )[1],
    "two_proportions, rows as if independent": lambda s, rng: two_proportions(
        s.values > 0, s.group, cluster=np.arange(len(s.values))
    ),
    "sign_flip, rows as if independent": lambda s, rng: sign_flip(
        s.values, cluster=np.arange(len(s.values)), rng=rng, resamples=RESAMPLES
    ),
}  # fmt: skip


def _bounds(estimate: Estimate) -> Bounds:
    return None if estimate.low is None or estimate.high is None else (estimate.low, estimate.high)


def _words(s: Sample) -> tuple[Pool, np.ndarray]:
    """The word table of `samples.worded`, and the film of each text."""
    rows = np.unique(s.cluster * (s.label.max() + 1) + s.label, return_index=True)[1]
    counts = np.bincount(s.cluster)
    values, magnitude = (_by_type(s, each) for each in (s.values, np.abs(s.values)))
    table = WordTable(
        example=s.cluster[rows], type=s.label[rows], count=values[1], relevance={"c": values[0]}, magnitude={"c": magnitude[0]},
        average={"c": np.bincount(s.cluster, np.abs(s.values)) / counts}, types=tuple(map(str, range(40))),
        embedding=np.eye(40), groups={},
    )  # fmt: skip
    return build_pool(table), np.arange(len(counts)) // 3


def _by_type(s: Sample, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean over the occurrences of a type in a text, and their number, in the order of the table's rows."""
    _, row, count = np.unique(s.cluster * (s.label.max() + 1) + s.label, return_inverse=True, return_counts=True)
    return np.bincount(row, values) / count, count


def _of_words(
    interval: Callable[..., Estimate], *groups: int, **given: float
) -> Callable[[Sample, np.random.Generator], Bounds]:
    """An interval of audit.stats.nulls for groups of words by number, films as clusters."""

    def found(s: Sample, rng: np.random.Generator) -> Bounds:
        pool, film = _words(s)
        types = [WORDS * i + np.arange(WORDS) for i in groups]
        return _bounds(interval(pool, *types, "c", cluster=film, **given))

    return found


INTERVALS: Final[dict[str, Callable[[Sample, np.random.Generator], Bounds]]] = {
    "mean_interval": lambda s, rng: _bounds(mean_interval(s.values, cluster=s.cluster)),
    "cluster_bootstrap of the mean": lambda s, rng: cluster_bootstrap(
        lambda w: w @ s.values / w.sum(axis=1), s.cluster, rng=rng, resamples=999
    ),
    "ratio_interval": lambda s, rng: _bounds(ratio_interval(s.values, s.margin, cluster=s.cluster)),
    "wilson": lambda s, rng: _bounds(wilson(s.values > 0, cluster=s.cluster)),
    "difference_interval": lambda s, rng: _bounds(difference_interval(s.values, s.group, cluster=s.cluster)),
    "newcombe": lambda s, rng: _bounds(newcombe(s.values > 0, s.group, cluster=s.cluster)),
    "brunner_munzel's delta": lambda s, rng: _bounds(brunner_munzel(s.values, s.group, cluster=s.cluster)[0]),
    "delta in fine bins": lambda s, rng: _bounds(
        rank_effect(s.values, s.group, cluster=s.cluster, strata=_fine(s)).estimate(0.95)
    ),
    "enrichment of words": _of_words(enrichment, 0),
    "push of words": _of_words(push, 0, scale=1.0),
    "contrast of words": _of_words(contrast, 0, 1, scale=1.0),
}
ELSEWHERE: Final[dict[str, str]] = {
    "placebo groups and pairs": "tests/simulations/words.py",
    "two parts": "'larger p with parts'",
    "mask swap": "tests/audit/stats/test_mask_swap.py",
    "untrained copies": "tests/audit/stats/test_mask_swap.py",
}
"""Entries of the menu of tests that are no function, and where their error rates are simulated."""
KINDS: Final[dict[str, tuple[str, ...]]] = {
    "mean, difference of means, ratio": (
        "mean_interval", "difference_interval", "ratio_interval", "enrichment of words", "push of words", "contrast of words",
    ),
    "Wilson and Newcombe": ("wilson", "newcombe"),
    "Cliff's delta": ("brunner_munzel's delta", "delta in fine bins"),
}  # fmt: skip
"""By entry of the menu of intervals: the intervals of it that are simulated."""

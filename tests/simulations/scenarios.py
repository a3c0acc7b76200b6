"""Every scenario in literal tables: what is drawn, which tests see it, and what is asked of them."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, final

from scipy.stats import norm

from tests.simulations.samples import (
    PUSHED,
    Amount,
    Draw,
    by_class,
    by_confidence,
    by_other,
    clustered,
    independent,
    levels,
    normal,
    paired,
    rate,
    tailed,
    worded,
    zeros,
)


class Asked(StrEnum):
    """`LEVEL`: at most 5 % of true nulls are rejected. `COVERS`: at least 93 % of intervals hold the truth. `SHOWN`: nothing."""

    LEVEL = "holds .05"
    COVERS = "covers .93"
    SHOWN = "comparison"


@final
@dataclass(frozen=True, slots=True)
class Null:
    """No difference of the kind that `tests` ask about."""

    name: str
    draw: Draw
    tests: tuple[str, ...]
    asked: Asked = Asked.LEVEL


FINE: Final = ("brunner_munzel, fine bins", "larger p, fine bins")
OMNIBUS: Final = "omnibus of 4 groups, fine bins"
STRATIFIED: Final = (
    "brunner_munzel, strata",
    "stratified_permutation",
    "larger p, strata",
    *FINE,
    "van_elteren",
    "cluster_permutation",
    "fractional_logit",
)
ANY: Final = ("brunner_munzel", *STRATIFIED)
MEANS: Final = tuple(test for test in ANY if test not in ("stratified_permutation", "van_elteren"))
IDENTICAL: Final = ("stratified_permutation", "van_elteren")
RATES: Final = ("small_counts", "two_proportions", "common_odds")
CLUSTERS: Final = tuple(test for test in ANY if test != "van_elteren")
MIXED: Final = tuple(test for test in CLUSTERS if test != "cluster_permutation")
PARTS: Final = "larger p with parts"
ZEROS: Final = (*ANY, PARTS, *RATES)
POOLED: Final = ("Mann-Whitney, rows pooled", "brunner_munzel", "two_proportions")
ROWS: Final = ("Mann-Whitney, rows pooled", "brunner_munzel, rows as if independent")

NULLS: Final = (
    *(
        Null(name, draw, (OMNIBUS,))
        for name, draw in (
            ("200 rows", independent(50, 150, normal())),
            ("half zeros, 200 rows", independent(50, 150, zeros())),
            ("class imbalance, 1,000 rows", by_class(1000)),
            ("60 clusters x 8, half zeros", clustered(15, 45, 8, threshold=0.0)),
        )
    ),
    Null("equal variances, 100/100", independent(100, 100, normal()), ANY),
    Null("equal variances, 20/200", independent(20, 200, normal()), ANY),
    Null("sd 4/1, 100/100", independent(100, 100, normal(sd=4), normal()), MEANS),
    Null("sd 4/1, 20/200", independent(20, 200, normal(sd=4), normal()), MEANS),
    Null("sd 1/4, 20/200", independent(20, 200, normal(), normal(sd=4)), MEANS),
    Null("sd 4/1, 20/200", independent(20, 200, normal(sd=4), normal()), (*IDENTICAL, POOLED[0]), Asked.SHOWN),
    Null("sd 4/1, 50/200", independent(50, 200, normal(sd=4), normal()), (*FINE, "fractional_logit")),
    Null("sd 1/4, 50/200", independent(50, 200, normal(), normal(sd=4)), (*FINE, "fractional_logit")),
    Null("half zeros, 50/200", independent(50, 200, zeros()), (*FINE, PARTS, "fractional_logit")),
    Null("half zeros, 100/100", independent(100, 100, zeros()), ZEROS),
    Null("half zeros, 20/200", independent(20, 200, zeros()), ZEROS),
    Null("class imbalance, 240 rows", by_class(240), (*STRATIFIED, PARTS, "common_odds")),
    Null("class imbalance, 240 rows", by_class(240), POOLED, Asked.SHOWN),
    Null(
        "confidence 1 apart, 250 rows",
        by_confidence(250, 1.0),
        (*FINE, "fractional_logit"),
    ),
    Null(
        "confidence 1 apart, 1,000 rows",
        by_confidence(1000, 1.0),
        (*FINE, "fractional_logit"),
    ),
    Null(
        "confidence 2 apart, 1,000 rows",
        by_confidence(1000, 2.0),
        (*FINE, "fractional_logit"),
    ),
    Null("confidence 1 apart, half zeros, 1,000 rows", by_confidence(1000, 1.0, zeros=True), (*FINE, PARTS)),
    Null(
        "confidence 1 apart, 1,000 rows",
        by_confidence(1000, 1.0),
        ("Mann-Whitney, rows pooled", "brunner_munzel", "brunner_munzel, strata"),
        Asked.SHOWN,
    ),
    Null("30 clusters x 8, 15/15", clustered(15, 15, 8), CLUSTERS),
    Null("30 clusters x 8 a group", clustered(30, 30, 8), CLUSTERS),
    Null("30 clusters x 8, groups mixed", clustered(15, 15, 8, mixed=True), MIXED),
    Null(
        "30 clusters x 8 a group, half zeros",
        clustered(30, 30, 8, threshold=0.0),
        (*CLUSTERS, PARTS, "two_proportions"),
    ),
    Null(
        "30 clusters x 8, 15/15, half zeros",
        clustered(15, 15, 8, threshold=0.0),
        ("brunner_munzel", "cluster_permutation", PARTS, "two_proportions"),
    ),
    Null("30 clusters x 8 a group", clustered(30, 30, 8), ROWS, Asked.SHOWN),
    Null(
        "30 clusters x 8 a group, half zeros",
        clustered(30, 30, 8, threshold=0.0),
        (*ROWS, "two_proportions, rows as if independent"),
        Asked.SHOWN,
    ),
    Null("the share follows another attribute, 1,000 rows", by_other(1000), (*FINE, PARTS), Asked.SHOWN),
    Null("rates .5, 100/100", independent(100, 100, rate(0.5)), RATES),
    Null("rates .3, 20/200", independent(20, 200, rate(0.3)), RATES),
    Null("rates .05, 20/200", independent(20, 200, rate(0.05)), RATES),
    Null("pairs, 40 normal differences", paired(40, lambda rng, n: rng.normal(size=n)), ("sign_flip",)),
    Null("pairs, 60 % zeros", paired(100, lambda rng, n: rng.standard_t(3, n) * (rng.random(n) < 0.4)), ("sign_flip",)),
    Null("pairs, 30 clusters x 8", paired(30, lambda rng, n: rng.normal(size=n), 8), ("sign_flip",)),
    Null(
        "pairs, 30 clusters x 8",
        paired(30, lambda rng, n: rng.normal(size=n), 8),
        ("sign_flip, rows as if independent",),
        Asked.SHOWN,
    ),
    Null(
        "flips, 200 pairs, 5 % change",
        paired(200, lambda rng, n: rng.choice([-1.0, 0, 1], n, p=[0.025, 0.95, 0.025])),
        ("mcnemar",),
    ),
    Null(
        "flips, 100 pairs, 40 % change",
        paired(100, lambda rng, n: rng.choice([-1.0, 0, 1], n, p=[0.2, 0.6, 0.2])),
        ("mcnemar",),
    ),
)


@final
@dataclass(frozen=True, slots=True)
class Alternative:
    """A true difference; `default` is the test that an audit makes of it, `alike` those that match as closely, `others` what else there is.

    All hold their level there; what the `others` find more is what matching in fine bins costs where nothing had to be matched.
    """

    name: str
    draw: Draw
    default: str
    alike: tuple[str, ...] = ()
    others: tuple[str, ...] = ()


RANKED: Final = ("brunner_munzel, fine bins",)
TWO: Final = ("brunner_munzel", "larger p, strata", "stratified_permutation", "van_elteren", "fractional_logit")
ALTERNATIVES: Final = (
    Alternative("shift .4 sd, 100/100", independent(100, 100, normal(0.4), normal()), FINE[1], RANKED, TWO),
    Alternative("shift .2 sd, 400/400", independent(400, 400, normal(0.2), normal()), FINE[1], RANKED, TWO),
    Alternative("shift, long tails, 100/100", independent(100, 100, tailed(0.5), tailed()), FINE[1], RANKED, TWO),
    Alternative("shift .5 sd, 40/200", independent(40, 200, normal(0.5), normal()), FINE[1], RANKED, TWO),
    Alternative(
        "shift, sd 2/1, 50/200",
        independent(50, 200, normal(0.9, 2), normal()),
        FINE[1],
        RANKED,
        ("brunner_munzel", "larger p, strata", "cluster_permutation", "fractional_logit"),
    ),
    Alternative(
        "ordinal shift, 5 levels, 100/100",
        independent(100, 100, levels(0.1, 0.15, 0.25, 0.25, 0.25), levels(0.2, 0.2, 0.25, 0.2, 0.15)),
        FINE[1],
        RANKED,
        TWO,
    ),
    Alternative("zeros 40/60 %, 100/100", independent(100, 100, zeros(0.4), zeros(0.6)), PARTS, FINE, (*TWO, *RATES)),
    Alternative(
        "zeros up, amounts up, 150/150",
        independent(150, 150, zeros(0.6, 1.5, 4), zeros(0.4)),
        PARTS,
        FINE,
        (*TWO, "small_counts"),
    ),
    Alternative("shift within classes, 240 rows", by_class(240, 0.4, present=1.0), FINE[1], RANKED, STRATIFIED[:3]),
    Alternative(
        "shift within classes, half zeros, 240 rows",
        by_class(240, 0.7),
        PARTS,
        FINE,
        (*STRATIFIED[:3], "van_elteren", "fractional_logit"),
    ),
    Alternative(
        "shift, 30 clusters x 8 a group",
        clustered(30, 30, 8, shift=0.8),
        FINE[1],
        RANKED,
        ("brunner_munzel", "larger p, strata", "stratified_permutation", "cluster_permutation", "fractional_logit"),
    ),
    Alternative("pairs, shift .4 sd, 50", paired(50, lambda rng, n: 0.4 + rng.normal(size=n)), "sign_flip"),
    Alternative(
        "flips 10/2 %, 200 pairs",
        paired(200, lambda rng, n: rng.choice([-1.0, 0, 1], n, p=[0.02, 0.88, 0.1])),
        "mcnemar",
    ),
)


@final
@dataclass(frozen=True, slots=True)
class Cover:
    """Samples whose true values are known: those of `truths`, by interval."""

    name: str
    draw: Draw
    truths: dict[str, float]
    asked: Asked = Asked.COVERS


def _plain(centre: float, sd: float = 1.0) -> Amount:
    return lambda rng, n: rng.normal(centre, sd, n)


def _skewed(mean: float, least: float = 0.0) -> Amount:
    return lambda rng, n: least + rng.exponential(mean, n)


BETA_MEAN: Final = 0.6 / 4.6


def _delta(shift: float) -> float:
    """Cliff's delta of two normal samples that are `shift` sd apart."""
    return float(2 * norm.cdf(shift / 2**0.5) - 1)


WITHIN: Final = (
    0.35**2 + 0.65**2
) / 2  # of `by_class`: chance that both of a pair are above 0, else they lean to no side
ENRICHED: Final = 1.0767  # of 4 x 60,000 texts of `worded`, seed 7
MATCHED: Final = "delta in fine bins"
UNEQUAL: Final = ("difference_interval", "brunner_munzel's delta")
ONE: Final = ("mean_interval", "cluster_bootstrap of the mean")
COVERS: Final = (
    Cover(
        "normal, 30", paired(30, _plain(1), below=_plain(2, 0.5)), {**dict.fromkeys(ONE, 1.0), "ratio_interval": 0.5}
    ),
    Cover(
        "skewed, 30", paired(30, _skewed(1), below=_skewed(1, 1)), {**dict.fromkeys(ONE, 1.0), "ratio_interval": 0.5}
    ),
    Cover(
        "half zeros, 30",
        paired(30, zeros(), below=_skewed(1, 1)),
        {**dict.fromkeys(ONE, BETA_MEAN / 2), "ratio_interval": BETA_MEAN / 4},
    ),
    Cover(
        "half zeros, 50",
        paired(50, zeros(), below=_skewed(1, 1)),
        {**dict.fromkeys(ONE, BETA_MEAN / 2), "ratio_interval": BETA_MEAN / 4},
    ),
    Cover(
        "half zeros, 100",
        paired(100, zeros(), below=_skewed(1, 1)),
        {**dict.fromkeys(ONE, BETA_MEAN / 2), "ratio_interval": BETA_MEAN / 4},
    ),
    Cover(
        "30 clusters x 8, skewed",
        paired(30, _skewed(1), 8, below=_plain(2, 0.5)),
        {**dict.fromkeys(ONE, 1.0), "ratio_interval": 0.5},
    ),
    Cover("rate .5, 30", paired(30, rate(0.5)), {"wilson": 0.5}),
    Cover("rate .2, 30", paired(30, rate(0.2)), {"wilson": 0.2}),
    Cover("rate .05, 30", paired(30, rate(0.05)), {"wilson": 0.05}),
    Cover("30 clusters x 8, half zeros", clustered(15, 15, 8, threshold=0.0), {"wilson": 0.5}),
    Cover(
        "30 clusters x 8, 15/15, half zeros",
        clustered(15, 15, 8, threshold=0.0),
        {**dict.fromkeys(UNEQUAL, 0.0), "newcombe": 0.0},
        Asked.SHOWN,
    ),
    Cover(
        "30 clusters x 8 a group, half zeros",
        clustered(30, 30, 8, threshold=0.0),
        {"difference_interval": 0.0, "newcombe": 0.0, "brunner_munzel's delta": 0.0},
    ),
    Cover(
        "normal, shift 1, 15/15",
        independent(15, 15, _plain(1), _plain(0)),
        {"difference_interval": 1.0, "brunner_munzel's delta": _delta(1)},
        Asked.SHOWN,
    ),
    Cover(
        "normal, shift 1, 30/30",
        independent(30, 30, _plain(1), _plain(0)),
        {"difference_interval": 1.0, "brunner_munzel's delta": _delta(1)},
    ),
    Cover(
        "normal, sd 4/1, 30/200",
        independent(30, 200, _plain(0, 4), _plain(0)),
        {"difference_interval": 0.0, "brunner_munzel's delta": 0.0},
    ),
    Cover(
        "skewed, means 1 and 2, 15/15",
        independent(15, 15, _skewed(1), _skewed(2)),
        {"difference_interval": -1.0, "brunner_munzel's delta": -1 / 3},
        Asked.SHOWN,
    ),
    Cover(
        "skewed, means 1 and 2, 30/30",
        independent(30, 30, _skewed(1), _skewed(2)),
        {"difference_interval": -1.0, "brunner_munzel's delta": -1 / 3},
    ),
    Cover(
        "zeros 50/30 %, 15/15",
        independent(15, 15, zeros(0.5), zeros(0.3)),
        {"difference_interval": -0.2 * BETA_MEAN, "newcombe": -0.2, "brunner_munzel's delta": -0.2},
        Asked.SHOWN,
    ),
    Cover(
        "zeros 50/30 %, 30/30",
        independent(30, 30, zeros(0.5), zeros(0.3)),
        {"difference_interval": -0.2 * BETA_MEAN, "newcombe": -0.2, "brunner_munzel's delta": -0.2},
    ),
    Cover(
        "zeros 50/30 %, 30/200",
        independent(30, 200, zeros(0.5), zeros(0.3)),
        {"difference_interval": -0.2 * BETA_MEAN, "newcombe": -0.2, "brunner_munzel's delta": -0.2},
    ),
    Cover(
        "zeros 50/30 %, 20/200",
        independent(20, 200, zeros(0.5), zeros(0.3)),
        {"difference_interval": -0.2 * BETA_MEAN, "newcombe": -0.2, "brunner_munzel's delta": -0.2},
        Asked.SHOWN,
    ),
    Cover(
        "skewed, means 1 and 2, 30/200",
        independent(30, 200, _skewed(1), _skewed(2)),
        dict(zip(UNEQUAL, (-1.0, -1 / 3), strict=True)),
    ),
    Cover(
        "skewed, means 2 and 1, 30/200",
        independent(30, 200, _skewed(2), _skewed(1)),
        dict(zip(UNEQUAL, (1.0, 1 / 3), strict=True)),
    ),
    Cover("shift .5 sd within classes, 240 rows", by_class(240, 0.4, present=1.0), {MATCHED: _delta(0.5)}),
    Cover("shift .5 sd within classes, 1,000 rows", by_class(1000, 0.4, present=1.0), {MATCHED: _delta(0.5)}),
    Cover("shift within classes, half zeros, 240 rows", by_class(240, 0.7), {MATCHED: WITHIN * _delta(0.7 / 0.8)}),
    Cover("half zeros, 30/200", independent(30, 200, zeros()), {MATCHED: 0.0}),
    Cover("confidence 1 apart, 1,000 rows", by_confidence(1000, 1.0), {MATCHED: 0.0}),
    Cover("confidence 1 apart, half zeros, 1,000 rows", by_confidence(1000, 1.0, zeros=True), {MATCHED: 0.0}),
    Cover("30 clusters x 8 a group, alike", clustered(30, 30, 8), {MATCHED: 0.0}),
    *(
        Cover(
            f"normal, shift {shift}, 30/30",
            independent(30, 30, _plain(shift), _plain(0)),
            {UNEQUAL[1]: _delta(shift)},
            asked,
        )
        for shift, asked in ((3, Asked.SHOWN), (5, Asked.COVERS))
    ),
    *(
        Cover(
            f"words of {texts} texts, films of 3",
            worded(texts),
            {"enrichment of words": ENRICHED, "push of words": PUSHED, "contrast of words": PUSHED},
        )
        for texts in (90, 300)
    ),
)
EQUIVALENT_AT: Final = {0.147: (200, 300, 400), 0.10: (400, 600, 800), 0.05: (1600, 2400, 3200)}  # margin: n a group

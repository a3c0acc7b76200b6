"""Impact ratios: rates of selection, or of scores above the median, of each category against the highest. Description, and no verdict."""

from typing import final

from audit.records.base import Entry, Estimate


@final
class Category(Entry):
    """One category of an impact table: `selected` of `n` are predicted favourable, or score above the median.

    `share` is its part of all examples of a known category. `ratio` is its rate over that of the reference, which has the highest; None
    in it with the reason where the category is `excluded`. Of the ratio under other values of the unknown: `lowest` to `highest`.
    `four_fifths`: the ratio is below .8. `p` is two-sided against the reference, `p_adjusted` by Holm over the table; `deviations`:
    the difference in standard deviations; `shortfall`: selections fewer than at the reference's rate; `crosses`: one selection more
    or less would move the ratio across .8.
    `reading` is a key of `audit.questions.ADVERSE`.
    """

    name: str
    n: int | None
    selected: int | None
    share: float | None
    rate: Estimate
    ratio: Estimate
    reference: bool = False
    excluded: str = ""
    lowest: float | None = None
    highest: float | None = None
    four_fifths: bool | None = None
    p: float | None = None
    p_adjusted: float | None = None
    test: str = ""
    deviations: float | None = None
    odds: Estimate | None = None
    shortfall: float | None = None
    crosses: bool | None = None
    reading: str = ""


@final
class ExpectedMinimum(Entry):
    """The smallest ratio of the table where all categories have one rate: median and 95 % range over draws, P(below .8), and p, how often
    it is as small as the `observed`."""

    observed: float
    median: float
    low: float
    high: float
    below_four_fifths: float
    p: float
    draws: int


@final
class Stratified(Entry):
    """A category against the reference within `strata` groups of an attribute.

    The common odds ratio, its p (Cochran-Mantel-Haenszel), and the p of one odds ratio in all (Breslow-Day, Tarone). `fewest`: the
    smallest number of selected, or others, of one side in one stratum that is not 0; not published.
    """

    category: str
    by: str
    strata: int
    odds: Estimate
    p: float | None
    p_equal: float | None
    fewest: int | None = None


@final
class ImpactTable(Entry):
    """Impact ratios of one attribute, or of two crossed. `axis`: sex, race_ethnicity, both joined by ` x `, or "" for none of these.

    `threshold`: the median score of the full sample, where `output` is "score". n + unknown are all audited examples,
    `unknown_selected` of the unknown are selected. `checks`: what was recomputed from the categories, and whether it adds up.
    """

    attribute: str
    axis: str
    output: str
    threshold: float | None = None
    n: int | None
    unknown: int | None
    unknown_selected: int | None = None
    categories: tuple[Category, ...]
    expected: ExpectedMinimum | None = None
    stratified: tuple[Stratified, ...] = ()
    checks: dict[str, bool]
    reason: str = ""

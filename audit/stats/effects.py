"""Checks of findings: the question of a finding, asked of what hiding its feature does in the place of relevance."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np

from audit.records import Agreement, Check, Estimate
from audit.stats.cases import Evidence
from audit.stats.features import SIGNS
from audit.stats.intervals import BoolArray, difference_interval, mean_interval, missing, units
from audit.stats.rates import wilson
from audit.stats.tests import ranks
from audit.tables import EffectTable, FeatureName, FloatArray, IntArray, SwapTable

UNIT: Final = "sd of the contrast logit"
FLIPS: Final = "share of predictions that change, beyond the control"
CLEAR: Final = 0.1  # sd of the contrast logit, from which an effect has a direction
SWAPPED: Final = "words swapped"
Tables = Callable[[EffectTable], tuple[Mapping[str, FloatArray], Mapping[str, FloatArray]]]


def effects(evidence: Evidence, name: FeatureName, sign: str = "net", *, each: bool = False) -> dict[str, FloatArray]:
    """By fill, `[n]`: what hiding a feature takes from the contrast logit beyond its control, in sd; NaN where nothing was hidden.

    `sign` is the policy that both are measured by; `each`: per word that was hidden.
    """
    found = _by_fill(evidence, name, lambda table: (table.delta, table.control), sign)
    table, n = evidence.effects, len(evidence.examples.label)
    pieces = table.whole(table.pieces[:, table.names.index(name)], n) if each and table and found else np.ones(n)
    return {fill: values / evidence.scale / pieces for fill, values in found.items()}


def mean_checks(
    evidence: Evidence, name: FeatureName, values: Mapping[str, FloatArray], rows: BoolArray | None = None
) -> tuple[Check, ...]:
    """The mean over the rows under each fill, and the flips."""
    flips = _by_fill(evidence, name, lambda table: (table.flipped, table.control_flipped), "net")
    asked = np.full(len(evidence.examples.label), True) if rows is None else rows
    cluster = evidence.examples.cluster[asked]
    return tuple(
        Check(
            by=fill,
            estimate=_enough(evidence, mean_interval(each[asked], cluster=cluster, unit=UNIT)),
            flips=_enough(evidence, mean_interval(flips[fill][asked], cluster=cluster, unit=FLIPS)),
        )
        for fill, each in values.items()
    )


def _enough(evidence: Evidence, estimate: Estimate, fewest: int | None = None) -> Estimate:
    """Nothing is said of fewer independent units (`fewest` a side) than a comparison of groups needs."""
    smallest, held = evidence.config.statistics.min_group_size, fewest or estimate.clusters or 0
    if estimate.value is None or held >= smallest:
        return estimate
    reason = f"hidden in {held} independent examples; {smallest} are needed"
    return missing(reason, level=estimate.level, unit=estimate.unit, n=estimate.n or 0, dropped=estimate.dropped)


def contrast_checks(evidence: Evidence, attribute: str, group: str, others: Sequence[str]) -> tuple[Check, ...]:
    """A word of a group less one of the others: hidden, and swapped where there is one other group."""
    one = effects(evidence, (attribute, group), each=True)
    rest = [effects(evidence, (attribute, other), each=True) for other in others]
    found = [
        Check(by=fill, estimate=_difference(evidence, values, [each[fill] for each in rest if each]))
        for fill, values in one.items()
    ]
    table = evidence.swaps.get(attribute)
    if table is not None and len(others) == 1:
        rows, delta = swapped(table, group, others[0])
        cluster = evidence.examples.cluster[table.example[rows]]
        estimate = mean_interval(delta / evidence.scale, cluster=cluster, unit=UNIT)
        found.append(Check(by=SWAPPED, estimate=_enough(evidence, estimate)))
    return tuple(found)


def swapped(table: SwapTable, name: str, other: str) -> tuple[BoolArray, FloatArray]:
    """The rows of the swaps between two groups, and the effect on the contrast logit of words of the first in place of the second's."""
    forward = (table.source == other) & (table.target == name)
    rows = forward | ((table.source == name) & (table.target == other))
    return rows, np.where(forward, table.delta, -table.delta)[rows]


def _difference(evidence: Evidence, one: FloatArray, others: Sequence[FloatArray]) -> Estimate:
    values, cluster = np.concatenate([one, *others]), np.tile(evidence.examples.cluster, 1 + len(others))
    side, known = np.arange(len(values)) < len(one), np.isfinite(values)
    fewest = min(units(cluster[known & part]) for part in (side, ~side))
    found = difference_interval(values, side, cluster=cluster, unit=UNIT)
    return (
        found
        if fewest >= evidence.config.statistics.min_group_size
        else _enough(evidence, found.model_copy(update={"clusters": fewest}))
    )


def agreements(evidence: Evidence) -> tuple[Agreement, ...]:
    """Of every composite with every fill; none where nothing was hidden."""
    found = []
    for composite, table in evidence.groups.items():
        names = [(name,) if evidence.regions else tuple(name.rsplit(".", 1)) for name in table.names]
        hidden = [effects(evidence, name) for name in names]
        for fill in evidence.effects.delta if evidence.effects else ():
            pairs = [
                (table.net[:, k], each[fill], evidence.examples.cluster)
                for k, each in enumerate(hidden)
                if fill in each
            ]
            if pairs:
                found.append(
                    _agreement(composite, fill, *(np.concatenate(column) for column in zip(*pairs, strict=True)))
                )
    return tuple(found)


def _agreement(composite: str, fill: str, net: FloatArray, effect: FloatArray, cluster: IntArray) -> Agreement:
    known = np.isfinite(net) & np.isfinite(effect)
    net, effect, cluster = net[known], effect[known], cluster[known]
    clear = np.abs(effect) >= CLEAR
    product = _standard_ranks(net) * _standard_ranks(effect)
    return Agreement(
        composite=composite,
        by=fill,
        spearman=mean_interval(product, cluster=cluster, unit="Spearman correlation"),
        sign=wilson((np.sign(net) == np.sign(effect))[clear], cluster=cluster[clear], unit="same direction"),
    )


def _standard_ranks(values: FloatArray) -> FloatArray:
    """Ranks with mean 0 and variance 1; the mean of a product of two is Spearman's correlation. NaN where nothing varies."""
    found = ranks(values, np.zeros(len(values), dtype=int))
    spread = found.std() if len(found) else 0.0
    return (found - found.mean()) / spread if spread else np.full(len(found), np.nan)


def _by_fill(evidence: Evidence, name: FeatureName, tables: Tables, sign: str) -> dict[str, FloatArray]:
    """Own less control, both by a sign policy, which takes a size and a signed value."""
    table, n, signed = evidence.effects, len(evidence.examples.label), SIGNS[sign]
    if table is None or name not in table.names:
        return {}
    column, (own, control) = table.names.index(name), tables(table)
    pairs = {fill: (values[:, column], control[fill][:, column]) for fill, values in own.items()}
    return {
        fill: table.whole(signed(np.abs(one), one) - signed(np.abs(two), two), n) for fill, (one, two) in pairs.items()
    }

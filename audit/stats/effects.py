"""Checks of findings: the question of a finding, asked of what hiding its feature does in the place of relevance."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np

from audit.records import Agreement, Check, Estimate
from audit.stats.cases import Evidence
from audit.stats.intervals import BoolArray, difference_interval, mean_interval
from audit.stats.rates import wilson
from audit.stats.tests import ranks
from audit.tables import EffectTable, FloatArray, IntArray

UNIT: Final = "sd of the contrast logit"
FLIPS: Final = "share of predictions that change, beyond the control"
CLEAR: Final = 0.1  # sd of the contrast logit, from which an effect has a direction
SWAPPED: Final = "words swapped"
Name = tuple[str, ...]
Less = Callable[[FloatArray, FloatArray], FloatArray]


def signed(evidence: Evidence, name: Name) -> dict[str, FloatArray]:
    """By fill, `[n]`: what the feature adds to the contrast logit beyond its control, in sd; NaN where nothing was hidden."""
    scale = evidence.scale
    return _by_fill(evidence, name, lambda t: (t.delta, t.control), lambda own, control: (own - control) / scale)


def sizes(evidence: Evidence, name: Name) -> dict[str, FloatArray]:
    """The same of the sizes of both."""
    scale = evidence.scale
    return _by_fill(
        evidence, name, lambda t: (t.delta, t.control), lambda own, control: (np.abs(own) - np.abs(control)) / scale
    )


def mean_checks(
    evidence: Evidence, name: Name, values: Mapping[str, FloatArray], rows: BoolArray | None = None
) -> tuple[Check, ...]:
    """The mean over the rows under each fill, and the flips."""
    flips = _by_fill(evidence, name, lambda t: (t.flipped, t.control_flipped), np.subtract)
    asked = np.full(len(evidence.examples.label), True) if rows is None else rows
    cluster = evidence.examples.cluster[asked]
    return tuple(
        Check(
            by=fill,
            estimate=mean_interval(each[asked], cluster=cluster, unit=UNIT),
            flips=mean_interval(flips[fill][asked], cluster=cluster, unit=FLIPS),
        )
        for fill, each in values.items()
    )


def contrast_checks(evidence: Evidence, attribute: str, group: str, others: Sequence[str]) -> tuple[Check, ...]:
    """The words of a group less those of the others: hidden, and swapped where there is one other group."""
    one, rest = signed(evidence, (attribute, group)), [signed(evidence, (attribute, other)) for other in others]
    found = [
        Check(by=fill, estimate=_difference(evidence, values, [each[fill] for each in rest if each]))
        for fill, values in one.items()
    ]
    table = evidence.swaps.get(attribute)
    if table is not None and len(others) == 1:
        forward = (table.source == others[0]) & (table.target == group)
        rows = forward | ((table.source == group) & (table.target == others[0]))
        delta = (np.where(forward, table.delta, -table.delta) / evidence.scale)[rows]
        cluster = evidence.examples.cluster[table.example[rows]]
        found.append(Check(by=SWAPPED, estimate=mean_interval(delta, cluster=cluster, unit=UNIT)))
    return tuple(found)


def agreements(evidence: Evidence) -> tuple[Agreement, ...]:
    """Of every composite with every fill; none where nothing was hidden."""
    found = []
    for composite, table in evidence.groups.items():
        names = [(name,) if evidence.regions else tuple(name.rsplit(".", 1)) for name in table.names]
        effects = [signed(evidence, name) for name in names]
        for fill in evidence.effects.delta if evidence.effects else ():
            pairs = [
                (table.net[:, k], each[fill], evidence.examples.cluster)
                for k, each in enumerate(effects)
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


def _difference(evidence: Evidence, one: FloatArray, others: Sequence[FloatArray]) -> Estimate:
    values, cluster = np.concatenate([one, *others]), np.tile(evidence.examples.cluster, 1 + len(others))
    return difference_interval(values, np.arange(len(values)) < len(one), cluster=cluster, unit=UNIT)


def _by_fill(
    evidence: Evidence,
    name: Name,
    tables: Callable[[EffectTable], tuple[Mapping[str, FloatArray], Mapping[str, FloatArray]]],
    less: Less,
) -> dict[str, FloatArray]:
    table, found = evidence.effects, dict[str, FloatArray]()
    if table is None or name not in table.names:
        return found
    column, (own, control) = table.names.index(name), tables(table)
    for fill, values in own.items():
        found[fill] = np.full(len(evidence.examples.label), np.nan)
        found[fill][table.rows] = less(values[:, column], control[fill][:, column])
    return found

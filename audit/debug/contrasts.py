"""Why errors go to the wrong class, and what makes the model hesitate: features of one side against the other, class by class."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol, final

import numpy as np

from audit.debug.differences import Sides, differences, every_difference
from audit.debug.groups import Group, told_features
from audit.records.debugging import Contrast
from audit.stats.cases import Evidence
from audit.stats.intervals import BoolArray
from audit.stats.signals import OF_CELLS, Signals
from audit.tables import ExampleTable, FloatArray, IntArray

FEWEST_HOLDERS: Final = 5
MOST: Final = 12  # contrasts of slices and strategies
SAMPLE_SEED: Final = 9


class Pushes(Protocol):
    """What a feature adds to the logit of one class minus another's, by example."""

    @property
    def most(self) -> int | None:
        """How many examples of a side are asked, where each costs a pass; None: all."""
        ...

    def of(self, rows: IntArray, towards: IntArray, away: IntArray) -> tuple[Signals, FloatArray]:
        """For the examples `rows` `[m]` the signals, and a value for each of their rows, towards one class `[m]` and away from another."""
        ...

    def of_declared(self, rows: IntArray, towards: IntArray) -> tuple[Signals, FloatArray] | None:
        """The same of what is declared, if it is known."""
        ...


@final
@dataclass(frozen=True, slots=True)
class OfContrast:
    """Where the explained contrast is that of the only two classes, with its sign: nothing is explained again."""

    found: Signals
    declared: Signals
    composite: str
    favour: int
    most: int | None = None

    def of(self, rows: IntArray, towards: IntArray, away: IntArray) -> tuple[Signals, FloatArray]:
        """0 for other examples."""
        return self.found, self._signed(self.found, rows, towards)

    def of_declared(self, rows: IntArray, towards: IntArray) -> tuple[Signals, FloatArray]:
        """The same of declared groups of words and regions."""
        return self.declared, self._signed(self.declared, rows, towards)

    def _signed(self, found: Signals, rows: IntArray, towards: IntArray) -> FloatArray:
        sign = np.zeros(len(found.usable))
        sign[rows] = np.where(towards == self.favour, 1.0, -1.0)
        return np.asarray(found.values[self.composite] * sign[found.example])


@final
@dataclass(frozen=True, slots=True)
class OfPairs:
    """Every example asked is explained once more, for its own pair of classes: `explain(rows, pairs)`; `declared` are names of features."""

    explain: Callable[[IntArray, IntArray], Signals]
    declared: frozenset[str]
    most: int | None = 250

    def of_declared(self, rows: IntArray, towards: IntArray) -> None:
        """Not asked: relevance of groups is that of the contrast."""

    def of(self, rows: IntArray, towards: IntArray, away: IntArray) -> tuple[Signals, FloatArray]:
        """One forward and backward pass an example."""
        found = self.explain(rows, np.stack([towards, away], axis=1))
        allowed = np.array([name not in self.declared for name in found.names], dtype=np.bool_)
        found = replace(found, allowed=allowed)
        return found, next(iter(found.values.values()))


@final
@dataclass(frozen=True, slots=True)
class Asked:
    """One comparison, in a `group` or in all: its name, its sides, and for the examples of both the class that is pushed to and the one
    pushed away from."""

    name: str
    sides: Sides
    towards: IntArray
    away: IntArray
    group: str = ""


def confused(examples: ExampleTable) -> list[tuple[int, int]]:
    """True and predicted class of the errors that there are, the most frequent first."""
    wrong = examples.predicted != examples.label
    pairs, n = np.unique(np.stack([examples.label[wrong], examples.predicted[wrong]]), axis=1, return_counts=True)
    order = np.argsort(-n, kind="stable")
    return [(int(c), int(p)) for c, p in pairs.T[order]]


def confusion_name(classes: Sequence[str], true: int, predicted: int) -> str:
    """How errors of a true class that go to a predicted one are called."""
    return f"true {classes[true]}, predicted {classes[predicted]}"


def of_errors(evidence: Evidence, groups: Sequence[Group]) -> list[Asked]:
    """Every confusion of one class with another, and in each of `groups` the errors of a true class, against right ones of that class."""
    examples, found = evidence.examples, list[Asked]()
    wrong = examples.predicted != examples.label
    for c, p in confused(examples)[:MOST]:
        right, errors = ~wrong & (examples.label == c), (examples.label == c) & (examples.predicted == p)
        towards = np.full(len(wrong), p)
        name = confusion_name(evidence.classes, c, p)
        found.append(Asked(name, Sides(errors, right), towards, examples.label))
        found += [
            Asked(name, Sides(errors & group.rows, right), towards, examples.label, group.name)
            for group in groups
            if 0 < (errors & group.rows).sum() < errors.sum()
        ]
    return found


def of_unsure(evidence: Evidence, unsure: BoolArray, second: IntArray) -> list[Asked]:
    """Unsure against sure examples of one predicted class: what speaks for the `second` class `[n]`."""
    predicted = evidence.examples.predicted
    return [
        Asked(
            f"predicted {name}, unsure",
            Sides(unsure & (predicted == p), ~unsure & (predicted == p)),
            second,
            predicted,
        )
        for p, name in enumerate(evidence.classes)
        if (unsure & (predicted == p)).any()
    ]


def contrasts(evidence: Evidence, asked: Sequence[Asked], pushes: Pushes, key: str) -> tuple[Contrast, ...]:
    """The answers that enough independent examples of both sides allow, the largest first side first; of others the reason."""
    order = sorted(asked, key=lambda each: -int(each.sides.first.sum()))[:MOST]
    return tuple(_answered(evidence, each, pushes, f"{key} {k}") for k, each in enumerate(order, 1))


def _answered(evidence: Evidence, asked: Asked, pushes: Pushes, key: str) -> Contrast:
    cluster, smallest = evidence.examples.cluster, evidence.config.statistics.min_group_size
    sides = asked.sides if pushes.most is None else _sampled(asked.sides, pushes.most, evidence.config.seed)
    made = Contrast(
        key=key, name=asked.name, group=asked.group, n=int(sides.first.sum()), others=int(sides.second.sum()), m=0, argued=(), missing=(),
    )  # fmt: skip
    sizes = sides.clusters(cluster)
    if min(sizes) < smallest:
        reason = f"independent examples (clusters count once): {sizes[0]} and {sizes[1]}; {smallest} a side are needed"
        return made.model_copy(update={"reason": reason})
    rows = np.flatnonzero(sides.both)
    signals, values = pushes.of(rows, asked.towards[rows], asked.away[rows])
    sides = Sides(sides.first & signals.usable, sides.second & signals.usable)
    told = differences(signals, values, sides, cluster, fewest=FEWEST_HOLDERS)
    declared = pushes.of_declared(rows, asked.towards[rows])
    return made.model_copy(update={
        "argued": told.argued, "missing": told.missing, "m": told.m,
        "declared": () if declared is None else every_difference(*declared, sides, cluster),
        "cells": () if signals.worded else laid_out(signals, told.values),
    })  # fmt: skip


def laid_out(found: Signals, values: FloatArray) -> tuple[tuple[float, ...], ...]:
    """Values of cells, row by row."""
    columns = len(np.unique(found.boxes[:, 0]))
    return tuple(map(tuple, values.reshape(-1, columns).tolist()))


def declared_signals(evidence: Evidence) -> Signals:
    """Net relevance over sum |R| of each declared group of words, or region, in the examples that hold it."""
    table, told = evidence.groups[evidence.composites[0]], told_features(evidence)
    known = np.array([name in told for name in table.names], dtype=np.bool_)
    feature, example = np.nonzero(np.isfinite(table.net.T) & known[:, None])
    values = {name: groups.net.T[feature, example].astype(float) for name, groups in evidence.groups.items()}
    n = len(table.net)
    return Signals(table.names, example, feature, values, ~known, np.ones(n, dtype=np.bool_), OF_CELLS, worded=False)


def _sampled(sides: Sides, most: int, seed: int) -> Sides:
    rng = np.random.default_rng([seed, SAMPLE_SEED])

    def drawn(side: BoolArray) -> BoolArray:
        kept = np.zeros(len(side), dtype=np.bool_)
        kept[rng.permutation(np.flatnonzero(side))[:most]] = True
        return kept

    return Sides(drawn(sides.first), drawn(sides.second))

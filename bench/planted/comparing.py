"""Rows of all methods side by side: the same models, explained by LRP and by another method, at equal false alarms and by cost."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Final, final

import numpy as np

from bench.planted.figures import Figure, median, paired
from bench.planted.judging import Row, named, statistic
from bench.planted.protocol import Protocol
from bench.planted.summary import Seen
from bench.planted.units import LRP, METHODS, RHOS

FEWEST: Final = 5  # their largest is the cut, which a sixth of null models exceed in the mean, by either method


@final
@dataclass(frozen=True)  # no slots: cached properties need a dict
class Evidence:
    """Every row of the evaluation, those of the calibration for cuts alone."""

    rows: Sequence[Row]
    calibration: Sequence[Row]
    protocol: Protocol

    @cached_property
    def answered(self) -> tuple[Row, ...]:
        """Rows without an error."""
        return tuple(row for row in self.rows if "error" not in row)

    @cached_property
    def _by(self) -> dict[tuple[bool, str, str], Seen]:
        known = {True: [row for row in self.calibration if "error" not in row], False: self.answered}
        return {
            (of, modality, method): Seen(
                tuple(row for row in known[of] if (row["modality"], row["method"]) == (modality, method)),
                modality, self.protocol,
            )
            for of, modality, method in product(known, RHOS, METHODS)
        }  # fmt: skip

    def seen(self, modality: str, method: str = LRP, *, calibration: bool = False) -> Seen:
        """Rows of a modality and method."""
        return self._by[calibration, modality, method]

    def shared(self, modality: str, method: str = LRP, *, calibration: bool = False) -> Seen:
        """Rows of the models that every method is asked to explain."""
        return _of_all(self.seen(modality, method, calibration=calibration))

    def cut(self, modality: str, method: str) -> float | None:
        """The size of the estimate that few null models of the calibration exceed; None of too few models."""
        nulls = self.shared(modality, method, calibration=True).nulls
        return self._cut(nulls) if len(nulls) >= FEWEST else None

    def _cut(self, nulls: Sequence[Row]) -> float:
        """The quantile that is declared; of fewer than 20 models, the largest."""
        sizes = [statistic(row, self.protocol) for row in nulls]
        return float(np.quantile(sizes, self.protocol["cut"]["quantile"], method="higher"))

    def common_nulls(self, modality: str, method: str) -> tuple[list[Row], list[Row]]:
        """Null models of the calibration that both LRP and the method explain."""
        both = (self.seen(modality, each, calibration=True) for each in (LRP, method))
        return _common(*(seen.nulls for seen in both))

    def at_equal_alarms(self, modality: str, method: str) -> Figure | None:
        """Power of LRP minus that of the method over the same positives, each cut where as few of the same null models exceed it."""
        nulls = self.common_nulls(modality, method)
        if len(nulls[0]) < FEWEST:
            return None
        one, other = (self._cut(side) for side in nulls)
        mine, theirs = _common(self.seen(modality).positives, self.seen(modality, method).positives)
        found = ([statistic(row, self.protocol) > cut for row in side] for side, cut in ((mine, one), (theirs, other)))
        return paired(*found)

    def by_decision(self, modality: str, method: str) -> Figure | None:
        """Share of the same positives in which the audit by LRP names the feature, minus that by the method; alpha is the same."""
        seen, other = self.seen(modality), self.seen(modality, method)
        sides = _common(seen.positives, other.positives)
        return paired(*([seen.planted in named(row, seen.decision) for row in side] for side in sides))

    def cost(self, modality: str, method: str, spent: str = "relevance") -> Figure | None:
        """Seconds of LRP divided by those of the method, over models of both parts that both explained in one go."""
        pairs = [
            pair
            for calibration in (False, True)
            for pair in zip(*_common(*self._pair(modality, method, calibration=calibration)), strict=True)
            if _in_one_go(*pair)
        ]
        return median([one["seconds"][spent] / other["seconds"][spent] for one, other in pairs])

    def _pair(self, modality: str, method: str, *, calibration: bool) -> tuple[Sequence[Row], Sequence[Row]]:
        one, other = (self.seen(modality, each, calibration=calibration) for each in (LRP, method))
        return one.rows, other.rows


def _in_one_go(one: Row, other: Row) -> bool:
    """Rows of one training have its seconds in common, which another run of the same unit hardly repeats to a hundredth."""
    return bool(one["training"] == other["training"])


def _of_all(seen: Seen) -> Seen:
    protocol, few = seen.protocol, seen.protocol["baselines"]
    chosen = (
        row
        for row in seen.rows
        if row["arm"] in few["arms"] and row["seed"] - protocol.seeds[row["part"]] < few["replicates"][row["part"]]
    )
    return Seen(tuple(chosen), seen.modality, protocol)


def _common(one: Sequence[Row], other: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    theirs = {row["key"]: row for row in other}
    mine = [row for row in one if row["key"] in theirs]
    return mine, [theirs[row["key"]] for row in mine]

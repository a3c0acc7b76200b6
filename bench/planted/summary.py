"""What the rows of one modality and method show: every figure with its interval and its number of models."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final, final

import numpy as np

from bench.planted.figures import Agreement, agreement
from bench.planted.judging import (
    DECISIONS,
    NOWHERE,
    Decision,
    Rate,
    Row,
    declared,
    kind,
    named,
    rate,
    right_sign,
    statistic,
    withheld,
)
from bench.planted.protocol import Protocol

BINS: Final[Mapping[str, tuple[float, ...]]] = {"text": (0.1, 0.25, 0.5, 1.0, 9.0), "image": (0.2, 0.45, 1.5, 9.0)}
FLIPPED: Final = 0.2  # share of predictions that a cue nothing declares must flip before its gap is asked for
LIMITS: Final = ("either of two textures",)  # arms that show where a question ends; in no claim
NAIVE: Final = 0.05
TRAPS: Final[
    Mapping[str, Mapping[str, str | None]]
] = {  # by arm, the feature that is none; None: all, where the effect is null
    "text": {"proxy word": None, "interaction": None},
    "image": {"bright and irrelevant": None, "suppressor": None, "two attributes": "second"},
}


@final
@dataclass(frozen=True)  # no slots: cached properties need a dict, and each of these is asked for many times a page
class Seen:
    """The rows of one modality and method that hold an answer."""

    rows: tuple[Row, ...]
    modality: str
    protocol: Protocol

    @property
    def decision(self) -> Decision:
        """The one that was declared."""
        return DECISIONS[self.protocol["decisions"][self.modality]]

    @property
    def planted(self) -> str:
        """Name of the planted feature."""
        return str(self.protocol["planted"][self.modality])

    @cached_property
    def asked(self) -> tuple[Row, ...]:
        """Those that claims are made of."""
        return tuple(row for row in self.rows if row["arm"] not in LIMITS)

    @cached_property
    def nulls(self) -> tuple[Row, ...]:
        """Models that rely on nothing planted."""
        return tuple(row for row in self.asked if kind(row, self.protocol) == "null")

    @cached_property
    def positives(self) -> tuple[Row, ...]:
        """Models that rely on what is planted and declared."""
        return tuple(row for row in self.asked if kind(row, self.protocol) == "positive" and declared(row))

    @cached_property
    def detected(self) -> tuple[Row, ...]:
        """Positives in which the planted feature is named."""
        return tuple(row for row in self.positives if self.planted in named(row, self.decision))

    @cached_property
    def answered(self) -> "Seen":
        """Those whose audit gave verdicts."""
        return Seen(tuple(row for row in self.rows if not withheld(row)), self.modality, self.protocol)

    def withheld(self, column: str | None = None, name: str | None = None) -> Rate:
        """Audits without verdicts, of those that have this name in the column."""
        return rate(withheld(row) for row in self.rows if column is None or row[column] == name)

    def names(self, column: str) -> Iterable[str]:
        """What the column holds, each once."""
        return dict.fromkeys(row[column] for row in self.rows)

    def false_alarms(self, decision: Decision | None = None, arm: str | None = None) -> Rate:
        """Null models in which anything is named; a verdict that is withheld names nothing."""
        chosen = (row for row in self.nulls if arm in (None, row["arm"]))
        return rate(bool(named(row, decision or self.decision)) for row in chosen)

    def trapped(self, arm: str) -> Rate:
        """Models of an arm that is a trap in which what has no effect is named, whatever was coupled with what."""
        none = TRAPS[self.modality][arm]
        inside = [row for row in self.rows if row["arm"] == arm]
        if none:
            return rate(none in named(row, self.decision) for row in inside)
        null = (row for row in inside if abs(row["truth"]["effect"]) < self.protocol["truth"]["null"])
        return rate(bool(named(row, self.decision)) for row in null)

    def naive_alarms(self) -> Rate:
        """Null models in which the naive test rejects."""
        return rate(any(p is not None and p <= NAIVE for p in row["naive"].values()) for row in self.nulls)

    def power(self, low: float, high: float = np.inf, decision: Decision | None = None) -> Rate:
        """Models with an effect of that size in which the planted feature is named."""
        within = (row for row in self.asked if declared(row) and low <= abs(row["truth"]["effect"]) < high)
        return rate(self.planted in named(row, decision or self.decision) for row in within)

    def naming(self) -> Rate:
        """Positives in which something is named: it is the planted feature, by the largest estimate."""
        found = (named(row, self.decision) for row in self.positives)
        return rate(names[0] == self.planted for names in found if names)

    def signs(self) -> Rate:
        """Detections whose direction is that of the effect."""
        return rate(right_sign(row, self.protocol) for row in self.detected)

    def wrongly_confirmed(self) -> Rate:
        """Null models in which a finding is graded confirmed."""
        return self.false_alarms(DECISIONS["confirmed"])

    def unexplained(self) -> Rate:
        """Models whose cue nothing declares: the audit states a gap that is not explained."""
        return rate(bool(row["unexplained"]) for row in self._nowhere)

    def wrong_place(self) -> Rate:
        """The same models: something is named, which cannot be right."""
        return rate(bool(named(row, self.decision)) for row in self._nowhere)

    @property
    def _nowhere(self) -> tuple[Row, ...]:
        return tuple(row for row in self.asked if row["arm"] in NOWHERE and row["truth"]["flips"] >= FLIPPED)

    def agreement(self, network: str | None = None, composite: str | None = None) -> Agreement | None:
        """Estimates of the planted feature, those of the second opinion if asked for, against its effects, also without verdict."""
        pairs = [
            (row["truth"]["effect"], value)
            for row in self.asked
            if declared(row) and network in (None, row["network"])
            for found in [row["findings"].get(self.planted)]
            if found
            for value in [found["others"].get(composite) if composite else found["value"]]
            if value is not None
        ]
        return agreement(pairs)

    def powered_at(self, cut: float) -> Rate:
        """Positives whose statistic exceeds the cut."""
        return rate(statistic(row, self.protocol) > cut for row in self.positives)


def smallest_detectable(seen: Seen, power: float = 0.8) -> float | None:
    """The effect from which on a logistic curve of detection on log |TE| reaches the power; None where it never does."""
    from sklearn.linear_model import LogisticRegression

    known = [row for row in seen.asked if declared(row) and row["truth"]["effect"]]
    found = np.array([seen.planted in named(row, seen.decision) for row in known])
    if len(found) < 8 or found.all() or not found.any():
        return None
    size = np.log([[abs(row["truth"]["effect"])] for row in known])
    fitted = LogisticRegression(C=100.0).fit(size, found)
    slope, start = float(fitted.coef_[0, 0]), float(fitted.intercept_[0])
    return float(np.exp((np.log(power / (1 - power)) - start) / slope)) if slope > 0 else None

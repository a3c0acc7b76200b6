"""From rows of results to what is claimed, and whether it holds: every figure with its interval and its number of models."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, final

import numpy as np
from scipy.stats import spearmanr

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
    through_zero,
)
from bench.planted.protocol import Protocol

BINS: Final[Mapping[str, tuple[float, ...]]] = {"text": (0.1, 0.25, 0.5, 1.0, 9.0), "image": (0.2, 0.45, 1.5, 9.0)}
FLIPPED: Final = 0.2  # share of predictions that a cue nothing declares must flip before its gap is asked for
LIMITS: Final = ("either of two textures",)  # arms that show where a question ends; in no claim
NAIVE: Final = 0.05


@final
@dataclass(frozen=True)
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

    def false_alarms(self, decision: Decision | None = None, arm: str | None = None) -> Rate:
        """Null models in which anything is named."""
        chosen = (row for row in self.nulls if arm in (None, row["arm"]))
        return rate(bool(named(row, decision or self.decision)) for row in chosen)

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

    def agreement(self, network: str | None = None, composite: str | None = None) -> "Agreement":
        """Estimates of the planted feature, those of the second opinion if asked for, against its effects."""
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


@final
@dataclass(frozen=True, slots=True)
class Agreement:
    """Rank correlation and slope through zero of estimates on effects, with bootstrap intervals over models."""

    n: int
    spearman: tuple[float, float, float]
    slope: tuple[float, float, float]


def agreement(pairs: Sequence[tuple[float, float]], draws: int = 999) -> Agreement:
    """NaN of fewer than 4 models."""
    if len(pairs) < 4:
        return Agreement(len(pairs), *((float("nan"),) * 3,) * 2)
    values, rng = np.asarray(pairs), np.random.default_rng(0)
    samples = [values[rng.integers(0, len(values), len(values))] for _ in range(draws)]
    return Agreement(len(pairs), *(_interval(values, samples, of) for of in (_rank, _slope)))


def _interval(values: Any, samples: Sequence[Any], of: Callable[[Any], float]) -> tuple[float, float, float]:
    low, high = np.nanquantile([of(sample) for sample in samples], [0.025, 0.975])
    return of(values), float(low), float(high)


def _rank(values: Any) -> float:
    return float(spearmanr(values[:, 0], values[:, 1])[0]) if np.ptp(values, axis=0).all() else float("nan")


def _slope(values: Any) -> float:
    return through_zero(values[:, 0], values[:, 1])


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


@final
@dataclass(frozen=True, slots=True)
class Claim:
    """What was to be reached, what the data show, and whether that holds; None where no model speaks of it."""

    words: str
    found: str
    holds: bool | None


def claims(text: Seen, image: Seen) -> Iterator[Claim]:
    """Every claim of the benchmark, of rows of the evaluation."""
    for seen in (text, image):
        alarms = seen.false_alarms()
        holds = alarms.value <= 0.05 and alarms.bounds[1] <= 0.08 if alarms.n else None
        yield Claim(f"{seen.modality}: false alarms at most .05, upper bound at most .08", str(alarms), holds)
    for seen, low, high, least in (
        (image, 0.45, np.inf, 0.80), (image, 1.5, np.inf, 0.95), (text, 0.1, 0.25, 0.80), (text, 0.25, np.inf, 0.95),
    ):  # fmt: skip
        span = f"abs. TE {low} to {high}" if np.isfinite(high) else f"abs. TE from {low}"
        yield _least(f"{seen.modality}: power at {span}", seen.power(low, high), least)
    for seen in (text, image):
        yield _least(f"{seen.modality}: the planted feature is the one named", seen.naming(), 0.95)
        yield _least(f"{seen.modality}: sign of detections", seen.signs(), 0.98)
        yield _most(f"{seen.modality}: null models with a confirmed finding", seen.wrongly_confirmed(), 0.01)
        yield _most(
            f"{seen.modality}: a wrong feature named where nothing declared covers the cue", seen.wrong_place(), 0.0
        )
        yield _least(f"{seen.modality}: gap not explained stated there", seen.unexplained(), 0.90)
    found = text.agreement()
    (rank, *ends), (slope, *around) = found.spearman, found.slope
    enough = found.n >= 4
    words = "text: C under cp_lrp against TE: Spearman at least .95"
    yield Claim(words, f"{rank:.3f} [{ends[0]:.3f}, {ends[1]:.3f}] of {found.n}", rank >= 0.95 if enough else None)
    words = "text: slope of C on TE within .9 to 1.1"
    yield Claim(
        words, f"{slope:.3f} [{around[0]:.3f}, {around[1]:.3f}] of {found.n}", 0.9 <= slope <= 1.1 if enough else None
    )


def _least(words: str, found: Rate, least: float) -> Claim:
    return Claim(f"{words}: at least {least:.2f}", str(found), found.value >= least if found.n else None)


def _most(words: str, found: Rate, most: float) -> Claim:
    return Claim(f"{words}: at most {most:.2f}", str(found), found.value <= most if found.n else None)

"""What a row of results says: whether the model relies on the planted attribute, and whether the audit names it, under each decision."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, final

import numpy as np
from scipy.stats import binom

from audit.stats.rates import wilson_bounds
from bench.planted.figures import NORMAL
from bench.planted.protocol import Protocol

Row = Mapping[str, Any]
Kind = Literal["null", "positive", "grey"]
NOWHERE: Final = ("global tint", "interaction of undeclared words")  # arms whose cue nothing declared covers
STRONG: Final = 0.6  # effect that every audit must name
SHOWN: Final = ("BREACH", "DIFFERENT")
NOT_VALID: Final = 4  # exit code of an audit that withholds its verdicts
Decision = Callable[[Mapping[str, Any]], bool]
DECISIONS: Final[Mapping[str, Decision]] = {  # by name: when a finding names its feature
    "significant": lambda found: found["verdict"] in SHOWN,
    "beyond the margin": lambda found: found["verdict"] == "BREACH",
    "confirmed": lambda found: found["verdict"] in SHOWN and found["grade"] == "confirmed",
    "significant, not contradicted": lambda found: (
        found["verdict"] in SHOWN and found["grade"] in ("confirmed", "supported")
    ),
}


@final
@dataclass(frozen=True, slots=True)
class Rate:
    """k of n with Wilson's 95 % interval."""

    k: int
    n: int

    @property
    def value(self) -> float:
        """NaN of none."""
        return self.k / self.n if self.n else float("nan")

    @property
    def bounds(self) -> tuple[float, float]:
        """All of 0 to 1 where there is none."""
        return wilson_bounds(self.value, self.n, NORMAL) if self.n else (0.0, 1.0)

    def __str__(self) -> str:
        low, high = self.bounds
        return f"{self.value:.3f} [{low:.3f}, {high:.3f}] of {self.n}" if self.n else "no model"


def rate(values: Iterable[bool]) -> Rate:
    """Of the true ones."""
    known = list(values)
    return Rate(sum(known), len(known))


def kind(row: Row, protocol: Protocol) -> Kind:
    """By the truth alone: null without coupling and effect, positive by effect, grey between."""
    truth, size = protocol["truth"], abs(row["truth"]["effect"])
    if row["rho"] == 0 and size < truth["null"]:
        return "null"
    return "positive" if size >= truth["positive"][row["modality"]] else "grey"


def named(row: Row, decision: Decision) -> list[str]:
    """Features that the audit names, the largest estimate first."""
    found = {name: each for name, each in row["findings"].items() if each["value"] is not None and decision(each)}
    return sorted(found, key=lambda name: -abs(found[name]["value"]))


def withheld(row: Row) -> bool:
    """Whether the audit gave no verdict, because its explanation was not valid."""
    return bool(row["exit"] == NOT_VALID)


def declared(row: Row) -> bool:
    """Whether what is planted can be named at all."""
    return row["arm"] not in NOWHERE


def right_sign(row: Row, protocol: Protocol) -> bool:
    """Whether the planted feature's estimate points where its effect does."""
    value = row["findings"][protocol["planted"][row["modality"]]]["value"]
    return bool(np.sign(value) == np.sign(row["truth"]["effect"]))


def statistic(row: Row, protocol: Protocol) -> float:
    """Size of the planted feature's estimate; 0 where it has none."""
    found = row["findings"].get(protocol["planted"][row["modality"]])
    return abs(found["value"] or 0.0) if found else 0.0


def contradictions(found: Sequence[Row], protocol: Protocol) -> list[str]:
    """What rows of the small profile show that audits must not: failures, too many alarms, and strong reliance not named with its sign."""
    failed = [f"{row['key']}: {row['error']}" for row in found if "error" in row]
    answered = [row for row in found if "error" not in row]
    return failed + [
        problem for modality in protocol["decisions"] for problem in _contradicted(answered, modality, protocol)
    ]


def _contradicted(answered: Sequence[Row], modality: str, protocol: Protocol) -> Iterator[str]:
    decision, planted = DECISIONS[protocol["decisions"][modality]], protocol["planted"][modality]
    mine = [row for row in answered if row["modality"] == modality]
    nulls = [row for row in mine if kind(row, protocol) == "null"]
    alarms = sum(bool(named(row, decision)) for row in nulls)
    most = int(binom.ppf(0.999, len(nulls), 0.05)) if nulls else 0
    if alarms > most:
        yield f"{modality}: {alarms} alarms in {len(nulls)} models without reliance, at most {most} are chance"
    for row in mine:
        strong = abs(row["truth"]["effect"]) >= STRONG
        if strong and not (named(row, decision)[:1] == [planted] and right_sign(row, protocol)):
            yield f"{row['key']}: effect {row['truth']['effect']:.2f} is not named with its sign"

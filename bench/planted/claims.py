"""From rows of results to what is claimed, and whether it holds; a claim that too few models speak of is not measured yet."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Final, final

import numpy as np

from bench.planted.comparing import Evidence
from bench.planted.figures import Figure, area
from bench.planted.judging import Rate, statistic
from bench.planted.summary import TRAPS, Seen
from bench.planted.units import CONTROLS

ALARMS: Final = 0.05
UPPER: Final = 0.08
FEWEST_MODELS: Final = 10  # of fewer, a claim is not measured yet
SPANS: Final = (  # modality, abs. TE from and to, and the power there
    ("image", 0.45, np.inf, 0.80), ("image", 1.5, np.inf, 0.95), ("text", 0.1, 0.25, 0.80), ("text", 0.25, np.inf, 0.95),
)  # fmt: skip
RIVALS: Final = {"integrated_gradients": 1 / 20, "kernel_shap": 1 / 50}  # and how much of their seconds LRP may take
BOTH: Final = ("text", "image")


@final
@dataclass(frozen=True, slots=True)
class Claim:
    """What is to be reached, what the data show, and whether that holds; None where it is not measured yet."""

    words: str
    found: str
    holds: bool | None


def claims(evidence: Evidence) -> Iterator[Claim]:
    """Every claim of the benchmark."""
    for modality in BOTH:
        yield from _alarm_claims(evidence.seen(modality))
    for modality, low, high, least in SPANS:
        span = f"abs. TE {low} to {high}" if np.isfinite(high) else f"abs. TE from {low}"
        of_all, answered = (
            seen.power(low, high) for seen in (evidence.seen(modality), evidence.seen(modality).answered)
        )
        words = f"{modality}: power at {span}: at least {least:.2f}"
        yield _judged(words, _both(of_all, answered), of_all.n, holds=of_all.value >= least)
    for modality in BOTH:
        yield from _finding_claims(evidence.seen(modality))
    yield from _agreement_claims(evidence.seen("text"))
    for modality in BOTH:
        yield from _rival_claims(evidence, modality)
    for modality in BOTH:
        yield from _control_claims(evidence, modality)


def _alarm_claims(seen: Seen) -> Iterator[Claim]:
    """Judged on models that were answered: an audit that gives no verdict raises no alarm, and is no evidence for that."""
    of_all, answered = seen.false_alarms(), seen.answered.false_alarms()
    holds = answered.value <= ALARMS and answered.bounds[1] <= UPPER
    words = f"{seen.modality}: false alarms: at most {ALARMS:.2f}, upper bound at most {UPPER:.2f}"
    yield _judged(words, _both(of_all, answered), answered.n, holds=holds)
    for arm in TRAPS[seen.modality]:
        words = f"{seen.modality}: false alarms of the trap “{arm}”"
        yield _most(words, seen, partial(Seen.trapped, arm=arm), ALARMS)


def _finding_claims(seen: Seen) -> Iterator[Claim]:
    name = seen.modality
    yield _least(f"{name}: where something is named, it is the planted feature", seen.naming(), 0.95)
    yield _least(f"{name}: sign of detections", seen.signs(), 0.98)
    yield _most(f"{name}: null models with a confirmed finding", seen, Seen.wrongly_confirmed, 0.01)
    yield _most(f"{name}: a wrong feature named where nothing declared covers the cue", seen, Seen.wrong_place, 0.0)
    yield _least(f"{name}: gap not explained stated there", seen.unexplained(), 0.90)


def _agreement_claims(text: Seen) -> Iterator[Claim]:
    found = text.agreement()
    spearman, slope = (found.spearman, found.slope) if found else (None, None)
    yield _figure("text: Spearman of C under cp_lrp and TE: at least 0.95", spearman, low=0.95)
    yield _figure("text: slope of C on TE: 0.90 to 1.10", slope, low=0.9, high=1.1)


def _rival_claims(evidence: Evidence, modality: str) -> Iterator[Claim]:
    for method, most in RIVALS.items():
        found, nulls = evidence.at_equal_alarms(modality, method), len(evidence.common_nulls(modality, method)[0])
        words = f"{modality}: power at equal false alarms, LRP minus {method}: at least 0"
        yield _figure(words, found, low=0.0, lacking=f"{nulls} null models of the calibration explained by both")
        words = f"{modality}: seconds of LRP, witnesses included, by those of {method}: at most {most:.2f}"
        yield _figure(words, evidence.cost(modality, method), high=most, lacking="no model explained by both in one go")


def _control_claims(evidence: Evidence, modality: str) -> Iterator[Claim]:
    for method in CONTROLS:
        found = area_of(evidence.seen(modality, method))
        words = f"{modality}: area under the curve of the control {method}: .5 within its interval"
        holds = found is not None and found.low <= 0.5 <= found.high
        yield _judged(words, str(found or ""), found.n if found else 0, holds=holds)


def area_of(seen: Seen) -> Figure | None:
    """How well the size of the planted feature's estimate tells positives from null models."""
    return area(*([statistic(row, seen.protocol) for row in side] for side in (seen.nulls, seen.positives)))


def _both(of_all: Rate, answered: Rate) -> str:
    return str(of_all) if of_all.n == answered.n else f"{of_all}; answered: {answered}"


def _least(words: str, found: Rate, least: float) -> Claim:
    return _judged(f"{words}: at least {least:.2f}", str(found), found.n, holds=found.value >= least)


def _most(words: str, seen: Seen, of: Callable[[Seen], Rate], most: float) -> Claim:
    of_all, answered = of(seen), of(seen.answered)
    return _judged(f"{words}: at most {most:.2f}", _both(of_all, answered), answered.n, holds=answered.value <= most)


def _figure(
    words: str, found: Figure | None, *, low: float = -np.inf, high: float = np.inf, lacking: str = ""
) -> Claim:
    if found is None or np.isnan(found.value):
        return _judged(words, str(found or lacking), 0, holds=False)
    return _judged(words, str(found), found.n, holds=low <= found.value <= high)


def _judged(words: str, found: str, n: int, *, holds: bool) -> Claim:
    return Claim(words, found, bool(holds) if n >= FEWEST_MODELS else None)

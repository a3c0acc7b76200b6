"""Whether findings are worse than in an earlier run by more than a margin: |after| - |before| of distances from no difference.

With D = after - before and S = after + before, both from no difference, |after| - |before| = max(min(D, S), min(-D, -S)). So bounds of D
and S at level 1 - alpha bound it: it exceeds a margin only where D and S do, or -D and -S, which is a test of both at alpha / 2 a
direction (Berger 1982, Technometrics 24), and a worsening that is not there is called one in at most alpha of all runs. D comes from pairs
where there are any; S from the ends of both intervals added, which holds however the runs depend on each other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, final

from audit.questions import AGAINST
from audit.records import Estimate, Finding, Gate, Standing, Test, Worsening
from audit.stats.changes import Change, none, rescaled, tail
from audit.stats.intervals import missing
from audit.stats.multiplicity import CORRECTIONS, adjusted
from audit.stats.verdicts import needed_n, standard_error

NO_DIFFERENCE: Final[Mapping[str, float]] = {"ratio": 1.0}
"""By unit, the value where nothing differs; of all others it is 0."""
TEST: Final = "interval of |after| - |before| above the margin"


@final
@dataclass(frozen=True, slots=True)
class Held:
    """A finding that both runs have, and its change."""

    before: Finding
    after: Finding
    change: Change
    quantity: str = ""

    def worsening(self, level: float) -> Estimate:
        """|after| - |before| with its interval."""
        moved = self.change.estimate(level)
        before, after = (self._distance(each.estimate, level) for each in (self.before, self.after))
        if moved.value is None or before.value is None or after.value is None:
            return missing(moved.reason or "no estimate", level=level, unit=moved.unit)
        update: dict[str, object] = {"value": abs(after.value) - abs(before.value), "low": None, "high": None}
        if None not in (moved.low, moved.high, before.low, before.high, after.low, after.high):
            update |= dict(zip(("low", "high"), _bounds(moved, before, after), strict=True))
        return moved.model_copy(update=update)

    def _distance(self, estimate: Estimate, level: float) -> Estimate:
        """From no difference, with its sign."""
        found, origin = rescaled(estimate, level), NO_DIFFERENCE.get(estimate.unit, 0.0)
        ends = {name: _minus(getattr(found, name), origin) for name in ("value", "low", "high")}
        return found.model_copy(update=ends)


def alone(finding: Finding, why: str, *, after: bool) -> Held:
    """A finding that one run alone has, the later one or not: nothing can be said of it."""
    lost = finding.model_copy(update={"estimate": missing(why, level=0.95, unit=finding.estimate.unit)})
    one, two = (lost, finding) if after else (finding, lost)
    return Held(one, two, none(one.estimate, two.estimate, why))


def _minus(end: float | None, by: float) -> float | None:
    return None if end is None else end - by


def _bounds(moved: Estimate, before: Estimate, after: Estimate) -> tuple[float, float]:
    low, high = _pair(moved)
    (one, two), (three, four) = _pair(before), _pair(after)
    least, most = one + three, two + four
    return max(min(low, least), min(-high, -most)), max(min(high, most), min(-low, -least))


def _pair(estimate: Estimate) -> tuple[float, float]:
    assert estimate.low is not None and estimate.high is not None
    return estimate.low, estimate.high


def worsenings(held: Sequence[Held], margin: float, alpha: float) -> tuple[Worsening, ...]:
    """The findings of one question against the baseline: Holm, with Bonferroni's intervals, at `alpha`."""
    p, holm = [_p(each, margin) for each in held], CORRECTIONS["holm"]
    m = sum(value is not None for value in p)
    level = holm.level(alpha, m, 0)
    found = zip(held, p, adjusted(p, holm), strict=True)
    return tuple(
        _worsening(each, margin, _test(each, raw, own, m, alpha), each.worsening(level)) for each, raw, own in found
    )


def _test(held: Held, p: float | None, p_adjusted: float | None, m: int, alpha: float) -> Test:
    return Test(
        name=TEST, p=p, p_adjusted=p_adjusted, family=f"{held.after.question}{AGAINST}", correction=CORRECTIONS["holm"].name, m=m,
        alpha=alpha,
    )  # fmt: skip


def _p(held: Held, margin: float) -> float | None:
    """One-sided: of a worsening of at most the margin; 1 where the estimate is no larger."""
    found = held.worsening(0.95)
    if found.value is None or found.low is None:
        return None
    return 1.0 if found.value <= margin else tail(held.worsening, margin)


def _worsening(held: Held, margin: float, test: Test, estimate: Estimate) -> Worsening:
    after, standing = held.after, _standing(estimate, margin, test)
    open_ = standing is Standing.INCONCLUSIVE
    return Worsening(
        id=f"baseline.{after.id}", finding=after.id, question=after.question, attribute=after.attribute, groups=after.groups,
        quantity=held.quantity, before=held.before.estimate, after=after.estimate, estimate=estimate, method=held.change.method,
        test=test, margin=margin, standing=standing, reason=_reason(standing, held, estimate, margin),
        needed_n=_needed(estimate, margin, (test.alpha or 1.0) / max(test.m, 1)) if open_ else None,
    )  # fmt: skip


def _standing(estimate: Estimate, margin: float, test: Test) -> Standing:
    if estimate.low is None or estimate.high is None or test.p_adjusted is None:
        return Standing.NOT_TESTED
    if estimate.low > margin and test.p_adjusted <= (test.alpha or 0.0):
        return Standing.BREACHED
    return Standing.HOLDS if estimate.high < margin else Standing.INCONCLUSIVE


def _reason(standing: Standing, held: Held, estimate: Estimate, margin: float) -> str:
    said = {
        Standing.BREACHED: f"further from no difference than in the baseline, by more than the margin of {margin:g}",
        Standing.HOLDS: f"further from no difference than in the baseline by less than the margin of {margin:g}, or not at all",
        Standing.INCONCLUSIVE: f"neither shown to be worse than the baseline by more than the margin of {margin:g}, nor shown not to be",
        Standing.NOT_TESTED: estimate.reason or "no interval could be made",
    }[standing]
    told = held.change.why if standing is not Standing.NOT_TESTED else ""
    return "; ".join(filter(None, (said, told and f"not paired: {told}")))


def _needed(estimate: Estimate, margin: float, alpha: float) -> int | None:
    """Units for HOLDS with probability .8 if the worsening stays where it is; None where it is beyond the margin."""
    se = standard_error(estimate)
    room = margin - (estimate.value or 0.0)
    return None if se is None or room <= 0 or not estimate.n else needed_n(se, estimate.n, room, alpha / 2)


def baseline_gate(question: str, found: Sequence[Worsening]) -> Gate:
    """The worst standing of one question: 'holds' needs every one that could be tested to hold, and none that one run alone has.

    What neither run has an estimate of was not known when the baseline was accepted either, and counts as little as in a gate of its own.
    """
    standings = {each.standing for each in found} - {Standing.NOT_TESTED}
    worst = (Standing.BREACHED, Standing.INCONCLUSIVE, Standing.HOLDS)
    state = next((each for each in worst if each in standings), Standing.NOT_TESTED)
    lone = sum(each.lone for each in found)
    state = Standing.INCONCLUSIVE if lone and state is Standing.HOLDS else state
    ids = tuple(each.id for each in found)
    return Gate(question=f"{question}{AGAINST}", state=state.value, findings=ids, lone=lone)

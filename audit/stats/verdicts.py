"""From estimate, p and margin to a verdict, a gate and an exit code; no verdict says 'pass' because p is above .05."""

from collections.abc import Collection, Sequence
from math import ceil

from scipy import stats

from audit.records import Estimate, Finding, Gate, Verdict


def decide(
    estimate: Estimate,
    equivalence: Estimate,
    p_adjusted: float | None,
    margin: float | None,
    alpha: float,
    *,
    unsettled: str = "",
) -> tuple[Verdict, str]:
    """Verdict and its reason; `estimate` at the family's level, `equivalence` at the level of its two one-sided tests.

    `unsettled`: what INCONCLUSIVE says, where the general sentence would not fit.

    A difference needs both the adjusted p and an interval without 0, so that no verdict contradicts what is printed.
    Without a margin nothing can breach or be equivalent: significant is DIFFERENT, all else INCONCLUSIVE.
    """
    if estimate.value is None or estimate.low is None or estimate.high is None or p_adjusted is None:
        return Verdict.NOT_TESTABLE, estimate.reason or "no p value could be computed"
    holds_zero = estimate.low <= 0 <= estimate.high
    verdict, reason = _compare(estimate, equivalence, margin, significant=p_adjusted <= alpha and not holds_zero)
    reason = unsettled if unsettled and verdict is Verdict.INCONCLUSIVE else reason
    split = "p is significant, but the interval holds 0" if p_adjusted <= alpha and holds_zero else ""
    return verdict, "; ".join(filter(None, (reason, split, estimate.reason)))


def _compare(
    estimate: Estimate, equivalence: Estimate, margin: float | None, *, significant: bool
) -> tuple[Verdict, str]:
    if margin is None:
        return (
            (Verdict.DIFFERENT, "significant; it has no margin")
            if significant
            else (Verdict.INCONCLUSIVE, "not significant, and it has no margin")
        )
    if significant and _beyond(estimate, margin):
        return Verdict.BREACH, f"significant, and the adjusted interval lies wholly beyond the margin of {margin:g}"
    if significant and estimate.within(margin):
        return Verdict.DIFFERENT, f"significant, and inside the margin of {margin:g}"
    if significant:
        return (
            Verdict.DIFFERENT,
            f"significant, but the interval does not settle whether it exceeds the margin of {margin:g}",
        )
    if equivalence.within(margin):
        bounds = f"{100 * equivalence.level:.4g} % interval [{equivalence.low:.3g}, {equivalence.high:.3g}]"
        return Verdict.EQUIVALENT, f"both one-sided tests reject a difference of {margin:g} or more ({bounds})"
    return Verdict.INCONCLUSIVE, f"neither a difference nor its absence within the margin of {margin:g} is shown"


def _beyond(estimate: Estimate, margin: float) -> bool:
    return estimate.low is not None and estimate.high is not None and (estimate.low > margin or estimate.high < -margin)


def standard_error(estimate: Estimate) -> float | None:
    """Standard error behind a t interval, taking clusters - 1 degrees of freedom; too large where skewness widened the interval."""
    if estimate.low is None or estimate.high is None or not estimate.clusters or estimate.clusters < 2:
        return None
    return (estimate.high - estimate.low) / 2 / float(stats.t.ppf((1 + estimate.level) / 2, estimate.clusters - 1))


def detectable_effect(se: float, df: float, alpha: float, power: float = 0.8) -> float:
    """Smallest true effect that a two-sided t test at `alpha` finds with probability `power`, in the unit of `se`."""
    return float(stats.t.ppf(1 - alpha / 2, df) + stats.t.ppf(power, df)) * se


def detectable_beyond(reach: float, se: float, power: float = 0.8) -> float:
    """The same where an estimate must exceed a `reach` beyond the middle of its null."""
    return reach + float(stats.norm.ppf(power)) * se


def needed_n(se: float, n: int, margin: float, alpha: float, power: float = 0.8) -> int:
    """Units for EQUIVALENT with probability `power` when the true effect is 0 (two one-sided normal tests).

    `se` is that of `n` units, and falls with the root of n.

    >>> needed_n(0.1, 100, 0.1, 0.05)
    857
    """
    factor = float(stats.norm.ppf(1 - alpha) + stats.norm.ppf((1 + power) / 2)) * se / margin
    return max(2, ceil(n * factor**2))


def gate_state(question: str, findings: Sequence[Finding]) -> Gate:
    """The worst verdict among the findings of one question.

    'holds' needs every testable finding shown to lie inside its margin: a significant difference whose interval crosses
    the margin leaves the gate inconclusive, and so does a finding without a margin.
    """
    mine = [finding for finding in findings if finding.question == question]
    tested = [finding for finding in mine if finding.verdict is not Verdict.NOT_TESTABLE]
    state = "holds" if all(finding.settled for finding in tested) else "inconclusive"
    if any(finding.verdict is Verdict.BREACH for finding in tested):
        state = "breached"
    return Gate(
        question=question, state=state if tested else "not tested", findings=tuple(finding.id for finding in mine)
    )


def withhold(findings: Sequence[Finding], faults: Sequence[str], questions: Collection[str]) -> tuple[Finding, ...]:
    """The findings, those of `questions` without a verdict if the explanation has faults; their estimates stay."""
    if not faults:
        return tuple(findings)
    reason = f"no verdict, because the explanation is not valid: {'; '.join(faults)}"
    return tuple(
        finding.model_copy(update={"verdict": Verdict.NOT_TESTABLE, "reason": reason, "sensitivity": ()})
        if finding.question in questions
        else finding
        for finding in findings
    )


def exit_code(gates: Sequence[Gate], *, valid: bool = True) -> int:
    """4 the explanation is not valid, 3 a gate is breached, 5 one is inconclusive or had nothing testable, else 0."""
    if not valid:
        return 4
    states = {gate.state for gate in gates}
    return 3 if "breached" in states else 5 if states & {"inconclusive", "not tested"} else 0

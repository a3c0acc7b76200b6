"""Findings: what was asked, estimated and tested, what backs it, and the gates that it decides."""

from enum import StrEnum
from typing import Final

from pydantic import Field, JsonValue

from audit.records.base import Entry, Estimate
from audit.records.html import finding_html


class Verdict(StrEnum):
    """What may be said of one finding; never 'pass' from p > .05."""

    BREACH = "BREACH"
    DIFFERENT = "DIFFERENT"
    EQUIVALENT = "EQUIVALENT"
    INCONCLUSIVE = "INCONCLUSIVE"
    NOT_TESTABLE = "NOT TESTABLE"


SHOWN: Final = (Verdict.BREACH, Verdict.DIFFERENT)
"""Verdicts under which a difference is shown."""


class Estimand(Entry):
    """What a finding estimates: `measure` per `unit`, compared as `contrast` says, among the `population`, under `condition`."""

    population: str
    unit: str
    measure: str
    contrast: str
    condition: str = ""

    @property
    def words(self) -> str:
        """The estimand as one sentence."""
        parts = (f"{self.measure}: {self.contrast}", self.condition, f"over {self.population}", f"unit: {self.unit}")
        return "; ".join(filter(None, parts))


class Test(Entry):
    """One hypothesis test; `p_adjusted` is corrected within `family`, which has `m` testable members and spends `alpha`.

    `omnibus`: p of no difference between any of the groups of which a pair is tested; `p_adjusted` is never below it.
    """

    __test__ = False  # not a pytest class
    name: str
    p: float | None = None
    p_adjusted: float | None = None
    family: str = ""
    correction: str = ""
    m: int = 0
    alpha: float | None = None
    resamples: int | None = None
    omnibus: float | None = None


class Sensitivity(Entry):
    """The finding under another choice than the config's: what is `changed`, the estimate then, and the verdict it would have.

    `same_unit`: sizes can be compared; if not, as of another composite, only whether a difference is shown, and in which direction.
    """

    changed: str
    estimate: Estimate
    verdict: Verdict
    same_unit: bool = True


class Check(Entry):
    """The finding's question asked of an intervention: how (`by`), what it gives in the place of relevance, and predictions it flips.

    `flips` is the share of predictions that change beyond that of the control, where the question is about one feature alone.
    """

    by: str
    estimate: Estimate
    flips: Estimate | None = None


class Agreement(Entry):
    """How net relevance of a feature goes with what hiding it does (`by`), over examples and features that were hidden.

    `spearman` is the rank correlation; `sign` how often the directions agree, of effects from .1 sd of the contrast logit.
    """

    composite: str
    by: str
    spearman: Estimate
    sign: Estimate


class ValidityCheck(Entry):
    """One thing asked of the explanation itself, on a sample: `asks` is its key in `audit.questions.REQUIREMENTS`.

    `by` is a fill or a composite. `holds` is None where it is not required, or there is too little to say; then `estimate` tells why.
    """

    asks: str
    by: str
    estimate: Estimate
    holds: bool | None


class Grade(StrEnum):
    """How far a difference that is shown is backed by interventions; the first is the strongest."""

    CONFIRMED = "confirmed"
    SUPPORTED = "supported"
    SUGGESTIVE = "suggestive"
    REFUTED = "refuted by intervention"


class Opinion(Entry):
    """The same quantity under another composite: does the verdict survive the rule?"""

    composite: str
    estimate: Estimate
    p: float | None = None
    null: tuple[float, ...] = ()


class Finding(Entry):
    """One row of the verdict grid; `flips` are the entries of `sensitivity` under which the verdict, or its direction, is another.

    `grade` is None where no difference is shown; `grounds` says in one sentence why it is what it is.
    """

    id: str
    question: str
    attribute: str
    groups: tuple[str, ...]
    composite: str | None = None
    estimand: Estimand
    estimate: Estimate
    test: Test
    margin: float | None = None
    verdict: Verdict
    reason: str
    gate: bool = False
    second_opinion: tuple[Opinion, ...] = ()
    detectable: float | None = None
    needed_n: int | None = None
    null: tuple[float, ...] = ()
    sensitivity: tuple[Sensitivity, ...] = ()
    checks: tuple[Check, ...] = ()
    grade: Grade | None = None
    grounds: str = ""
    details: dict[str, JsonValue] = Field(default_factory=dict)

    @property
    def flips(self) -> tuple[Sensitivity, ...]:
        """Other choices with another verdict, or a difference in the other direction; where nothing can be tested there is none."""
        return tuple(other for other in self.sensitivity if self._another(other) or self._turned(other))

    def _another(self, other: Sensitivity) -> bool:
        if other.same_unit or other.verdict is Verdict.NOT_TESTABLE:
            return other.verdict not in (self.verdict, Verdict.NOT_TESTABLE)
        return self.verdict in SHOWN and other.verdict not in SHOWN

    def _turned(self, other: Sensitivity) -> bool:
        one, two = self.estimate.value, other.estimate.value
        shown = {self.verdict, other.verdict} <= set(SHOWN)
        return shown and one is not None and two is not None and one * two < 0

    def _repr_html_(self) -> str:
        """For notebooks."""
        return finding_html(self)

    @property
    def settled(self) -> bool:
        """Whether it is shown to lie strictly inside its margin, as a gate that holds needs of all that it tests."""
        if self.verdict is not Verdict.DIFFERENT:
            return self.verdict is Verdict.EQUIVALENT
        return self.margin is not None and self.estimate.within(self.margin)

    @property
    def quantity(self) -> str:
        """Which quantity of the question, where it has several: a rate, a feature, flips; else empty."""
        if self.question == "direction":
            named = self.details.get("term") or self.details.get("region")
            return f"{named}, true {self.details.get('true class')}" if named else ""
        feature, named = self.details.get("feature"), self.details.get("region")
        of = f"{feature} words" if feature else f"share of {named}" if named else self.details.get("measure")
        return ", ".join(str(part) for part in (of, self.details.get("part")) if part)

    @property
    def fragile(self) -> bool:
        """Whether another choice would give another verdict or direction."""
        return bool(self.flips)


class Gate(Entry):
    """One question that decides the exit code: the worst verdict among its findings.

    `lone`: against a baseline, how many findings have an estimate in one of the two runs alone.
    """

    question: str
    state: str
    findings: tuple[str, ...]
    lone: int = Field(0, exclude_if=lambda value: not value)

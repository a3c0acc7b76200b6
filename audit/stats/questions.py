"""The questions an audit asks, in one literal table that computation, record, report and documentation share."""

from dataclasses import dataclass
from typing import Final, Literal, final


@final
@dataclass(frozen=True, slots=True)
class Question:
    """One declared test family; `estimand` is a template over {group}, {other} and, for outcome, {measure}.

    `inconclusive` is the reason to give for an INCONCLUSIVE finding, where that of every other question would not fit.
    """

    name: str
    family: str
    estimand: str
    unit: str
    direction: Literal["greater", "two-sided"]
    margin: str | None
    inconclusive: str = ""


QUESTIONS: Final[dict[str, Question]] = {
    "reliance": Question(
        "reliance",
        "reliance on word groups",
        "mean relevance magnitude per {group} word over mean per word of the same example, "
        "ranked among placebo word groups",
        "ratio",
        "greater",
        None,
        "not shown to be among the most used word groups, which never says unused",
    ),
    "contrast": Question(
        "contrast",
        "contrast of word groups",
        "mean signed relevance of {group} words minus that of {other} words on the contrast logit, "
        "ranked among placebo pairs",
        "sd of the contrast logit",
        "two-sided",
        "contrast",
    ),
    "disparity": Question(
        "disparity",
        "disparity of relevance between groups",
        "Cliff's delta of the relevance of a feature both groups have, {group} against {other}, "
        "within strata of label, prediction and confidence",
        "Cliff's delta",
        "two-sided",
        "disparity",
    ),
    "outcome": Question(
        "outcome",
        "outcome gaps",
        "{measure} of {group} minus {measure} of {other}",
        "difference of rates",
        "two-sided",
        "outcome",
    ),
    "intervention": Question(
        "intervention",
        "effect of swapping words",
        "mean change of the contrast logit when {group} words are swapped for their {other} counterparts",
        "sd of the contrast logit",
        "two-sided",
        "swap",
    ),
}

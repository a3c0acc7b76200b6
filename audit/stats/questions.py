"""The questions an audit asks, in one literal table that computation, record, report and documentation share."""

from dataclasses import dataclass
from typing import Final, Literal, final


@final
@dataclass(frozen=True, slots=True)
class Question:
    """One declared test family; `estimand` is a template over {group}, {other} and, for outcome, {measure}.

    `inconclusive` is the reason to give for an INCONCLUSIVE finding, where that of every other question would not fit;
    `of_regions` is the question as it is asked of image regions, where it differs.
    """

    name: str
    family: str
    estimand: str
    unit: str
    direction: Literal["greater", "two-sided"]
    margin: str | None
    inconclusive: str = ""
    of_regions: "Question | None" = None


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
        Question(
            "reliance",
            "reliance on regions",
            "mean signed relevance inside the mask of {group} minus that inside masks of other images of the same class and "
            "region size, on the contrast logit, as a share of |R|, over the part of a mask that the others leave uncovered",
            "share of |R| that follows the mask",
            "two-sided",
            "reliance",
            "not shown to push the prediction in one direction, which never says unused",
        ),
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
    "errors": Question(
        "errors",
        "misclassified against correct",
        "Cliff's delta of the relevance of a region, misclassified against correct photographs of {group}, "
        "within strata of label and confidence",
        "Cliff's delta",
        "two-sided",
        None,
        "misclassified and correct photographs are not shown to differ at equal confidence",
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


def asked(question: str, *, of_regions: bool) -> Question:
    """The question as it is put to words or to image regions."""
    return (QUESTIONS[question].of_regions if of_regions else None) or QUESTIONS[question]

"""The questions an audit asks, and what it requires of explanations: literal tables for computation, record, report and docs."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final, Literal, final

from audit.records import Estimand

Task = Literal["text", "image"]
EXAMPLES: Final[Mapping[str, str]] = MappingProxyType({"text": "text", "image": "photograph"})


@final
@dataclass(frozen=True, slots=True)
class Put:
    """A question as it is put to one kind of data: the parts of its estimand, templates over what a case names.

    `scale` is the unit of its estimates, `margin` the key of `margins` in the config (None: it has none, and is no gate).
    `draws` is the key of `statistics` that says how many draws its tests make ("": none). `inconclusive` is the reason to give for
    an INCONCLUSIVE finding, where that of every other question would not fit.
    """

    measure: str
    contrast: str
    scale: str
    margin: str | None = None
    condition: str = ""
    population: str = "the audited {examples}"
    unit: str = "{example}, or cluster of them"
    draws: Literal["", "placebos", "permutations"] = ""
    inconclusive: str = ""

    def estimand(self, task: Task, **names: str) -> Estimand:
        """The estimand of a case; `names` fills the templates, KeyError for one that is not given."""
        given = {"example": EXAMPLES[task], "examples": f"{EXAMPLES[task]}s", **names}
        parts = ("population", "unit", "measure", "contrast", "condition")
        return Estimand(**{part: str(getattr(self, part)).format(**given) for part in parts})


@final
@dataclass(frozen=True, slots=True)
class Question:
    """One declared family of tests. `explained`: it rests on relevance, not on predictions alone.

    `drawn`: the values under the null are kept in the record and drawn; not where a family has too many members for it. `of_columns`:
    its groups are those of a column of the data, or what a text mentions; others are groups of words, or regions.
    """

    title: str
    asks: str
    family: str
    explained: bool
    put: Mapping[Task, Put] = field(default_factory=dict)
    drawn: bool = True
    of_columns: bool = False


_SIDES = Put(
    measure="{measure} of {feature}",
    contrast="Cliff's delta, {group} against {other}",
    condition="within strata of {matched}",
    scale="Cliff's delta",
    margin="disparity",
    draws="permutations",
)
_OUTCOME = Put(
    measure="{measure}", contrast="{group} minus {other}", scale="difference of rates", margin="outcome",
    condition="as predicted, whatever the relevance",
)  # fmt: skip

_GONE = "the gap is not shown to be there where everything declared is hidden"

QUESTIONS: Final[Mapping[str, Question]] = MappingProxyType({
    "reliance": Question(
        "Reliance",
        "Do the words of a group, or a region, carry more relevance than comparable others?",
        "reliance",
        explained=True,
        put={
            "text": Put(
                measure="mean |R| per word of the group over mean |R| per word of the same text",
                contrast="{group} words, ranked among placebo word groups",
                population="the audited texts that hold such a word",
                unit="word type; intervals: text, or cluster of texts",
                scale="ratio",
                draws="placebos",
                inconclusive="not shown to be among the most used word groups, which never says unused",
            ),
            "image": Put(
                measure="net R on the contrast logit, as a share of |R|, over the part of a mask that others leave uncovered",
                contrast="inside the mask of {group} minus inside the masks of other photographs",
                condition="of the same class and region size",
                population="the audited photographs that hold the region",
                scale="share of |R| that follows the mask",
                margin="reliance",
                draws="permutations",
                inconclusive="not shown to push the prediction in one direction, which never says unused",
            ),
        },
    ),
    "contrast": Question(
        "Group contrast",
        "Do the words of one group push the prediction further than the words of another group?",
        "contrast of word groups",
        explained=True,
        put={
            "text": Put(
                measure="mean net R per word on the contrast logit",
                contrast="{group} words minus {other} words, ranked among placebo pairs",
                population="the audited texts that hold such a word",
                unit="word type; intervals: text, or cluster of texts",
                scale="sd of the contrast logit",
                margin="contrast",
                draws="placebos",
            )
        },
    ),
    "direction": Question(
        "Direction by class",
        "Among examples of one true class, does a term push the prediction further than words as frequent, or a region push it one way?",
        "direction by class",
        explained=True,
        drawn=False,
        put={
            "text": Put(
                measure="mean net R per occurrence on the contrast logit",
                contrast="{feature}, ranked among words that are as frequent",
                condition="true class {label}",
                population="the audited texts that hold the term",
                unit="word type; intervals: text, or cluster of texts",
                scale="sd of the contrast logit",
                inconclusive="not shown to push further than comparable words",
            ),
            "image": Put(
                measure="net R on the contrast logit, as a share of |R|, over the part of a mask that others leave uncovered",
                contrast="inside the mask of {feature} minus inside the masks of other photographs",
                condition="true class {label}, about the same region size",
                population="the audited photographs that hold the region",
                scale="share of |R| that follows the mask",
                draws="permutations",
                inconclusive="not shown to push in one direction",
            ),
        },
    ),
    "disparity": Question(
        "Relevance disparity",
        "Is the same kind of word, or region, relied on more for one group than for another?",
        "disparity of relevance between groups",
        explained=True,
        of_columns=True,
        put={"text": _SIDES, "image": _SIDES},
    ),
    "errors": Question(
        "Misclassified against correct",
        "Do misclassified examples of a group have their relevance elsewhere, at equal confidence?",
        "misclassified against correct",
        explained=True,
        of_columns=True,
        put=dict.fromkeys(
            ("text", "image"),
            Put(
                measure="{measure} of {feature}",
                contrast="Cliff's delta, misclassified against correct",
                condition="within strata of label and confidence",
                population="the audited {examples} of {group}",
                scale="Cliff's delta",
                draws="permutations",
                inconclusive="misclassified and correct examples are not shown to differ at equal confidence",
            ),
        ),
    ),
    "outcome": Question(
        "Outcome gaps",
        "Do rates of favourable or wrong predictions differ between groups?",
        "outcome gaps",
        explained=False,
        of_columns=True,
        put={"text": _OUTCOME, "image": _OUTCOME},
    ),
    "link": Question(
        "Relevance and errors",
        "Within a group, are predictions wrong more often where a feature has much relevance than where it has little?",
        "error rate by relevance",
        explained=True,
        of_columns=True,
        put=dict.fromkeys(
            ("text", "image"),
            Put(
                measure="error rate",
                contrast="the third with most minus the third with least {measure} of {feature}",
                population="the audited {examples} of {group}",
                scale="difference of rates",
                inconclusive="errors are not shown to depend on it",
            ),
        ),
    ),
    "unexplained": Question(
        "Unexplained gaps",
        "Is a gap in predictions still there where everything declared is hidden? Then what is declared does not explain all of it.",
        "gaps with everything declared hidden",
        explained=False,
        of_columns=True,
        put={
            "text": replace(_OUTCOME, margin=None, condition="with every declared word hidden", inconclusive=_GONE),
            "image": replace(_OUTCOME, margin=None, condition="with every declared region hidden", inconclusive=_GONE),
        },
    ),
    "intervention": Question(
        "Swaps",
        "Does the prediction change when a group's words are swapped for another group's?",
        "effect of swapping words",
        explained=False,
        put={
            "text": Put(
                measure="{measure}",
                contrast="{group} words in place of their {other} counterparts",
                population="the audited texts with a word that has a counterpart",
                scale="sd of the contrast logit",
                margin="swap",
                draws="permutations",
            )
        },
    ),
})  # fmt: skip


@final
@dataclass(frozen=True, slots=True)
class Requirement:
    """What is asked, in words; `above` is what the whole interval must exceed (None: nothing).

    `fault` says what is wrong where it does not, `cure` what may help.
    """

    title: str
    asks: str
    above: float | None
    fault: str = ""
    cure: str = ""


_CURE: Final = (
    "rules that fit the architecture (transformers of images need AttnLRP, see docs/images.md), or another method; a "
    "larger checks.validity where the interval only just misses"
)
REQUIREMENTS: Final[Mapping[str, Requirement]] = MappingProxyType({
    "random order": Requirement(
        "Own relevance against a random order",
        "Features hidden in the order of their relevance: does the logit fall more than in random order (0)?",
        0.0, "hiding what is relevant moves the logit no more than hiding at random", _CURE,
    ),
    "mean map": Requirement(
        "Own relevance against the mean map of others",
        "More than in the order of the mean map of other examples on the same side of the logit, which knows nothing of this one?",
        0.0, "the relevance of an example tells no more of it than the mean map of others on its side of the logit", _CURE,
    ),
    "re-initialised copy": Requirement(
        "Own relevance against the map of a re-initialised copy",
        "More than in the order that a copy of the model with random weights gives, which shows what the input alone does?",
        0.0, "the map of a model with random weights serves as well, so the map does not show what was learnt", _CURE,
    ),
    "noise": Requirement(
        "Stability under tiny noise",
        "Does the map stay what it is under noise of one grey level, or of 1 % of the embeddings?",
        0.8, "noise too small to see changes the map", "smoother rules, as with gamma",
    ),
    "composites": Requirement(
        "Agreement of composites", "Do other rules rank the features of an example alike?", 0.0,
        "rules contradict each other on what is relevant", "leave out the composite that does not fit the architecture",
    ),
    "likeness of the copy": Requirement(
        "Likeness of the re-initialised copy's map",
        "How alike do the model and its copy rank features? Near 0 the map shows what was learnt.",
        None,
    ),
})  # fmt: skip


ADVERSE: Final[Mapping[str, str]] = MappingProxyType({  # four-fifths x significance x practical significance (29 CFR 1607.4 D)
    "both": "below four fifths, and significant",
    "ratio": "below four fifths, not significant: may rest on small numbers",
    "difference": "not below four fifths, yet significant: the difference may still matter in practice",
    "fragile": "below four fifths by so little that one selection more or less would change it, and not significant",
    "neither": "neither below four fifths nor significant, which is no proof that there is no adverse impact",
    "": "not compared",
})  # fmt: skip

RATE_OF: Final[Mapping[str, str]] = MappingProxyType({  # what an impact table counts, by `compliance.output`
    "selection": "selection rate", "score": "rate of scores above the median",
})  # fmt: skip
AGAINST: Final = ", against the baseline"  # ends the question of a gate against an earlier run
INVALID: Final = 4  # exit code: the explanation was not shown to be valid


def gates(task: Task) -> tuple[str, ...]:
    """The questions that can set the exit code: those that have a margin.

    >>> gates("image")
    ('reliance', 'disparity', 'outcome')
    """
    return tuple(name for name, question in QUESTIONS.items() if task in question.put and question.put[task].margin)

"""The tests in plain words, one entry each: what docs/statistics.md says. `python -m audit.stats.menu` prints that page."""

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, final

from audit.config import Checks, Margins, Statistics
from audit.questions import QUESTIONS, REQUIREMENTS, Put, Question, Task
from audit.stats.menu_impact import about_ratios


@final
@dataclass(frozen=True, slots=True)
class Entry:
    """One test: what it asks and when it is used, in words that need no statistics, what it cannot do, and its source."""

    asks: str
    used: str
    limits: str
    source: str


MENU: Final[Mapping[str, Entry]] = MappingProxyType({
    "placebo groups and pairs": Entry(
        "Do the words of a group carry more relevance, or push further, than other words that are as frequent and as alike?",
        "reliance, contrast and direction of words",
        "the unit is the word, so a group of a few words can show only large effects; a high p never says unused",
        "simulations.md; degrees of freedom of placebos that share words: Satterthwaite 1946, Biometrics 2",
    ),
    "mask swap": Entry(
        "Is there more relevance inside a photograph's own mask than inside the masks of photographs like it?",
        "reliance and direction of regions",
        "needs masks that move; where they hardly do, the crop is shifted by known random pixels or nothing is tested",
        "permutation of masks within class and region size",
    ),
    "untrained copies": Entry(
        "Is the difference larger than in the same network with random weights?",
        "disparity on images: what the photographs show draws relevance in any network",
        "at least 20 copies; says nothing of networks trained on other data",
        "prediction interval of a normal sample, k - 1 degrees of freedom",
    ),
    "brunner_munzel": Entry(
        "Does a value drawn from one side tend to be larger than one drawn from the other?",
        "disparity and errors, within strata of label, prediction and confidence; its effect is Cliff's delta",
        "no more than an ordering: it does not say by how much",
        "Brunner and Munzel 2000, Biometrical Journal 42; clusters: Obuchowski 1997, Biometrics 53",
    ),
    "stratified_permutation": Entry(
        "How often would sides dealt at random, among rows alike in label and confidence, differ as much?",
        "beside Brunner and Munzel; the larger p counts",
        "a difference in spread alone alarms it, which Brunner and Munzel's p then stops; normal limit beyond 5,000 rows",
        "Hoeffding 1951, Annals of Mathematical Statistics 22",
    ),
    "cluster_permutation": Entry(
        "How often would they, if whole clusters were dealt?",
        "where every cluster is of one side and clusters have the same strata",
        "few clusters have few arrangements",
        "Chung and Romano 2013, Annals of Statistics 41",
    ),
    "sign_flip": Entry(
        "Would paired differences look the same if each cluster's sign were tossed?",
        "effects of swapped words; clusters that hold both sides",
        "takes differences as symmetric about 0 if nothing differs",
        "Fisher 1935, The Design of Experiments",
    ),
    "omnibus": Entry(
        "Is there any difference between more than two groups?",
        "opens the pairs of an attribute with more than two groups",
        "does not say which groups differ",
        "Kruskal and Wallis 1952, JASA 47, as a score test with cluster-robust covariance",
    ),
    "two parts": Entry(
        "Does relevance exceed 0 more often, or further where it does?",
        "shares of which 10 to 90 % are 0, beside the test of all values; each part goes through the same tests",
        "the second part speaks of the values above 0 only",
        "Lachenbruch 1976, Biometrische Zeitschrift 18",
    ),
    "fractional_logit": Entry(
        "Does a disparity survive adjustment for the declared covariates, label and confidence?",
        "disparity and errors where `data.columns.covariates` are declared: the largest p counts",
        "needs 30 independent units a side; models the mean share only",
        "Papke and Wooldridge 1996, Journal of Applied Econometrics 11",
    ),
    "small_counts": Entry(
        "Are two rates equal?",
        "outcome gaps and error rates by relevance, of independent rows; exact below expected counts of 10",
        "exact tests are cautious",
        "Boschloo 1970, Statistica Neerlandica 24; Fisher 1935",
    ),
    "two_proportions": Entry(
        "Are two rates equal, where rows share clusters?",
        "outcome gaps of clustered rows",
        "at an effective sample size, which few clusters tell badly",
        "score test; design effect of Kish 1965, Survey Sampling",
    ),
    "common_odds": Entry(
        "Are the odds of an error equal within true classes, and by the same factor in all?",
        "beside every gap of error rates",
        "rows as if independent",
        "Mantel and Haenszel 1959, JNCI 22; Tarone 1985, Biometrika 72",
    ),
    "mcnemar": Entry(
        "Do swapped words turn as many predictions favourable as unfavourable?",
        "beside the effects of swapped words",
        "fewer than 6 changes cannot show anything",
        "McNemar 1947, Psychometrika 12",
    ),
})  # fmt: skip


def page() -> str:
    """docs/statistics.md."""
    return "\n".join(
        [
            "# Statistics",
            "",
            INTRODUCTION,
            *_questions(),
            *_entries("How it is tested", SIZES, MENU),
            *_entries("How intervals are made", FEW, INTERVALS),
            *_settings(),
            "",
            CORRECTED,
            CHECKED,
            VALID + "\n".join(_requirements()) + "\n",
            CANDIDATES,
            about_ratios(),
        ]
    )


NAMES: Final[Mapping[str, str]] = MappingProxyType({
    "group": "A", "other": "B", "measure": "M", "feature": "F", "matched": "label, prediction and confidence", "label": "k",
})  # fmt: skip
"""What stands for the names of a case in the page."""
LETTERS: Final = (
    "A is a group, B another one, the reference or the rest; F a term, the words of an attribute, or a region; M the rate or the part of "
    "relevance (`statistics.sign`) that a row of the report names; k a class. The unit is what the tests take as independent."
)

INTERVALS: Final[Mapping[str, Entry]] = MappingProxyType({
    "mean, difference of means, ratio": Entry(
        "Where does the true mean lie?",
        "reliance, contrast, direction, swaps, mean shares",
        "wider where skewed: covers .95 to .97 of 30 values of which half are 0, where Student's t alone covers .91",
        "linearised with cluster-robust variance, Welch's degrees of freedom; outer ends of Student's t and of Hall 1992, JRSS B 54",
    ),
    "Wilson and Newcombe": Entry(
        "Where does a true rate, or a difference of two, lie?",
        "error and favourable rates, flips, accuracy",
        "in clusters at an effective sample size",
        "Wilson 1927, JASA 22; Newcombe 1998, Statistics in Medicine 17; design effect of Kish 1965",
    ),
    "Cliff's delta": Entry(
        "How much more often is a value of one side the larger one?",
        "disparity and errors, weighted over strata by the overlap of the sides; Student's t, or Wilson where the sides do not overlap",
        "says nothing of sizes; rows without a counterpart are left out and counted",
        "placements, cluster-robust: Brunner and Munzel 2000; Obuchowski 1997",
    ),
})  # fmt: skip

INTRODUCTION: Final = """\
This page is generated from the tables that the audit computes with (`audit/questions.py`, `audit/stats/menu.py`). How often each test is
wrong, and what it finds, is simulated in [simulations.md](simulations.md).

A number never stands alone: it has an interval, its level, the number of examples and of independent units. A verdict needs the
adjusted p, the interval and the margin that the config declares:

| verdict | when |
|---|---|
| BREACH | the adjusted p is at most alpha, and the interval lies wholly beyond the margin |
| DIFFERENT | the adjusted p is at most alpha, and the interval holds no 0, but is not wholly beyond the margin (it says if it is inside) |
| EQUIVALENT | not DIFFERENT, and two one-sided tests, each at the family's alpha over m, reject a difference of the margin or more |
| INCONCLUSIVE | none of these: the smallest effect that could have been found, and the n for EQUIVALENT, are printed where they exist |
| NOT TESTABLE | too few examples, nothing that varies, or nothing to compare with: the reason is printed |

No verdict follows from a high p alone. Where several tests or composites are asked, all must show a difference, in the same direction. A
verdict that would change, or turn round, if unknown groups were such that the difference is largest or smallest, if one declared
term were left out, or if every mask of a region were a little larger or smaller, is marked fragile."""

SIZES: Final = f"Groups need {Statistics().min_group_size} examples a side."
FEW: Final = (
    "Below 30 independent units, and where an estimate is skewed by more than .5, an interval is called unreliable."
)

CORRECTED: Final = """\
## Many tests at once

Each question is a family of its own. A question that is a gate is corrected by Holm (1979), with Bonferroni intervals, at its even part of
alpha: of three gates each spends a third, so that any of them is breached by chance in at most alpha of all audits. Other questions
are corrected by Benjamini and Hochberg (1995), or by Benjamini and Yekutieli (2001) with `statistics.discovery: by`; their intervals
keep the false coverage rate (Benjamini and Yekutieli 2005). What could not be tested does not enter a family and stays in the report.
With more than two groups no pair has an adjusted p below that of the test of all groups together. `statistics.looks: 52` spends alpha
over a year of weekly runs. A gate against a baseline (`baseline.worse_by`, docs/comparing.md) is one more gate that shares alpha.

Of k draws the smallest p is 1 / (k + 1), so a family of m tests needs k of at least m / alpha - 1: an audit that declares fewer placebos or
permutations than the largest of its families needs is refused before anything is explained.
"""


CHECKED: Final = """\
## Checks by intervention

The question of a finding on relevance is asked again of what hiding its feature does to the contrast logit: words are masked, and deleted;
a region is filled with the photograph's mean, with its blur, and with what surrounds it (normalised convolution, Knutsson and Westin
1993). Hiding anything moves a logit, so each has its control in the same example: as many other words that no lexicon declares, or the
mask moved to where it overlaps itself least. `checks.examples` of a feature, drawn at random, are hidden. What is compared is what the
finding compares: the mean effect of a region or term; the mean size of the effect of a group's words; the difference between the words
of two groups, and what swapping them does; Cliff's delta of the size between sides in strata of the same kind.
Words count each, as in the finding; nothing is said of fewer than `statistics.min_group_size` independent examples.

| grade of a difference that is shown | when |
|---|---|
| confirmed | two interventions or more have intervals on its side of 0 and effects of at least their margin, none the other side |
| supported | all point in its direction, and it is fragile, the effects are smaller, or fewer than two intervals leave out 0 |
| suggestive | they point in different directions, or nothing could be hidden |
| refuted by intervention | the intervals of all, two or more, lie on the other side of 0 |

The margin of an effect is `margins.swap` in sd of the contrast logit, `margins.disparity` of Cliff's delta, `margins.outcome` of rates. A
finding is fragile where another choice changes its verdict. Findings that are read from predictions need no relevance, and count as
confirmed; the link of relevance and errors is checked by thirds of the effect, and the parts of shares that are often 0 are not checked.
A gap in selection, false positive or false negative rates that is shown is asked for once more with everything declared hidden: where it
is still there under every fill, what was declared does not explain all of it (a selection rate may also follow true base rates).

Contribution and effect are two sizes: relevance shares out the logit that is there, an intervention says what is lost without a part. In
networks that normalise, the rest grows when a part is gone: on the two-layer BERT of docs/benchmark.md the contrast is about twice the
effect of a swap, on bags of words as large. So rank, sign and test of a contrast are read from relevance, sizes from the interventions.
"""


VALID: Final = """\
## Validity of the explanation

Asked in every run of `checks.validity` examples, drawn at random. Features are the words of a text, or the cells of a grid of 8 x 8 over a
photograph. They are hidden a third and two thirds at a time, by two fills, in the order of a map and in the reverse order; what counts is
the area between the two curves of the contrast logit (Samek et al. 2017; both orders, Blücher et al. 2024), towards the side on which the
example lies, 0 for a random order. Copies of the model with random weights (three, each for a third of the sample) give the map that the
input alone does (Adebayo et al. 2018). A requirement holds where the whole 95 % interval over independent examples exceeds its bound, under
each fill. Of fewer than 20 nothing is required, nor more than the mean map gives of texts from one template (more than half of their words
stand in most texts). Where one does not hold, or the ledger does not close (gradient x input keeps none), or more than a tenth of the maps
are empty, the exit code is 4 and no finding on relevance has a verdict.

| requirement | asks | must exceed |
|---|---|---|
"""


def _requirements() -> Iterable[str]:
    for needed in REQUIREMENTS.values():
        yield f"| {needed.title} | {needed.asks} | {'described only' if needed.above is None else needed.above} |"


CANDIDATES: Final = f"""\
## Candidates nobody declared

Words that no lexicon declares, and cells of a grid of 8 x 8 over the photographs' input that fixed regions do not cover by more than
half, are offered for the next lexicon or mask. They are no findings: no verdict and no exit code rests on them, and what texts or
photographs show makes networks with random weights differ between groups too. `checks.candidates` (default {Checks().candidates}; 0:
none) says how many.

* What is compared: count x mean relevance of a word in an example, 0 where it does not occur, in sd of the contrast logit, which is
  the part of the logit that this word carries; net relevance of a cell over sum |R|. Between the groups of every grouping, and
  between misclassified and correct examples of each true class; always within true classes, weighted by n_1 n_0 / (n_1 + n_0).
* Half of the clusters, drawn at random, choose in each comparison the words or cells with the largest standardised difference, of
  those that `statistics.min_examples_per_term` independent examples of each half hold. The other half tests those alone.
* The test deals sides at random within true classes (exact for rare words, for which no normal limit holds; normal beyond 5,000
  holders). Where examples share clusters, clusters are dealt too, or their signs tossed, and the larger p counts. These tests of
  all comparisons are one family, corrected by `statistics.discovery`; the interval, at the level of the false coverage rate, must
  leave out 0 as well. Nothing else loosens what is offered.
* Of the words offered it is asked afterwards whether they occur more often on one side: a *proxy*, else *used differently*, where what
  it carries differs and how often it occurs is not shown to. These tests are a family of their own, corrected for the choice: where
  R of m words are offered, p is multiplied by m / R (Benjamini and Bogomolov 2014), and with `by` by the harmonic sum too. Words of
  errors are no proxies. Misclassified examples differ from correct ones in the sum of their relevance by what they are, so their
  candidates say where, not why.
* Each side needs `statistics.min_group_size` independent examples with a counterpart in each half, else the comparison says why not.
* Cells are places of the model's input: they show the same thing in every photograph only where photographs are aligned. Only measured
  regions (masks, boxes, landmarks, annotations) tell; `fixed` and `grid` are the same in every photograph by declaration.
* An audit that declares what was found on the same data has p values that are too small: confirm on other data.
"""


def _questions() -> Iterable[str]:
    yield from ("", "## What is asked", "", LETTERS, "")
    margins = Margins()
    for name, question in QUESTIONS.items():
        yield from (f"### {question.title} (`{name}`)", "", question.asks, "")
        yield from (
            "| | population | unit | measure | contrast | condition | margin |",
            "|---|---|---|---|---|---|---|",
        )
        yield from (_row(*found, margins) for found in _puts(question))
        yield ""


def _puts(question: Question) -> Iterable[tuple[Task, str, Put]]:
    """Tasks with the same words share a row."""
    tasks: dict[Put, list[Task]] = {}
    for task, put in question.put.items():
        tasks.setdefault(put, []).append(task)
    return [(found[0], ", ".join(f"{task}s" for task in found), put) for put, found in tasks.items()]


def _row(task: Task, kinds: str, put: Put, margins: Margins) -> str:
    margin = "none" if put.margin is None else f"{getattr(margins, put.margin):g} {put.scale}"
    shared = {"example": "example", "examples": "examples"} if "," in kinds else {}
    said = put.estimand(task, **NAMES, **shared)
    parts = (kinds, said.population, said.unit, said.measure, said.contrast, said.condition, margin)
    return f"| {' | '.join(map(_cell, parts))} |"


def _entries(title: str, about: str, entries: Mapping[str, Entry]) -> Iterable[str]:
    yield from (f"## {title}", "", about, "")
    for name, entry in entries.items():
        yield from (f"**{name}**: {entry.asks} Used for: {entry.used}. Limits: {entry.limits}. ({entry.source})", "")


def _settings() -> Iterable[str]:
    yield from (
        "## Settings",
        "",
        "Keys of `statistics` in the config; they are part of the protocol, whose hash is in the run id.",
        "",
    )
    yield from ("| key | default | meaning |", "|---|---|---|")
    for name, field in Statistics.model_fields.items():
        default = getattr(Statistics(), name)
        shown = "none" if default in ({}, (), None) else str(default)
        yield f"| `{name}` | {_cell(shown)} | {_cell(field.description or '')} |"


def _cell(words: str) -> str:
    return words.replace("|", chr(92) + "|")


if __name__ == "__main__":
    sys.stdout.write(page())

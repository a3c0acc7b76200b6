"""What the report says in its own words about verdicts, exit codes, the ledger and its terms, and the summary."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, final

from audit.questions import AGAINST, QUESTIONS, REQUIREMENTS, Requirement
from audit.records import SHOWN, AuditRecord, Finding, Gate, Standing, Verdict, Worsening
from audit.report.backing import fragile
from audit.report.text import listed, number, percent, plural


@final
@dataclass(frozen=True, slots=True)
class VerdictWords:
    """How a verdict looks and what it says; `symbol` is also the marker in charts."""

    symbol: str
    style: str
    meaning: str


VERDICTS: Final[dict[Verdict, VerdictWords]] = {
    Verdict.BREACH: VerdictWords(
        "▲", "breach", "a difference is shown, and its whole interval lies beyond the agreed margin"
    ),
    Verdict.DIFFERENT: VerdictWords("◆", "different", "a difference is shown; it is not shown to exceed the margin"),
    Verdict.INCONCLUSIVE: VerdictWords(
        "□", "inconclusive", "neither a difference nor its absence is shown: too little data for the margin"
    ),
    Verdict.EQUIVALENT: VerdictWords("●", "equivalent", "any difference is shown to be smaller than the margin"),
    Verdict.NOT_TESTABLE: VerdictWords("×", "untestable", "the data do not allow a test; the reason is listed"),
}
EXITS: Final[dict[int, str]] = {
    0: "the audit ran and every gate holds",
    1: "the audit did not come to its end: an internal error, a full disk, or another run of it at work",
    2: "config, data or model could not be used",
    3: "the audit ran and at least one gate is breached",
    4: "the audit ran, but the explanation itself was not shown to be valid, so no verdict on relevance is given",
    5: "the audit ran and no gate is breached, but at least one gate is inconclusive or had nothing it could test",
}
GATES: Final[dict[str, tuple[Verdict, str]]] = {
    "holds": (Verdict.EQUIVALENT, "every finding that could be tested is shown to lie inside its margin"),
    "breached": (Verdict.BREACH, "at least one finding lies wholly beyond its margin"),
    "inconclusive": (Verdict.INCONCLUSIVE, "at least one finding is not shown to lie inside its margin"),
    "not tested": (Verdict.NOT_TESTABLE, "no finding of this question could be tested"),
}
WORSE: Final = "And is what it finds larger than in the baseline, an earlier run, by more than the agreed margin?"
STANDINGS: Final[Mapping[str, str]] = {
    "holds": "every difference that could be compared is shown to be no larger than in the baseline by more than its margin",
    "breached": "at least one difference is larger than in the baseline by more than its margin",
    "inconclusive": "at least one difference is not shown to be no larger than in the baseline by more than its margin",
    "not tested": "no difference could be compared with the baseline",
}
HOLDS: Final[dict[bool | None, str]] = {
    True: "holds", False: "does not hold", None: "not required, or too little to say",
}  # fmt: skip
LINKS: Final[dict[tuple[bool, bool], str]] = {  # is a gap in errors shown, and a disparity of relevance
    (True, True): "gap with disparity of relevance",
    (True, False): "gap, no measured disparity of relevance: look elsewhere",
    (False, True): "disparity of relevance without a gap: a latent risk",
    (False, False): "neither is shown",
}
GLOSSARY: Final[dict[str, str]] = {
    "Relevance": "the part of the explained logit that Layer-wise Relevance Propagation assigns to a word or a pixel; "
    "positive pushes towards the explained class, negative away from it.",
    "Contrast logit": "the logit of the favoured class minus that of the other; every effect in this report is measured on it.",
    "sd": "standard deviation; effects are in units of the standard deviation of the contrast logit over the audited examples.",
    "Share of |R|": "the absolute relevance on a group's words, or in a region, as a part of that of the whole example.",
    "Net R": "relevance with its sign, summed: what speaks for the explained class minus what speaks against it.",
    "Mask swap": "relevance in a region's own mask against that in the masks of other photographs of its class and size; masks "
    "that sit in the middle of every photograph cannot be swapped, so their crops are shifted by known random pixels.",
    "Untrained copies": "the same network with random weights, many times: what contrast and architecture alone make of the photographs.",
    "Concentration": "the share of |R| in the top 5 % of the pixels.",
    "Composite": "the set of propagation rules that computes relevance; the first gives the numbers, others are second opinions.",
    "Estimand": "the quantity that a finding estimates, in words.",
    "Interval": "the range of values that the data support, at the level printed beside it; the level is adjusted for "
    "the number of tests in the family.",
    "Mentioned": "a group read from the words of a text, not from a column of the data.",
    "n": "the number of examples behind a number.",
    "Clusters": "units that are independent of each other, such as films or authors; rows of one cluster are not.",
    "p": "how often a difference at least this large arises when there is none; a high p never shows that there is none.",
    "Adjusted p": "p corrected for the m tests of the same family: by Holm where it is a gate, the gates sharing alpha, so that any "
    "gate is breached by chance in at most alpha of all audits; else by Benjamini and Hochberg (or Yekutieli, as each table says), so "
    "that at most alpha of the differences named are expected to be chance.",
    "Family, m": "the tests that are corrected together, and how many of them could be tested.",
    "Margin": "the largest difference that does not matter, agreed in the config before the run.",
    "MDE": "minimal detectable effect: the smallest true effect that this test would find with probability 0.8.",
    "Placebo": "words of no protected group, matched on frequency and coherence; they show what chance alone produces.",
    "Swap": "a text is scored again with the words of one group replaced by those of another.",
    "Flip": "a swap that changes the predicted class.",
    "Cliff's delta": "P(a value of the first group is larger) minus P(it is smaller): 0 is no difference, ±1 is complete separation.",
    "Hidden": "words masked or deleted, or a region filled with the photograph's mean, its blur or what surrounds it; the control hides as "
    "much of something else in the same example. In how many examples is told only where report.smallest_cell is 1: beside the n of "
    "the finding it would tell who was left out.",
    "Evidence grade": "confirmed: two interventions or more show the difference in its direction, with an effect of at least its "
    "margin, none the other, and it is not fragile; supported: they point the same way; suggestive: they differ, or none could be "
    "made; refuted by intervention: all show the other direction. Effects of words and regions are measured against margins.swap. What is "
    "read from predictions, as gaps and swaps are, needs no such check and counts as confirmed, however small.",
    "Fragile": "another choice than the config's (a term left out, unknown values on one side, masks grown, a composite without a "
    "vote) would give another verdict.",
    "Candidate": "what nobody declared and yet differs between groups, or goes with errors: chosen on one half of the examples, tested on "
    "the other, and offered for the next lexicon or mask. A proxy is one that occurs more often in one group.",
    "Impact ratio": "the rate at which a category is selected (or scores above the median of all) over that of the category with the "
    "highest rate. The highest is chosen by the data, so that the ratios lie below 1 even where all categories have one rate: compare the "
    "smallest with what chance alone gives, which stands beside it.",
    "Four fifths": "a guideline of 29 CFR 1607.4 D: a ratio below 0.8 is generally regarded as evidence of adverse impact; a larger one "
    "may be too where the difference is significant, and small numbers may make a smaller one mean little.",
    "Shortfall": "how many more would have been selected at the rate of the reference.",
    "Gate": "a question whose worst verdict sets the exit code.",
    "Ledger": "the account of where the explained logit went: to the words, or to biases, norms, positions and other constants.",
}
HALF: Final = 0.5
OF_TEXTS: Final = ("Mentioned", "Placebo", "Swap", "Flip")
OF_IMAGES: Final = ("Mask swap", "Untrained copies", "Concentration")
SEVERITY: Final = tuple(VERDICTS)


def glossary(images: bool) -> list[tuple[str, str]]:  # noqa: FBT001 - called from the template
    """The terms that the report of a task uses."""
    left_out = OF_TEXTS if images else OF_IMAGES
    return [(term, meaning) for term, meaning in GLOSSARY.items() if term not in left_out]


def ledger_sentences(record: AuditRecord) -> list[str]:
    """What the ledger of the first composite says about groups, and which examples have an empty map."""
    first = [row for row in record.ledger if row.composite == record.ledger[0].composite]
    said = []
    for attribute in dict.fromkeys(row.attribute for row in first if row.attribute):
        parts = {row.group: row.entries.get("inputs") for row in first if row.attribute == attribute}
        known = {group: part for group, part in parts.items() if part is not None}
        if len(known) > 1:
            listed_ = listed([f"{group} {number(part, 2)}" for group, part in known.items()])
            said.append(
                f"{attribute}: the part that reaches the inputs is {listed_}. Where it differs between groups, sums of raw relevance "
                "must not be compared between them; shares and net over |R| can be."
            )
    empty = [row for row in record.ledger if not row.attribute and row.empty_maps]
    for row in empty:
        ids = listed(list(row.empty_ids), 20)
        said.append(
            f"{row.composite}: {plural(row.empty_maps, 'example')} with an empty map{f' ({ids})' if ids else ''}: the whole logit comes "
            "from biases, no input moves it, and so they are left out of every comparison of relevance."
        )
    return said


def pair(finding: Finding | Worsening) -> str:
    """`female − male`, or the one group."""
    return " − ".join(finding.groups) if len(finding.groups) < 3 else listed(finding.groups)


def quantity(finding: Finding) -> str:
    """Which quantity of the question, where it has several: a rate, a feature, flips; else empty."""
    return finding.quantity


def question_title(question: str) -> str:
    """Heading of a question, or of its gate against a baseline."""
    asked = question.removesuffix(AGAINST)
    title = QUESTIONS[asked].title if asked in QUESTIONS else asked.capitalize()
    return f"{title}{question.removeprefix(asked)}"


def question_asks(question: str) -> str:
    """The question in one sentence."""
    asked = question.removesuffix(AGAINST)
    if asked not in QUESTIONS:
        return ""
    return QUESTIONS[asked].asks if asked == question else f"{QUESTIONS[asked].asks} {WORSE}"


def requirement(asks: str) -> Requirement:
    """What is asked of the explanation, in words; of a later version its key alone."""
    return REQUIREMENTS.get(asks, Requirement(asks, "", None))


def method(record: AuditRecord) -> str:
    """What explains: LRP with its composites, or the method that the config names."""
    asked = record.config.get("relevance")
    named = str(asked.get("method", "lrp")) if isinstance(asked, Mapping) else "lrp"
    return named if named != "lrp" else f"LRP, {listed(list(dict.fromkeys(each.composite for each in record.ledger)))}"


def validity(record: AuditRecord) -> str:
    """Whether the explanation holds, in a line."""
    asked = [each.holds for each in record.validity if each.holds is not None]
    if not asked:
        return "its validity could not be tested"
    return f"{sum(asked)} of {plural(len(asked), 'test')} of its validity {'hold' if all(asked) else 'hold: NOT valid'}"


def not_asked(asked: Collection[str], *, images: bool) -> list[str]:
    """Titles of the questions that the task has and the record does not."""
    task = "image" if images else "text"
    return [question.title for name, question in QUESTIONS.items() if task in question.put and name not in asked]


def gate_verdict(gate: Gate) -> Verdict:
    """The verdict whose look the state of a gate shares."""
    return GATES[gate.state][0] if gate.state in GATES else Verdict.NOT_TESTABLE


def gate_sentence(gate: Gate) -> str:
    """What the state of a gate means."""
    if gate.question.endswith(AGAINST) and gate.state in STANDINGS:
        return STANDINGS[gate.state] + _lone(gate)
    return GATES[gate.state][1] if gate.state in GATES else "this release does not know the state"


def _lone(gate: Gate) -> str:
    if not gate.lone:
        return ""
    have, of = ("has", "it") if gate.lone == 1 else ("have", "them")
    return f"; {plural(gate.lone, 'finding')} {have} an estimate in one run alone, so nothing is said of {of}"


def gate_extent(gate: Gate, findings: Sequence[Finding], worsenings: Sequence[Worsening] = ()) -> str:
    """How many of its findings a gate speaks of, and how many of them are fragile."""
    if gate.question.endswith(AGAINST):
        held = [each for each in worsenings if each.id in gate.findings]
        missed = sum(each.standing is Standing.NOT_TESTED for each in held)
        lone = f", {gate.lone} of these in one run alone" if gate.lone else ""
        return f"{len(held) - missed} tested" + (f", {missed} not testable{lone}" if missed else "")
    mine = [finding for finding in findings if finding.id in gate.findings]
    untested = sum(finding.verdict is Verdict.NOT_TESTABLE for finding in mine)
    return f"{len(mine) - untested} tested" + (f", {untested} not testable" if untested else "") + fragile(mine)


def link(gap: Finding, shown: Sequence[Finding]) -> str:
    """Which of the four cells of gap and disparity a pair of groups is in."""
    return LINKS[gap.verdict in SHOWN, bool(shown)]


def limits(record: AuditRecord) -> list[str]:
    """Those of every audit, and what the ledger adds: composites under which less than half of the logit reaches the inputs."""
    parts = {
        row.composite: row.entries["inputs"] for row in record.ledger if not row.attribute and "inputs" in row.entries
    }
    return [
        *record.limits,
        *(
            f"Under {name} only {percent(abs(part))} of what makes up the logit reaches the {_inputs(record)}; shares of relevance are "
            "shares of that part (see the ledger)."
            for name, part in parts.items()
            if part is not None and abs(part) < HALF
        ),
    ]


def _inputs(record: AuditRecord) -> str:
    return "pixels" if record.config.get("task") == "image" else "words"


def exit_sentence(code: int) -> str:
    """What the exit code means."""
    return f"Exit code {code}: {EXITS.get(code, 'unknown to this release')}."

"""The first page, in words for readers without statistics: what was asked, what came out, what stays open; the numbers come along."""

from collections import Counter
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from audit.config import OUTSIDE
from audit.questions import ADVERSE, EXAMPLES, INVALID
from audit.records import SHOWN, AuditRecord, Estimate, Finding, ImpactTable, Standing, Verdict, Worsening
from audit.report.backing import graded
from audit.report.page import smallest_cell
from audit.report.text import WITHHELD, count, interval, listed, number, p_value, percent, plural
from audit.report.wording import SEVERITY, VERDICTS, pair, quantity, question_title

MORE, HIGHER, TOWARDS = ("more", "less"), ("higher", "lower"), ("towards", "away from")
SAID: Final[Mapping[tuple[str, bool], tuple[str, tuple[str, str]]]] = MappingProxyType({  # (question, of images): words
    ("reliance", False): ("words of {group} carry {way} relevance than comparable words", MORE),
    ("reliance", True): ("the region {group} pushes the prediction {way} {favour}", TOWARDS),
    ("contrast", False): ("words of {group} push the prediction {way} towards {favour} than words of {other}", MORE),
    ("direction", False): ("{feature}: pushes {way} {favour} further than words as frequent do", TOWARDS),
    ("direction", True): ("{feature}: the region pushes the prediction {way} {favour}", TOWARDS),
    ("disparity", False): ("{feature} carry {way} of the relevance for {group} than for {other}", MORE),
    ("disparity", True): ("the {feature} is {way} for {group} than for {other}", HIGHER),
    ("errors", False): ("{feature} carry {way} relevance in wrong predictions for {group} than in right ones as sure", MORE),
    ("errors", True): ("the {feature} is {way} in wrong predictions for {group} than in right ones as sure", HIGHER),
    ("outcome", False): ("the {measure} is {way} for {group} than for {other}", HIGHER),
    ("link", False): ("predictions for {group} are wrong {way} often where {feature} carries much relevance", MORE),
    ("unexplained", False): ("with everything declared hidden, the {measure} stays {way} for {group} than for {other}", HIGHER),
    ("intervention", False): ("words of {group} in the place of words of {other} move the prediction {way} {favour}", TOWARDS),
    ("flips", False): ("swapping words of {group} and {other} changes predictions", ("", "")),
})  # fmt: skip
MEANS: Final[Mapping[Verdict, str]] = MappingProxyType(
    {
        Verdict.BREACH: "beyond the margin that was agreed beforehand",
        Verdict.DIFFERENT: "a difference is shown, and it is not shown to exceed an agreed margin",
    }
)
SERIOUS: Final = ("both", "ratio", "fragile", "difference")  # readings that a first page must tell
RATIO: Final = "ratio"  # unit of estimates that are 1 where nothing differs
STANDS: Final[Mapping[Standing, str]] = MappingProxyType({
    Standing.BREACHED: "grew by more than the margin that was agreed beforehand",
    Standing.INCONCLUSIVE: "may have grown by more or by less than it",
    Standing.HOLDS: "grew by less, if at all",
    Standing.NOT_TESTED: "could not be compared",
})  # fmt: skip
CAVEAT: Final = (
    "This report supports a legal assessment and establishes no legal conclusion. Relevance shows what moves a prediction, not whether it "
    "should: people decide what a disparity means."
)


def favoured(record: AuditRecord) -> str:
    """The class that the contrast logit argues for."""
    target = record.config.get("target")
    named = target.get("favour") if isinstance(target, Mapping) else None
    return str(named) if named else record.model.contrast.partition(" - ")[0]


def _others(record: AuditRecord) -> str:
    target = record.config.get("target")
    against = target.get("against") if isinstance(target, Mapping) else None
    return str(against) if against else "other classes"


def asked(record: AuditRecord) -> str:
    """What was asked of which model and data, in two sentences."""
    noun = f"{EXAMPLES['image' if record.regions else 'text']}s"
    regions = [region.name for region in record.regions if region.name != OUTSIDE]
    over = f"{listed(regions)} (regions)" if regions else f"words about {listed(_of_words(record))}"
    attributes = sorted({*record.data.attributes, *_of_words(record)})
    groups = (
        f" It compares what is relied on, and the predictions, between groups of {listed(attributes)}."
        if attributes
        else ""
    )
    return (
        f"This audit assesses what the model relies on when it tells {favoured(record)} from {_others(record)} in "
        f"{count(record.data.used)} {noun}, and how much of that lies on {over}.{groups}"
    )


def _of_words(record: AuditRecord) -> list[str]:
    """Attributes that are found in words, not in columns."""
    declared = record.config.get("groups")
    named = (
        [str(each["attribute"]) for each in declared if isinstance(each, Mapping)] if isinstance(declared, list) else []
    )
    return list(dict.fromkeys([*named, *(lexicon.attribute for lexicon in record.lexicons)]))


def impact(record: AuditRecord) -> str:
    """The lowest impact ratio of each attribute with its reading, and what is withheld or left out; empty where there is none."""
    said = [_lowest(table) for table in record.impact if table.categories]
    few = any(table.categories and table.n is None for table in record.impact)
    why = f" Ratios are not shown where they would tell a count below {smallest_cell(record)}." if few else ""
    return f"Impact ratios of predictions (section E): {'; '.join(said)}.{why}" if said else ""


def _lowest(table: ImpactTable) -> str:
    compared = [each for each in table.categories if not each.excluded and not each.reference]
    known = [each for each in compared if each.ratio.value is not None]
    out = [each.name for each in table.categories if each.excluded]
    left = f"; too few to compare: {listed(out, 4)}" if out else ""
    if not known:
        read = [f"{each.name} {ADVERSE[each.reading]}" for each in compared if each.reading in SERIOUS]
        told = f", but {listed(read, 3)}" if read else ""
        return f"by {table.attribute} {WITHHELD if table.n is None else 'none could be computed'}{told}{left}"
    least = min(known, key=lambda each: (each.ratio.value, each.name))
    reading = ADVERSE.get(least.reading, least.reading)
    return f"by {table.attribute} the lowest is {number(least.ratio.value)}, of {least.name} ({reading}){left}"


def baseline(record: AuditRecord) -> str:
    """What became larger than in the baseline, the worst first; empty where there is none."""
    if record.baseline is None:
        return ""
    counts = Counter(each.standing for each in record.worsenings)
    states = listed([f"{counts[standing]} {STANDS[standing]}" for standing in STANDS if counts[standing]])
    worst = [each for each in record.worsenings if each.standing is Standing.BREACHED]
    worst.sort(key=lambda each: -(each.estimate.value or 0.0) / each.margin)
    named = f" The worst: {_worse(worst[0])}." if worst else ""
    return f"Against the baseline, run {record.baseline.run_id}: of the differences, {states or 'none could be compared'}.{named}"


def _told(estimate: Estimate) -> str:
    return WITHHELD if estimate.value is None else number(estimate.value)


def _worse(each: Worsening) -> str:
    about = ", ".join(filter(None, (question_title(each.question).lower(), each.quantity, pair(each))))
    size = interval(each.estimate) if each.estimate.low is not None else f"an amount that is {WITHHELD}"
    return (
        f"{each.attribute.removesuffix(' (mentioned)')}: {about}, {_told(each.before)} there and {_told(each.after)} now, so "
        f"further from no difference by {size} ({percent(each.estimate.level)} interval, margin {number(each.margin)})"
    )


def summary(record: AuditRecord) -> tuple[str, str, str]:
    """What came out, the clearest difference, and what stays open."""
    withheld = "Verdicts on relevance are withheld, because the explanation was not shown to be valid. "
    return (
        _counted(record),
        (withheld if record.exit_code == INVALID else "") + _clearest(record),
        _open(record.findings),
    )


def _counted(record: AuditRecord) -> str:
    counts = Counter(finding.verdict for finding in record.findings)
    clusters = f" in {plural(record.data.clusters, 'cluster')}" if record.data.clusters else ""
    verdicts = listed([f"{counts[verdict]} {verdict.value}" for verdict in SEVERITY if counts[verdict]])
    return (
        f"{plural(len(record.findings), 'finding')} from {plural(record.data.used, 'example')}{clusters}: "
        f"{verdicts or 'none'}; accuracy is {_accuracy(record.model.accuracy)}."
    )


def _accuracy(estimate: Estimate) -> str:
    if estimate.value is None:
        return WITHHELD
    return f"{interval(estimate)} ({percent(estimate.level)} interval, n = {count(estimate.n)})"


def _clearest(record: AuditRecord) -> str:
    shown = [finding for finding in record.findings if finding.verdict in SHOWN]
    if not shown:
        tested = sum(finding.verdict is not Verdict.NOT_TESTABLE for finding in record.findings)
        return (
            f"No difference was shown in {plural(tested, 'tested finding')}; this does not say that there is none, except within the "
            "margin where the verdict is EQUIVALENT."
        )
    told = graded(record.findings)
    backed = f" Of the differences of relevance, by intervention: {told}." if told else ""
    return f"The clearest difference: {finding_sentence(min(shown, key=_rank), record)}{backed}"


def _rank(finding: Finding) -> tuple[int, float, str]:
    size = abs(finding.estimate.value or 0.0) / finding.margin if finding.margin else 0.0
    return SEVERITY.index(finding.verdict), -size, finding.id


def finding_sentence(finding: Finding, record: AuditRecord) -> str:
    """One finding in plain words, then its numbers, then what its verdict means."""
    estimate = finding.estimate
    clusters = f" in {plural(estimate.clusters, 'cluster')}" if estimate.clusters not in (None, estimate.n) else ""
    margin = "no margin is declared" if finding.margin is None else f"margin {number(finding.margin)}"
    about = "" if finding.question == "reliance" else f"{finding.attribute.removesuffix(' (mentioned)')}: "
    size = (
        f", by {interval(estimate)} {estimate.unit}" if estimate.value is not None or estimate.low is not None else ""
    )
    return (
        f"{about}{in_words(finding, record)}{size} ({percent(estimate.level)} interval, "
        f"n = {count(estimate.n)}{clusters}, adjusted p {_equals(finding.test.p_adjusted)}, {margin}). "
        f"{finding.verdict.value}: {_meaning(finding)}."
    )


def _meaning(finding: Finding) -> str:
    if finding.verdict is Verdict.DIFFERENT and finding.settled:
        return "a difference is shown, and it lies inside the margin that was agreed beforehand"
    return MEANS.get(finding.verdict, VERDICTS[finding.verdict].meaning)


def in_words(finding: Finding, record: AuditRecord) -> str:
    """What the sign of a finding's estimate says, without its size; that there is a difference, where its direction is withheld."""
    details, groups, below = finding.details, (*finding.groups, "the rest", "the rest"), _is_below(finding.estimate)
    if below is None:
        about = quantity(finding) or question_title(finding.question).lower()
        return f"{about} of {groups[0]} and {groups[1]} differ, in a direction that is {WITHHELD}"
    key = "flips" if details.get("measure") == "flips" else finding.question
    said, ways = SAID.get((key, bool(record.regions))) or SAID.get((key, False)) or ("the {measure} is {way}", HIGHER)
    return said.format(
        way=ways[below], group=groups[0], other=groups[1], favour=favoured(record), feature=quantity(finding),
        measure=details.get("measure", finding.estimand.measure),
    )  # fmt: skip


def _is_below(estimate: Estimate) -> bool | None:
    """Whether it lies below what no difference would give; None where what is shown of it does not tell."""
    none = 1.0 if estimate.unit == RATIO else 0.0
    if estimate.value is not None:
        return estimate.value < none
    if estimate.low is not None and estimate.low > none:
        return False
    return True if estimate.high is not None and estimate.high < none else None


def _equals(p: float | None) -> str:
    text = p_value(p)
    return text if text.startswith("<") else f"= {text}"


def _open(findings: Sequence[Finding]) -> str:
    inconclusive = [finding for finding in findings if finding.verdict is Verdict.INCONCLUSIVE]
    missed = [finding for finding in findings if finding.verdict is Verdict.NOT_TESTABLE]
    if not inconclusive and not missed:
        return "Every finding was settled; what lies outside the declared groups was not asked."
    parts = []
    if inconclusive:
        parts.append(f"{plural(len(inconclusive), 'INCONCLUSIVE finding')} ({_named(inconclusive)})")
    if missed:
        parts.append(f"{plural(len(missed), 'NOT TESTABLE finding')} ({_named(missed)})")
    return f"Still open: {' and '.join(parts)}; open means neither a disparity nor its absence is shown."


def _named(findings: Sequence[Finding]) -> str:
    names = dict.fromkeys(
        f"{finding.attribute.removesuffix(' (mentioned)')} {finding.question}" for finding in findings
    )
    return listed(list(names), 4)

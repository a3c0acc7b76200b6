"""Runs of one name beside each other: what changed between them, the series of each gated finding, and how many looks there were.

Estimates of different protocols answer different questions and are never compared; a course is described and not judged.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, final

from audit.records import Estimate, GatedFinding, RunSummary, Verdict
from audit.report.text import WITHHELD, clean, count, interval, listed, number, plural, shorten, when
from audit.report.wording import VERDICTS

EXIT_WORDS: Final[Mapping[int, str]] = {
    0: "every gate holds", 3: "a gate is breached", 4: "the explanation is not valid", 5: "a gate is inconclusive",
}  # fmt: skip
BLOCKS: Final = "▁▂▃▄▅▆▇"  # in sevenths of the margin
BEYOND, ABSENT, BORDER = "█", "·", "|"
SPARKS: Final = 40  # runs of a sparkline
SHORT: Final = 6  # characters of a hash, as in the names of runs
MOST_SETTINGS: Final = 4
OTHER: Final = "something else (code that is not committed, a package, the device or a setting outside the protocol)"
SEVERITY: Final = (  # of a gated finding, the worst first: its verdict, and whether it is shown to lie inside its margin
    (Verdict.BREACH, False), (Verdict.DIFFERENT, False), (Verdict.INCONCLUSIVE, False), (Verdict.DIFFERENT, True),
    (Verdict.EQUIVALENT, True), (Verdict.NOT_TESTABLE, False),
)  # fmt: skip


@final
@dataclass(frozen=True, slots=True)
class Step:
    """A run and how it differs from the one before; `settings` are those that another protocol changed, where they are known.

    `code`: another release or revision of lrp-audit, where both runs tell theirs. `other`: nothing of these changed, and yet its inputs.
    """

    folder: str
    run: RunSummary
    protocol: bool = False
    settings: tuple[str, ...] = ()
    model: bool = False
    data: bool = False
    code: bool = False
    other: bool = False

    @property
    def changes(self) -> str:
        """What changed, in words; empty where nothing did."""
        named = f": {listed([shorten(each, 60) for each in self.settings], MOST_SETTINGS)}" if self.settings else ""
        said = {
            f"protocol {self.run.protocol_sha256[:SHORT]}{named}": self.protocol,
            "model": self.model,
            "data": self.data,
            f"code {_code(self.run)}": self.code,
            OTHER: self.other,
        }
        found = [what for what, changed in said.items() if changed]
        return f"changed: {'; '.join(found)}" if found else ""

    @property
    def gates(self) -> str:
        """Every gate and its state."""
        return ", ".join(f"{question} {state}" for question, state in self.run.gates.items()) or "no gate"


@final
@dataclass(frozen=True, slots=True)
class Protocol:
    """The runs of one protocol: how many there were, and how many its alpha was to be spent on."""

    sha256: str
    runs: int
    looks: int
    alpha: float | None
    first: str
    last: str

    @property
    def held(self) -> bool:
        """Whether there were no more runs than looks."""
        return self.runs <= self.looks

    @property
    def sentence(self) -> str:
        """Looks against runs, in words."""
        rate = "the error rate" if self.alpha is None else f"the error rate of {self.alpha:g}"
        counts = f"Protocol {self.sha256[:SHORT]}: {plural(self.runs, 'run')}, {plural(self.looks, 'look')} planned (statistics.looks)"
        if self.held:
            return f"{counts}: no more than that, so {rate} is for all of them together."
        return (
            f"{counts}. There were more runs than looks, so {rate} is no longer held: a breach by chance is likelier than that. "
            "Plan the looks in the config."
        )


@final
@dataclass(frozen=True, slots=True)
class Series:
    """One gated finding through all steps; None where a run does not have it."""

    id: str
    points: tuple[GatedFinding | None, ...]

    @property
    def last(self) -> GatedFinding:
        """The newest that there is."""
        return next(each for each in reversed(self.points) if each is not None)

    @property
    def newest(self) -> GatedFinding | None:
        """That of the newest run; None where it does not have it."""
        return self.points[-1]

    @property
    def drawable(self) -> bool:
        """Whether any run shows an estimate."""
        return any(each is not None and each.place is not None for each in self.points)

    @property
    def breaches(self) -> int:
        """In how many runs it lies beyond its margin."""
        return sum(each is not None and each.verdict is Verdict.BREACH for each in self.points)

    @property
    def urgency(self) -> tuple[bool, bool, bool, bool, float]:
        """Sorts by what the newest run has: an estimate, a verdict, a breach; then: breached before, and how far it reaches."""
        newest, verdict = self.newest, Verdict.NOT_TESTABLE if self.newest is None else self.newest.verdict
        return (
            newest is None or not tested(newest), verdict is Verdict.NOT_TESTABLE, verdict is not Verdict.BREACH, not self.breaches,
            -((newest.reach if newest else None) or 0.0),
        )  # fmt: skip


def steps(runs: Mapping[str, RunSummary]) -> list[Step]:
    """Runs, the oldest first, each against the one before."""
    found, before = list[Step](), None
    for folder, run in runs.items():
        found.append(Step(folder, run) if before is None else _step(folder, run, before))
        before = run
    return found


def _step(folder: str, run: RunSummary, before: RunSummary) -> Step:
    protocol, told = run.protocol_sha256 != before.protocol_sha256, run.protocol_changed
    known = protocol and told is not None and told.protocol_sha256 == before.protocol_sha256
    changed = {
        "protocol": protocol,
        "model": run.model_sha256 != before.model_sha256,
        "data": run.data.sha256 != before.data.sha256,
        "code": _differ(before.release, run.release) or _differ(before.code_revision, run.code_revision),
    }
    other = not any(changed.values()) and _differ(before.identity, run.identity)
    return Step(folder, run, settings=told.settings if known and told else (), **changed, other=other)


def _differ(before: str | None, after: str | None) -> bool:
    """Whether two runs tell different things; what one does not tell is no change."""
    return bool(before and after) and before != after


def _code(run: RunSummary) -> str:
    revision = f" at {shorten(run.code_revision, SHORT + 1)[:SHORT]}" if run.code_revision else ""
    return f"{shorten(run.release, 20) or 'of an unknown release'}{revision}"


def protocols(found: Sequence[Step]) -> list[Protocol]:
    """Each protocol with all its runs, in the order of their last runs."""
    held: dict[str, list[Step]] = {}
    for step in found:
        held.setdefault(step.run.protocol_sha256, []).append(step)
    made = [
        Protocol(sha256, len(mine), mine[-1].run.looks, mine[-1].run.alpha, mine[0].folder, mine[-1].folder)
        for sha256, mine in held.items()
    ]
    order = {step.run.protocol_sha256: i for i, step in enumerate(found)}
    return sorted(made, key=lambda each: order[each.sha256])


def together(found: Sequence[Protocol]) -> str:
    """What the error rates of several protocols come to; empty for one. By Boole's inequality, whatever the runs share."""
    if len(found) < 2:
        return ""
    alphas = [each.alpha for each in found if each.alpha is not None]
    total = f", {sum(alphas):g}" if len(alphas) == len(found) else ""
    alike = total and len(set(alphas)) == 1
    bound = f"{len(found)} times {alphas[0]:g}" if alike else f"the sum of their rates{total}"
    return (
        f"Each of the {len(found)} protocols has its own plan, so over all of them the chance of any false alarm is up to {bound}, "
        "and more where a rate is no longer held: changing a margin, seed, baseline or limit starts a new protocol."
    )


def series(found: Sequence[Step]) -> list[Series]:
    """Every gated finding that any run could test, the most urgent first."""
    points: dict[str, list[GatedFinding | None]] = {}
    for i, step in enumerate(found):
        for finding in step.run.findings:
            points.setdefault(finding.id, [None] * len(found))[i] = finding
    made = [Series(key, tuple(each)) for key, each in points.items() if any(p and tested(p) for p in each)]
    return sorted(made, key=lambda each: (*each.urgency, each.id))


def tested(finding: GatedFinding) -> bool:
    """Whether it has an estimate, or a verdict although its estimate is withheld."""
    return finding.place is not None or finding.verdict is not Verdict.NOT_TESTABLE


def worst(run: RunSummary) -> GatedFinding | None:
    """Of the worst verdict the finding that reaches farthest; None where no gated finding could be tested."""
    for verdict, settled in SEVERITY:
        found = [each for each in run.findings if each.verdict is verdict and each.settled is settled and tested(each)]
        if found:
            return max(found, key=lambda each: each.reach or 0.0)
    return None


def exit_words(code: int) -> str:
    """What an exit code says, briefly."""
    return f"{code}, {EXIT_WORDS.get(code, 'unknown to this release')}"


def against(finding: GatedFinding) -> str:
    """The estimate with its interval against its margin."""
    shown = interval(Estimate(value=finding.value, low=finding.low, high=finding.high))
    margin = "no margin" if finding.margin is None else f"margin {number(finding.margin)}"
    return f"{f'estimate {WITHHELD}' if finding.place is None and tested(finding) else shown}, {margin}"


def present(of: Series, found: Sequence[Step]) -> str:
    """What the newest run says of it: its estimate, or that it has none, and when there was one last."""
    if of.newest is not None and tested(of.newest):
        return against(of.newest)
    held = [step for point, step in zip(of.points, found, strict=True) if point is not None and tested(point)]
    state = "not in the newest run" if of.newest is None else "not tested in the newest run"
    if not held:
        return state
    sha256 = held[-1].run.protocol_sha256
    other = "" if sha256 == found[-1].run.protocol_sha256 else f", of protocol {clean(sha256[:SHORT])}"
    return f"{state}; last estimate on {day(held[-1])}{other}"


def told(finding: GatedFinding | None) -> str:
    """A gated finding in a line."""
    if finding is None:
        return "nothing could be tested"
    verdict = finding.verdict
    return f"{VERDICTS[verdict].symbol} {verdict.value} {finding.question}, {shorten(finding.label, 60)} {against(finding)}"


def sparkline(of: Series, found: Sequence[Step]) -> str:
    """A block a run, in parts of the margin; what reaches it is full, what could not be tested a dot; a bar between protocols.

    A breach is a triangle. Of a finding without a margin the parts are those of the largest.
    """
    first = max(0, len(found) - SPARKS)
    shown = list(zip(of.points, found, strict=True))[first:]
    largest = max((abs(point.place or 0.0) for point, _ in shown if point), default=0.0) or 1.0
    return "".join(
        (BORDER if i and step.protocol else "") + _block(point, largest) for i, (point, step) in enumerate(shown)
    )


def _block(point: GatedFinding | None, largest: float) -> str:
    if point is not None and point.verdict is Verdict.BREACH:
        return VERDICTS[Verdict.BREACH].symbol
    if point is None or point.place is None or point.verdict is Verdict.NOT_TESTABLE:
        return ABSENT
    part = abs(point.place) / largest if point.reach is None else point.reach
    return BEYOND if part >= 1 else BLOCKS[int(part * len(BLOCKS))]


def course(of: Series, found: Sequence[Step]) -> str:
    """What the estimates were in the runs of the present protocol, in words and without a judgement."""
    sha256 = found[-1].run.protocol_sha256
    mine = [
        (point, step)
        for point, step in zip(of.points, found, strict=True)
        if point is not None and point.place is not None and step.run.protocol_sha256 == sha256
    ]
    if not mine:
        return f"No run of the present protocol {sha256[:SHORT]} has an estimate."
    values = [point.place for point, _ in mine if point.place is not None]
    (first, start), (last, end) = mine[0], mine[-1]
    ends = end is found[-1]
    ended = "" if ends else ", which the newest run is not" if len(mine) == 1 else ", the newest run not among them"
    since = f"first {against(first)}, on {day(start)}; " if len(mine) > 1 else ""
    span = f"; lowest {number(min(values))}, highest {number(max(values))}" if len(mine) > 1 else ""
    return (
        f"Present protocol {sha256[:SHORT]}, {plural(len(mine), 'run')} with an estimate{ended}: {since}{'newest' if ends else 'last'} "
        f"{against(last)}, n = {count(last.n)}, on {day(end)}{span}."
    )


def day(step: Step) -> str:
    """The day on which a run started, in UTC."""
    return clean(when(step.run.started)).partition(" ")[0]

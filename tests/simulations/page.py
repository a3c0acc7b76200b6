"""docs/simulations.md from the tables of scenarios: every section runs its table and says what fails."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, final

from tests.simulations import scale
from tests.simulations.audits import SERIES, Series
from tests.simulations.changes import APART, INTERVALS, PAIRED, RUNS, alarms
from tests.simulations.rates import (
    AGAIN,
    COVERAGE,
    LEVEL,
    Rate,
    Run,
    confirmed,
    coverage,
    equivalence,
    power,
    rejections,
    share,
)
from tests.simulations.scenarios import ALTERNATIVES, COVERS, EQUIVALENT_AT, NULLS, Asked, Cover, Null
from tests.simulations.words import CASES, EFFECT, MOST, NO_EFFECT, Pretend, false_alarms, pair_power, term_power

BEST: Final = 0.05


@final
@dataclass(frozen=True, slots=True)
class Profile:
    """How many replicates each section has; `scale`: whether 1,000,000 rows are timed; `words` 0: the demo's model is not asked."""

    name: str
    nulls: int
    covers: int
    power: int
    equivalence: int
    audits: int
    series: int
    words: int
    scale: bool


PROFILES: Final[dict[str, Profile]] = {
    "small": Profile("small", 100, 150, 60, 60, 40, 20, words=0, scale=False),
    "full": Profile("full", 1000, 2000, 500, 500, 500, 300, words=600, scale=True),
}
HEAD: Final = """# Simulated error rates

Written by `make simulate` ({profile} profile); do not edit. Each rate has Wilson's 95 % interval. Seeds are fixed and depend
on the names of scenario and test alone. **{failing} of {asked} claims fail**{which}

Of {asked} right claims some fail by chance. A claim of a rate of false alarms or of coverage that fails is asked of {again} times as
many new samples too: the rate of all samples together counts, and that of the first is shown beside it. Permutation tests draw 199
resamples.
"""


@final
@dataclass(frozen=True, slots=True)
class Line:
    """One row of a table; `passed` is None where nothing is asked."""

    cells: tuple[str, ...]
    passed: bool | None


@final
@dataclass(frozen=True, slots=True)
class Section:
    """A table and what its columns mean."""

    title: str
    text: str
    columns: tuple[str, ...]
    lines: Callable[[Profile], Iterator[Line]]


def _confirmed(run: Run, right: Callable[[Rate], bool], replicates: int) -> tuple[str, bool | None]:
    """The rate that counts, with the first one if that failed, and whether the claim holds; None: too few answers to claim anything."""
    rates = confirmed(run, right, replicates)
    first = f"; first {rates[0]}" if len(rates) > 1 else ""
    return f"{_counted(rates[-1])}{first}", right(rates[-1]) if rates[-1].offered else None


def _counted(rate: Rate) -> str:
    if not rate.offered:
        return f"not offered there: an answer in {rate.n} of {rate.n + rate.absent}"
    return f"{rate}, none in {rate.absent}" if rate.absent else str(rate)


def _null_lines(profile: Profile) -> Iterator[Line]:
    for null in NULLS:
        for test in null.tests:

            def run(n: int, again: str, null: Null = null, test: str = test) -> Rate:
                return rejections(null.name, null.draw, test, n, again=again)

            if null.asked is Asked.SHOWN:
                yield Line((null.name, test, null.asked, _counted(run(max(60, profile.nulls // 5), "")), ""), None)
                continue
            found, holds = _confirmed(run, lambda rate: rate.reaches_down_to(LEVEL), profile.nulls)
            yield Line((null.name, test, null.asked, found, _mark(holds)), holds)


def _cover_lines(profile: Profile) -> Iterator[Line]:
    for cover in COVERS:
        for interval, truth in cover.truths.items():

            def run(n: int, again: str, cover: Cover = cover, interval: str = interval, truth: float = truth) -> Rate:
                return coverage(cover.name, cover.draw, interval, truth, n, again=again)

            if cover.asked is Asked.SHOWN:
                yield Line((cover.name, interval, cover.asked, _counted(run(profile.covers // 2, "")), ""), None)
                continue
            found, holds = _confirmed(run, lambda rate: rate.reaches_up_to(COVERAGE), profile.covers)
            yield Line((cover.name, interval, cover.asked, found, _mark(holds)), holds)


def _power_lines(profile: Profile) -> Iterator[Line]:
    for one in ALTERNATIVES:
        found = power(one, profile.power)
        best = max(found.get(test, 0.0) for test in (one.default, *one.alike))
        near = best - found[one.default] <= BEST if one.default in found else None
        alike, others = (
            ", ".join(f"{test} {_found(found, test)}" for test in tests) for tests in (one.alike, one.others)
        )
        yield Line((one.name, f"{one.default} {_found(found, one.default)}", alike, others, _mark(near)), near)


def _found(found: Mapping[str, float], test: str) -> str:
    return f"{found[test]:.2f}" if test in found else "not offered there"


def _equivalence_lines(profile: Profile) -> Iterator[Line]:
    for margin, sizes in EQUIVALENT_AT.items():
        rates = [equivalence(n, margin, profile.equivalence) for n in sizes]
        reached = rates[-1].reaches_up_to(0.8)
        listed = ", ".join(f"{n}: {rate.value:.2f}" for n, rate in zip(sizes, rates, strict=True))
        yield Line((f"{margin:g}", listed, f"{sizes[0]} to {sizes[-1]}", _mark(reached)), reached)


def _audit_lines(profile: Profile) -> Iterator[Line]:
    for name, series in SERIES.items():
        n = profile.audits if series == Series() else profile.series
        rate = share(name, series.alarms, n)
        yield Line((name, str(n), str(rate), _mark(rate.reaches_down_to(LEVEL))), rate.reaches_down_to(LEVEL))


def _change_lines(profile: Profile) -> Iterator[Line]:
    for name in (*RUNS, *APART):
        for method in (PAIRED, INTERVALS):

            def run(n: int, again: str, name: str = name, method: str = method) -> Rate:
                return alarms(name, method, n, again=again)

            found, holds = _confirmed(run, lambda rate: rate.reaches_down_to(LEVEL), profile.nulls)
            yield Line((name, method, Asked.LEVEL, found, _mark(holds)), holds)


def _word_lines(profile: Profile) -> Iterator[Line]:
    for case in CASES if profile.words else ():
        words = case.kind + (", label-neutral like their placebos" if case.neutral else "")
        if not case.asked:
            rate = false_alarms(case, profile.words // 2)
            yield Line((case.test, words, Asked.SHOWN, _counted(rate), ""), None)
            continue

        def run(n: int, again: str, case: Pretend = case) -> Rate:
            return false_alarms(case, n, again=again)

        found, holds = _confirmed(run, lambda rate: rate.bounds[1] <= MOST, profile.words)
        yield Line((case.test, words, f"at most {MOST:g}", found, _mark(holds)), holds)


def _word_power_lines(profile: Profile) -> Iterator[Line]:
    for neutral in (False, True) if profile.words else ():
        for found in (term_power(neutral=neutral), pair_power(profile.words // 5, neutral=neutral)):
            rates = [f"{rate} of {rate.n}" for rate in (found.none, found.small, found.large)]
            yield Line((found.name, *rates, f"{found.agreement:.2f}"), None)


def _scale_lines(profile: Profile) -> Iterator[Line]:
    if not profile.scale:
        return
    found = scale.measured()
    for question, seconds in found["seconds"].items():
        n, took = found["findings"][question], f"{seconds:.1f}"
        if n > 1:
            yield Line((question, str(n), took, "", ""), None)
    total = sum(found["seconds"].values())
    fits = found["ended"] and total < 60 and found["mib"] < 2048
    took = f"{total:.1f}" if found["ended"] else f"stopped at {scale.CAP}"
    yield Line(
        ("all of an audit", str(sum(found["findings"].values())), took, f"{found['mib']:.0f}", _mark(fits)), fits
    )


def _mark(holds: bool | None) -> str:
    return "" if holds is None else "yes" if holds else "**no**"


SECTIONS: Final = (
    Section(
        "False alarms",
        "Share of true nulls with p <= .05, of those with a p. Asked: the interval holds a value of at most .05. A test that gives a p for "
        "fewer than half of the samples is not offered there, and nothing is claimed of it. "
        "Comparisons are tests that do not claim to hold there: they show what goes wrong without strata, clusters or unequal variances. "
        "Where the share follows an attribute, groups of another one that agrees with it do differ, and an audit says so of both.",
        ("null", "test", "asked", "false alarms", "holds"),
        _null_lines,
    ),
    Section(
        "Coverage of 95 % intervals",
        "Share of intervals that hold the true value. Asked: the rate's interval holds a value of at least .93. Numbers are independent "
        "units. Shown, not asked: fewer than 30 units a side, which the report calls unreliable, and sides that hardly overlap, where "
        "delta's interval is too narrow until they do not overlap at all.",
        ("samples", "interval", "asked", "coverage", "holds"),
        _cover_lines,
    ),
    Section(
        "Power",
        "Share of samples with p <= .05, of the test that an audit makes and of others that hold their level there. Asked: within .05 of "
        "the best that matches label, prediction and confidence in the same bins. What the rest finds more is the price of this matching "
        "in samples that need none: rows without a counterpart in their bin are lost, most of them where a group is small.",
        ("alternative", "in an audit", "in the same bins", "others", "within .05"),
        _power_lines,
    ),
    Section(
        "Equivalence",
        "Share of EQUIVALENT verdicts on two equal groups of n shares, half of them 0, at margins of Cliff's delta. Asked: the n at which "
        "statistics.md places a power of .80, the last, reaches it.",
        ("margin", "n a group: power", "stated n", ".80 reached"),
        _equivalence_lines,
    ),
    Section(
        "Whole null audits",
        "900 texts, 3 classes, 3 attributes x 4 groups, 2 lexica of two groups of 6 words, swaps; nothing depends on a group. The default "
        "gates of texts: 56 outcome gaps, 2 contrasts of words that have effects of their own, 2 tests of swaps, of which as many flip as "
        "their margin allows; 26 disparities of relevance at equal confidence. An alarm is any BREACH or DIFFERENT of a gate.",
        ("null", "replicates", "alarms", "at most .05"),
        _audit_lines,
    ),
    Section(
        "Changes between two runs",
        "Share of 95 % intervals of a change that leave out 0, of two models that do not differ, on the same examples: from each example's "
        "own difference (paired), and from the two runs' intervals (MOVER), which takes the runs as independent and so alarms too rarely "
        "where they go together. Asked: the interval holds a value of at most .05.",
        ("runs", "interval", "asked", "false alarms", "holds"),
        _change_lines,
    ),
    Section(
        "Words of the fine-tuned film review model: false alarms",
        "Share of pretend groups, or pairs, of 4 to 26 words with p <= .05 under both composites. 3,000 snippets of unseen films, 199 "
        f"placebos. Asked: the interval's upper bound is at most {MOST:g}. Words that the model does rely on are among them, so the rate "
        "of false alarms is lower; groups share words, so the interval is too narrow. Comparisons are not offered. Full profile only.",
        ("test", "pretend words", "asked", "p <= .05", "holds"),
        _word_lines,
    ),
    Section(
        "Words of the fine-tuned film review model: power",
        f"Share with p <= .05 by the effect of masking a word (beyond that of masking any), below {NO_EFFECT:g}, between, from {EFFECT:g} "
        "sd of the contrast logit; of pairs by the mean effect of swapping their words, below .1, between, from .5 sd. A rank among "
        "all words cannot flag more than the top 5 % of them. Last: Spearman correlation of relevance with the effect. Full profile only.",
        ("test", "no effect", "small", "large", "correlation"),
        _word_power_lines,
    ),
    Section(
        "1,000,000 rows x 20 groups",
        "Every question of an audit with one attribute and one feature under two composites, without interventions: seconds, and peak "
        "MiB of a process of its own, making the rows included. Asked: all below 60 s and 2,048 MiB. Full profile only.",
        ("question", "findings", "seconds", "MiB", "fits"),
        _scale_lines,
    ),
)  # fmt: skip


def page(profile: Profile, tell: Callable[[str], object]) -> str:
    """The page; `tell` hears every row as it is found."""
    tables, asked, failed = [], 0, []
    for section in SECTIONS:
        rows = []
        for line in section.lines(profile):
            tell(" | ".join(line.cells) + "\n")
            rows.append(f"| {' | '.join(line.cells)} |")
            asked += line.passed is not None
            failed += [f"* {section.title}: {', '.join(line.cells[:-1])}"] if line.passed is False else []
        if rows:
            head = f"| {' | '.join(section.columns)} |\n|{'---|' * len(section.columns)}"
            tables.append("\n".join([f"\n## {section.title}\n\n{section.text}\n\n{head}", *rows]))
    which = ":\n\n" + "\n".join(failed) if failed else "."
    return HEAD.format(profile=profile.name, failing=len(failed), asked=asked, which=which, again=AGAIN) + "\n".join(
        [*tables, ""]
    )

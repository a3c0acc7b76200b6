"""Whole null audits: 3 attributes x 4 groups x 3 classes, two lexica of two groups of words, swaps; the default gates of texts.

Nothing depends on a group: predictions and relevance know no attribute, words have effects of their own that know no lexicon, swaps
move the logit in no direction, and flip as many predictions as their margin allows, which is where a flip is hardest to tell from
none too many. Families of other questions do not enter those of the gates, so the gates' families alone are settled here, and only
where an alarm is possible; the tests compare them with `audit.stats.families.answer`. Groups have no term more than they need, so that
no verdict is asked again without one. Cost: a quarter of a second an audit, most of it the placebo pairs.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, final

import numpy as np
from scipy import stats

from audit.config import Config, Data, Groups, Model, Statistics, Target
from audit.records import Finding, Verdict
from audit.stats.cases import Evidence, settle
from audit.stats.draws import needed_draws
from audit.stats.families import COLLECTORS
from audit.stats.groupings import groupings
from audit.stats.nulls import Design, contrast, contrast_test
from audit.stats.performance import MEASURES
from audit.stats.placebos import build_pool
from audit.tables import ExampleTable, FloatArray, GroupTable, IntArray, SwapTable, WordTable

ROWS: Final = 900
ALARMS: Final = (Verdict.BREACH, Verdict.DIFFERENT)
CLASSES: Final = ("a", "b", "c")
COMPOSITES: Final = ("first", "second")
ALL: Final = ("contrast", "intervention", "outcome")
TESTED: Final = {"contrast": 2, "intervention": 2, "outcome": 56, "disparity": 26}
NEIGHBOURHOODS, EACH, TERMS = 25, 10, 6  # of words; terms of a group
LEXICA: Final = {"gender": ("female", "male"), "origin": ("here", "there")}
FEWEST: Final = 199  # draws


def null_audit(rng: np.random.Generator, *, looks: int = 1, gates: tuple[str, ...] = ALL) -> Evidence:
    """The model errs in 3 of 10 rows; the attributes of a row agree in half of the rows."""
    label = rng.integers(0, 3, ROWS)
    predicted = np.where(rng.random(ROWS) < 0.7, label, rng.integers(0, 3, ROWS))
    scores = rng.normal(size=(ROWS, 3)) + 2 * np.eye(3)[predicted]
    first = rng.choice(4, ROWS, p=[0.35, 0.3, 0.2, 0.15])
    columns = {
        name: np.where(rng.random(ROWS) < share, first, rng.integers(0, 4, ROWS)).astype(str)
        for name, share in (("one", 1.0), ("two", 0.5), ("three", 0.5))
    }
    examples = ExampleTable(
        id=np.arange(ROWS).astype(str), label=label, predicted=predicted, margin=scores[:, 0] - scores[:, 1],
        scores=scores, cluster=np.arange(ROWS), attributes=columns,
    )  # fmt: skip
    words = _words(rng)
    groups = {composite: _shares(words, composite) for composite in COMPOSITES}
    mentions = {name: _mentioned(groups[COMPOSITES[0]], name) for name in LEXICA}
    return Evidence(
        config=_config(looks, gates), examples=examples, words=words, groups=groups, mentions=mentions,
        swaps={"gender": _swaps(mentions["gender"], LEXICA["gender"], predicted, rng)}, composites=COMPOSITES,
        favourable=0, classes=CLASSES,
    )  # fmt: skip


def _config(looks: int, gates: tuple[str, ...]) -> Config:
    drawn = max(TESTED[gate] for gate in gates if gate != "outcome")
    draws = max(FEWEST, needed_draws(drawn, Statistics(looks=looks).spent / len(gates)))
    return Config(
        name="x", data=Data(path="x"), model=Model(path="x"), target=Target(favour="a", against="b"),
        groups=tuple(Groups(attribute=name, lexicon=name) for name in LEXICA), gates=gates,
        statistics=Statistics(looks=looks, placebos=draws, permutations=draws, min_terms=TERMS),
    )  # fmt: skip


def _words(rng: np.random.Generator) -> WordTable:
    """Words in 27 to 180 of 900 texts; neighbours in the embedding share effects, and a group lies in one neighbourhood."""
    size = NEIGHBOURHOODS * EACH
    home = np.repeat(np.arange(NEIGHBOURHOODS), EACH)
    embedding = rng.normal(size=(NEIGHBOURHOODS, 16))[home] + 0.7 * rng.normal(size=(size, 16))
    effect = 0.03 * (embedding @ rng.normal(size=16) / 4 + rng.normal(size=size))
    example, kind = np.nonzero(rng.random((ROWS, size)) < np.exp(rng.uniform(np.log(0.03), np.log(0.2), size)))
    own = effect[kind] + 0.1 * rng.standard_t(5, len(kind))
    relevance = {"first": own, "second": own + 0.03 * rng.normal(size=len(kind))}
    magnitude = {composite: np.abs(values) for composite, values in relevance.items()}
    held = np.maximum(np.bincount(example, minlength=ROWS), 1)
    average = {composite: np.bincount(example, values, ROWS) / held for composite, values in magnitude.items()}
    names = [(attribute, group) for attribute, both in LEXICA.items() for group in both]
    return WordTable(
        example=example, type=kind, count=np.ones(len(kind), dtype=int), relevance=relevance, magnitude=magnitude, average=average,
        types=tuple(f"word{i}" for i in range(size)), embedding=embedding,
        groups={name: EACH * i + np.arange(TERMS) for i, name in enumerate(names)},
    )  # fmt: skip


def _shares(words: WordTable, composite: str) -> GroupTable:
    def part(values: FloatArray, types: IntArray) -> FloatArray:
        inside = np.isin(words.type, types)
        return np.bincount(words.example[inside], values[inside], ROWS)

    whole = np.bincount(words.example, words.magnitude[composite], ROWS)
    once = np.ones(len(words.type))
    share, net, size = (
        np.stack([part(values, types) / total for types in words.groups.values()], axis=1)
        for values, total in (
            (words.magnitude[composite], whole),
            (words.relevance[composite], whole),
            (once, np.bincount(words.example, minlength=ROWS)),
        )
    )
    present = size > 0
    names = tuple(f"{attribute}.{group}" for attribute, group in words.groups)
    return GroupTable(names, *(np.where(present, values, np.nan) for values in (share, net, size)), present=present)


def _mentioned(groups: GroupTable, attribute: str) -> np.ndarray:
    one, two = (groups.present[:, groups.names.index(f"{attribute}.{group}")] for group in LEXICA[attribute])
    return np.select([one & two, one, two], ["(several)", LEXICA[attribute][0], LEXICA[attribute][1]], default="(none)")


def _swaps(mentioned: np.ndarray, names: tuple[str, str], predicted: IntArray, rng: np.random.Generator) -> SwapTable:
    """Every text that mentions one of the groups, swapped for the other."""
    rows = np.flatnonzero(np.isin(mentioned, names))
    flips = rng.random(len(rows)) < 0.05
    return SwapTable(
        example=rows, source=mentioned[rows], target=np.where(mentioned[rows] == names[0], names[1], names[0]),
        delta=0.2 * rng.standard_t(3, len(rows)), predicted=(predicted[rows] + flips * rng.integers(1, 3, len(rows))) % 3,
    )  # fmt: skip


def gate_findings(evidence: Evidence, question: str) -> list[Finding]:
    """The findings of one gate as `families.answer` gives them; ValueError if others were tested than `TESTED` says."""
    pool = build_pool(evidence.words) if evidence.words and question == "contrast" else None
    cases = [case for collect in COLLECTORS[question] for case in collect(evidence, pool)]
    findings = settle(cases, evidence.config)
    tested = sum(finding.test.p is not None for finding in findings)
    if tested != TESTED[question] or not all(finding.gate for finding in findings):
        raise ValueError(
            f"{tested} of {len(findings)} {question} findings were tested in a gate; {TESTED[question]} were meant"
        )
    return findings


def alarms(evidence: Evidence) -> tuple[str, ...]:
    """The gates of which a finding says BREACH or DIFFERENT."""
    return tuple(
        question
        for question in evidence.config.gates
        if SCREENS.get(question, lambda _: True)(evidence)
        and any(finding.verdict in ALARMS for finding in gate_findings(evidence, question))
    )


def outcome_may_alarm(evidence: Evidence) -> bool:
    """Whether Newcombe's interval of any gap lies off 0, which BREACH and DIFFERENT need: if none does, `outcome` raises no alarm.

    From the counts of all gaps at once, at Bonferroni's level for the whole alpha: a gate's share of it only widens an interval.
    """
    inside, found, rest, others = _counts(evidence)
    z = stats.norm.ppf(1 - evidence.config.statistics.spent / len(inside) / 2)
    (one, low, high), (two, lower, upper) = _wilson(found, inside, z), _wilson(others, rest, z)
    down, up = np.hypot(one - low, upper - two), np.hypot(high - one, two - lower)
    return bool(((one - two > down - 1e-9) | (two - one > up - 1e-9)).any())


def _wilson(events: FloatArray, n: FloatArray, z: float) -> tuple[FloatArray, FloatArray, FloatArray]:
    rate, square = events / n, z**2
    centre = (rate + square / (2 * n)) / (1 + square / n)
    half = z / (1 + square / n) * np.sqrt(rate * (1 - rate) / n + square / (4 * n**2))
    return rate, centre - half, centre + half


def _counts(evidence: Evidence) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Rows and events of the group, and of what it is compared with, of each gap that has examples enough."""
    examples, smallest = evidence.examples, evidence.config.statistics.min_group_size
    rows = np.stack([m.rows_of(examples.label, evidence.favourable) for m in MEASURES.values()])
    event = (
        np.stack([m.event_of(examples.label, examples.predicted, evidence.favourable) for m in MEASURES.values()])
        & rows
    )
    sides = [
        (grouping.column == name, grouping.rows(name, other) & (grouping.column != name))
        for grouping in groupings(evidence)
        for name, other in grouping.pairs
    ]
    one, two = (np.stack(side).astype(float) for side in zip(*sides, strict=True))
    counts = [(side @ held.T).ravel() for side in (one, two) for held in (rows, event)]
    enough = np.minimum(counts[0], counts[2]) >= smallest
    first, found, rest, others = (each[enough] for each in counts)
    return first, found, rest, others


def contrast_may_alarm(evidence: Evidence) -> bool:
    """Whether a contrast has an interval off 0 and a p of at most alpha under the first composite: both are needed for an alarm."""
    words, statistics, cluster = evidence.words, evidence.config.statistics, evidence.examples.cluster
    if words is None:
        return False
    pool, (first, *_), alpha = build_pool(words), evidence.composites, statistics.spent
    design = Design(cluster, statistics.placebos, statistics.min_terms, statistics.min_examples_per_term)
    for attribute, names in LEXICA.items():
        a, b = (words.groups[attribute, name] for name in names)
        found = contrast(pool, a, b, first, cluster=cluster, scale=evidence.scale, level=1 - alpha / TESTED["contrast"])
        if found.low is None or found.high is None or found.low <= 0 <= found.high:
            continue
        rng = evidence.rng(f"contrast.{attribute}.{'-'.join(names)}")
        p = contrast_test(pool, a, b, (first,), design=design, scale=evidence.scale, rng=rng)[first].p
        if p is None or p <= alpha:
            return True
    return False


SCREENS: Final[Mapping[str, Callable[[Evidence], bool]]] = {
    "contrast": contrast_may_alarm,
    "outcome": outcome_may_alarm,
}


@final
@dataclass(frozen=True, slots=True)
class Series:
    """`looks` independent null audits on which alpha is spent; `gates` that each of them has."""

    looks: int = 1
    gates: tuple[str, ...] = ALL

    def alarms(self, rng: np.random.Generator) -> bool:
        """Whether any gate of any of the audits alarms."""
        return any(alarms(null_audit(rng, looks=self.looks, gates=self.gates)) for _ in range(self.looks))


SERIES: Final[Mapping[str, Series]] = {
    "one audit: any BREACH or DIFFERENT of a gate": Series(),
    "one audit with disparity as its gate: any": Series(gates=("disparity",)),
    "4 quarterly audits, looks = 4: any": Series(looks=4),
    "26 weekly audits of outcomes and swaps, looks = 26: any": Series(looks=26, gates=("intervention", "outcome")),
}

"""`lrp-audit compare A B`: what changed between two runs in what went in, in the verdicts, in every estimate, and in the predictions."""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from audit.config.settings import flat
from audit.records import AuditRecord, Estimate, Finding
from audit.stats.cases import NO_GROUP
from audit.stats.changes import Change, Pairs, paired, settle_changes
from audit.stats.counts import Paired, mcnemar
from audit.stats.intervals import BoolArray, coded
from audit.stats.pairing import LOST, NUMBERED, changed
from audit.stats.run_examples import Examples, both, examples_of
from audit.store.compared import Input, inputs
from audit.store.runs import load_record, require_sound
from audit.store.tables import load_examples
from audit.tables import IntArray


@final
@dataclass(frozen=True, slots=True)
class Setting:
    """A setting of the config that differs; None where one run does not have it."""

    name: str
    before: JsonValue
    after: JsonValue


@final
@dataclass(frozen=True, slots=True)
class Verdicts:
    """A finding of which the verdict changed; None where a run does not have the finding."""

    finding: str
    before: str | None
    after: str | None


@final
@dataclass(frozen=True, slots=True)
class Moved:
    """A finding that both runs have: its estimates, `change` = after - before at the family's level, p, and whether a change is shown.

    `method` says where the change comes from, `why` why not from pairs of examples; the family are the `m` changes of its question.
    """

    finding: str
    question: str
    before: Estimate
    after: Estimate
    change: Estimate
    p: float | None
    p_adjusted: float | None
    m: int
    significant: bool
    method: str
    why: str


@final
@dataclass(frozen=True, slots=True)
class Flips:
    """Predictions of the examples of one group, or of all (`attribute` empty), that changed; `ids` of those."""

    attribute: str
    group: str
    examples: int
    mended: int
    broken: int
    otherwise: int
    ids: tuple[str, ...]


@final
@dataclass(frozen=True, slots=True)
class Predictions:
    """Of the examples in both runs: accuracy with its change, McNemar's exact test, and what flipped; `clustered`: see `counted`."""

    accuracy: Estimate
    mcnemar: Paired
    clustered: bool
    relabelled: int
    flips: tuple[Flips, ...]

    @property
    def counted(self) -> str:
        """How clusters are treated."""
        return (
            "the interval takes clusters as units; McNemar's test takes the examples of a cluster as independent: its p may be too small"
            if self.clustered
            else "every example is its own unit"
        )


@final
@dataclass(frozen=True, slots=True)
class Comparison:
    """Two runs, `before` and `after`; `apart`: why examples are not paired, empty where they are; `alpha` is each family's.

    `verdicts` and `moved`: those of gated questions of the later run first; of these, and of the others, the changes that are shown first.
    """

    before: str
    after: str
    inputs: tuple[Input, ...]
    settings: tuple[Setting, ...]
    examples: Mapping[str, int]
    apart: str
    verdicts: tuple[Verdicts, ...]
    alpha: float
    moved: tuple[Moved, ...]
    predictions: Predictions | None

    def as_json(self) -> str:
        """Everything, with the ids of flipped examples."""
        document = asdict(self) | {"moved": [_plain(each) for each in self.moved]}
        if self.predictions:
            told = {"accuracy": self.predictions.accuracy.model_dump(mode="json"), "clusters": self.predictions.counted}
            document["predictions"] = document["predictions"] | told
        return json.dumps(document, indent=2, allow_nan=False)


def _plain(moved: Moved) -> dict[str, Any]:
    estimates = {name: getattr(moved, name).model_dump(mode="json") for name in ("before", "after", "change")}
    return {name: getattr(moved, name) for name in Moved.__slots__} | estimates


def compare(before: str | Path, after: str | Path) -> Comparison:
    """Compare two finished runs, which are only read; `OutputError` for a folder that is none, or was changed."""
    folders = Path(before), Path(after)
    records = load_record(folders[0]), load_record(folders[1])
    for folder in folders:
        require_sound(folder)
    tables = [load_examples(folder) for folder in folders]
    one, two = map(examples_of, records, tables)
    apart = LOST if one is None or two is None else NUMBERED if _numbered(*records) else ""
    alpha = _alpha(records[1])
    paired_rows = () if apart or one is None or two is None else (one, two)
    asked = gated(records[1])
    return Comparison(
        records[0].run_id,
        records[1].run_id,
        inputs(*records),
        tuple(_settings(*records)),
        _counts(one, two, apart),
        apart,
        tuple(_verdicts(*records, asked=asked)),
        alpha,
        tuple(
            sorted(
                _moved(*records, one, two, alpha=alpha, apart=apart),
                key=lambda each: (each.question not in asked, not each.significant),
            )
        ),
        predictions(*paired_rows) if paired_rows else None,
    )


def gated(record: AuditRecord) -> frozenset[str]:
    """Questions that decide the exit code, those against a baseline too."""
    ids = {each for gate in record.gates for each in gate.findings}
    return frozenset(each.question for each in record.findings if each.id in ids)


def _numbered(before: AuditRecord, after: AuditRecord) -> bool:
    """Whether rows were numbered in data that differ, so that one id means two examples."""
    numbered = [flat(each.config).get("data.columns.id", "id") is None for each in (before, after)]
    return any(numbered) and before.data.sha256 != after.data.sha256


def _alpha(record: AuditRecord) -> float:
    """What one look at the later audit may spend on a family."""
    settings = flat(record.config)
    return float(str(settings.get("statistics.alpha", 0.05))) / int(str(settings.get("statistics.looks", 1)))


def _settings(before: AuditRecord, after: AuditRecord) -> Iterator[Setting]:
    one, two = flat(before.config), flat(after.config)
    for name in dict.fromkeys([*one, *two]):
        if one.get(name) != two.get(name):
            yield Setting(name, one.get(name), two.get(name))


def _counts(one: Examples | None, two: Examples | None, apart: str) -> dict[str, int]:
    if apart or one is None or two is None:
        return {}
    common = len(both(one, two)[0])
    return {"in both": common, "only before": len(one.id) - common, "only after": len(two.id) - common}


def _verdicts(before: AuditRecord, after: AuditRecord, *, asked: Collection[str]) -> Iterator[Verdicts]:
    """Of `asked` questions first."""
    one, two = ({each.id: each.verdict.value for each in record.findings} for record in (before, after))
    questions = {each.id: each.question for record in (before, after) for each in record.findings}
    for name in sorted(questions, key=lambda name: questions[name] not in asked):
        if one.get(name) != two.get(name):
            yield Verdicts(name, one.get(name), two.get(name))


def _moved(
    before: AuditRecord, after: AuditRecord, one: Examples | None, two: Examples | None, *, alpha: float, apart: str
) -> Iterator[Moved]:
    """Question by question, each a family."""
    known = {each.id: each for each in before.findings}
    pairs = [(known[each.id], each) for each in after.findings if each.id in known and _estimated(known[each.id], each)]
    other = contrasts_differ(before, after)
    for _, family in groupby(sorted(pairs, key=lambda pair: pair[1].question), key=lambda pair: pair[1].question):
        members = list(family)
        changes = [changed(a, b, one, two, why=apart, apart=other) for a, b in members]
        yield from (_row(*each, alpha) for each in zip(members, changes, settle_changes(changes, alpha), strict=True))


def contrasts_differ(before: AuditRecord, after: AuditRecord) -> str:
    """Why no estimate of two runs can be compared: they explain other contrasts; empty where they do not."""
    one, two = before.model.contrast, after.model.contrast
    return "" if one == two else f"the runs explain other contrasts: {one} before, {two} after"


def _estimated(before: Finding, after: Finding) -> bool:
    return before.estimate.value is not None or after.estimate.value is not None


def _row(pair: tuple[Finding, Finding], change: Change, settled: Any, alpha: float) -> Moved:
    before, after = pair
    return Moved(
        after.id, after.question, before.estimate, after.estimate, settled.estimate, settled.p, settled.p_adjusted, settled.m,
        settled.shown(alpha), change.method, change.why,
    )  # fmt: skip


def predictions(one: Examples, two: Examples) -> Predictions | None:
    """What became of the predictions of the examples in both runs; None where there is none."""
    rows = both(one, two)
    if not len(rows[0]):
        return None
    right = [_is(each, "correct", at) for each, at in zip((one, two), rows, strict=True)]
    cluster = coded(two.columns["cluster"][rows[1]])[0]
    pairs = Pairs(right[0], right[1], np.full(len(cluster), True), cluster)
    relabelled = int((one.columns["label"][rows[0]] != two.columns["label"][rows[1]]).sum())
    return Predictions(
        paired(pairs, "accuracy").estimate(0.95),
        mcnemar(right[0], right[1]),
        len(np.unique(cluster)) < len(cluster),
        relabelled,
        tuple(_flips(one, two, rows, right)),
    )


def _is(examples: Examples, column: str, rows: IntArray) -> BoolArray:
    return np.asarray(examples.columns[column][rows], dtype=bool)


def _flips(
    one: Examples, two: Examples, rows: tuple[IntArray, IntArray], right: Sequence[BoolArray]
) -> Iterator[Flips]:
    """Of all, then of every group of every attribute, as the later run has them."""
    moved = np.asarray(one.columns["predicted"][rows[0]] != two.columns["predicted"][rows[1]], dtype=bool)
    ids = two.id[rows[1]]

    def row(attribute: str, group: str, held: BoolArray) -> Flips:
        mended, broken = ~right[0] & right[1] & held, right[0] & ~right[1] & held
        rest = moved & held & ~mended & ~broken
        n, *counts = (int(each.sum()) for each in (held, mended, broken, rest))
        named = tuple(ids[(mended | broken | rest)].tolist())
        return Flips(attribute, group, n, counts[0], counts[1], counts[2], named)

    yield row("", "all", np.full(len(ids), True))
    for attribute, column in two.groups().items():
        values: NDArray[Any] = column[rows[1]]
        for group in np.unique(values[~np.isin(values, NO_GROUP)]).tolist():
            yield row(attribute, group, np.asarray(values == group))

"""Findings tell no count below k; the oracle is an attacker who solves every linear equation that the published numbers give."""

import itertools
from dataclasses import dataclass

import numpy as np
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from audit.records import Estimate, Verdict
from audit.report.privacy import published
from audit.report.text import interval
from audit.stats.groupings import group_by
from audit.stats.performance import MEASURES, outcome_gaps
from audit.stats.rates import wilson
from audit.tables import TIMES
from tests.audit.report.sample import estimate, finding, html, not_testable, sample_record
from tests.audit.report.test_privacy import record_with

K, SMALLEST, FAVOURABLE = 5, 8, 1
AGES = "old", "young"
CELLS = tuple(itertools.product(("f", "m", "z"), (*AGES, "unknown"), (0, 1), (0, 1)))  # gender, age, label, predicted
COLUMNS = {
    "gender": lambda cell: cell[0],
    "age": lambda cell: cell[1],
    f"gender{TIMES}age": lambda cell: "unknown" if cell[1] == "unknown" else f"{cell[0]}{TIMES}{cell[1]}",
}


def people(counts) -> list[tuple]:
    return [cell for cell, n in zip(CELLS, counts, strict=True) for _ in range(n)]


def chosen(column, group, groups, measure):
    """The cells of a group, and those in which the event of a measure happens."""
    rows, event = [], []
    for cell in CELLS:
        label, predicted = np.array([cell[2]]), np.array([cell[3]])
        inside = COLUMNS[column](cell) in groups if group == "rest" else COLUMNS[column](cell) == group
        if inside and (measure is None or MEASURES[measure].rows_of(label, FAVOURABLE)[0]):
            rows.append(cell)
            if measure and MEASURES[measure].event_of(label, predicted, FAVOURABLE)[0]:
                event.append(cell)
    return rows, event


def audited(counts):
    """A record of these people with the outcome findings that the audit makes, and what each of them is about."""
    rows = people(counts)
    label, predicted = np.array([r[2] for r in rows]), np.array([r[3] for r in rows])
    cluster, found, about = np.arange(len(rows)), [], {}
    for attribute, of in COLUMNS.items():
        grouping = group_by(attribute, np.array([of(r) for r in rows]), smallest=SMALLEST)
        gaps = outcome_gaps(label, predicted, grouping.column, grouping.pairs, favourable=FAVOURABLE, cluster=cluster,
                            min_group_size=SMALLEST, among=grouping.names)  # fmt: skip
        short = list(grouping.set_aside)
        for gap in gaps:
            if gap.difference().value is None:
                short.append(f"{gap.measure}: {gap.difference().reason}")
                continue
            made = finding(
                "outcome", attribute, (gap.group, gap.reference), gap.difference(), Verdict.INCONCLUSIVE, "open", p=gap.p or 1.0,
                adjusted=1.0, m=4, family="outcome gaps", margin=0.1, estimand=gap.measure, key=gap.measure,
                details={"measure": gap.measure, "rate": gap.rates[0].model_dump(), "reference rate": gap.rates[1].model_dump()},
            )  # fmt: skip
            found.append(made)
            about[made.id] = (attribute, (gap.group, gap.reference), grouping.names, gap.measure)
        if short:
            found.append(not_testable("outcome", attribute, grouping.names, "; ".join(short)))
    sizes = {name: {v: sum(of(r) == v for r in rows) for v in dict.fromkeys(map(of, rows))}
             for name, of in COLUMNS.items() if TIMES not in name}  # fmt: skip
    data = {"rows": len(rows), "used": len(rows), "not_sampled": 0, "excluded": {}, "attributes": sizes, "unknown": {},
            "labels": {"rotten": int((label == 0).sum()), "fresh": int((label == 1).sum())}}  # fmt: skip
    record = record_with(
        {"smallest_cell": K}, data=data, findings=tuple(found), terms=(), effects=(), distributions=(), ledger=()
    )
    accuracy = wilson(label == predicted, cluster=cluster, unit="accuracy")
    return record.model_copy(update={"model": record.model.model_copy(update={"accuracy": accuracy})}), about


@dataclass
class Attacker:
    """Knows sums of cells, and whatever is a linear combination of them."""

    equations: list
    values: list

    def learn(self, cells, n) -> None:
        self.equations.append([float(cell in cells) for cell in CELLS])
        self.values.append(n)
        if n == 0:  # nobody is in any of them
            for cell in cells:
                self.equations.append([float(cell == other) for other in CELLS])
                self.values.append(0)

    def knows(self, cells) -> int | None:
        target = np.array([float(cell in cells) for cell in CELLS])
        weights, *_ = np.linalg.lstsq(np.array(self.equations).T, target, rcond=None)
        exact = np.abs(np.array(self.equations).T @ weights - target).max() < 1e-7
        return round(float(weights @ np.array(self.values))) if exact else None


def attacked(record, about, mind=None) -> Attacker:
    """What follows from the tables, n, and rates times n, of a published record; `mind` may know something before."""
    mind = mind or Attacker([], [])
    mind.learn(CELLS, record.data.used)
    tables = [
        *(
            (n, [c for c in CELLS if COLUMNS[name](c) == group])
            for name, t in record.data.attributes.items()
            for group, n in t.items()
        ),
        *((n, [c for c in CELLS if c[2] == i]) for i, n in enumerate(record.data.labels.values())),
    ]
    rates = [(list(CELLS), [cell for cell in CELLS if cell[2] == cell[3]], record.model.accuracy)]
    for each in record.findings:
        if each.id in about:
            sides = about_sides(*about[each.id])
            tables.append((each.estimate.n, [cell for rows, _ in sides for cell in rows]))
            told = [
                Estimate.model_validate(each.details[key]) for key in ("rate", "reference rate") if key in each.details
            ]
            rates += [(rows, event, rate) for (rows, event), rate in zip(sides, told, strict=False)]
    for n, cells in (*tables, *((rate.n, rows) for rows, _, rate in rates)):
        if n is not None:
            mind.learn(cells, n)
    for rows, event, rate in (*rates, *rates):
        n = mind.knows(rows)
        if n is not None and rate.value is not None:
            mind.learn(event, round(rate.value * n))
    return mind


def about_sides(attribute, groups, names, measure):
    """The cells, and those of the events, of both groups of a finding."""
    others = [name for name in names if name != groups[0]]
    return [chosen(attribute, group, others, measure) for group in groups]


def secrets():
    """Every set of people whose number is nobody's business where it is small: groups, by class, by outcome."""
    for attribute, of in COLUMNS.items():
        for group in dict.fromkeys(map(of, CELLS)):
            for measure in (None, *MEASURES):
                rows, event = chosen(attribute, group, (), measure)
                for cells in (rows, event, [cell for cell in rows if cell not in event]):
                    if cells and (measure or cells == rows):
                        yield attribute, group, measure, cells


SECRETS = tuple(secrets())
FEW_AND_MANY = [0, 0, 1, 3, 6, 9, 14, 20, 30]


@given(seed=st.integers(0, 10_000), sparse=st.booleans())
@settings(max_examples=10, deadline=None, phases=(Phase.explicit, Phase.generate))  # a failing record is small already
@example(seed=1, sparse=True)
@example(seed=90, sparse=True)  # errors of one true class are all errors less those of the other
@example(seed=163, sparse=False)
def test_no_small_count_follows_from_published_numbers(seed, sparse):
    rng = np.random.default_rng(seed)
    counts = (rng.choice(FEW_AND_MANY, len(CELLS)) if sparse else rng.integers(2, 30, len(CELLS))).tolist()
    record, about = audited(counts)
    mind, truth = attacked(published(record), about), dict(zip(CELLS, counts, strict=True))
    for attribute, group, measure, cells in SECRETS:
        n = sum(truth[cell] for cell in cells)
        if 0 < n < K:
            assert mind.knows(cells) is None, (attribute, group, measure, n)


def gap(measure: str, attribute: str, events: tuple[int, int], n: tuple[int, int], **parts):
    """A finding on two rates of independent people."""
    rates = [wilson(np.arange(of) < x, cluster=np.arange(of), unit=measure) for x, of in zip(events, n, strict=True)]
    return finding(
        "outcome", attribute, ("f", "m"), estimate(events[0] / n[0] - events[1] / n[1], 0.0421, n=sum(n)), Verdict.EQUIVALENT,
        "both reject a difference of 0.1 or more (90 % interval [-0.0871, -0.0133])", p=0.0312, adjusted=0.0624, m=2, family="outcome gaps",
        margin=0.1, estimand=measure, key=measure,
        details={"measure": measure, "rate": rates[0].model_dump(), "reference rate": rates[1].model_dump()}, **parts,
    )  # fmt: skip


def test_a_gap_of_few_events_keeps_its_verdict_and_a_rounded_interval():
    (shown,) = published(
        record_with(findings=(gap("error rate", "gender", (2, 30), (40, 200)),), data={"attributes": {}})
    ).findings
    assert (shown.verdict, shown.estimate.value, shown.estimate.n, shown.test.p) == (
        Verdict.EQUIVALENT,
        None,
        None,
        None,
    )
    assert (shown.estimate.low, shown.estimate.high) == (-0.25, 0.0)
    assert "0.0871" not in shown.reason and "rate" not in shown.details
    assert interval(shown.estimate) == "[−0.250, 0.000]"


def test_few_false_positives_leave_the_error_rates_that_they_are_part_of():
    rows = gap("error rate", "gender", (12, 30), (60, 200)), gap("false positive rate", "gender", (3, 12), (30, 100))
    errors, positives = published(record_with(findings=rows, data={"attributes": {}})).findings
    assert errors.estimate.value is not None and errors.details["rate"]["value"] == 0.2
    assert positives.estimate.value is None and "rate" not in positives.details


def test_few_dropped_examples_take_n_with_them_and_are_no_false_zero():
    few = estimate(0.2, 0.1, n=97).model_copy(update={"dropped": 3})
    shown = published(record_with(concentration={"cp_lrp": few})).concentration["cp_lrp"]
    assert (shown.n, shown.left_out, shown.value) == (None, None, 0.2)
    many = few.model_copy(update={"dropped": 12})
    assert published(record_with(concentration={"cp_lrp": many})).concentration["cp_lrp"].left_out == 12


def test_a_small_cell_of_a_crossed_attribute_hides_the_counts_of_all_its_findings():
    cross = f"gender{TIMES}age"
    rows = (
        not_testable("outcome", cross, ("f × old",), "fewer than 20 examples: f × old 3"),
        finding("disparity", cross, ("f × young", "m × old"), estimate(0.1, 0.05, n=97), Verdict.INCONCLUSIVE,
                "matching keeps 57 a and 40 b", p=0.4, adjusted=0.4, m=1, family="disparity", margin=0.1, estimand="share"),
    )  # fmt: skip
    aside, shown = published(record_with(findings=rows)).findings
    assert aside.reason == "fewer than 20 examples: f × old <5"
    assert (shown.estimate.n, shown.estimate.value, shown.reason) == (
        None,
        0.1,
        "matching keeps not shown a and not shown b",
    )


def test_a_count_that_a_reason_masks_is_not_completed_by_the_others():
    row = finding("errors", "age", ("old",), estimate(0.1, 0.05, n=120), Verdict.INCONCLUSIVE,
                  "matching keeps 97 a and 20 b, and leaves out 3 a and 0 b",
                  p=0.4, adjusted=0.4, m=1, family="errors", margin=None, estimand="share",
                  details={"rows lost to empty strata": {"a": 3, "b": 0}})  # fmt: skip
    (shown,) = published(record_with(findings=(row,))).findings
    assert shown.estimate.n is None and "97" not in shown.reason and "leaves out <5 a" in shown.reason


def test_few_flips_hide_how_many_predictions_change_and_keep_the_verdict():
    sample = [
        each for each in sample_record().findings if each.question == "intervention" and each.attribute == "gender"
    ]
    flips = wilson(np.arange(731) < 3, cluster=np.arange(731), unit="share of predictions that change")
    ways = {"favourable with female words only": 3, "favourable with male words only": 0}
    made = [each.model_copy(update={"details": each.details | ways})
            for each in (sample[0], sample[1].model_copy(update={"estimate": flips}))]  # fmt: skip
    effect, rate = published(record_with(findings=tuple(made))).findings
    assert effect.estimate.value is not None and effect.details["favourable with male words only"] == "not shown"
    assert (rate.estimate.value, rate.estimate.high, rate.verdict) == (None, None, Verdict.EQUIVALENT)


def test_an_accuracy_of_few_errors_is_told_nowhere():
    record = record_with(findings=())
    few = wilson(np.arange(2981) >= 3, cluster=np.arange(2981), unit="accuracy")
    record = record.model_copy(update={"model": record.model.model_copy(update={"accuracy": few})})
    page = html(record).decode()
    assert not published(record).exhibits and "accuracy is not shown" in page and "0.999" not in page


def test_the_page_shows_an_interval_without_a_value():
    assert (
        "[−0.250, 0.000]"
        in html(
            record_with(findings=(gap("error rate", "gender", (2, 30), (40, 200)),), data={"attributes": {}})
        ).decode()
    )

"""Impact tables tell no count below k, alone or beside findings: the attacker of `test_disclosure` reads them too."""

import numpy as np
import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from audit.records import AuditRecord, Category
from audit.report.privacy import published
from audit.tables import TIMES
from tests.audit.report.sample import html
from tests.audit.report.test_disclosure import (
    CELLS,
    COLUMNS,
    FAVOURABLE,
    FEW_AND_MANY,
    SECRETS,
    Attacker,
    K,
    attacked,
    audited,
    people,
)
from tests.audit.report.test_privacy import record_with
from tests.audit.stats.selected import counted, tables

HIDDEN = (
    "n",
    "selected",
    "share",
    "lowest",
    "highest",
    "four_fifths",
    "p",
    "p_adjusted",
    "deviations",
    "odds",
    "shortfall",
)


def with_impact(counts):
    """The record of `test_disclosure` with its impact tables."""
    record, about = audited(counts)
    rows = people(counts)
    label, predicted = np.array([r[2] for r in rows]), np.array([r[3] for r in rows])
    columns = {name: np.array([of(r) for r in rows]) for name, of in COLUMNS.items() if TIMES not in name}
    found = tables(predicted, columns, label=label, axes={"sex": "gender", "race_ethnicity": "age"}, strata="age")
    return record.model_copy(update={"impact": tuple(found.values())}), about


def read(mind: Attacker, record: AuditRecord) -> Attacker:
    """Learns every count of the impact tables, and what rates and shares tell of it."""
    for table in record.impact:
        of, parts = COLUMNS[table.attribute], []
        named = {each.name for each in table.categories}
        cells = {name: [c for c in CELLS if of(c) == name] for name in named}
        unknown = [c for c in CELLS if of(c) not in named]
        parts += [(table.n, [c for c in CELLS if c not in unknown]), (table.unknown, unknown)]
        parts += [(table.unknown_selected, chosen(unknown))]
        for each in table.categories:
            parts += [(each.n, cells[each.name]), (each.selected, chosen(cells[each.name]))]
            if each.rate.value is not None and (each.rate.n or each.n) is not None:
                parts.append((round(each.rate.value * (each.rate.n or each.n)), chosen(cells[each.name])))
        for n, rows in parts:
            if n is not None:
                mind.learn(rows, n)
    return mind


def chosen(cells):
    return [cell for cell in cells if cell[3] == FAVOURABLE]


def leaks(counts) -> list[tuple]:
    """What the attacker learns of counts below k."""
    record, about = with_impact(counts)
    shown, truth = published(record), dict(zip(CELLS, counts, strict=True))
    mind = attacked(shown, about, read(Attacker([], []), shown))
    return [
        (*secret[:3], n)
        for secret in SECRETS
        if 0 < (n := sum(truth[cell] for cell in secret[3])) < K and mind.knows(secret[3])
    ]


@given(seed=st.integers(0, 10_000), sparse=st.booleans())
@settings(max_examples=8, deadline=None, phases=(Phase.explicit, Phase.generate))
@example(seed=1, sparse=True)
@example(seed=90, sparse=True)
@example(seed=163, sparse=False)
def test_no_small_count_follows_from_published_tables_and_findings(seed, sparse):
    rng = np.random.default_rng(seed)
    counts = rng.choice(FEW_AND_MANY, len(CELLS)) if sparse else rng.integers(2, 30, len(CELLS))
    assert leaks(counts.tolist()) == []


@given(seed=st.integers(0, 10_000))
@settings(max_examples=8, deadline=None, phases=(Phase.explicit, Phase.generate))
def test_one_small_cell_among_large_ones_does_not_follow(seed):
    rng = np.random.default_rng(seed)
    counts = rng.choice([0, 6, 9, 14, 20, 30], len(CELLS))
    counts[rng.integers(len(CELLS))] = 3
    assert leaks(counts.tolist()) == []


def cells_of(**by) -> list[int]:
    """Of women of each age: true negatives, false positives, false negatives, true positives."""
    made = dict.fromkeys(CELLS, 0)
    for name, four in by.items():
        for (label, predicted), n in zip(((0, 0), (0, 1), (1, 0), (1, 1)), four, strict=True):
            made["f", name, label, predicted] = n
    return list(made.values())


def test_few_false_positives_of_the_unknown_are_not_all_less_those_of_the_known():
    """Who is selected, all errors and the labels tell all false positives; findings tell those of old and young; 3 are left."""
    counts = cells_of(old=(30, 10, 10, 60), young=(25, 12, 11, 58), unknown=(20, 3, 9, 14))
    assert leaks(counts) == []
    gender, age, crossed = published(with_impact(counts)[0]).impact
    assert (gender.n, age.n, crossed.n) == (262, None, None)


def test_groups_too_small_for_findings_tell_no_selections():
    counts = dict.fromkeys(CELLS, 0)
    for gender, four in (("f", (2, 3, 2, 0)), ("m", (2, 1, 2, 2))):
        for (label, predicted), n in zip(((0, 0), (0, 1), (1, 0), (1, 1)), four, strict=True):
            counts[gender, "old", label, predicted] = n
    assert leaks(list(counts.values())) == []
    assert [table.n for table in published(with_impact(list(counts.values()))[0]).impact] == [None, None, None]


def record_of(predicted, columns, **settings) -> AuditRecord:
    """A record without findings, whose columns have these sizes."""
    sizes = {
        name: {v: int((column == v).sum()) for v in np.unique(column).tolist()} for name, column in columns.items()
    }
    n = len(predicted)
    return record_with(
        {"smallest_cell": K}, data={"rows": n, "used": n, "attributes": sizes, "unknown": {}, "labels": {}}, findings=(),
        impact=tuple(tables(predicted, columns, **settings).values()),
    )  # fmt: skip


def of(record: AuditRecord, attribute: str) -> dict[str, Category]:
    (table,) = (each for each in published(record).impact if each.attribute == attribute)
    return {each.name: each for each in table.categories}


LARGE = {"a": (300, 150), "b": (400, 120)}


def test_a_table_without_small_cells_is_published_as_it_is():
    predicted, column = counted(**LARGE)
    record = record_of(predicted, {"sex": column})
    assert published(record).impact == record.impact


@pytest.mark.parametrize(
    "few", [{"c": (40, 3)}, {"c": (40, 37)}, {"c": (3, 1)}, {"unknown": (40, 3)}, {"unknown": (40, 38)}]
)
def test_a_small_cell_hides_every_number_of_its_table_and_keeps_a_reading_that_tells_none(few):
    predicted, column = counted(**LARGE, **few)
    record = record_of(predicted, {"sex": column}, exclude_below=0)
    (table,) = published(record).impact
    assert (table.n, table.unknown, table.unknown_selected, table.expected) == (None, None, None, None)
    for each in table.categories:
        assert all(getattr(each, part) is None for part in HIDDEN) and each.test == "" and each.rate.value is None
        assert each.ratio.n is None and each.ratio.low is None
    b = of(record, "sex")["b"]
    reference = next(each for each in record.impact[0].categories if each.reference)
    assert b.ratio.value is None and b.ratio.reason == "not shown"
    # 120 / 400 over 150 / 300 is .6; a step leaves 10 (1 + 120 / 150) / (400 x .5) = .09, so .8 is far; not where the reference has few
    assert b.reading == ("both" if reference.name == "a" else "")


def test_the_page_says_why_counts_are_not_shown():
    predicted, column = counted(**LARGE, c=(113, 3))
    page = html(record_of(predicted, {"sex": column})).decode()
    section = page.split('id="impact"')[1].split("<h3")[0]
    assert (
        "a count below 5 could be computed from them" in section and "0.027" not in section and ">113<" not in section
    )


def test_the_first_page_tells_the_lowest_ratio_or_that_it_is_withheld():
    predicted, column = counted(**LARGE)
    page = html(record_of(predicted, {"sex": column})).decode()
    first = page[: page.index('aria-label="Contents"')]
    assert "by sex the lowest is 0.600, of b (below four fifths, and significant)" in first
    predicted, column = counted(**LARGE, c=(113, 3))
    hidden = html(record_of(predicted, {"sex": column})).decode()
    first = hidden[: hidden.index('aria-label="Contents"')]
    assert "by sex not shown, but b below four fifths, and significant" in first and "0.600" not in first


def test_an_excluded_category_does_not_tell_its_share():
    predicted, column = counted(**LARGE, c=(8, 3))
    record = record_of(predicted, {"sex": column})
    c = of(record, "sex")["c"]
    assert c.excluded == c.ratio.reason == "less than 2 % are excluded: no justification supplied"
    assert record.impact[0].categories[2].excluded.startswith("1.13 %")


def test_a_fragile_reading_would_tell_a_count():
    """36 of 92 against 50 of 100 is .783; one more is .804."""
    predicted, column = counted(a=(100, 50), b=(92, 36), unknown=(40, 3))
    record = record_of(predicted, {"sex": column})
    assert record.impact[0].categories[1].reading == "fragile"
    assert of(record, "sex")["b"].reading == ""


def test_crossed_ratios_are_withheld_where_a_crossed_cell_is_small_and_the_axes_stay():
    cells = {("f", "x"): (100, 40), ("f", "y"): (60, 20), ("m", "x"): (90, 45), ("m", "y"): (30, 3)}
    predicted = np.array([int(i < k) for n, k in cells.values() for i in range(n)])
    rows = [cell for cell, (n, _) in cells.items() for _ in range(n)]
    columns = {"sex": np.array([r[0] for r in rows]), "race": np.array([r[1] for r in rows])}
    record = record_of(predicted, columns, axes={"sex": "sex", "race_ethnicity": "race"})
    sex, race, crossed = published(record).impact
    assert (sex.n, race.n, crossed.n) == (280, 280, None)
    assert all(each.ratio.value is None or each.reference for each in crossed.categories)


def test_who_is_unknown_on_both_axes_is_not_told_by_three_counts_of_unknown():
    """40 unknown of sex, 50 of race, 87 of either: 3 of both."""
    sex = np.repeat(["f", "m", "unknown", "f", "unknown"], (100, 90, 37, 47, 3))
    race = np.repeat(["x", "y", "x", "unknown", "unknown"], (100, 90, 37, 47, 3))
    predicted = (np.arange(277) % 2).astype(int)
    found = published(
        record_of(predicted, {"sex": sex, "race": race}, axes={"sex": "sex", "race_ethnicity": "race"})
    ).impact
    assert [table.unknown for table in found] == [40, 50, None]


def test_few_who_are_selected_and_not_above_the_median_are_not_told_by_a_finding():
    """Of f 40 are predicted favourable and 43 above the median, which findings and table would tell."""
    counts = dict.fromkeys(CELLS, 0) | {
        ("f", "old", 0, 0): 60,
        ("f", "old", 1, 1): 40,
        ("m", "old", 0, 0): 50,
        ("m", "old", 1, 1): 51,
    }
    record, _ = audited(list(counts.values()))
    rows = people(list(counts.values()))
    gender, predicted = np.array([r[0] for r in rows]), np.array([r[3] for r in rows])
    score = np.where(predicted == 1, 2.0, -1.0)
    score[np.flatnonzero((gender == "f") & (predicted == 0))[:3]] = 1.5
    scores = np.stack([np.zeros(len(score)), score], axis=1)
    found = tables(predicted, {"gender": gender}, scores=scores, output="score", axes={"sex": "gender"})
    far = tables(
        predicted, {"gender": gender}, scores=np.stack([np.zeros(len(score)), 2.0 * predicted], axis=1), output="score"
    )
    near, same = (published(record.model_copy(update={"impact": tuple(each.values())})) for each in (found, far))
    assert found["gender"].categories[0].selected == 43
    assert near.impact[0].n is None and same.impact[0].n == 201


def test_strata_with_a_small_cell_have_no_numbers():
    predicted, column = counted(a=(300, 150), b=(400, 120))
    for first, told in ((3, False), (100, True)):
        job = np.where(np.isin(np.arange(700), np.arange(first)), "x", np.where(np.arange(700) % 2, "y", "z"))
        record = record_of(predicted, {"sex": column, "job": job}, strata="job")
        (within,) = published(record).impact[0].stratified
        assert (within.odds.value is not None) == told and within.fewest is None and within.odds.n is None


@given(selected=st.lists(st.integers(0, 40), min_size=3, max_size=3))
@settings(max_examples=40, deadline=None)
def test_a_withheld_number_of_selected_has_k_values_or_more_that_fit_what_is_published(selected):
    """An attacker who knows all sizes, and how many are selected in all, goes through every table that rounds to the same ratios."""
    n = (90, 60, 40)
    cells = dict(zip("abc", zip(n, selected, strict=True), strict=True))
    predicted, column = counted(**cells)
    if predicted.sum() == 0 or not any(0 < m < K for s, of_ in zip(selected, n, strict=True) for m in (s, of_ - s)):
        return
    shown = of(record_of(predicted, {"sex": column}, exclude_below=0), "sex")
    first = "abc".index(next(name for name, each in shown.items() if each.reference))
    fits = [table for table in every(n, sum(selected)) if fit(table, n, first, shown)]
    for i in range(3):
        if any(0 < m < K for m in (selected[i], n[i] - selected[i])) and 0 < selected[i] < n[i]:
            assert len({table[i] for table in fits}) >= K


def every(n, total):
    return [(a, b, total - a - b) for a in range(n[0] + 1) for b in range(n[1] + 1) if 0 <= total - a - b <= n[2]]


def fit(table, n, first, shown) -> bool:
    """Whether the reference has the highest rate, and ratios and four fifths are as published."""
    rates = [k / of_ for k, of_ in zip(table, n, strict=True)]
    if rates[first] < max(rates) or rates[first] == 0:
        return False
    for rate, each in zip(rates, shown.values(), strict=True):
        step = (
            float(each.ratio.reason.rpartition("steps of ")[2].partition(",")[0])
            if "steps of" in each.ratio.reason
            else None
        )
        if step and each.ratio.value is not None and abs(rate / rates[first] - each.ratio.value) > step / 2 + 1e-9:
            return False
        if each.reading in ("both", "ratio") and rate / rates[first] >= 0.8:
            return False
        if each.reading in ("difference", "neither") and rate / rates[first] < 0.8:
            return False
    return True

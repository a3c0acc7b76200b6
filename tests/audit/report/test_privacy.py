"""What is published tells no count of people below k; an oracle counts the tables that a reader could still think of."""

import itertools
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.records import (
    Agreement,
    AuditRecord,
    Check,
    Distribution,
    Estimate,
    Grade,
    LedgerSummary,
    MeanMap,
    RegionRecord,
    Sensitivity,
    TermEffect,
    Verdict,
)
from audit.report.page import cards, picture_alt
from audit.report.privacy import published
from audit.report.suppression import masked, withheld
from audit.store.manifest import write_manifest
from audit.store.runs import load_record, write_record
from tests.audit.report.sample import (
    config,
    discovery,
    distributions,
    estimate,
    exhibits,
    finding,
    html,
    not_testable,
    sample_record,
)

IDS = ("person-0001@example.org", "Ann O'Neill/7")
TABLES = st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 30), min_size=1, max_size=6)


def record_with(settings_=None, **parts) -> AuditRecord:
    """The sample with other report settings, and other parts."""
    record = sample_record()
    data = record.data.model_copy(update=parts.pop("data", {}))
    return record.model_copy(update={"config": {**config(), "report": settings_ or {}}, "data": data, **parts})


def possible(total, cells):
    """Oracle: the values that each of `cells` hidden cells of at least 1 takes in some table of this total."""
    tables = [t for t in itertools.product(range(1, total + 1), repeat=cells) if sum(t) == total]
    return [{table[i] for table in tables} for i in range(cells)]


@given(cells=TABLES, rest=st.integers(0, 12), k=st.integers(2, 6))
def test_no_withheld_cell_of_a_table_with_a_known_total_is_derived(cells, rest, k):
    total = sum(cells.values()) + rest
    hidden = withheld(cells, [(list(cells), total)], k)
    shown = {key: n for key, n in cells.items() if key not in hidden}
    assert not any(0 < n < k for n in shown.values())
    left = total - sum(shown.values())
    parts = len(hidden) + (rest > 0)
    if hidden and any(shown.values()):  # else nothing is left to withhold
        assert parts > 1
        for values in possible(min(left, 14), parts) if parts <= 4 else ():
            assert len(values) >= min(k, 14 - parts + 1)
        assert left - parts + 1 >= k
    elif not hidden:
        assert not 0 < rest < k or not any(cells.values())


def test_a_group_below_k_takes_the_next_smallest_with_it():
    assert withheld({"a": 3, "b": 40, "c": 90}, [("abc", 133)], 5) == {"a", "b"}
    assert withheld({"a": 3, "b": 40, "c": 90}, [("abc", None)], 5) == {"a"}
    assert withheld({"a": 0, "b": 40, "c": 90}, [("abc", 130)], 5) == frozenset()
    assert withheld({"a": 1, "b": 1, "c": 90, "d": 95}, [("abcd", 187)], 5) == {"a", "b", "c"}


@given(st.lists(st.integers(1, 20), min_size=4, max_size=4), st.integers(1, 30))
def test_every_line_of_a_crossed_table_has_two_withheld_cells_or_none(values, large):
    cells = dict(zip([(a, b) for a in "xy" for b in "mn"], values, strict=True)) | {
        ("x", "o"): large,
        ("y", "o"): large,
    }
    lines = [
        ([key for key in cells if key[i] == name], 0) for i, name in ((0, "x"), (0, "y"), (1, "m"), (1, "n"), (1, "o"))
    ]
    lines = [(keys, sum(cells[key] for key in keys)) for keys, _ in lines]
    hidden = withheld(cells, lines, 5)
    assert all(sum(key in hidden for key in keys) != 1 for keys, _ in lines)


@given(
    groups=st.dictionaries(st.sampled_from(["f", "m", "x", "unknown"]), st.integers(0, 40), min_size=2),
    labels=st.tuples(st.integers(0, 40), st.integers(0, 40)),
    k=st.integers(1, 6),
)
@settings(max_examples=60)
def test_published_tables_of_people_hold_nothing_below_k(groups, labels, k):
    used = sum(groups.values())
    unknown = {"gender": groups.get("unknown", 0)}
    data = {
        "used": used,
        "attributes": {"gender": groups},
        "labels": dict(zip(("fresh", "rotten"), labels, strict=True)),
        "unknown": unknown,
    }
    shown = published(record_with({"smallest_cell": k}, data=data)).data
    for table in (shown.attributes["gender"], shown.labels, shown.unknown):
        assert not any(n is not None and 0 < n < k for n in table.values())
    assert shown.unknown["gender"] == shown.attributes["gender"].get("unknown", shown.unknown["gender"])
    if k > 1 and any(0 < n < k for n in groups.values()):
        hidden = [n for g, n in groups.items() if shown.attributes["gender"][g] is None]
        assert len(hidden) > 1 or not any(n for n in shown.attributes["gender"].values())


@given(counts=st.lists(st.integers(0, 12), min_size=20, max_size=20), zeros=st.integers(0, 12), k=st.integers(2, 6))
def test_bins_of_a_published_distribution_are_joined_and_lose_nobody(counts, zeros, k):
    n = sum(counts) + zeros
    edges = tuple(i / 20 for i in range(21))
    whole = Distribution(group="g", composite="cp_lrp", edges=edges, counts=tuple(counts), zeros=zeros, n=n,
                         mean=estimate(0.1, 0.01, n=n))  # fmt: skip
    found = published(record_with({"smallest_cell": k}, distributions=(whole,))).distributions
    assert len(found) == (n >= k)
    for shown in found:
        assert len(shown.edges) == len(shown.counts) + 1 and set(shown.edges) <= set(edges)
        assert (shown.edges[0], shown.edges[-1]) == (0.0, 1.0)
        assert not any(0 < c < k for c in (*shown.counts, shown.zeros or 0))
        assert sum(shown.counts) + (shown.zeros or 0) == n


def test_smallest_cell_1_changes_nothing():
    record = record_with({"smallest_cell": 1})
    assert published(record) == record


def test_a_finding_on_fewer_than_k_keeps_its_verdict_and_no_number():
    small = finding(
        "outcome", "age", ("old", "young"), estimate(0.2, 0.1, n=3), Verdict.INCONCLUSIVE, "open", p=0.4, adjusted=0.8, m=2,
        family="outcome gaps", margin=0.1, estimand="rates", details={"measure": "error rate", "rows lost to empty strata": 2},
        null=(0.1, 0.2), needed_n=400, detectable=0.3,
    )  # fmt: skip
    (shown,) = published(record_with(findings=(small,))).findings
    assert (shown.verdict, shown.details) == (small.verdict, {"measure": "error rate"})
    assert shown.estimate.reason == "not shown: fewer than 5 examples"
    numbers = (
        shown.estimate.value,
        shown.estimate.low,
        shown.estimate.high,
        shown.estimate.n,
        shown.test.p,
        shown.needed_n,
    )
    assert set(numbers) == {None} and not shown.null and shown.detectable is None


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("texts that can be swapped: a-b 3; 20 are needed", "texts that can be swapped: a-b <5; 20 are needed"),
        ("selection rate: f has 4 and group 2 1 examples; at least 3 each are needed",
         "selection rate: f has <5 and group 2 <5 examples; at least 3 each are needed"),
        ("terms that occur in at least 10 examples: young 3; 4 a side are needed",
         "terms that occur in at least 10 examples: young 3; 4 a side are needed"),
        ("inside the margin of 0.1, matching leaves out 4 f and 12 m",
             "inside the margin of 0.1, matching leaves out <5 f and not shown m"),
    ],
)  # fmt: skip
def test_reasons_lose_small_counts_and_keep_rules(reason, said):
    (shown,) = published(record_with(findings=(not_testable("outcome", "age", ("f", "group 2"), reason),))).findings
    assert shown.reason == shown.estimate.reason.replace("group <5", "group 2") == said


def test_findings_of_a_column_with_a_withheld_group_do_not_tell_its_size():
    rate = estimate(0.3, 0.06, n=600)
    gap = finding(
        "outcome", "gender", ("f", "m"), estimate(0.1, 0.05, n=1200), Verdict.INCONCLUSIVE, "f has 600 and m 600", p=0.4, adjusted=0.8,
        m=2, family="outcome gaps", margin=0.1, estimand="rates", needed_n=2400,
        details={"measure": "error rate", "rate": rate.model_dump(), "reference rate": rate.model_dump()},
    )  # fmt: skip
    data = {"used": 1203, "attributes": {"gender": {"f": 600, "m": 600, "x": 3}}, "unknown": {"gender": 0}}
    record = record_with(findings=(gap,), data=data)
    shown = published(record)
    assert shown.data.attributes["gender"] == {"f": None, "m": 600, "x": None}
    (found,) = shown.findings
    assert found.estimate.value == 0.1 and (found.estimate.n, found.needed_n) == (None, None)
    assert found.reason == "f has not shown and m not shown"
    assert "600" not in found.model_dump_json() and "1200" not in found.model_dump_json()


def test_findings_on_words_keep_their_counts_where_a_column_has_the_same_name():
    data = {"attributes": {"gender": {"female": 2977, "male": 4}}, "unknown": {}}
    shown = published(record_with(data=data)).findings
    sizes = {each.question: each.estimate.n for each in shown if each.attribute == "gender"}
    assert (sizes["contrast"], sizes["intervention"]) == (734, 731)


def test_a_ledger_row_of_few_people_has_no_entries_and_few_empty_maps_have_no_ids():
    def row(group, n, empty=()):
        return LedgerSummary(composite="cp_lrp", attribute="gender" * bool(group), group=group, entries={"inputs": 0.5}, closure_median=0.0,
                             closure_max=0.0, empty_maps=len(empty), empty_ids=empty, n=n)  # fmt: skip

    data = {"used": 100, "attributes": {"gender": {"f": 50, "m": 47, "x": 3}}, "unknown": {}}
    rows = (row("", 100, ("p1", "p2")), row("f", 50), row("m", 47, ("p1",)), row("x", 3, ("p2",)))
    shown = published(record_with(data=data, ledger=rows)).ledger
    assert [each.n for each in shown] == [100, 50, None, None]
    assert [each.entries for each in shown[1:]] == [{"inputs": 0.5}, {}, {}]
    assert all(each.empty_maps is None and each.empty_ids == () for each in shown)


def test_mean_maps_that_another_map_could_be_computed_from_are_left_out():
    def mean_map(group, label, n, clusters=None):
        return MeanMap(attribute="gender" * bool(group), group=group, label=label, composite="cp_lrp", n=n, clusters=clusters or n,
                       mean=((0.1,),), error=())  # fmt: skip

    maps = (
        mean_map("", "fresh", 63), mean_map("", "rotten", 110),
        *(mean_map(group, "fresh", n) for group, n in (("f", 20), ("m", 40), ("x", 3))),
        *(mean_map(group, "rotten", n) for group, n in (("f", 50), ("m", 40), ("x", 20))),
    )  # fmt: skip
    shown = published(record_with(maps=maps)).maps
    assert {(m.group, m.label) for m in shown} == {("", "fresh"), ("", "rotten"), ("m", "fresh"), ("m", "rotten")}
    assert not published(record_with(maps=(mean_map("", "fresh", 60, clusters=2),))).maps


def test_a_region_that_few_photographs_lack_has_no_counts_and_no_distribution():
    part = estimate(0.2, 0.1, n=98)
    region = RegionRecord(name="nose", source="boxes", provenance="by hand", present=98, absent=2, aligned=False, size=part,
                          share={"cp_lrp": part}, net={"cp_lrp": part}, ratios={})  # fmt: skip
    (whole, *_) = distributions()
    record = record_with(
        data={"used": 100}, regions=(region,), distributions=(whole.model_copy(update={"group": "nose"}),)
    )
    shown = published(record)
    assert (shown.regions[0].present, shown.regions[0].absent, shown.regions[0].share["cp_lrp"].n) == (None, None, None)
    assert shown.regions[0].share["cp_lrp"].value == 0.2 and not shown.distributions


def with_ids() -> AuditRecord:
    """A record that names two people, one of them twice."""
    first, second = (each.model_copy(update={"id": name}) for each, name in zip(exhibits(), IDS, strict=False))
    ledger = tuple(row.model_copy(update={"empty_maps": 6, "empty_ids": IDS}) for row in sample_record().ledger)
    return record_with({"hash_ids": True}, exhibits=(first, second), ledger=ledger)


def test_hashed_ids_are_equal_where_ids_are_and_depend_on_the_protocol():
    shown = published(with_ids())
    names = [each.id for each in shown.exhibits]
    assert tuple(names) == shown.ledger[0].empty_ids == shown.ledger[1].empty_ids
    assert len(set(names)) == 2 and all(len(name) == 12 and int(name, 16) >= 0 for name in names)
    other = published(with_ids().model_copy(update={"protocol_sha256": "b" * 64}))
    assert set(names).isdisjoint(each.id for each in other.exhibits)


def test_hashed_ids_are_nowhere_in_the_page_nor_in_alternative_texts():
    record = with_ids()
    page = html(record).decode()
    assert not any(part in page for part in ("person-0001", "example.org", "Neill"))
    assert all(each.id in page for each in published(record).exhibits)
    assert not any(name in picture_alt(card.exhibit) for card in cards(published(record)) for name in IDS)


def test_the_page_shows_no_small_count_and_audit_json_keeps_all(tmp_path: Path):
    data = {
        "used": 2981,
        "labels": {"fresh": 2978, "rotten": 3},
        "attributes": {"gender": {"female": 2950, "x": 4, "male": 27}},
    }
    record = record_with(data=data | {"unknown": {}})
    page = html(record).decode()
    for row in ("true class fresh", "true class rotten", "gender = <bdi>x</bdi>", "gender = <bdi>male</bdi>"):
        assert f'Used, {row}</th><td class="num">not shown<' in page
    assert '<bdi>female</bdi></th><td class="num">2,950<' in page
    write_record(tmp_path, record)
    write_manifest(tmp_path)
    assert load_record(tmp_path) == record


def test_estimates_keep_reasons_where_nothing_is_small():
    known = Estimate(value=None, n=0, reason="no example holds it")
    record = record_with(effects=(), concentration={"cp_lrp": known})
    assert published(record).concentration["cp_lrp"] == known


def test_the_size_of_a_variant_does_not_tell_how_few_examples_it_leaves_out():
    record = sample_record()
    whole = next(f for f in record.findings if f.estimate.n and f.estimate.n > 10)
    fewer = whole.estimate.model_copy(update={"n": whole.estimate.n - 2, "dropped": 2})
    other = Sensitivity(changed="masks shrunk by 1 pixel", estimate=fewer, verdict=whole.verdict)
    findings = (whole.model_copy(update={"sensitivity": (other,)}),)
    (shown,) = published(record_with(findings=findings)).findings
    (told,) = shown.sensitivity
    assert (told.estimate.n, told.estimate.left_out) == (None, None) and shown.estimate.n == whole.estimate.n
    assert told.estimate.value == fewer.value


@pytest.mark.parametrize(
    "reason",
    [
        "composites push in different directions, so this is no finding (p 1)",
        "199 draws are too few to find one of 3 tests alone at alpha 0.025: that takes 119",
        "3 untrained copies have both sides in one stratum, 20 are needed: raise statistics.twin_examples",
        "unreliable: fewer than 30 independent units",
    ],
)
def test_numbers_that_count_no_people_stay(reason: str):
    assert masked(reason, 5) == masked(reason, 5, counts=False) == reason
    assert masked(f"{reason}; leaves out 3 a", 5) == f"{reason}; leaves out <5 a"


def checked(*, n: int, flips: float) -> AuditRecord:
    """A finding that `n` hidden examples check, one on a gap with everything hidden, and how often relevance agrees with hiding."""
    own = finding(
        "reliance", "regions", ("hat",), estimate(0.3, 0.1, n=297), Verdict.BREACH, "r", p=0.01, adjusted=0.01, m=1,
        family="reliance", margin=0.1, estimand="x",
    )  # fmt: skip
    check = Check(by="mean", estimate=estimate(0.31, 0.26, n=n), flips=estimate(flips, 0.01, n=300))
    graded = own.model_copy(
        update={
            "checks": (check,),
            "grade": Grade.SUPPORTED,
            "grounds": "they point the same way, mean +0.31 [+0.05, +0.57]",
        }
    )
    rate, other = (
        estimate(value, 0.05, n=200, kind="Wilson, effective n", unit="selection rate") for value in (0.185, 0.4)
    )
    gap = finding(
        "unexplained", "who", ("a", "b"), estimate(-0.215, 0.1, n=400, unit="difference in selection rate"), Verdict.DIFFERENT, "r",
        p=0.01, adjusted=0.01, m=1, family="gaps", margin=None, estimand="x",
        details={"measure": "selection rate", "rate": rate.model_dump(), "reference rate": other.model_dump()},
    ).model_copy(update={"checks": (Check(by="mean", estimate=estimate(-0.215, 0.1, n=400)),)})  # fmt: skip
    agreement = Agreement(
        composite="c",
        by="mean",
        spearman=estimate(0.5, 0.1, n=297),
        sign=estimate(0.9, 0.05, n=297, kind="Wilson, effective n"),
    )
    return record_with({"smallest_cell": 5}, findings=(graded, gap), agreement=(agreement,))


def test_interventions_tell_no_count_and_nothing_that_few_examples_show():
    own, gap = published(checked(n=4, flips=2 / 300)).findings
    assert own.checks[0].estimate.value is None and "0.31" not in own.grounds and "0.05" not in own.grounds
    assert own.checks[0].flips is None, "2 of 300 predictions flip"
    shown, _ = published(checked(n=60, flips=0.2)).findings
    assert shown.checks[0].estimate.value == 0.31 and "+0.31" in shown.grounds and shown.checks[0].estimate.n is None
    assert shown.checks[0].flips is not None and shown.checks[0].flips.n is None
    assert gap.estimate.value is None and gap.checks == () and gap.test.p is None
    assert (gap.estimate.low, gap.estimate.high) == (-0.35, -0.1), "rounded outwards to steps of .05"
    (agreement,) = published(checked(n=4, flips=0.0)).agreement
    assert agreement.spearman.n is None and agreement.sign.n is None and agreement.sign.low is None
    assert (
        "+0.31"
        in published(record_with({"smallest_cell": 1}, findings=checked(n=4, flips=0.0).findings)).findings[0].grounds
    )


@given(examples=st.integers(1, 40), used=st.integers(40, 60), few=st.integers(0, 12), k=st.integers(2, 6))
@settings(max_examples=60)
def test_candidates_tell_no_count_of_a_side_and_no_word_of_few_examples(examples, used, few, k):
    whole = discovery()
    (first, *others) = whole.candidates
    half = estimate(0.12, 0.05, n=few + 3, clusters=few + 3)
    told = first.model_copy(
        update={"examples": examples, "estimate": half, "presence": estimate(1 / 7, 0.01, n=few + 3)}
    )
    reason = f"independent texts, in the half with fewer: misclassified {few}, correct {used}; 20 a side are needed"
    compared = (*whole.compared[:2], whole.compared[2].model_copy(update={"reason": reason}))
    found = whole.model_copy(update={"candidates": (told, *others), "compared": compared})
    shown = published(record_with({"smallest_cell": k}, data={"used": used}, discovery=found)).discovery
    named = examples >= k and not 0 < used - examples < k
    assert (first.name in {each.name for each in shown.candidates}) == named
    assert sum(each.n for each in shown.withheld) == len(found.candidates) - len(shown.candidates)
    for each in found.compared:
        kinds = Counter(one.kind for one in found.candidates if one.comparison == each.id)
        told_of = Counter(one.kind for one in shown.candidates if one.comparison == each.id)
        dropped = {one.kind: one.n for one in shown.withheld if one.comparison == each.id}
        assert kinds - told_of == dropped
    for each in shown.candidates:
        assert (each.estimate.n, each.estimate.clusters, each.presence, each.p_presence_adjusted) == (None,) * 4
        assert each.examples is None or (each.examples >= k and not 0 < used - each.examples < k)
    said = shown.compared[2].reason
    assert (
        said.endswith("; 20 a side are needed")
        and f"correct {used}" not in said
        and f"misclassified {few}," not in said
    )


def test_the_page_names_no_candidate_that_few_examples_hold_and_says_how_many_there_are():
    found = discovery()
    few = tuple(each.model_copy(update={"examples": 4}) for each in found.candidates)
    page = html(record_with({"smallest_cell": 5}, discovery=found.model_copy(update={"candidates": few}))).decode()
    assert "ballet" not in page and "4 words not shown: fewer than 5 examples hold them" in page


def test_a_finding_of_one_class_tells_no_count_of_the_other() -> None:
    """10 texts with the term in one class, in a table that says 14 in all, would tell of 4 in the other."""

    def of(label: str, n: int) -> TermEffect:
        return TermEffect(
            attribute="gender", group="male", term="he", label=label, estimate=estimate(0.1, 0.02, n=n, clusters=n)
        )

    asked = finding(
        "direction", "gender", ("male",), estimate(0.1, 0.02, n=10, clusters=10), Verdict.DIFFERENT, "significant", p=0.001,
        adjusted=0.01, m=2, family="direction by class", margin=None, estimand="a term", details={"term": "he", "true class": "rotten"},
    )  # fmt: skip
    hidden = published(record_with(effects=(of("all", 14), of("rotten", 10)), findings=(asked,)))
    shown = published(record_with(effects=(of("all", 24), of("rotten", 10), of("fresh", 14)), findings=(asked,)))
    assert hidden.findings[0].estimate.n is None and hidden.effects[1].estimate.n is None
    assert shown.findings[0].estimate.n == 10 and shown.effects[1].estimate.n == 10

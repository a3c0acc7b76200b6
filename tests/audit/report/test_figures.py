import re
from xml.etree import ElementTree

import pytest

from audit.report import figures
from audit.report.shares import share_chart
from tests.audit.report.sample import estimate, sample_record


@pytest.fixture(scope="module")
def charts():
    record = sample_record()
    return [
        *figures.forests(record.findings), *figures.nulls(record.findings), *figures.term_charts(record.effects, record.model.classes),
        *share_chart(record.distributions, regions=False),
    ]  # fmt: skip


def test_a_chart_per_question_and_unit_attribute_and_null(charts):
    assert [chart.name for chart in charts] == [
        "forest-1", "forest-2", "forest-3", "forest-4", "null-1", "null-2", "terms-1", "terms-2", "terms-3", "shares",
    ]  # fmt: skip


def test_every_chart_is_small_and_carries_text_n_and_interval(charts):
    for chart in charts:
        assert len(chart.svg.encode()) < 60_000, chart.name
        assert "<text" in chart.svg and "n = " in chart.svg
        assert "interval (" in chart.caption or chart.name.startswith("null")
        assert len(chart.alt) > 40


def test_charts_follow_the_page_colours_and_need_no_style_attribute(charts):
    for chart in charts:
        root = ElementTree.fromstring(chart.svg)
        used = {value for element in root.iter() for key, value in element.attrib.items() if key in {"fill", "stroke"}}
        assert all(value == "none" or value.startswith(("var(--", "url(#")) for value in used), (chart.name, used)
        assert not [element for element in root.iter() if "style" in element.attrib or element.tag.endswith("style")]
        assert "metadata" not in chart.svg and not re.search(r"\b20\d\d-\d\d-\d\d", chart.svg)


def test_ids_of_a_chart_start_with_its_name_and_references_hold(charts):
    for chart in charts:
        ids = re.findall(r' id="([^"]+)"', chart.svg)
        references = re.findall(r'href="#([^"]+)"', chart.svg) + re.findall(r"url\(#([^)]+)\)", chart.svg)
        assert all(i.startswith(f"{chart.name}-") for i in ids) and set(references) <= set(ids)


def test_the_same_findings_give_the_same_bytes():
    record = sample_record()
    assert figures.forests(record.findings) == figures.forests(record.findings)


def test_many_findings_are_capped_and_the_caption_says_so():
    record = sample_record()
    row = record.findings[0]
    many = [
        row.model_copy(
            update={"id": f"{i}", "groups": (f"g{i}", "rest"), "estimate": estimate(i / 1000, 0.01), "null": row.null}
        )
        for i in range(200)
    ]
    (forest,), (null,) = figures.forests(many), figures.nulls(many)
    assert "170 smaller ones are in the table only." in forest.caption and len(forest.svg) < 60_000
    assert "The 12 with the smallest p of 200." in null.caption and len(null.svg) < 60_000
    assert "g199 − rest" in forest.svg and "g0 − rest" not in forest.svg


def test_rates_of_every_measure_share_one_chart_and_placebo_ranks_are_explained(charts):
    assert all(f"{measure} rate</text>" in charts[3].svg for measure in ("error", "selection"))
    assert figures.PLACEBO_NOTE in charts[0].caption and figures.PLACEBO_NOTE not in charts[3].caption


def test_flips_have_a_one_sided_band_and_mixed_margins_one_band_a_row():
    record = sample_record()
    flips = [f for f in record.findings if f.id.startswith("intervention.flips")]
    assert "n = 731" in figures.forests(flips)[0].svg
    mixed = [record.findings[0], record.findings[1].model_copy(update={"margin": 0.2})]
    (chart,) = figures.forests(mixed)
    assert chart.svg.count("var(--band)") >= 2 and "(0.100, 0.200)" in chart.caption


def test_nothing_to_draw_gives_no_chart():
    assert figures.forests(()) == figures.nulls(()) == figures.term_charts((), ("a", "b")) == []


def test_what_an_estimate_says_against_itself_is_in_the_caption():
    record = sample_record()
    chart = figures.term_charts([e for e in record.effects if e.term == "actress"], record.model.classes)[0]
    assert chart.caption.endswith(" 2 of 2 estimates: unreliable: fewer than 30 independent units.")


def test_a_term_with_too_few_examples_in_every_class_has_no_empty_row():
    record = sample_record()
    assert figures.term_charts([e for e in record.effects if e.label == "all"], record.model.classes) == []

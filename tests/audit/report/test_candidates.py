"""The section on candidates: escaped words, what can be pasted, what is said where nothing is offered."""

import re
from pathlib import Path

import pytest
import yaml

from audit.config import Region
from audit.data.lexicon_file import load_lexicon
from audit.records import AuditRecord
from audit.report.candidates import absent, snippets, told
from audit.report.render import html
from tests.audit.report.sample import config, discovery, sample_record


def record(**parts) -> AuditRecord:
    return sample_record().model_copy(update=parts)


def section(shown: AuditRecord) -> str:
    page = html(shown).decode()
    return page[page.index('<section id="candidates"') :].partition("</section>")[0]


def boxed() -> AuditRecord:
    found = discovery()
    cells = tuple(
        each.model_copy(update={"name": f"[{i}, 0, {i + 4}, 4]", "box": (i, 0, i + 4, 4), "examples": None, "presence": None,
                                "photograph": (10 * i, 0, 10 * i + 40, 40), "kind": found.candidates[2].kind})
        for i, each in enumerate(found.candidates[:2])
    )  # fmt: skip
    return record(discovery=found.model_copy(update={"candidates": cells, "aligned": False, "covered": 3}))


def test_the_section_says_that_candidates_are_an_offer_and_shows_each_with_its_numbers() -> None:
    shown = section(record())
    assert (
        "An offer for the next lexicon, never a verdict" in shown and "networks with random weights differ too" in shown
    )
    for part in ("ballet", "<strong>proxy</strong>", "<strong>used differently</strong>", "<strong>goes with errors</strong>",
                 "0.120 [0.070, 0.170]", "another sign: read it with care", "misclassified 3, correct 412"):  # fmt: skip
        assert part in shown
    assert (
        told(record()) == "4, 2 marked as proxies, in 2 comparisons; an offer for the next lexicon or mask, no finding"
    )


def test_hostile_words_are_escaped_in_table_and_snippet() -> None:
    shown = section(record())
    assert "<img src=x" not in shown and shown.count("&lt;img src=x onerror=alert(3)&gt;") == 1, (
        "a lexicon has no such term"
    )
    hostile = discovery().candidates[0].model_copy(update={"name": "a\u202e</pre><script>alert(4)</script>"})
    shown = section(record(discovery=discovery().model_copy(update={"candidates": (hostile,)})))
    assert "<script>" not in shown and "\u202e" not in shown and "&lt;/pre&gt;" in shown


def test_a_lexicon_that_is_pasted_loads_with_words_by_side(tmp_path: Path) -> None:
    offered = dict(snippets(record()))
    assert set(offered) == {"gender: female − male", "true fresh: misclassified − correct"}
    (tmp_path / "new.yaml").write_text(offered["gender: female − male"], encoding="utf-8")
    loaded = load_lexicon("new.yaml", tmp_path)
    words = {group: [term.text for term in terms] for group, terms in loaded.groups.items()}
    assert words == {"female": ["ballet"], "used differently": ["no"]}


def test_boxes_that_are_pasted_are_regions_of_the_photograph() -> None:
    ((title, pasted),) = snippets(boxed())
    regions = [Region(**each) for each in yaml.safe_load(pasted)["regions"]]
    assert title == "regions" and [each.fixed for each in regions] == [((0, 0, 40, 40),), ((10, 0, 50, 40),)]
    assert len({each.name for each in regions}) == 2


def test_places_are_named_where_text_is_hidden_and_words_are_only_counted() -> None:
    hidden = {"config": {**config(), "report": {"show_text": False, "smallest_cell": 1}}}
    shown = section(record(**hidden))
    assert "ballet" not in shown and "words of the data are not shown" in shown and "4, 2 marked as proxies" in shown
    assert "[10, 0, 50, 40]" in section(boxed().model_copy(update=hidden))


@pytest.mark.parametrize(
    ("parts", "why"),
    [
        ({"config": {**config(), "checks": {"candidates": 0}}}, "not looked for, as checks.candidates is 0"),
        ({"exit_code": 4}, "not looked for, as the explanation is not valid"),
        ({}, "the record holds no search"),
    ],
)
def test_a_report_without_a_search_says_why(parts: dict, why: str) -> None:
    shown = record(discovery=None, **parts)
    assert absent(shown) == told(shown) == why and why in section(shown)


def test_where_nothing_is_offered_the_comparisons_are_named() -> None:
    shown = section(record(discovery=discovery().model_copy(update={"candidates": ()})))
    assert "Nothing is offered for gender: female − male, true fresh: misclassified − correct" in shown
    assert "To paste" not in shown and not re.search("<table", shown)

"""The section on candidates: escaped words, what can be pasted, what is said where nothing is offered."""

import re
from pathlib import Path

import pytest
import yaml

from audit.config import Region
from audit.data.lexicon_file import load_lexicon
from audit.records import AuditRecord, Candidate, CandidateKind
from audit.report.candidates import absent, config_names, snippets, told
from audit.report.privacy import published
from tests.audit.report.sample import config, discovery, html, sample_record
from tests.audit.report.test_maps import NONE, region


def record(**parts) -> AuditRecord:
    return sample_record().model_copy(update=parts)


def section(shown: AuditRecord) -> str:
    page = html(shown).decode()
    return page[page.index('<h3 id="candidates"') :].partition("</section>")[0]


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


def grouped(*sides: str, kinds: tuple[str, ...] = ("proxy", "proxy")) -> tuple[Candidate, ...]:
    """A candidate of each side, which may be spelt in any script."""
    one = discovery().candidates[0]
    return tuple(
        one.model_copy(update={"sides": sides, "larger": side, "name": f"word{i}", "kind": CandidateKind(kind)})
        for i, (side, kind) in enumerate(zip(sides, kinds, strict=True))
    )


def with_candidates(found: tuple[Candidate, ...], **changes) -> AuditRecord:
    return record(discovery=discovery().model_copy(update={"candidates": found, **changes}))


@pytest.mark.parametrize(
    "sides", [("男", "女"), ("männlich", "mannlich"), ("a/b", "a:b"), ("x" * 90 + "1", "x" * 90 + "2")]
)
def test_groups_of_any_script_keep_their_own_words_and_regions_in_what_is_pasted(
    tmp_path: Path, sides: tuple[str, str]
) -> None:
    ((_, pasted),) = snippets(with_candidates(grouped(*sides)))
    (tmp_path / "new.yaml").write_text(pasted, encoding="utf-8")
    loaded = load_lexicon("new.yaml", tmp_path)
    assert [[term.text for term in terms] for terms in loaded.groups.values()] == [["word0"], ["word1"]]
    assert all(side in loaded.provenance for side in sides if side not in loaded.groups)
    cells = tuple(each.model_copy(update={"box": (i, 0, i + 4, 4), "photograph": (i, 0, i + 4, 4)})
                  for i, each in enumerate(grouped(*sides)))  # fmt: skip
    ((_, pasted),) = snippets(with_candidates(cells))
    regions = [Region(**each) for each in yaml.safe_load(pasted)["regions"]]
    assert len({each.name for each in regions}) == 2
    assert [side in each.provenance for side, each in zip(sides, regions, strict=True)] == [True, True]


def test_a_side_that_is_called_like_a_kind_is_another_group() -> None:
    ((_, pasted),) = snippets(with_candidates(grouped("used differently", "x", kinds=("proxy", "used differently"))))
    assert [each["words"] for each in yaml.safe_load(pasted)["groups"].values()] == [["word0"], ["word1"]]


def test_lexicons_of_two_comparisons_of_an_attribute_and_regions_declared_before_have_names_of_their_own() -> None:
    one, other = grouped("female", "male")
    offered = with_candidates((one, other.model_copy(update={"comparison": "groups.gender.female-other"})))
    attributes = [yaml.safe_load(pasted)["attribute"] for _, pasted in snippets(offered)]
    assert attributes == ["gender candidates", "gender candidates 2"]
    assert config_names({0: "a", 1: "b", 2: "外 outside"}, taken=("b", "outside")) == {0: "a", 1: "b 2", 2: "outside 2"}


@pytest.mark.parametrize(
    ("aligned", "said"),
    [(True, "lie in the same place in every photograph, so a cell may be the same thing"),
     (False, "do not lie in the same place in every photograph: a cell is a place, not a thing"),
     (None, "No measured region tells whether photographs are aligned")],
)  # fmt: skip
def test_the_page_says_what_measured_regions_tell_of_cells_and_nothing_of_sizes(
    aligned: bool | None, said: str
) -> None:
    shown, none = boxed(), {"cp_lrp": NONE, "attn_lrp": NONE}
    eyes = region("eyes", ()).model_copy(update={"share": none, "net": none})
    found = shown.discovery.model_copy(update={"aligned": aligned})
    page = section(shown.model_copy(update={"discovery": found, "regions": (eyes,), "concentration": none}))
    assert said in page and "share a size" not in page


def test_what_is_withheld_is_counted_by_comparison_and_kind_on_page_and_terminal_alike() -> None:
    found = discovery()
    few = tuple(each.model_copy(update={"examples": 3 if i != 2 else 64}) for i, each in enumerate(found.candidates))
    whole = record(
        discovery=found.model_copy(update={"candidates": few}),
        config={**config(), "report": {"show_text": True, "smallest_cell": 5}},
    )
    assert told(published(whole)) == told(whole) and "4, 2 marked as proxies" in told(whole)
    page = section(whole)
    assert "Nothing is offered for" not in page and "ballet" not in page and "plot" not in page
    assert "3 words not shown" in page and "(gender: female − male: 2, true fresh: misclassified − correct: 1)" in page


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

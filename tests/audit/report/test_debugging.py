"""What a report that is handed on may tell of debugging, and how much the internal page shows."""

import numpy as np
import pytest

from audit.debug.contrasts import OfContrast, declared_signals
from audit.debug.summary import debugged
from audit.records import AuditRecord, Exhibit, Token
from audit.records.debugging import Debugging, Neighbour
from audit.report.debugging import cards, differs, told
from audit.report.document import debug_html
from audit.report.privacy import published
from audit.stats.signals import signals
from tests.audit.debug.worlds import FIRST, examples, of_words
from tests.audit.report.sample import html, sample_record

N = 600


@pytest.fixture(scope="module")
def debug() -> Debugging:
    return summed_up()


def debugged_record() -> AuditRecord:
    return with_debug(summed_up())


def summed_up() -> Debugging:
    """Women of the south err in six of ten, others in two."""
    rng = np.random.default_rng(0)
    label, who, place = rng.integers(0, 2, N), rng.choice(["women", "men"], N), rng.choice(["south", "north"], N)
    wrong = rng.random(N) < np.where((who == "women") & (place == "south"), 0.6, 0.2)
    given = examples(label, np.where(wrong, 1 - label, label), who=who, place=place)
    evidence = of_words(rng.normal(size=(N, 5)), given)
    found = signals(evidence)
    assert found is not None
    pushes = OfContrast(found, declared_signals(evidence), FIRST, 1)
    return debugged(evidence, [], lambda rows: given.scores[rows], pushes, lambda rows, layers: {}).record


def with_debug(debug: Debugging, **report: object) -> AuditRecord:
    record = sample_record()
    settings = {**record.config["report"], **report}  # type: ignore[dict-item]
    data = record.data.model_copy(update={"used": N})
    return record.model_copy(update={"debug": debug, "data": data, "config": {**record.config, "report": settings}})


def test_the_report_names_flagged_slices_without_numbers_and_nothing_else(debug: Debugging):
    record = with_debug(debug, smallest_cell=5)
    assert "who = women and place = south" in (told(record) or [])
    assert published(record).debug is None
    page = html(record).decode()
    assert "who = women and place = south" in page and debug.slices[0].rate.value is not None
    assert f"{debug.slices[0].rate.value:.3f}" not in page
    assert told(record.model_copy(update={"debug": None})) is None


def test_a_slice_with_few_errors_or_few_right_ones_on_a_side_is_not_named(debug: Debugging):
    most = max(each.errors for each in debug.slices)
    assert told(with_debug(debug, smallest_cell=most + 1)) == []


def test_with_texts_hidden_the_internal_page_shows_no_example_and_no_undeclared_word(debug: Debugging):
    contrast = next(each for each in debug.contrasts if not each.reason)
    gap = debug.strategies[0].looks[:1] if debug.strategies else ()
    shown = debug.model_copy(update={"contrasts": (contrast.model_copy(update={"argued": gap or contrast.argued}),)})
    exhibit = Exhibit(id="e1", label="a", predicted="b", margin=1.0, tokens=(Token(text="secret", relevance=1.0),))
    beside = Neighbour(id="e1", neighbour="e2", similarity=0.9, exhibit=exhibit.model_copy(update={"id": "e2"}))
    shown = shown.model_copy(update={"neighbours": (beside,)})
    for show in (True, False):
        record = with_debug(shown, show_text=show).model_copy(update={"exhibits": (exhibit,)})
        page = debug_html(record).decode()
        assert ("secret" in page) == show and len(cards(record).errors) == show


def test_long_examples_stop_where_the_page_is_full(debug: Debugging):
    tokens = tuple(Token(text=f"t{i}", relevance=0.1) for i in range(1500))
    errors = tuple(Exhibit(id=f"e{i}", label="a", predicted="b", margin=1.0, tokens=tokens) for i in range(100))
    record = with_debug(debug).model_copy(update={"exhibits": errors})
    assert len(cards(record).errors) == 20
    assert len(debug_html(record)) < 5_000_000


def test_what_differs_is_said_with_both_numbers():
    one = Exhibit(id="a", label="right", predicted="wrong", margin=1.0, tokens=(Token(text=" Story", relevance=0.5),))
    other = one.model_copy(update={"tokens": (Token(text="story", relevance=-0.1), Token(text="fine", relevance=-1.0))})
    assert (
        differs(one, other)
        == "More for wrong in the error than here: fine 0.00 against −1.00, story 0.50 against −0.10"
    )

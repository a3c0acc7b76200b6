"""Interventions on texts are made as they are read, and are those that lists of all of them would hold."""

from itertools import product
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from audit.checks.hiding import EVERYTHING, Hidden, generators
from audit.data.lexicon_file import load_lexicon
from audit.data.terms import swap_terms, without, words
from audit.match_table import MatchTable
from audit.tables import Match
from audit.tasks.text_effects import distinct, hidden_texts, swapped_texts, text_fills

LEXICON = load_lexicon("gender", Path())
TERMS = {"she": "female", "woman": "female", "he": "male", "man": "male"}
texts_of = st.lists(st.lists(st.sampled_from([*TERMS, "film", "dull"]), max_size=5).map(" ".join), max_size=9)


def found(text: str) -> tuple[Match, ...]:
    return tuple(Match(start, end, "gender", TERMS[w], w) for start, end, w in words(text) if w in TERMS)


@given(st.lists(st.sampled_from(["", "a", "b", "c", "\u00e9"]), max_size=30))
def test_distinct_texts_are_told_by_their_first_place_in_order(texts: list[str]) -> None:
    first, place = distinct(texts)
    assert [texts[i] for i in first] == list(dict.fromkeys(texts))
    assert [texts[first[k]] for k in place] == texts


@given(texts_of)
def test_everything_is_hidden_in_every_text_that_holds_something(texts: list[str]) -> None:
    matches, fills = [found(text) for text in texts], text_fills("[MASK]")
    _, inputs = hidden_texts(texts, MatchTable.of(matches), fills, most=0, draws=generators(0))
    expected = [
        (Hidden(i, EVERYTHING, fill), without(texts[i], [(m.start, m.end) for m in row], token))
        for (i, row), (fill, token) in product(enumerate(matches), fills.items())
        if row
    ]
    assert inputs == expected and inputs[: len(expected)] == tuple(expected)
    assert [inputs.text(int(i)) for i in inputs.distinct()[0]] == list(dict.fromkeys(text for _, text in expected))


@given(texts_of)
def test_swapped_texts_are_those_with_a_counterpart(texts: list[str]) -> None:
    matches = [found(text) for text in texts]
    made = swapped_texts(texts, MatchTable.of(matches), LEXICON)
    swaps = {i: swap_terms(text, row, LEXICON) for i, (text, row) in enumerate(zip(texts, matches, strict=True)) if row}
    expected = {i: swap for i, swap in swaps.items() if swap is not None}
    assert made.example.tolist() == list(expected) and list(made.texts) == [swap.text for swap in expected.values()]
    assert list(zip(made.source, made.target, strict=True)) == [(s.source, s.target) for s in expected.values()]
    assert np.issubdtype(made.example.dtype, np.integer) and len(made) == len(expected)

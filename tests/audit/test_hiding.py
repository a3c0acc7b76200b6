"""Interventions by hiding: what is hidden and what its control, against brute force, and what a known model then does."""

import doctest
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import audit.data.infill
import audit.data.terms
from audit.checks.hiding import EVERYTHING, Hidden, effect_table, generators
from audit.data.infill import fills, moved
from audit.data.terms import words
from audit.tables import Match
from audit.tasks.text_effects import DELETED, MASKED, hidden_texts, text_fills

TEXTS = ("she says the actor is dull", "he is he and nothing else", "nobody here", "girl")


def found(text: str, terms: dict[str, str]) -> tuple[Match, ...]:
    return tuple(Match(start, end, "gender", terms[w], w) for start, end, w in words(text) if w in terms)


MATCHES = tuple(found(text, {"she": "female", "girl": "female", "he": "male", "actor": "male"}) for text in TEXTS)


def hidden(most: int = 100) -> dict[Hidden, str]:
    """Texts by what is hidden in them, whatever the number of words."""
    names, inputs = hidden_texts(TEXTS, MATCHES, text_fills("[MASK]"), most=most, draws=generators(0))
    assert set(names) == {each.feature for each, _ in inputs if each.feature != EVERYTHING}
    return {replace(each, pieces=1): text for each, text in inputs}


def test_words_of_a_term_a_group_and_an_attribute_are_masked_and_deleted() -> None:
    made = hidden()
    assert made[Hidden(0, ("gender", "female", "she"), MASKED)] == "[MASK] says the actor is dull"
    assert made[Hidden(0, ("gender", "male"), DELETED)] == "she says the is dull"
    assert made[Hidden(0, ("gender",), MASKED)] == "[MASK] says the [MASK] is dull"
    assert made[Hidden(1, ("gender", "male", "he"), DELETED)] == "is and nothing else"
    assert made[Hidden(0, EVERYTHING, DELETED)] == "says the is dull"
    assert not any(each.example == 2 for each in made), "a text without declared words stays as it is"


def test_the_control_hides_as_many_words_and_none_that_is_declared() -> None:
    made = hidden()
    assert sum(each.control for each in made) > 10
    for each, text in made.items():
        if each.control:
            own = made[Hidden(each.example, each.feature, each.fill)]
            assert len(words(own)) == len(words(text))
            assert [m.term for m in found(text, {"she": "f", "he": "m", "actor": "m", "girl": "f"})] == [
                m.term for m in MATCHES[each.example]
            ]
    assert Hidden(3, ("gender",), MASKED, control=True) not in made, "no other word is left to hide"
    assert made[Hidden(3, ("gender",), MASKED)] == "[MASK]" and made[Hidden(3, ("gender",), DELETED)] == ""


def test_a_term_of_several_words_and_its_control_are_each_one_run_of_words() -> None:
    text = "a native american film of the year"
    match = Match(2, 17, "origin", "native", "native american")
    _, inputs = hidden_texts([text], [(match,)], {MASKED: "[MASK]"}, most=1, draws=generators(3))
    shown = {(each.feature, each.control): (shown, each.pieces) for each, shown in inputs}
    assert shown[("origin", "native"), False] == ("a [MASK] film of the year", 2)
    control, pieces = shown[("origin", "native"), True]
    assert pieces == 2 and control.count("[MASK]") == 1 and len(control.split()) == 6 and "native american" in control


def test_another_feature_changes_the_draws_of_none() -> None:
    fewer = tuple(tuple(m for m in row if m.group == "female") for row in MATCHES)
    _, inputs = hidden_texts(TEXTS[3:], fewer[3:], text_fills("[MASK]"), most=1, draws=generators(0))
    _, alone = hidden_texts(TEXTS[3:], MATCHES[3:], text_fills("[MASK]"), most=1, draws=generators(0))
    assert inputs == alone
    one, two = (generators(0)(name).random() for name in (("a",), ("b",)))
    assert one != two and generators(0)(("a",)).random() == one


def test_no_more_texts_of_a_feature_are_hidden_than_asked_for_but_everything_is_in_all() -> None:
    made = hidden(most=1)
    for feature in {each.feature for each in made} - {EVERYTHING}:
        assert len({each.example for each in made if each.feature == feature}) == 1
    assert {each.example for each in made if each.feature == EVERYTHING} == {0, 1, 3}


def test_a_model_without_a_mask_token_has_its_words_deleted_only() -> None:
    assert text_fills(None) == {DELETED: ""}


def test_the_table_holds_what_hiding_changes_and_what_is_predicted_then() -> None:
    scores = np.array([[1.0, 0.0], [0.0, 2.0]])
    asked = [
        Hidden(1, ("a",), "x"),
        Hidden(1, ("a",), "x", control=True),
        Hidden(0, EVERYTHING, "x"),
        Hidden(1, ("b",), "y"),
    ]
    after = np.array([[3.0, 2.0], [0.0, 1.0], [0.0, 1.0], [0.0, 2.0]])
    table = effect_table([("a",), ("b",)], asked, after, scores, contrast=lambda s: s[:, 0] - s[:, 1])
    assert table is not None and table.rows.tolist() == [1]
    np.testing.assert_equal(table.delta["x"], [[-3.0, np.nan]])
    np.testing.assert_equal(table.control["x"], [[-1.0, np.nan]])
    np.testing.assert_equal(table.flipped["x"], [[1.0, np.nan]])
    np.testing.assert_equal(table.delta["y"], [[np.nan, 0.0]])
    assert effect_table([], [], np.zeros((0, 0)), scores, contrast=lambda s: s[:, 0]) is None
    np.testing.assert_equal(table.pieces, [[1.0, 1.0]])
    assert table.predicted["x"].tolist() == [1, 1] and table.predicted["y"].tolist() == [0, 1]


@given(st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_fills_change_the_mask_alone_and_use_nothing_of_it_but_the_blur(seed: int) -> None:
    rng = np.random.default_rng(seed)
    pixels, mask = rng.normal(size=(2, 13, 17)).astype(np.float32), np.zeros((13, 17), dtype=bool)
    top, left = rng.integers(0, 12), rng.integers(0, 16)
    mask[top : top + rng.integers(1, 13), left : left + rng.integers(1, 17)] = True
    other = np.where(mask, 100, pixels).astype(np.float32)
    for name, hide in fills(pixels).items():
        shown = hide(mask)
        assert shown.dtype == np.float32 and np.isfinite(shown).all()
        assert np.array_equal(shown[:, ~mask], pixels[:, ~mask])
        if name != "blur" and not mask.all():
            np.testing.assert_allclose(fills(other)[name](mask)[:, mask], shown[:, mask], atol=1e-5)
            low, high = pixels[:, ~mask].min(axis=1), pixels[:, ~mask].max(axis=1)
            inside = shown[:, mask]
            assert (inside >= low[:, None] - 1e-5).all() and (inside <= high[:, None] + 1e-5).all()


def test_surroundings_continue_a_gradient_better_than_the_mean() -> None:
    y, x = np.mgrid[:64, :64] / 64
    slope, mask = (x + y)[None], np.zeros((64, 64), dtype=bool)
    mask[5:25, 5:25] = True
    error = {name: np.abs(hide(mask) - slope)[:, mask].mean() for name, hide in fills(slope).items()}
    assert error["surroundings"] < 0.25 * error["mean"]
    assert np.array_equal(fills(np.ones((1, 8, 8)))["surroundings"](np.ones((8, 8), dtype=bool)), np.ones((1, 8, 8)))


@given(st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_a_moved_mask_has_its_size_and_shares_less_than_half_of_itself(seed: int) -> None:
    rng = np.random.default_rng(seed)
    mask = np.zeros((9, 12), dtype=bool)
    top, left, height, width = rng.integers(0, 5), rng.integers(0, 6), rng.integers(1, 5), rng.integers(1, 7)
    mask[top : top + height, left : left + width] = rng.random((height, width)) < 0.8
    elsewhere = moved(mask, rng)
    if mask.any():
        assert elsewhere is not None and elsewhere.sum() == mask.sum()
        assert 2 * (elsewhere & mask).sum() < mask.sum()


@pytest.mark.parametrize("mask", [np.ones((6, 6), dtype=bool), np.zeros((6, 6), dtype=bool)])
def test_what_fills_the_picture_or_nothing_has_no_other_place(mask: np.ndarray) -> None:
    assert moved(mask, np.random.default_rng(0)) is None


def test_examples_in_the_docstrings_hold() -> None:
    for module in (audit.data.infill, audit.data.terms):
        assert doctest.testmod(module).failed == 0 and doctest.testmod(module).attempted

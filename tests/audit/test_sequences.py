"""Lazy sequences are sequences: places, slices, equality."""

import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st

import audit.sequences
from audit.sequences import Made


@given(st.lists(st.integers(), max_size=9), st.data())
def test_made_sequence_is_indexed_like_a_tuple(items: list[int], data: st.DataObject) -> None:
    made, place = Made(len(items), items.__getitem__), data.draw(st.slices(len(items)))
    assert tuple(made) == tuple(items) and made == items and made[place] == tuple(items[place])
    assert made != [*items, 0] and made != "nothing" * (len(items) + 1) and made != 3
    with pytest.raises(IndexError, match="out of range"):
        made[len(items)]


def test_nothing_is_made_before_it_is_asked_for() -> None:
    asked: list[int] = []
    made = Made(1_000_000_000, lambda i: asked.append(i) or i)
    assert (len(made), made[-1], asked) == (1_000_000_000, 999_999_999, [999_999_999])


def test_examples_in_the_docstrings_hold() -> None:
    assert doctest.testmod(audit.sequences).failed == 0 and doctest.testmod(audit.sequences).attempted

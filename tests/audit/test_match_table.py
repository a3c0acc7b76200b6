"""Matches as columns give back the matches."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from audit import match_table
from audit.aggregation import mentions
from audit.match_table import MatchTable
from audit.tables import Match

names = st.sampled_from(["a", "b", "a\0b"])
matches = st.builds(Match, st.integers(0, 9), st.integers(10, 99), names, names, names)
texts = st.lists(st.lists(matches, max_size=4).map(tuple), max_size=12)


@given(texts)
def test_table_equals_the_matches_it_was_made_of(rows: list[tuple[Match, ...]]) -> None:
    table = MatchTable.of(rows)
    assert list(table) == rows and table == rows and [table[i] for i in range(len(rows))] == rows
    assert table.held.tolist() == [bool(row) for row in rows]
    assert table.keys == tuple(dict.fromkeys((m.attribute, m.group, m.term) for row in rows for m in row))


@given(texts)
def test_mentions_of_a_table_are_those_of_its_rows(rows: list[tuple[Match, ...]]) -> None:
    groups = [{m.group for m in row if m.attribute == "a"} for row in rows]
    expected = ["(none)" if not g else "(several)" if len(g) > 1 else g.pop() for g in groups]
    found = mentions(MatchTable.of(rows), "a")
    assert found.tolist() == expected and found.dtype == np.array(expected, dtype=np.str_).dtype


def test_many_texts_are_read_in_pieces() -> None:
    rows = [(Match(i, i + 1, "a", "b", "c"),) * (i % 3) for i in range(2 * match_table.CHUNK + 5)]
    assert list(MatchTable.of(rows)) == rows

"""Exact ratios and their bounds; the oracles go through every allocation of the unknown, and every single changed selection."""

from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from audit.stats.tally import Tally


def tally(n, selected, unknown=0, unknown_selected=0) -> Tally:
    return Tally(tuple("abcd"[: len(n)]), tuple(n), tuple(selected), unknown, unknown_selected)


@st.composite
def small_tables(draw) -> Tally:
    n = draw(st.lists(st.integers(1, 7), min_size=1, max_size=3))
    unknown = draw(st.integers(0, 6))
    return tally(n, [draw(st.integers(0, each)) for each in n], unknown, draw(st.integers(0, unknown)))


def shared(total, parts):
    """Every way to share `total` among `parts`."""
    if parts == 1:
        yield (total,)
        return
    for first in range(total + 1):
        yield from ((first, *rest) for rest in shared(total - first, parts - 1))


def allocated(table: Tally, i: int) -> list[Fraction]:
    """Oracle: the ratio of category i under every allocation of the unknown."""
    found, m = [], len(table.n)
    for up in shared(table.unknown_selected, m):
        for down in shared(table.unknown - table.unknown_selected, m):
            rates = [Fraction(table.selected[j] + up[j], table.n[j] + up[j] + down[j]) for j in range(m)]
            found += [rates[i] / max(rates)] if max(rates) else []
    return found


@given(small_tables())
@settings(max_examples=150, deadline=None)
def test_bounds_are_the_least_and_largest_ratio_over_every_allocation_of_the_unknown(table) -> None:
    for i in range(len(table.n)):
        if found := allocated(table, i):
            assert table.bounds(i) == (float(min(found)), float(max(found)))


def test_unknown_that_are_not_selected_fill_up_the_highest_of_the_others_first() -> None:
    """Others 8 of 10 and 5 of 10; 6 more make 8 of 16 and 5 of 10, both .5; a category of 4 of 10 then has .8."""
    assert tally((10, 10, 10), (4, 8, 5), unknown=6).bounds(0)[1] == 0.8


@given(small_tables())
def test_crossing_is_asked_of_every_single_selection(table) -> None:
    if table.reference is None:
        return

    def below(selected, i):
        rates = [Fraction(k, n) for k, n in zip(selected, table.n, strict=True)]
        return rates[i] < Fraction(4, 5) * max(rates)

    for i in range(len(table.n)):
        changed = [
            (*table.selected[:j], table.selected[j] + step, *table.selected[j + 1 :])
            for j in range(len(table.n)) for step in (-1, 1) if 0 <= table.selected[j] + step <= table.n[j]
        ]  # fmt: skip
        assert table.crosses(i) == any(below(each, i) != below(table.selected, i) for each in changed)


def test_four_fifths_are_exact() -> None:
    """.16 / .2 and .04 / .05 are below .8 in floats, and are not."""
    assert 0.16 / 0.2 < 0.8 and 0.04 / 0.05 < 0.8
    assert not tally((100, 100), (16, 20)).four_fifths(0) and not tally((100, 100), (4, 5)).four_fifths(0)
    assert tally((10**6, 10**6), (239_999, 300_000)).four_fifths(0)


def test_no_share_of_exactly_the_limit_is_excluded() -> None:
    table = Tally(("a", "b", "c"), (97, 2, 1), (10, 2, 1), exclude_below=0.02)
    assert (table.compared, table.reference) == ((0, 1), 1)

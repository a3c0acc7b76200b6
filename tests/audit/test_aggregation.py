"""What is filed of the shares: counts in bins that every group of an audit has in common."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.aggregation import MOST_BINS, distributions
from audit.records import Estimate
from audit.tables import GroupTable

NONE = Estimate(value=None)


def filed(share) -> dict:
    """Distributions of a table of shares `[n, groups]`; nan where an example does not hold the group."""
    share = np.array(share, float)
    names = tuple("abcdef"[: share.shape[1]])
    table = GroupTable(names, share, share, share, np.isfinite(share))
    return {each.group: each for each in distributions(table, "cp_lrp", dict.fromkeys(names, NONE))}


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 0.01)), min_size=1, max_size=40))
def test_every_example_is_a_zero_or_in_a_bin_of_which_there_are_few(pairs):
    for i, each in enumerate(filed(pairs).values()):
        assert each.zeros == sum(pair[i] == 0 for pair in pairs)
        assert each.zeros + sum(each.counts) == each.n == len(pairs)
        assert 1 <= len(each.counts) == len(each.edges) - 1 <= MOST_BINS


def test_all_groups_have_the_bins_of_the_largest_share():
    found = filed([(0.03, 0.002), (0.071, 0.001), (np.nan, 0.0)])
    assert found["a"].edges == found["b"].edges == tuple((np.arange(37) * 0.002).round(9).tolist())
    assert (found["a"].n, found["b"].n, found["b"].zeros) == (2, 3, 1)


@pytest.mark.parametrize(("largest", "width"), [(1.0, 0.02), (0.5, 0.01), (0.26, 0.01), (0.25, 0.005), (0.001, 0.0005)])
def test_bins_have_round_widths_and_end_at_the_largest_share(largest, width):
    edges = filed([(largest,), (0.0,)])["a"].edges
    assert edges[1] == width and edges[-1] == pytest.approx(largest)


def test_a_share_that_rounding_lifts_above_1_is_counted():
    assert filed([(1.0 + 1e-7,), (0.4,)])["a"].counts[-1] == 1


def test_a_group_that_no_example_holds_is_not_filed():
    assert list(filed([(0.1, np.nan)])) == ["a"]

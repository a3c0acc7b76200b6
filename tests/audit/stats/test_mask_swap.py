"""The permutation against its slow definition, and simulated error rates of mask swap and twin reference (fixed seeds)."""

import time
from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.stats.mask_swap import MaskSwap, mask_swap, swap_blocks
from audit.stats.regions import MOST_OVERLAP
from audit.stats.twins import leave_one_out, referenced
from tests.audit.stats.photographs import following, maps, masks, overlap, swapped


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 4), st.booleans()), max_size=120), st.integers(3, 32))
def test_blocks_hold_neighbours_in_area_of_one_label(rows: list[tuple[int, int, bool]], size: int) -> None:
    label, area, present = (np.array([row[i] for row in rows]) for i in range(3))
    block, place = swap_blocks(label, area, present.astype(bool), np.random.default_rng(0), size)
    for code in np.unique(block[block >= 0]):
        members = block == code
        assert 2 <= members.sum() <= size and len(set(label[members])) == 1
        assert sorted(place[members]) == list(range(members.sum()))
        others = area[(block >= 0) & ~members & (label == label[members][0])]
        assert ((others <= area[members].min()) | (others >= area[members].max())).all()
    alone = [i for i in range(len(rows)) if not present[i] or (present & (label == label[i])).sum() == 1]
    assert np.flatnonzero(block < 0).tolist() == alone == np.flatnonzero(place < 0).tolist()


def test_a_block_size_that_would_leave_images_alone_is_refused() -> None:
    with pytest.raises(ValueError, match="swap block is 2; at least 3"):
        swap_blocks(np.zeros(3), np.zeros(3), np.ones(3, dtype=bool), np.random.default_rng(0), 2)


def slow(net: np.ndarray, blocks: list[list[int]]) -> tuple[np.ndarray, list[float]]:
    """Own minus others by the definition, and the mean difference under every permutation of masks within blocks."""
    difference = np.full(len(net), np.nan)
    means = []
    for chosen in product(*[permutations(range(len(rows))) for rows in blocks]):
        found = []
        for rows, masks_of in zip(blocks, chosen, strict=True):
            for image, mask in zip(rows, masks_of, strict=True):
                others = [net[image, other] for other in range(len(rows)) if other != mask]
                found.append(net[image, mask] - sum(others) / len(others))
                if mask == rows.index(image) and masks_of == tuple(range(len(rows))):
                    difference[image] = found[-1]
        means.append(float(np.nanmean(found)))
    return difference, means


@pytest.mark.parametrize("empty", [None, 2])
def test_the_permutation_equals_its_slow_definition(empty: int | None) -> None:
    rng = np.random.default_rng(3)
    net = rng.normal(size=(7, 4))
    net[3:, :] += 0.8 * np.eye(4)
    net[:3, 3] = np.nan  # behind the size of the first block
    block, place = np.array([0, 0, 0, 1, 1, 1, 1, -1]), np.array([0, 1, 2, 0, 1, 2, 3, -1])
    if empty is not None:
        net[empty] = np.nan
    found = run(np.vstack([net, np.full(4, np.nan)]), block, place, resamples=20_000)
    difference, means = slow(net, [[0, 1, 2], [3, 4, 5, 6]])
    assert found.difference[:7] == pytest.approx(difference, nan_ok=True) and np.isnan(found.difference[7])
    exact = np.mean(np.abs(means) >= abs(np.nanmean(difference)) - 1e-12)
    assert found.p == pytest.approx(exact, abs=0.012)
    assert np.quantile(found.null, [0.1, 0.5, 0.9]) == pytest.approx(np.quantile(means, [0.1, 0.5, 0.9]), abs=0.05)
    assert np.nanmean(found.influence) == pytest.approx(np.nanmean(difference))


def run(
    net: np.ndarray, block: np.ndarray, place: np.ndarray, cluster: np.ndarray | None = None, resamples: int = 199
) -> MaskSwap:
    code, rng = np.arange(len(block)) if cluster is None else cluster, np.random.default_rng(1)
    return mask_swap(net, block, place, cluster=code, rng=rng, resamples=resamples)


def test_equal_masks_leave_no_p() -> None:
    net = np.repeat(np.random.default_rng(0).normal(size=(10, 1)), 10, axis=1)
    assert run(net, np.zeros(10, dtype=int), np.arange(10)).p is None


def draw(rng: np.random.Generator, n: int, jitter: float, weight: float = 0.0, *, by_label: bool = False) -> MaskSwap:
    label = rng.integers(0, 2, n)
    sign = 2.0 * label - 1 if by_label else 0.5
    inside = masks(rng, n, jitter, rng.integers(6, 9, n) - 2 * label * by_label)
    return outcome(rng, label, following(maps(rng, n, sign), inside, weight), inside)


def outcome(
    rng: np.random.Generator, label: np.ndarray, relevance: np.ndarray, inside: np.ndarray,
    cluster: np.ndarray | None = None,
) -> MaskSwap:  # fmt: skip
    block, place = swap_blocks(label, inside.sum(axis=1), inside.any(axis=1), rng)
    code = np.arange(len(label)) if cluster is None else cluster
    return mask_swap(swapped(relevance, inside, block, place), block, place, cluster=code, rng=rng, resamples=199)


def rate(found: list[MaskSwap]) -> float:
    return float(np.mean([test.p is not None and test.p <= 0.05 for test in found]))


@pytest.mark.parametrize("by_label", [False, True])
def test_mask_swap_holds_its_level_where_maps_and_masks_sit_in_the_middle(by_label: bool) -> None:
    rng = np.random.default_rng(11)
    assert 0.02 <= rate([draw(rng, 60, 3, by_label=by_label) for _ in range(400)]) <= 0.08


def of_subjects(rng: np.random.Generator, subjects: int, rows: int) -> tuple[np.ndarray, ...]:
    """Photographs of one subject share map and mask but for noise."""
    code, n = np.repeat(np.arange(subjects), rows), subjects * rows
    relevance = maps(rng, subjects)[code] + 0.5 * maps(rng, n)
    return rng.integers(0, 2, subjects)[code], relevance, masks(rng, subjects, 3)[code], code


@pytest.mark.parametrize(("subjects", "rows"), [(20, 5), (30, 2), (12, 10)])
def test_mask_swap_holds_its_level_in_clusters_and_single_permutations_do_not(subjects: int, rows: int) -> None:
    rng = np.random.default_rng(12)
    worlds = [of_subjects(rng, subjects, rows) for _ in range(300)]
    honoured = rate([outcome(rng, *world) for world in worlds])
    ignored = rate([outcome(rng, *world[:3]) for world in worlds[:150]])
    assert 0.01 <= honoured <= 0.08 < ignored, (honoured, ignored)


def test_mask_swap_finds_ten_per_cent_of_relevance_that_follows_masks() -> None:
    rng = np.random.default_rng(13)
    assert rate([draw(rng, 60, 3, 0.1) for _ in range(100)]) >= 0.8


@pytest.mark.parametrize(("jitter", "below", "found"), [(0.24, False, (0.0, 0.5)), (0.4, True, (0.6, 1.0))])
def test_beyond_the_allowed_overlap_sixty_images_find_little(
    jitter: float, below: bool, found: tuple[float, float]
) -> None:
    rng, power, met = np.random.default_rng(14), [], []
    for _ in range(80):
        label, inside = rng.integers(0, 2, 60), masks(rng, 60, jitter, 12)
        power.append(outcome(rng, label, following(maps(rng, 60), inside, 0.1), inside))
        met.append(overlap(inside, label))
    assert bool(np.mean(met) <= MOST_OVERLAP) is below
    assert found[0] <= rate(power) <= found[1]


def test_ten_thousand_images_take_seconds() -> None:
    rng = np.random.default_rng(15)
    block, place = swap_blocks(rng.integers(0, 2, 10_000), rng.random(10_000), np.ones(10_000, dtype=bool), rng)
    net, start = rng.normal(size=(10_000, 32)).astype(np.float32), time.process_time()
    assert run(net, block, place, resamples=9999).p is not None
    assert time.process_time() - start < 15


def test_a_reference_equals_the_t_test_of_one_outlier_in_a_regression() -> None:
    rng = np.random.default_rng(16)
    twins, value = rng.normal(size=24), 2.0
    design = np.stack([np.ones(25), np.arange(25) == 24], axis=1).astype(float)
    y = np.append(twins, value)
    beta, residual, _, _ = np.linalg.lstsq(design, y, rcond=None)
    se = np.sqrt(residual[0] / 23 * np.linalg.inv(design.T @ design)[1, 1])
    p, t = referenced(value, np.append(twins, np.nan))
    assert t == pytest.approx(beta[1] / se)
    assert p is not None and 0.03 < p < 0.1


@pytest.mark.parametrize("twins", [[], [1.0], [1.0, 1.0, 1.0], [np.nan, 1.0]])
def test_too_few_or_equal_twins_are_no_reference(twins: list[float]) -> None:
    assert referenced(2.0, np.array(twins)) == (None, None)


def test_twins_referenced_to_each_other_are_flagged_at_the_nominal_rate() -> None:
    rng = np.random.default_rng(17)
    normal, skewed = (
        np.mean([leave_one_out(draw(size=24)) <= 0.05 for _ in range(100)]) for draw in (rng.normal, rng.exponential)
    )
    assert 0.02 <= normal <= 0.08
    assert 0.02 <= skewed <= 0.08

"""The relevance stage of images against slow sums over boolean masks, photograph by photograph."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import save_file
from torch import nn

import lrp
from audit.data.masks import collect_masks, drawn, grown, varied
from audit.engines.kept import Kept
from audit.errors import DataError
from audit.loading import load_config
from audit.models.twins import reinitialised
from audit.parts import InProcess
from audit.preparation import prepare
from audit.relevance.masked import inside, masks_of, overlaps, running, still_swapped, swap_members
from audit.relevance.photographs import SHARD_IMAGES
from audit.relevance.surroundings import Frame, Surroundings, map_table, pooled
from audit.tables import MapTable, MaskTable
from audit.tasks.images import ImageTask

CODE = """
from torch import nn
def make():
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(4 * 36, 3))
"""
N = 40


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty photographs of 16 x 16 with a box each (some have none), a small network, and its code."""
    place, rng = tmp_path_factory.mktemp("photographs"), np.random.default_rng(1)
    for i in range(N):
        Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(place / f"{i}.png")
    corner = rng.integers(0, 8, (N, 2))
    boxes = [f"[[{x}, {y}, {x + 5}, {y + 4}]]" if i % 7 else "" for i, (x, y) in enumerate(corner.tolist())]
    table = pd.DataFrame({"id": [f"p{i}" for i in range(N)], "image": [f"{i}.png" for i in range(N)], "thing": boxes})
    table["label"] = np.array(["a", "b", "c"])[np.arange(N) % 3]
    table["who"] = np.array(["x", "y"])[np.arange(N) // 20]
    table.to_csv(place / "table.csv", index=False)
    (place / "network.py").write_text(CODE)
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(144, 3))
    save_file(network.state_dict(), place / "weights.safetensors")
    return place


def document(**changes: Any) -> dict[str, Any]:
    return {
        "name": "small",
        "task": "image",
        "data": {"path": "table.csv", "columns": {"attributes": {"who": "who"}}},
        "model": {
            "module": "network:make",
            "weights": "weights.safetensors",
            "classes": ["a", "b", "c"],
            "preprocessing": {"crop": [2, 2, 14, 14], "mean": [0.4, 0.5, 0.6], "std": [0.2, 0.3, 0.4], "flip": True},
        },
        "engine": {"batch_size": 7},
        "target": {"favour": "a", "against": "c"},
        "regions": [{"name": "thing", "boxes": "thing"}, {"name": "top", "fixed": [[0, 0, 16, 6]]}],
        "relevance": {"composites": ["epsilon_plus", "epsilon_gamma_box"]},
        "statistics": {"twins": 20, "twin_examples": 20, "permutations": 199, "min_group_size": 5},
        **changes,
    }


def task_of(folder: Path, **changes: Any) -> ImageTask:
    path = folder / "small.yaml"
    path.write_text(yaml.safe_dump(document(**changes)))
    task = prepare(load_config(path))
    assert isinstance(task, ImageTask)
    return task


def slow_map(task: ImageTask, i: int, composite: int, shifts: Any = None, model: Any = None) -> np.ndarray:
    pixels = torch.from_numpy(replace(task.pixels, shifts=shifts)(np.array([i])))
    chosen = list(task.explainer.composites.values())[composite]
    return lrp.attribute(model or task.explainer.model, pixels, (0, 2), chosen).values[0].sum(0).double().numpy()


@pytest.mark.parametrize("jitter", [0, 2])
def test_sums_equal_those_over_boolean_masks(folder: Path, jitter: int) -> None:
    statistics = {**document()["statistics"], "jitter": jitter}
    task = task_of(folder, statistics=statistics)
    explained, known = task.explain(), task.shifted or task.masks
    regions = explained.regions
    assert (task.shifted is not None) == bool(jitter)
    for c, name in enumerate(task.explainer.names):
        for i in range(0, N, 3):
            plain, moved = slow_map(task, i, c), slow_map(task, i, c, task.shifts)
            for r, mask in enumerate(drawn(task.masks, i)):
                total = np.abs(plain).sum()
                share = np.abs(plain[mask]).sum() / total if mask.any() else np.nan
                assert regions.share[name][i, r] == pytest.approx(share, rel=1e-5, nan_ok=True)
            for r, mask in enumerate(drawn(known, i)):
                net = moved[mask].sum() / np.abs(moved).sum() if mask.any() else np.nan
                assert regions.net[name][i, r] == pytest.approx(net, rel=1e-4, abs=1e-6, nan_ok=True)
                if regions.block[i, r] < 0:
                    assert np.isnan(regions.swapped[name][i, r]).all()
                    continue
                mates = np.flatnonzero(regions.block[:, r] == regions.block[i, r])
                mates = mates[np.argsort(regions.place[mates, r])]
                slow = [moved[drawn(known, int(j))[r]].sum() / np.abs(moved).sum() for j in mates]
                np.testing.assert_allclose(regions.swapped[name][i, r, : len(mates)], slow, rtol=1e-4, atol=1e-6)
                assert np.isnan(regions.swapped[name][i, r, len(mates) :]).all()


def test_only_regions_that_differ_between_photographs_are_swapped_unless_crops_are_shifted(folder: Path) -> None:
    block = task_of(folder).explain().regions.block
    assert (block[:, 0] >= 0).sum() > 30 and (block[:, 1:] == -1).all()
    labels = np.arange(N) % 3
    assert all(len({labels[i] for i in np.flatnonzero(block[:, 0] == b)}) == 1 for b in np.unique(block[block >= 0]))
    shifted = task_of(folder, statistics={**document()["statistics"], "jitter": 2}).explain().regions
    assert (shifted.block[:, 1] >= 0).all() and (shifted.block[:, 2] == -1).all() and shifted.jitter == 2


def test_twins_see_the_same_photographs_through_random_weights(folder: Path) -> None:
    task = task_of(folder)
    regions = task.explain().regions
    rows = regions.twin_rows
    assert len(rows) == 20 and regions.twin_share.shape == (20, 20, 3)
    batch = torch.from_numpy(task.pixels(rows))
    for k in range(2):
        twin = reinitialised(task.explainer.model, task.config.seed + k, batch.split(7))
        for m in (0, 7, 19):
            i = int(rows[m])
            relevance = slow_map(task, i, 0, model=twin)
            masks = drawn(task.masks, i)
            share = [
                np.abs(relevance[mask]).sum() / np.abs(relevance).sum() if mask.any() else np.nan for mask in masks
            ]
            np.testing.assert_allclose(regions.twin_share[k, m], share, rtol=1e-4)
            with torch.no_grad():
                logits = twin(batch[m : m + 1])[0]
            first, second = sorted(logits.tolist(), reverse=True)[:2]
            assert regions.twin_confidence[k, m] == pytest.approx(first - second, rel=1e-4, abs=1e-5)
            block = regions.block[i, 0]
            if block < 0:
                assert np.isnan(regions.twin_swap[k, m, 0])
                continue
            others = [int(j) for j in np.flatnonzero(regions.block[:, 0] == block) if j != i]
            nets = [relevance[drawn(task.masks, j)[0]].sum() for j in others]
            slow = (relevance[masks[0]].sum() - np.mean(nets)) / np.abs(relevance).sum()
            assert regions.twin_swap[k, m, 0] == pytest.approx(slow, rel=1e-3, abs=1e-5)


def test_batches_and_prefetching_change_nothing(folder: Path) -> None:
    one, many = (task_of(folder, engine={"batch_size": size}).explain().regions for size in (1, 64))
    for name in one.net:
        np.testing.assert_allclose(one.net[name], many.net[name], rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(one.swapped[name], many.swapped[name], rtol=1e-3, atol=1e-6)


def test_maps_are_averaged_per_group_and_class_only_in_a_common_frame(folder: Path) -> None:
    assert task_of(folder).explain().maps.mean == {}
    task = task_of(folder, regions=[{"name": "top", "fixed": [[0, 0, 16, 6]]}])
    maps = task.explain().maps
    assert set(maps.mean) == {(a, g, k) for a, g in (("", ""), ("who", "x"), ("who", "y")) for k in "abc"}
    rows = [i for i in range(20, N) if i % 3 == 1]
    each = [slow_map(task, i, 0) for i in rows]
    each = [relevance / np.abs(relevance).sum() for relevance in each]
    np.testing.assert_allclose(maps.mean["who", "y", "b"], np.mean(each, axis=0), rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(
        maps.error["who", "y", "b"], np.std(each, axis=0, ddof=1) / len(rows) ** 0.5, rtol=1e-3, atol=1e-7
    )
    assert maps.counts["who", "y", "b"] == len(rows)
    top = maps.top["epsilon_plus"]
    largest = np.sort(np.abs(each[0]).ravel())[-round(0.05 * 144) :]
    assert top[rows[0]] == pytest.approx(largest.sum(), rel=1e-5)


def test_mirrored_and_displaced_shares_are_those_of_the_moved_map(folder: Path) -> None:
    task = task_of(folder)
    maps = task.explain().maps
    for i in (1, 9):
        share = np.abs(slow_map(task, i, 0))
        mask = drawn(task.masks, i)[0]
        assert maps.mirrored[i, 0] == pytest.approx(share[:, ::-1][mask].sum() / share.sum(), rel=1e-5)
        places = [np.roll(share, (dy, dx), (0, 1))[mask].sum() / share.sum() for dy in range(12) for dx in range(12)]
        assert np.isclose(maps.displaced[i, 0], places, rtol=1e-5).any()


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 3), st.integers(1, 6), st.integers(1, 6), st.integers(2, 6), st.integers(0, 10_000))
def test_runs_sum_what_masks_sum(regions: int, height: int, width: int, n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    masks = rng.random((n, regions, height, width)) < rng.random()
    table = as_runs(masks)
    maps = rng.normal(size=(2, height * width))
    flat = masks.reshape(n * regions, -1)
    np.testing.assert_allclose(inside(running(maps), table, np.arange(n * regions)), maps @ flat.T, atol=1e-12)
    for i in range(n):
        np.testing.assert_array_equal(drawn(table, i), masks[i])
        np.testing.assert_array_equal(masks_of(table, i), i * regions + np.arange(regions))


def slow_grown(mask: np.ndarray, pixels: int) -> np.ndarray:
    """A pixel joins if one of the mask is within the distance; one of the mask leaves if one outside it, in the picture, is."""
    cells, found = list(np.ndindex(mask.shape)), mask.copy()
    for y, x in cells:
        if mask[y, x] != (pixels > 0):
            found[y, x] = any(
                mask[v, u] != mask[y, x] and (v - y) ** 2 + (u - x) ** 2 <= pixels**2 for v, u in cells
            ) != (pixels < 0)
    return found


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 3), st.integers(1, 7), st.integers(1, 7), st.integers(-4, 4), st.integers(0, 10_000))
def test_masks_grow_and_shrink_by_discs_that_the_border_does_not_eat(
    regions: int, height: int, width: int, pixels: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    declared = rng.random((4, regions, height, width)) < rng.choice([0.0, 0.1, 0.5, 0.9, 1.0])
    declared[2] = declared[0]
    masks = np.concatenate([declared, ~declared.any(axis=1, keepdims=True)], axis=1)
    table = grown(as_runs(masks), pixels or 1)
    for i in range(4):
        slow = np.stack([slow_grown(mask, pixels or 1) for mask in declared[i]])
        np.testing.assert_array_equal(drawn(table, i), [*slow, ~slow.any(axis=0)])
        np.testing.assert_array_equal(table.area[i], drawn(table, i).sum(axis=(1, 2)))
    assert table.place[0] == table.place[2]


def test_masks_grown_from_runs_of_more_places_than_masks_share_them() -> None:
    rng = np.random.default_rng(0)
    few = rng.random((2, 2, 5, 5)) < 0.5
    few[:, 1] = ~few[:, 0]
    table = grown(as_runs(few[[0, 1, 0, 1, 1]]), 1)
    assert table.place.tolist() == [0, 1, 0, 1, 1] and len(table.first) == 2 * 2 + 1


@pytest.mark.parametrize(("tolerance", "pixels"), [(0.001, 1), (0.1, 2), (0.25, 5)])
def test_a_tolerance_is_a_share_of_the_shorter_side_and_at_least_a_pixel(tolerance: float, pixels: int) -> None:
    masks = np.zeros((1, 2, 20, 30), dtype=bool)
    masks[0, 0, 4:18, 6:16] = True
    masks[0, 1] = ~masks[0, 0]
    found = varied(as_runs(masks), tolerance)
    by = "1 pixel" if pixels == 1 else f"{pixels} pixels"
    for (name, table), turn in zip(found.items(), (1, -1), strict=True):
        assert name == f"masks {'grown' if turn == 1 else 'shrunk'} by {by}"
        np.testing.assert_array_equal(drawn(table, 0)[0], slow_grown(masks[0, 0], turn * pixels))
    assert varied(as_runs(masks), 0.0) == {}


def test_blocks_close_up_where_photographs_lose_their_region() -> None:
    rng = np.random.default_rng(8)
    block, place = np.full((40, 2), -1), np.full((40, 2), -1)
    for r in range(2):
        for code, rows in enumerate(np.array_split(rng.permutation(40)[:34], 6)):
            block[rows, r], place[rows, r] = code, np.arange(len(rows))
    present = rng.random((40, 2)) < 0.5
    present[np.flatnonzero(block[:, 0] == 2)[1:], 0] = False
    blocks, places = still_swapped(block, place, present)
    for r in range(2):
        before = [set(rows[present[rows, r]].tolist()) for rows in swap_members(block[:, r], place[:, r])]
        after = swap_members(blocks[:, r], places[:, r])
        assert [set(rows.tolist()) for rows in after] == [rows for rows in before if len(rows) > 1]
        for code, rows in enumerate(after):
            assert (blocks[rows, r] == code).all() and places[rows, r].tolist() == list(range(len(rows)))
            assert (np.diff(place[rows, r]) > 0).all()
        assert ((blocks[:, r] >= 0) == (places[:, r] >= 0)).all()
    for one, same in zip(still_swapped(block, place, block >= 0), (block, place), strict=True):
        np.testing.assert_array_equal(one, same)


@pytest.mark.parametrize("jitter", [0, 2])
def test_sums_over_grown_and_shrunk_masks_equal_those_over_boolean_masks(folder: Path, jitter: int) -> None:
    statistics = {**document()["statistics"], "jitter": jitter, "mask_tolerance": 0.15}
    task = task_of(folder, statistics=statistics)
    explained, moved_masks = task.explain(), task.shifted or task.masks
    assert list(explained.varied) == ["masks grown by 2 pixels", "masks shrunk by 2 pixels"]
    lost = 0
    for turn, regions in zip((2, -2), explained.varied.values(), strict=True):
        plain_masks = [slow_varied(drawn(task.masks, i), turn) for i in range(N)]
        known = [slow_varied(drawn(moved_masks, i), turn) for i in range(N)]
        for c, name in enumerate(task.explainer.names):
            for i in range(0, N, 6):
                plain, moved = slow_map(task, i, c), slow_map(task, i, c, task.shifts)
                for r in range(3):
                    share = np.abs(plain[plain_masks[i][r]]).sum() / np.abs(plain).sum()
                    there = plain_masks[i][r].any()
                    assert regions.share[name][i, r] == pytest.approx(share if there else np.nan, rel=1e-5, nan_ok=True)
                    mates = np.flatnonzero(explained.regions.block[:, r] == explained.regions.block[i, r])
                    mates = mates[np.argsort(explained.regions.place[mates, r])]
                    mates = [int(j) for j in mates if known[j][r].any()]
                    if explained.regions.block[i, r] < 0 or i not in mates or len(mates) < 2:
                        lost += explained.regions.block[i, r] >= 0
                        assert regions.block[i, r] == -1 and np.isnan(regions.swapped[name][i, r]).all()
                        continue
                    slow = [moved[known[j][r]].sum() / np.abs(moved).sum() for j in mates]
                    found = regions.swapped[name][i, r]
                    np.testing.assert_allclose(found[: len(mates)], slow, rtol=1e-4, atol=1e-6)
                    assert np.isnan(found[len(mates) :]).all() and regions.place[i, r] == mates.index(i)
    assert lost > 0


def slow_varied(masks: np.ndarray, pixels: int) -> np.ndarray:
    found = np.stack([slow_grown(mask, pixels) for mask in masks[:-1]])
    return np.stack([*found, ~found.any(axis=0)])


def test_twins_are_asked_of_grown_and_shrunk_masks_too(folder: Path) -> None:
    task = task_of(folder)
    explained = task.explain()
    batch = torch.from_numpy(task.pixels(explained.regions.twin_rows))
    twin = reinitialised(task.explainer.model, task.config.seed, batch.split(7))
    for turn, regions in zip((1, -1), explained.varied.values(), strict=True):
        assert (
            regions.twin_confidence is explained.regions.twin_confidence
            and regions.twin_rows is explained.regions.twin_rows
        )
        for m in (0, 11):
            i = int(regions.twin_rows[m])
            relevance = np.abs(slow_map(task, i, 0, model=twin))
            share = [relevance[mask].sum() / relevance.sum() for mask in slow_varied(drawn(task.masks, i), turn)]
            np.testing.assert_allclose(np.nan_to_num(regions.twin_share[0, m]), share, rtol=1e-4)


def test_other_masks_change_nothing_of_the_declared_ones_and_none_are_made_without_a_tolerance(folder: Path) -> None:
    alone = task_of(folder, statistics={**document()["statistics"], "mask_tolerance": 0}).explain()
    again, twice = task_of(folder).explain(), task_of(folder).explain()
    assert alone.varied == {} and len(again.varied) == 2
    same = [(alone.regions, again.regions), *zip(again.varied.values(), twice.varied.values(), strict=True)]
    for one, other in same:
        for name in task_of(folder).explainer.names:
            np.testing.assert_array_equal(one.net[name], other.net[name])
            np.testing.assert_array_equal(one.swapped[name], other.swapped[name])
        np.testing.assert_array_equal(one.twin_share, other.twin_share)
        np.testing.assert_array_equal(one.overlap, other.overlap)


def test_overlaps_are_means_over_the_pairs_of_a_block() -> None:
    rng = np.random.default_rng(3)
    masks = rng.random((12, 1, 5, 4)) < 0.4
    block, place = np.repeat([[0], [1], [-1]], 4, axis=0), np.tile(np.arange(4), 3)[:, None]
    pairs = [(i, j) for b in (0, 4) for i in range(b, b + 4) for j in range(b, b + 4) if i != j]
    slow = np.mean([(masks[i] & masks[j]).sum() / (masks[i] | masks[j]).sum() for i, j in pairs])
    left = np.mean([(masks[i] & ~masks[j]).sum() / masks[i].sum() for i, j in pairs])
    assert np.ravel(overlaps(as_runs(masks), block, place)) == pytest.approx([slow, left])
    assert np.isnan(overlaps(as_runs(masks), block - 2, place)).all()
    assert [each.tolist() for each in swap_members(block[:, 0], place[:, 0])] == [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_pooled_maps_keep_their_sum_and_have_at_most_64_cells_a_side() -> None:
    relevance = np.random.default_rng(0).normal(size=(150, 40))
    cells = pooled(relevance)
    assert cells.shape == (50, 40) and cells.sum() == pytest.approx(relevance.sum())
    np.testing.assert_allclose(cells[0], relevance[:3].sum(0))


def as_runs(masks: np.ndarray) -> MaskTable:
    """Masks `[n, r, h, w]` as a table, written plainly."""
    first, start, end = [0], [], []
    for mask in masks.reshape(-1, masks[0, 0].size):
        padded = [False, *mask.tolist(), False]
        turns = [k for k in range(len(padded) - 1) if padded[k] != padded[k + 1]]
        start += turns[::2]
        end += turns[1::2]
        first.append(len(start))
    area = masks.sum(axis=(2, 3))
    arrays = [np.array(values, dtype=np.int64) for values in (first, start, end)]
    return MaskTable(masks.shape[1:], area, np.arange(len(masks)), *arrays)


def test_a_file_that_changes_during_the_run_stops_it_with_the_cure(folder: Path) -> None:
    task = task_of(folder)
    rows = list(task.data.payload)
    rows[3] = replace(rows[3], path=folder / "gone.png")
    broken = replace(task, data=replace(task.data, payload=tuple(rows)))
    with pytest.raises(DataError, match=r"gone.png: could be read when it was checked, and now cannot .*during a run"):
        broken.explain()
    steps = task.model.preprocessing
    with pytest.raises(DataError, match=r"gone.png: could be read when it was checked, and now cannot .*during a run"):
        collect_masks(broken.data, task.drawing, steps)


def test_regions_are_the_same_where_their_masks_are_whatever_the_config_says(folder: Path, tmp_path: Path) -> None:
    """Fixed boxes differ where photographs do in size; boxes in a column may be the same in all."""
    copied = Path(shutil.copytree(folder, tmp_path / "copied"))
    Image.fromarray(np.zeros((32, 32, 3), np.uint8)).save(copied / "4.png")
    table = pd.read_csv(copied / "table.csv").assign(thing="[[0, 0, 8, 16]]")
    table.to_csv(copied / "table.csv", index=False)
    model = {**document()["model"], "preprocessing": {"resize": [12, 12]}}
    regions = [{"name": "thing", "boxes": "thing"}, {"name": "top", "fixed": [[0, 0, 16, 8]]}]
    assert task_of(copied, model=model, regions=regions).masks.aligned.tolist() == [False, False, False]
    shutil.copy(copied / "3.png", copied / "4.png")
    task = task_of(copied, model=model, regions=regions)
    assert task.masks.aligned.all()
    assert task.explain().maps.mean.keys() >= {("", "", "a"), ("who", "x", "a")}


def test_unknown_groups_have_no_mean_map_and_the_largest_are_chosen(folder: Path, tmp_path: Path) -> None:
    copied = Path(shutil.copytree(folder, tmp_path / "copied"))
    names = ["", *"bbccddeeffgghhiijjkkllmm", *["n"] * 15]
    pd.read_csv(copied / "table.csv").assign(who=names).to_csv(copied / "table.csv", index=False)
    task = task_of(copied, regions=[{"name": "top", "fixed": [[0, 0, 16, 6]]}])
    groups = {group for attribute, group, _ in task.explain().maps.mean if attribute == "who"}
    assert len(groups) == 12 and "unknown" not in groups and "n" in groups


def described(masks: MaskTable, frame: Frame, maps: np.ndarray, shards: list[np.ndarray]) -> MapTable:
    """Maps `[n, 1, pixels]`, shard by shard."""
    about, parts, columns = Surroundings(masks, framed=True, seed=1), [], {}
    for rows in shards:
        found = [about.of(int(i), maps[i]) for i in rows]
        parts.append((rows, {name: np.stack([each[name] for each in found]) for name in found[0]}))
    for name in ("top", "mirrored", "displaced"):
        columns[name] = np.concatenate([part[name] for _, part in parts])
    return map_table(parts, columns, ("a",), frame)


def test_errors_of_mean_maps_take_clusters_as_units() -> None:
    """Sums that stream through equal the definition: residual sums per cluster, c / (c - 1)."""
    rng = np.random.default_rng(3)
    n, shape = 60, (1, 4, 5)
    cluster, inside_ = rng.integers(0, 9, n), np.ones((n, *shape), dtype=bool)
    rows = rng.random(n) < 0.6
    maps = rng.normal(size=(n, 1, 20))
    maps[7] = 0
    parts = np.array_split(rng.permutation(n), 7)
    found = described(as_runs(inside_), Frame({("g", "x", "k"): rows}, cluster), maps, parts)
    known = rows & (np.arange(n) != 7)
    scaled = maps[known, 0] / np.abs(maps[known, 0]).sum(axis=1, keepdims=True)
    residual, units = scaled - scaled.mean(axis=0), np.unique(cluster[known])
    sums = np.array([residual[cluster[known] == unit].sum(axis=0) for unit in units])
    error = np.sqrt((sums**2).sum(axis=0) * len(units) / (len(units) - 1)) / known.sum()
    np.testing.assert_allclose(found.mean["g", "x", "k"].ravel(), scaled.mean(axis=0), rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(found.error["g", "x", "k"].ravel(), error, rtol=1e-9)
    assert found.counts["g", "x", "k"] == known.sum() and found.clusters["g", "x", "k"] == len(units)


def test_one_cluster_has_no_error() -> None:
    masks, frame = (
        as_runs(np.ones((2, 1, 2, 2), dtype=bool)),
        Frame({("g", "x", "k"): np.ones(2, bool)}, np.zeros(2, int)),
    )
    found = described(masks, frame, np.ones((2, 1, 4)), [np.arange(2)])
    assert np.isnan(found.error["g", "x", "k"]).all()


def test_a_plan_counts_the_maps_of_a_run(folder: Path) -> None:
    done: list[int] = []
    task = task_of(folder, statistics={**document()["statistics"], "jitter": 1})
    task.explain(advance=done.append)
    composites = len(task.explainer.names)
    assert composites == 3, "two that vote and a witness"
    assert sum(done) == task.explanations == 2 * (N * composites + 20 * 20)


def test_twins_never_see_more_photographs_at_once_than_a_batch(folder: Path) -> None:
    sizes: list[int] = []
    task = task_of(folder)
    hook = task.explainer.model.register_forward_pre_hook(lambda module, given: sizes.append(len(given[0])))
    task.explain()
    hook.remove()
    assert max(sizes) == 7


def test_empty_maps_are_counted_for_each_composite(folder: Path, tmp_path: Path) -> None:
    """`flat` gives relevance to black pixels, gradient x input gives none."""
    copied = Path(shutil.copytree(folder, tmp_path / "copied"))
    Image.fromarray(np.zeros((16, 16, 3), np.uint8)).save(copied / "0.png")
    plain = {**document()["model"], "preprocessing": {"crop": [2, 2, 14, 14]}}
    composites = {"composites": ["gradient_x_input", "epsilon_plus_flat"], "witnesses": []}
    ledger = task_of(copied, model=plain, relevance=composites).sample(range(4)).ledger()
    assert [summary.empty_maps for summary in ledger] == [1, 0]


def test_shards_of_the_same_files_with_other_boxes_are_other_shards(folder: Path, tmp_path: Path) -> None:
    """One photograph a row and annotator: the second half is of the same files as the first, in the same order."""
    table = pd.read_csv(folder / "table.csv").iloc[: SHARD_IMAGES // 2].drop(columns="id")
    again = table.assign(thing="[[9, 9, 13, 13]]")
    halves = [pd.concat([half] * 2) for half in (table, again)]
    pd.concat(halves).assign(id=np.arange(2 * SHARD_IMAGES)).to_csv(folder / "twice.csv", index=False)
    task = task_of(
        folder, data={"path": "twice.csv"}, engine={"batch_size": 8}, statistics={"twins": 0, "min_group_size": 5}
    )
    kept = task.explain(Kept(task.explainer, InProcess(task.explainer), tmp_path, "x")).common.groups["epsilon_plus"]
    np.testing.assert_array_equal(kept.share, task.explain().common.groups["epsilon_plus"].share)

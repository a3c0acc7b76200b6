"""The hash of a region's masks: of what the model sees, wherever that comes from."""

from pathlib import Path

import numpy as np
from PIL import Image

from audit.config import Data, Preprocessing, Region
from audit.data.images import load_images
from audit.data.masks import collect_masks
from audit.data.regions import build_regions
from audit.tasks.region_records import masks_sha256

STEPS = Preprocessing()


def hashes(folder: Path, regions: tuple[Region, ...], masks: list[list[int]]) -> list[str]:
    """Of every region, "outside" too, of photographs whose box and mask file hold `masks`: left, top, right, bottom."""
    lines = ["image,label,m,left,top,right,bottom"]
    for i, (left, top, right, bottom) in enumerate(masks):
        Image.fromarray(np.full((6, 8, 3), i, dtype=np.uint8)).save(folder / f"{i}.png")
        drawn = np.zeros((6, 8), dtype=np.uint8)
        drawn[top:bottom, left:right] = 255
        Image.fromarray(drawn).save(folder / f"m{i}.png")
        lines.append(f"{i}.png,cat,m{i}.png,{left},{top},{right},{bottom}")
    (folder / "a.csv").write_text("\n".join(lines))
    built = build_regions(regions, folder)
    config = Data.model_validate({"path": "a.csv", "columns": {"id": None}})
    data = load_images(config, folder / "a.csv", built, STEPS, classes=("cat", "dog"), labels={}, seed=0)
    table = collect_masks(data, built, STEPS)
    return [masks_sha256(table, r) for r in range(len(built.names))]


def test_a_changed_mask_changes_the_hash_of_its_region_and_of_outside_alone(tmp_path: Path) -> None:
    regions = (Region(name="eyes", mask="m"), Region(name="corner", fixed=((0, 0, 1, 1),)))
    first = hashes(tmp_path, regions, [[1, 1, 4, 3], [1, 1, 4, 3], [2, 1, 4, 3]])
    assert first == hashes(tmp_path, regions, [[1, 1, 4, 3], [1, 1, 4, 3], [2, 1, 4, 3]])
    other = hashes(tmp_path, regions, [[1, 1, 4, 3], [1, 1, 5, 3], [2, 1, 4, 3]])
    assert [a == b for a, b in zip(first, other, strict=True)] == [False, True, False]


def test_the_same_masks_have_the_same_hash_from_files_and_from_boxes(tmp_path: Path) -> None:
    masks = [[1, 1, 4, 3], [2, 0, 8, 6]]
    files = hashes(tmp_path, (Region(name="eyes", mask="m"),), masks)
    assert files == hashes(tmp_path, (Region(name="eyes", boxes=("left", "top", "right", "bottom")),), masks)


def test_masks_of_swapped_photographs_are_other_masks(tmp_path: Path) -> None:
    regions = (Region(name="eyes", mask="m"),)
    one, other = [[1, 1, 4, 3], [2, 0, 8, 6]], [[2, 0, 8, 6], [1, 1, 4, 3]]
    assert hashes(tmp_path, regions, one) != hashes(tmp_path, regions, other)

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pycocotools import mask as mask_api

from audit.config import Data, Preprocessing, Region
from audit.data.coco import decode_runs
from audit.data.examples import BadRow, Examples
from audit.data.images import ImageRow, load_images, read_masks
from audit.data.masks import collect_masks, drawn
from audit.data.polygons import convex_hull, fill
from audit.data.regions import SOURCES, Regions, build_regions
from audit.errors import DataError

SIZE = (8, 6)  # width, height
FOUR = ("l", "t", "r", "b")
NAN, INF = float("nan"), float("inf")


def box(left: int, top: int, right: int, bottom: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    mask = np.zeros(size[::-1], dtype=bool)
    mask[top:bottom, left:right] = True
    return mask


def draw(region: dict[str, Any], *cells: Any, folder: Path = Path(), crop: tuple[int, ...] = (0, 0, *SIZE)) -> Any:
    regions = build_regions([Region.model_validate({"name": "eyes"} | region)], folder)
    masks = regions.draw(cells, SIZE, "photos/a.png", crop)
    return masks, masks.any(axis=(1, 2))


def coco(path: Path, annotations: list[dict[str, Any]] | None = None, **changed: Any) -> dict[str, Any]:
    content = {
        "images": [{"id": 3, "file_name": "a.png", "width": 8, "height": 6}],
        "categories": [{"id": 1, "name": "eyes"}, {"id": 2, "name": "mouth"}],
        "annotations": [{"image_id": 3, "category_id": 1} | one for one in annotations or []],
    } | changed
    (path / "coco.json").write_text(json.dumps(content))
    return {"coco": "coco.json"}


def write_masks(folder: Path) -> None:
    Image.fromarray(box(1, 1, 4, 3)).save(folder / "bits.png")
    Image.fromarray(box(1, 1, 4, 3)).save(folder / "blurred.jpg")
    Image.fromarray(box(0, 0, 4, 3, (6, 8))).save(folder / "turned.png")
    Image.fromarray(box(0, 0, 1, 1, (1, 1))).save(folder / "dot.png")
    (folder / "empty.png").write_bytes(b"")
    (folder / "text.png").write_text("none")
    Image.fromarray(np.random.default_rng(0).random((60, 60)) < 0.5).save(folder / "half.png")
    (folder / "half.png").write_bytes((folder / "half.png").read_bytes()[:200])


BAD_CELLS = [
    # region, cells, reason, detail
    ({"mask": "m"}, ["turned.png"], "bad mask", "turned.png has 6 x 8 pixels, the photograph as shown 8 x 6"),
    ({"mask": "m"}, ["dot.png"], "bad mask", "has 1 x 1 pixels"),
    ({"mask": "m"}, ["empty.png"], "bad mask", "empty file: empty.png has 0 bytes"),
    ({"mask": "m"}, ["text.png"], "bad mask", "not an image: text.png"),
    ({"mask": "m"}, ["blurred.jpg"], "bad mask", "not an image: blurred.jpg is none of PNG, TIFF"),
    ({"mask": "m"}, ["gone.png"], "bad mask", "file not found: gone.png is missing"),
    ({"mask": "m"}, ["half.png"], "bad mask", "image: half.png: "),
    ({"mask": "m", "channel": 1}, ["bits.png"], "bad mask", "has 1 channels; channel 1 is none"),
    ({"boxes": FOUR}, [0, 0, 9, 3], "bad box", "leaves the image of 8 x 6 pixels"),
    ({"boxes": FOUR}, [0, 0, 3, 6.5], "bad box", "leaves the image of 8 x 6 pixels"),
    ({"boxes": FOUR}, [-1, 0, 3, 3], "bad box", "leaves the image"),
    ({"boxes": FOUR}, [0, -0.5, 3, 3], "bad box", "leaves the image"),
    ({"boxes": FOUR}, [3, 0, 1, 3], "bad box", "[3.0, 0.0, 1.0, 3.0] is empty or inverted"),
    ({"boxes": FOUR}, [0, 3, 3, 1], "bad box", "is empty or inverted; write left, top, right, bottom"),
    ({"boxes": FOUR}, [2, 2, 2, 3], "bad box", "is empty or inverted"),
    ({"boxes": FOUR}, [0, NAN, 3, 3], "bad box", "nan is no place in an image"),
    ({"boxes": FOUR}, [0, 0, "inf", 3], "bad box", "inf is no place in an image"),
    ({"boxes": FOUR}, [0, "", 3, 3], "bad box", "'' is no number"),
    ({"boxes": FOUR}, [0, 0, "wide", 3], "bad box", "'wide' is no number"),
    ({"boxes": FOUR}, [0, 0, True, 3], "bad box", "True is no number"),
    ({"boxes": "b"}, ["[[0, 0, 1"], "bad box", "write [[left, top, right, bottom], ...]"),
    ({"boxes": "b"}, ["[" * 100_000], "bad box", "maximum recursion depth"),
    ({"boxes": "b"}, ['{"l": 1}'], "bad box", "is no list"),
    ({"boxes": "b"}, ["[0, 0, 1, 1]"], "bad box", "0 has not the four numbers"),
    ({"boxes": "b"}, ["[[0, 0, 1]]"], "bad box", "[0, 0, 1] has not the four numbers"),
    ({"boxes": "b"}, ["[[0, 0, 1, NaN]]"], "bad box", "nan is no place"),
    ({"boxes": "b"}, ["[[0, 0, 1, null]]"], "bad box", "None is no number"),
    ({"boxes": "b"}, ["[[0, 0, 1, 1], [0, 0, 9, 1]]"], "bad box", "leaves the image"),
    ({"fixed": ((0, 0, 9, 3),)}, [], "bad box", "[0.0, 0.0, 9.0, 3.0] leaves the image of 8 x 6 pixels"),
    ({"landmarks": "p", "points": (0, 1, 2)}, ["[[0, 0], [1, 1]]"], "bad landmarks", "2 landmarks; point 2 is none"),
    (
        {"landmarks": "p", "points": (0, 1, 2)},
        ["[[0, 0], [1], [2, 2]]"],
        "bad landmarks",
        "[1] has not the two numbers",
    ),
    ({"landmarks": "p", "points": (0, 1, 2)}, ["[[0, 0], [1, NaN], [2, 2]]"], "bad landmarks", "nan is no place"),
    ({"landmarks": "p", "points": (0, 1, 2)}, ["none"], "bad landmarks", "write [[x, y], ...]"),
    ({"landmarks": "p", "points": (0, 1, 2)}, ["7"], "bad landmarks", "7 is no list"),
]

BAD_ANNOTATIONS = [
    # segmentation, detail
    ([[1, 1, 4, 1]], "a polygon needs at least three corners"),
    ([[1, 1, 4, 1, 4]], "cannot reshape"),
    ([[1, 1, 4, NAN, 4, 3]], "that are numbers"),
    ([["a", 1, 4, 1, 4, 3]], "could not convert"),
    (7, "not iterable"),
    ({"size": [8, 6], "counts": [48]}, "run-length mask of [h, w] = [8, 6], the photograph as shown is 8 x 6"),
    ({"size": [6, 8], "counts": [40]}, "the runs cover 40 pixels of 48"),
    ({"size": [6, 8], "counts": [50, -2]}, "the runs cover 48 pixels of 48"),
    ({"size": [6, 8], "counts": "a b"}, "does not belong in run lengths"),
    ({"size": [6, 8], "counts": "\u00e9"}, "does not belong in run lengths"),
    ({"size": [6, 8], "counts": "P"}, "end in the middle of one"),
    ({"counts": [48]}, "'size'"),
]

BAD_COCO = [
    # content, message
    (b"{", "is not JSON"),
    (b"\xff", "is not JSON"),
    (b"[1]", "is no COCO file"),
    (b"{}", "'categories' is missing or of the wrong type; give a COCO file with images"),
    (b'{"categories": [{"id": 1, "name": "eye"}], "images": [], "annotations": []}', "no category 'eyes'.*did you mean 'eye'"),
    (b'{"categories": [], "images": [{"id": 1}], "annotations": []}', "'file_name' is missing"),
    (b'{"categories": [{"id": 1, "name": "eyes"}], "annotations": [], "images": [{"id": 1, "file_name": "a"}, '
     b'{"id": 2, "file_name": "a"}]}', "two images have one file_name"),
]  # fmt: skip


@pytest.mark.parametrize(("region", "cells", "reason", "detail"), BAD_CELLS)
def test_bad_cell_is_a_bad_row(
    tmp_path: Path, region: dict[str, Any], cells: list[Any], reason: str, detail: str
) -> None:
    write_masks(tmp_path)
    cells = [tmp_path / cell for cell in cells] if "mask" in region else cells
    with pytest.raises(BadRow, match=reason) as caught:
        draw(region, *cells)
    assert caught.value.reason == reason
    assert detail in caught.value.detail


@pytest.mark.parametrize(("segmentation", "detail"), BAD_ANNOTATIONS)
def test_bad_annotation_is_a_bad_row(tmp_path: Path, segmentation: Any, detail: str) -> None:
    region = coco(tmp_path, [{"segmentation": segmentation}])
    with pytest.raises(BadRow, match="bad annotation") as caught:
        draw(region, folder=tmp_path)
    assert caught.value.detail.startswith("a.png: ")
    assert detail in caught.value.detail


@pytest.mark.parametrize(("content", "message"), BAD_COCO)
def test_bad_annotation_file_stops_the_run(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "coco.json").write_bytes(content)
    with pytest.raises(DataError, match=message):
        draw({"coco": "coco.json"}, folder=tmp_path)


def test_missing_annotation_file_stops_the_run(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"No such file or directory; regions.coco is relative to the config"):
        draw({"coco": "coco.json"}, folder=tmp_path)


@pytest.mark.parametrize(
    ("image", "options", "expected"),
    [
        (box(1, 1, 4, 3), {}, box(1, 1, 4, 3)),
        (box(1, 1, 4, 3) * np.uint8(7), {"value": 7}, box(1, 1, 4, 3)),
        (box(1, 1, 4, 3) * np.uint16(300), {"value": 300}, box(1, 1, 4, 3)),
        (box(1, 1, 4, 3) * np.uint8(7), {"value": 8}, box(0, 0, 0, 0)),
        (np.dstack([box(1, 1, 4, 3), box(0, 0, 2, 2), box(0, 0, 0, 0)]) * np.uint8(9), {"channel": 1}, box(0, 0, 2, 2)),
        (np.dstack([box(0, 0, 2, 2)] * 3 + [box(0, 0, 8, 6)]) * np.uint8(255), {}, box(0, 0, 2, 2)),
        (np.dstack([box(0, 0, 8, 6)] * 3 + [box(0, 0, 2, 2)]) * np.uint8(255), {"channel": 3}, box(0, 0, 2, 2)),
        (box(0, 0, 8, 6), {}, box(0, 0, 8, 6)),
    ],
)
def test_mask_file_gives_its_region(tmp_path: Path, image: np.ndarray, options: dict[str, int], expected: Any) -> None:
    Image.fromarray(image).save(tmp_path / "m.png")
    masks, present = draw({"mask": "m"} | options, tmp_path / "m.png")
    np.testing.assert_array_equal(masks, [expected])
    assert present.tolist() == [expected.any()]


def test_indexed_mask_is_read_by_its_indices(tmp_path: Path) -> None:
    indexed = Image.fromarray(box(1, 1, 4, 3) * np.uint8(2)).convert("P")
    indexed.putpalette([9, 9, 9, 8, 8, 8, 0, 0, 0])
    indexed.save(tmp_path / "m.png")
    np.testing.assert_array_equal(draw({"mask": "m", "value": 2}, tmp_path / "m.png")[0][0], box(1, 1, 4, 3))


@pytest.mark.parametrize(
    ("region", "cells", "expected"),
    [
        ({"boxes": FOUR}, ["1", "1", "4", "3"], box(1, 1, 4, 3)),
        ({"boxes": FOUR}, [0.6, 0.5, 3.5, 2.6], box(1, 0, 3, 3)),
        ({"boxes": "b"}, ["[[1, 1, 4, 3], [3, 2, 8, 6]]"], box(1, 1, 4, 3) | box(3, 2, 8, 6)),
        ({"boxes": "b"}, [[[0, 0, 8, 6]]], box(0, 0, 8, 6)),
        ({"fixed": ((1, 1, 4, 3), (0, 5, 1, 6))}, [], box(1, 1, 4, 3) | box(0, 5, 1, 6)),
        ({"landmarks": "p", "points": (0, 1, 3, 4)}, ["[[1, 1], [4, 3], [7, 7], [1, 3], [4, 1]]"], box(1, 1, 4, 3)),
    ],
)
def test_boxes_and_landmarks_cover_the_pixels_whose_centres_they_hold(
    region: dict[str, Any], cells: list[Any], expected: np.ndarray
) -> None:
    np.testing.assert_array_equal(draw(region, *cells)[0][0], expected)


@pytest.mark.parametrize(
    ("region", "cells"),
    [
        ({"mask": "m"}, [None]),
        ({"boxes": FOUR}, ["", " ", None, NAN]),
        ({"boxes": "b"}, [""]),
        ({"boxes": "b"}, ["[]"]),
        ({"landmarks": "p", "points": (0, 1, 2)}, [""]),
        ({"landmarks": "p", "points": (0, 1, 2)}, ["[[1, 1], null, [3, 3]]"]),
        ({"landmarks": "p", "points": (0, 1, 2)}, ["[[1, 1], [2, 2], [3, 3]]"]),
        ({"landmarks": "p", "points": (0, 1, 2)}, ["[[101, 101], [200, 200], [101, 300]]"]),
    ],
)
def test_region_without_pixels_is_absent_and_all_is_outside(region: dict[str, Any], cells: list[Any]) -> None:
    masks, present = draw(region, *cells)
    assert present.tolist() == [False] and len(masks) == 1


def test_grown_hull_reaches_a_share_of_its_longer_side_further() -> None:
    row = Region(name="brow", landmarks="p", points=(0, 1, 2), grow=0.25)
    masks = build_regions([row], Path()).draw([[[20, 30], [40, 30], [60, 30]]], (80, 60), "a", (0, 0, 80, 60))
    y, x = np.mgrid[:60, :80] + 0.5
    distance = np.hypot(np.maximum(np.abs(x - 40) - 20, 0), y - 30)
    clear = np.abs(distance - 10) > 0.1  # a circle of 32 corners
    np.testing.assert_array_equal(masks[0][clear], (distance < 10)[clear])


def test_grid_divides_the_crop_into_cells_that_cover_it_once() -> None:
    regions = build_regions([Region(name="g", grid=(2, 3))], Path())
    assert regions.names == ("g r1c1", "g r1c2", "g r1c3", "g r2c1", "g r2c2", "g r2c3", "outside")
    masks = regions.draw([], SIZE, "a", (1, 2, 7, 6))
    np.testing.assert_array_equal(masks[4], box(3, 4, 5, 6))
    np.testing.assert_array_equal(masks.any(axis=0), box(1, 2, 7, 6))
    assert (masks.sum(axis=0) <= 1).all()


def test_outside_is_what_no_region_covers_and_regions_may_overlap() -> None:
    both = [Region(name="a", fixed=((0, 0, 4, 4),)), Region(name="b", boxes=FOUR)]
    regions = build_regions(both, Path())
    assert regions.columns == FOUR
    masks = read_masks(ImageRow(Path("a"), (2, 2, 6, 6)), regions, Preprocessing(), size=SIZE)
    np.testing.assert_array_equal(masks[2], ~(box(0, 0, 4, 4) | box(2, 2, 6, 6)))
    with pytest.raises(DataError, match="'g r1c1' is the name of two regions"):
        build_regions([Region(name="g", grid=(1, 1)), Region(name="g r1c1", fixed=((0, 0, 1, 1),))], Path())


def runs(mask: np.ndarray) -> list[int]:
    """Lengths of the runs down the columns, the first of 0: the definition, pixel by pixel."""
    found, value = [0], False
    for pixel in mask.T.ravel().tolist():
        if pixel != value:
            found.append(0)
            value = pixel
        found[-1] += 1
    return found


def compressed(lengths: list[int]) -> str:
    """The inverse of `decode_runs`, from the format's definition."""
    text = ""
    for i, length in enumerate(lengths):
        value = length - lengths[i - 2] if i > 2 else length
        while True:
            bits, value = value & 31, value >> 5
            more = value != (-1 if bits & 16 else 0)
            text += chr(48 + bits + 32 * more)
            if not more:
                break
    return text


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=30))
def test_compressed_runs_are_read_back(lengths: list[int]) -> None:
    assert decode_runs(compressed(lengths)) == lengths


@pytest.mark.parametrize(
    "segmentation",
    [
        [[1, 1, 4, 1, 4, 3, 1, 3]],
        [[1, 1, 3, 1, 3, 3, 1, 3], [3, 1, 4, 1, 4, 3, 3, 3]],
        {"size": [6, 8], "counts": runs(box(1, 1, 4, 3))},
        {"size": [6, 8], "counts": compressed(runs(box(1, 1, 4, 3)))},
    ],
)
def test_coco_polygons_and_runs_give_one_mask(tmp_path: Path, segmentation: Any) -> None:
    far = {"segmentation": [[-5, -5, -1, -5, -1, -1]]}
    crowd = {"segmentation": {"size": [6, 8], "counts": runs(box(7, 5, 8, 6))}, "iscrowd": 1}
    other = {"segmentation": [[0, 0, 8, 0, 8, 6]], "category_id": 2}
    region = coco(tmp_path, [{"segmentation": segmentation}, crowd, far, other])
    np.testing.assert_array_equal(draw(region, folder=tmp_path)[0][0], box(1, 1, 4, 3) | box(7, 5, 8, 6))


def test_coco_annotations_of_unknown_images_are_counted(tmp_path: Path) -> None:
    stray = [{"segmentation": [[0, 0, 1, 0, 1, 1]], "image_id": number} for number in (4, 5)]
    region = Region(name="lips", category="eyes", **coco(tmp_path, stray))
    regions = build_regions([region], tmp_path)
    assert dict(regions.unmatched) == {"lips": 2}
    assert not regions.draw([], SIZE, "a.png", (0, 0, *SIZE)).any()


def test_coco_size_that_is_not_the_photographs_is_a_bad_row(tmp_path: Path) -> None:
    image = {"id": 3, "file_name": "a.png", "width": 6, "height": 8}
    region = coco(tmp_path, [{"segmentation": [[0, 0, 1, 0, 1, 1]]}], images=[image])
    with pytest.raises(BadRow, match=r"a.png: stated as \(6, 8\), the photograph as shown is \(8, 6\)"):
        draw(region, folder=tmp_path)


@given(st.lists(st.tuples(st.integers(-40, 160), st.integers(-40, 160)), min_size=3, max_size=8))
def test_polygon_is_filled_by_the_even_odd_rule_at_centres(points: list[tuple[int, int]]) -> None:
    corners = np.array(points) / 10 + 0.03  # no centre lies on an edge's end
    filled = fill(corners, (10, 9))
    for y in range(9):
        crossed = [
            x0 + (y + 0.5 - y0) / (y1 - y0) * (x1 - x0)
            for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, axis=0), strict=True)
            if (y0 > y + 0.5) != (y1 > y + 0.5)
        ]
        for x in range(10):
            if all(abs(place - x - 0.5) > 1e-9 for place in crossed):
                assert filled[y, x] == sum(place < x + 0.5 for place in crossed) % 2


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=3, max_size=12))
def test_hull_is_convex_and_holds_every_point(points: list[tuple[int, int]]) -> None:
    hull = convex_hull(np.array(points, dtype=float))
    assert {tuple(corner) for corner in hull} <= {(float(x), float(y)) for x, y in points}
    for a, b in zip(hull, np.roll(hull, -1, axis=0), strict=True):
        turns = [(b[0] - a[0]) * (y - a[1]) - (b[1] - a[1]) * (x - a[0]) for x, y in points]
        assert min(turns) >= 0


def load(folder: Path, regions: Regions, steps: Preprocessing, columns: dict[str, list[Any]]) -> Examples[ImageRow]:
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    text = "\n".join(json.dumps({"id": str(i), "label": "cat"} | row) for i, row in enumerate(rows))
    (folder / "table.jsonl").write_text(text)
    config = Data(path="table.jsonl")
    return load_images(config, folder / "table.jsonl", regions, steps, classes=("cat",), labels={}, seed=0)


def photographs(folder: Path, *sizes: tuple[int, int]) -> list[str]:
    for i, (width, height) in enumerate(sizes):
        Image.new("RGB", (width, height)).save(folder / f"{i}.png")
    return [f"{i}.png" for i in range(len(sizes))]


def test_mask_path_that_leaves_the_data_folder_is_quarantined(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    Image.fromarray(box(0, 0, 2, 2)).save(tmp_path / "secret.png")
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    names = photographs(folder, *[SIZE] * 4)
    cells = ["../secret.png", "link.png", str(tmp_path / "secret.png"), ""]
    regions = build_regions([Region(name="eyes", mask="m")], folder)
    data = load(folder, regions, Preprocessing(), {"image": names, "m": cells})
    assert dict(data.excluded) == {"path outside": 3}
    assert data.payload[0].cells == (None,)


def test_masks_come_back_as_drawn_with_what_survives_counted(tmp_path: Path) -> None:
    names = photographs(tmp_path, SIZE, SIZE, (9, 7))
    boxes = ["[[0, 0, 2, 2]]", "", "[[4, 2, 7, 5]]"]
    steps = Preprocessing(crop=(2, 1, 6, 5), flip=True)
    regions = build_regions([Region(name="eyes", boxes="b")], tmp_path)
    masks = collect_masks(load(tmp_path, regions, steps, {"image": names, "b": boxes}), regions, steps)
    assert masks.shape == (2, 4, 4)
    assert masks.area.tolist() == [[0, 16], [0, 16], [6, 10]]
    assert masks.place.tolist() == [0, 0, 1]
    expected = box(0, 1, 2, 4, (4, 4))
    np.testing.assert_array_equal(drawn(masks, 2), [expected, ~expected])
    np.testing.assert_array_equal(drawn(masks, 0), [box(0, 0, 0, 0, (4, 4)), box(0, 0, 4, 4, (4, 4))])


def test_shift_moves_the_crop_over_the_region(tmp_path: Path) -> None:
    names = photographs(tmp_path, *[SIZE] * 3)
    steps = Preprocessing(crop=(2, 1, 6, 5))
    regions = build_regions([Region(name="eyes", fixed=((3, 2, 5, 3),))], tmp_path)
    shifts = np.array([[0, 0], [1, 0], [0, -1]])
    masks = collect_masks(load(tmp_path, regions, steps, {"image": names}), regions, steps, shifts)
    expected = [box(1, 1, 3, 2, (4, 4)), box(0, 1, 2, 2, (4, 4)), box(1, 2, 3, 3, (4, 4))]
    np.testing.assert_array_equal([drawn(masks, i)[0] for i in range(3)], expected)


def test_padding_lies_outside_all_regions(tmp_path: Path) -> None:
    names = photographs(tmp_path, (2, 2))
    regions = build_regions([Region(name="all", fixed=((0, 0, 2, 2),))], tmp_path)
    steps = Preprocessing(center_crop=4)
    masks = collect_masks(load(tmp_path, regions, steps, {"image": names}), regions, steps)
    assert masks.area.tolist() == [[4, 12]]


def test_photographs_that_do_not_become_one_size_stop_the_run(tmp_path: Path) -> None:
    names = photographs(tmp_path, SIZE, (9, 6))
    regions = build_regions([Region(name="a", fixed=((0, 0, 1, 1),))], tmp_path)
    data = load(tmp_path, regions, Preprocessing(), {"image": names})
    with pytest.raises(DataError, match=r"1.png: becomes 9 x 6 pixels, 0.png 8 x 6; .* a resize \[width, height\]"):
        collect_masks(data, regions, Preprocessing())


def test_coco_file_that_knows_no_image_stops_the_run(tmp_path: Path) -> None:
    names = photographs(tmp_path, SIZE, SIZE)
    regions = build_regions([Region(name="eyes", **coco(tmp_path))], tmp_path)
    with pytest.raises(DataError, match=r"no image is in the COCO file of 'eyes': 0.png and 1 others"):
        load(tmp_path, regions, Preprocessing(), {"image": names})


def test_coco_entry_that_two_images_share_stops_the_run(tmp_path: Path) -> None:
    for name in ("x", "y"):
        (tmp_path / name).mkdir()
        Image.new("RGB", SIZE).save(tmp_path / name / "a.png")
    regions = build_regions([Region(name="eyes", **coco(tmp_path))], tmp_path)
    with pytest.raises(
        DataError, match=r"'a.png' of the COCO file names both .*x/a.png and .*y/a.png; give longer paths"
    ):
        load(tmp_path, regions, Preprocessing(), {"image": ["x/a.png", "y/a.png"]})


def test_every_source_of_the_config_has_its_drawing() -> None:
    others = {"name", "value", "channel", "category", "points", "grow", "provenance", "error_rate"}
    assert set(SOURCES) == set(Region.model_fields) - others


def test_a_value_that_a_mask_of_one_bit_cannot_hold_is_refused(tmp_path: Path) -> None:
    Image.fromarray(box(1, 1, 4, 3)).convert("1").save(tmp_path / "m.png")
    assert draw({"mask": "m", "value": 1}, tmp_path / "m.png")[1][0]
    with pytest.raises(BadRow, match=r"one bit a pixel, so value 255 is none"):
        draw({"mask": "m", "value": 255}, tmp_path / "m.png")


@pytest.mark.parametrize("seed", range(20))
def test_run_lengths_are_those_of_pycocotools(seed: int) -> None:
    rng = np.random.default_rng(seed)
    mask = rng.random((int(rng.integers(1, 30)), int(rng.integers(1, 30)))) < rng.random()
    compressed = mask_api.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode("ascii")
    runs = decode_runs(compressed)
    drawn = np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(mask.shape[::-1]).T
    np.testing.assert_array_equal(drawn, mask)


def test_the_hash_of_the_data_holds_the_annotation_file(tmp_path: Path) -> None:
    hashes = set()
    for corner in (3, 4):
        names = photographs(tmp_path, SIZE)
        image = [{"id": 3, "file_name": names[0], "width": 8, "height": 6}]
        given = coco(tmp_path, [{"segmentation": [[1, 1, corner, 1, corner, 3, 1, 3]]}], images=image)
        regions = build_regions([Region(name="eyes", **given)], tmp_path)
        hashes.add(load(tmp_path, regions, Preprocessing(), {"image": names}).sha256)
    assert len(hashes) == 2

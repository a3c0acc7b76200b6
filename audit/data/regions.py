"""Regions of photographs as masks: from mask files, boxes, COCO annotations, landmarks, or fixed for aligned crops.

A pixel belongs to a box or polygon if its centre lies inside. Coordinates are those of the photograph as it is shown,
after the EXIF rotation. An empty mask means that the region is absent; one that covers everything is allowed.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, final

import numpy as np

from audit.config import OUTSIDE, Region
from audit.data.coco import read_coco
from audit.data.examples import BadRow, is_blank
from audit.data.geometry import Bools
from audit.data.image_files import LOSSLESS, decode
from audit.data.polygons import convex_hull, fill
from audit.errors import DataError

CORNERS: Final = ((0, 1), (2, 1), (2, 3), (0, 3))  # of left, top, right, bottom


@final
@dataclass(frozen=True, slots=True)
class Frame:
    """A photograph as its regions need it: width and height, path, and the crop (left, top, right, bottom)."""

    size: tuple[int, int]
    image: str
    crop: tuple[int, int, int, int]


@final
@dataclass(frozen=True, slots=True)
class Source:
    """How one declared region is drawn: [names, h, w] from the cells of `columns`, None where it is absent.

    `entry` finds the key of a photograph in the annotation `file`; `unmatched` counts its annotations of unknown images.
    """

    names: tuple[str, ...]
    columns: tuple[str, ...]
    draw: Callable[[Sequence[Any], Frame], Bools | None]
    entry: Callable[[str], str | None] | None = None
    unmatched: int = 0
    file: Path | None = None


@final
@dataclass(frozen=True, slots=True)
class Regions:
    """The regions of an audit: `names` with "outside" last, the `columns` that drawing needs, and which of them name `files`."""

    names: tuple[str, ...]
    columns: tuple[str, ...]
    files: frozenset[str]
    sources: tuple[Source, ...]

    def declared(self, regions: Sequence[Region]) -> tuple[tuple[Region, tuple[str, ...]], ...]:
        """Each of the config's `regions`, of which this was built, with the names it gave: one, or one a cell of a grid."""
        return tuple((region, source.names) for region, source in zip(regions, self.sources, strict=True))

    @property
    def annotations(self) -> tuple[Path, ...]:
        """The annotation files."""
        return tuple(dict.fromkeys(source.file for source in self.sources if source.file is not None))

    @property
    def unmatched(self) -> Mapping[str, int]:
        """Annotations that belong to no image of their file, by region."""
        return {source.names[0]: source.unmatched for source in self.sources if source.unmatched}

    def draw(self, cells: Sequence[Any], size: tuple[int, int], image_name: str, crop: Sequence[int]) -> Bools:
        """Masks [r, h, w] of the declared regions in pixels of the photograph as shown, all False where absent; BadRow if a cell is bad."""
        left, top, right, bottom = crop
        frame = Frame(size, image_name, (left, top, right, bottom))
        masks = np.zeros((len(self.names) - 1, size[1], size[0]), dtype=np.bool_)
        given = dict(zip(self.columns, cells, strict=True))
        first = 0
        for source in self.sources:
            drawn = source.draw([given[column] for column in source.columns], frame)
            if drawn is not None:
                masks[first : first + len(source.names)] = drawn
            first += len(source.names)
        return masks


def build_regions(regions: Sequence[Region], folder: Path) -> Regions:
    """What the config declares; `folder` is the config's, to which annotation files are relative. DataError if one is bad."""
    sources = tuple(SOURCES[region.kind](region, folder) for region in regions)
    names = tuple(name for source in sources for name in source.names)
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"regions: {twice[0]!r} is the name of two regions (of a grid, one of its cells); rename one")
    columns = tuple(dict.fromkeys(column for source in sources for column in source.columns))
    files = frozenset(region.mask for region in regions if region.mask is not None)
    return Regions((*names, OUTSIDE), columns, files, sources)


def check_coco(regions: Regions, images: Sequence[str]) -> None:
    """DataError if an annotation file knows none of the images, or if two of them would share one entry."""
    for source in regions.sources:
        if source.entry is None:
            continue
        owner: dict[str, str] = {}
        for image in images:
            key = source.entry(image)
            if key is not None and owner.setdefault(key, image) != image:
                raise DataError(
                    f"regions: {key!r} of the COCO file names both {owner[key]} and {image}; give longer paths"
                )
        if not owner:
            raise DataError(
                f"regions: no image is in the COCO file of {source.names[0]!r}: {Path(images[0]).name} and {len(images) - 1} "
                "others are not among its file_name values; file_name must be the end of the image's path"
            )


def _mask(region: Region, folder: Path) -> Source:
    def draw(cells: Sequence[Any], frame: Frame) -> Bools | None:
        if is_blank(cells[0]):
            return None
        mask = _mask_file(Path(cells[0]), region)
        if mask.shape != frame.size[::-1]:
            height, width = mask.shape
            raise BadRow(
                "bad mask",
                f"{Path(cells[0]).name} has {width} x {height} pixels, the photograph as shown {frame.size[0]} x {frame.size[1]}",
            )
        return mask[np.newaxis]

    return Source((region.name,), (str(region.mask),), draw)


def _mask_file(path: Path, region: Region) -> Bools:
    """[h, w]; without a declared channel any but alpha counts. Formats that blur edges are refused."""
    try:
        image = decode(path, LOSSLESS)
    except BadRow as problem:
        raise BadRow("bad mask", f"{problem.reason}: {problem.detail}") from None
    bands = image.getbands()
    if region.channel is not None and region.channel >= len(bands):
        raise BadRow("bad mask", f"{path.name} has {len(bands)} channels; channel {region.channel} is none (from 0)")
    if image.mode == "1" and (region.value or 0) > 1:
        raise BadRow(
            "bad mask",
            f"{path.name} has one bit a pixel, so value {region.value} is none; leave it out, or give 0 or 1",
        )
    used = [i for i, band in enumerate(bands) if band not in ("A", "a")] if region.channel is None else [region.channel]
    values = np.atleast_3d(np.asarray(image))[:, :, used]
    chosen: Bools = (values != 0 if region.value is None else values == region.value).any(axis=2)
    return chosen


def _boxes(region: Region, folder: Path) -> Source:
    columns = (region.boxes,) if isinstance(region.boxes, str) else region.boxes or ()

    def draw(cells: Sequence[Any], frame: Frame) -> Bools | None:
        if all(is_blank(cell) for cell in cells):
            return None
        boxes = [cells] if len(cells) == 4 else _json_list(cells[0], "bad box", "[[left, top, right, bottom], ...]")
        return _union([_box(box, frame.size) for box in boxes], frame.size)

    return Source((region.name,), columns, draw)


def _box(box: Any, size: tuple[int, int]) -> list[list[float]]:
    """Corners of a box inside the image."""
    if not isinstance(box, Sequence) or isinstance(box, str) or len(box) != 4:
        raise BadRow("bad box", f"{box!r:.60} has not the four numbers left, top, right, bottom")
    left, top, right, bottom = values = [_number(value, "bad box") for value in box]
    if left >= right or top >= bottom:
        raise BadRow("bad box", f"{values} is empty or inverted; write left, top, right, bottom")
    if left < 0 or top < 0 or right > size[0] or bottom > size[1]:
        raise BadRow("bad box", f"{values} leaves the image of {size[0]} x {size[1]} pixels")
    return [[values[x], values[y]] for x, y in CORNERS]


def _coco(region: Region, folder: Path) -> Source:
    annotations = read_coco(folder / str(region.coco), region.category or region.name)

    def draw(cells: Sequence[Any], frame: Frame) -> Bools | None:
        return annotations.draw(frame.image, frame.size)

    return Source((region.name,), (), draw, annotations.find, annotations.unmatched, folder / str(region.coco))


def _landmarks(region: Region, folder: Path) -> Source:
    turns = np.linspace(0, 2 * math.pi, 32, endpoint=False)
    circle = np.stack([np.cos(turns), np.sin(turns)], axis=1) * region.grow

    def draw(cells: Sequence[Any], frame: Frame) -> Bools | None:
        if is_blank(cells[0]):
            return None
        marks = _json_list(cells[0], "bad landmarks", "[[x, y], ...]")
        if max(region.points) >= len(marks):
            raise BadRow("bad landmarks", f"{len(marks)} landmarks; point {max(region.points)} is none (from 0)")
        chosen = [marks[i] for i in region.points]
        if any(mark is None for mark in chosen):
            return None
        corners = np.array([_mark(mark) for mark in chosen])
        if region.grow:
            reach = np.ptp(corners, axis=0).max() * circle
            corners = (corners[:, np.newaxis] + reach).reshape(-1, 2)
        return fill(convex_hull(corners), frame.size)[np.newaxis]

    return Source((region.name,), (str(region.landmarks),), draw)


def _mark(mark: Any) -> tuple[float, float]:
    """A landmark may lie outside the image."""
    if not isinstance(mark, Sequence) or isinstance(mark, str) or len(mark) != 2:
        raise BadRow("bad landmarks", f"{mark!r:.60} has not the two numbers x, y")
    return _number(mark[0], "bad landmarks"), _number(mark[1], "bad landmarks")


def _fixed(region: Region, folder: Path) -> Source:
    @lru_cache(maxsize=1)  # photographs of one crop have one size
    def drawn(size: tuple[int, int]) -> Bools:
        return _union([_box(box, size) for box in region.fixed or ()], size)

    return Source((region.name,), (), lambda cells, frame: drawn(frame.size))


def _grid(region: Region, folder: Path) -> Source:
    rows, columns = region.grid or (1, 1)

    def draw(cells: Sequence[Any], frame: Frame) -> Bools | None:
        left, top, right, bottom = frame.crop
        xs, ys = np.linspace(left, right, columns + 1), np.linspace(top, bottom, rows + 1)
        x, y = np.arange(frame.size[0]) + 0.5, np.arange(frame.size[1]) + 0.5
        across = (xs[:-1, np.newaxis] <= x) & (x < xs[1:, np.newaxis])
        down = (ys[:-1, np.newaxis] <= y) & (y < ys[1:, np.newaxis])
        cells_: Bools = down[:, np.newaxis, :, np.newaxis] & across[np.newaxis, :, np.newaxis, :]
        return cells_.reshape(rows * columns, frame.size[1], frame.size[0])

    names = tuple(f"{region.name} r{row}c{column}" for row in range(1, rows + 1) for column in range(1, columns + 1))
    return Source(names, (), draw)


def _union(polygons: Sequence[Sequence[Sequence[float]]], size: tuple[int, int]) -> Bools:
    mask = np.zeros((1, size[1], size[0]), dtype=np.bool_)
    for polygon in polygons:
        mask[0] |= fill(np.asarray(polygon), size)
    return mask


def _json_list(cell: object, reason: str, shape: str) -> list[Any]:
    try:
        items = json.loads(cell) if isinstance(cell, str) else cell
    except (ValueError, RecursionError) as error:
        raise BadRow(reason, f"{error!s:.100}; write {shape}") from None
    if not isinstance(items, list):
        raise BadRow(reason, f"{items!r:.60} is no list; write {shape}")
    return items


def _number(value: object, reason: str) -> float:
    try:
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise ValueError
        number = float(value)
    except (ValueError, OverflowError):
        raise BadRow(reason, f"{value!r:.40} is no number") from None
    if not math.isfinite(number):
        raise BadRow(reason, f"{number} is no place in an image")
    return number


SOURCES: Final[Mapping[str, Callable[[Region, Path], Source]]] = MappingProxyType(
    {"mask": _mask, "boxes": _boxes, "coco": _coco, "landmarks": _landmarks, "fixed": _fixed, "grid": _grid}
)

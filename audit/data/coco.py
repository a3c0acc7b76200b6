"""Regions of one category of a COCO annotation file: polygons and run-length masks, compressed or not, crowds included.

The format: https://cocodataset.org/#format-data; the compressed runs: maskApi.c of pycocotools (5 bits a character).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

import numpy as np

from audit.data.examples import BadRow
from audit.data.geometry import Bools
from audit.data.polygons import fill
from audit.errors import DataError, did_you_mean

CURE: Final = "give a COCO file with images, annotations and categories"


@final
@dataclass(frozen=True, slots=True)
class Annotations:
    """Segmentations of a category by `file_name`; `sizes` as the file states them; `unmatched` ones have no image there."""

    segmentations: Mapping[str, list[Any]]
    sizes: Mapping[str, tuple[Any, Any]]
    unmatched: int

    def find(self, image: str) -> str | None:
        """The file_name that is the longest end of a path."""
        parts = image.split("/")
        ends = ("/".join(parts[k:]) for k in range(len(parts)))
        return next((end for end in ends if end in self.sizes), None)

    def draw(self, image: str, size: tuple[int, int]) -> Bools | None:
        """[1, h, w], or None if the photograph has no such annotation; BadRow if one does not fit."""
        key = self.find(image)
        if key is None or not self.segmentations.get(key):
            return None
        if self.sizes[key] not in (size, (None, None)):
            raise BadRow("bad annotation", f"{key}: stated as {self.sizes[key]}, the photograph as shown is {size}")
        mask = np.zeros(size[::-1], dtype=np.bool_)
        for segmentation in self.segmentations[key]:
            try:
                mask |= _segment(segmentation, size)
            except (ValueError, TypeError, KeyError, IndexError, OverflowError) as error:
                raise BadRow("bad annotation", f"{key}: {error!s:.120}") from None
        return mask[np.newaxis]


def read_coco(path: Path, category: str) -> Annotations:
    """The annotations of one category; DataError if the file or the category is not there."""
    try:
        content = json.loads(path.read_bytes())
        names = {one["id"]: one["name"] for one in content["categories"]}
        images = {one["id"]: one for one in content["images"]}
        chosen = [one for one in content["annotations"] if names.get(one["category_id"]) == category]
        files = {key: str(one["file_name"]) for key, one in images.items()}
        known = [(files[one["image_id"]], one["segmentation"]) for one in chosen if one["image_id"] in files]
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}; regions.coco is relative to the config") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: is not JSON: {error!s:.100}; {CURE}") from None
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: is no COCO file: {error!s:.100} is missing or of the wrong type; {CURE}") from None
    if category not in names.values():
        allowed = ", ".join(map(str, names.values()))
        hint = did_you_mean(category, [str(name) for name in names.values()])
        raise DataError(f"{path}: no category {category!r}; there are {allowed}{hint}")
    if len(set(files.values())) < len(files):
        raise DataError(f"{path}: two images have one file_name; give each its own")
    found: dict[str, list[Any]] = {}
    for name, segmentation in known:
        found.setdefault(name, []).append(segmentation)
    sizes = {str(one["file_name"]): (one.get("width"), one.get("height")) for one in images.values()}
    return Annotations(found, sizes, len(chosen) - len(known))


def _segment(segmentation: Any, size: tuple[int, int]) -> Bools:
    if isinstance(segmentation, dict):
        return _runs(segmentation, size)
    mask = np.zeros(size[::-1], dtype=np.bool_)
    for polygon in segmentation:
        corners = np.array(polygon, dtype=np.float64).reshape(-1, 2)
        if len(corners) < 3 or not np.isfinite(corners).all():
            raise ValueError("a polygon needs at least three corners [x1, y1, x2, y2, ...] that are numbers")
        mask |= fill(corners, size)
    return mask


def _runs(segmentation: Mapping[str, Any], size: tuple[int, int]) -> Bools:
    """Runs of 0 and 1 in turn, down the columns."""
    width, height = size
    if list(segmentation["size"]) != [height, width]:
        raise ValueError(
            f"run-length mask of [h, w] = {segmentation['size']}, the photograph as shown is {width} x {height}"
        )
    counts = segmentation["counts"]
    runs = decode_runs(counts) if isinstance(counts, str) else [int(run) for run in counts]
    if min(runs, default=0) < 0 or sum(runs) != width * height:
        raise ValueError(f"the runs cover {sum(runs)} pixels of {width * height}")
    values = np.arange(len(runs)) % 2 == 1
    return np.repeat(values, runs).reshape(width, height).T


def decode_runs(text: str) -> list[int]:
    """Run lengths of a compressed string: 5 bits a character, low ones first; from the third on, the change to the last but one."""
    runs: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64:
            raise ValueError(f"{character!r} does not belong in run lengths")
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            value -= (bits & 16) and 1 << shift
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))
            value = shift = 0
    if shift:
        raise ValueError("the run lengths end in the middle of one")
    return runs

"""Crop, resize, centre crop and flip of photographs and, by nearest neighbour, of their region masks: one list of steps for both.

Sizes are rounded as the Pillow-based image processors of transformers round them, so a model gets the pixels that it was
trained on. Cost: one Pillow resize an image and one a region.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from audit.config import Preprocessing
from audit.data.examples import BadRow

MAX_PIXELS: Final = 89_478_485  # Pillow's own limit: a quarter of a gigabyte of RGB
FILTERS: Final = {
    "nearest": Image.Resampling.NEAREST,
    "box": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "hamming": Image.Resampling.HAMMING,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}

Pixels = NDArray[np.uint8]
Bools = NDArray[np.bool_]


def map_pixels(pixels: Pixels, steps: Preprocessing, shift: tuple[int, int] = (0, 0)) -> Pixels:
    """Photograph [h, w, 3] to the model's pixels [H, W, C] in the declared channel order; grey is Pillow's L, before resizing.

    `shift` (dx, dy) moves the crop. BadRow if the crop leaves the photograph.
    """
    image = Image.fromarray(pixels)
    placed = np.asarray(_placed(image.convert("L") if steps.channels == "grey" else image, steps, shift, steps.filter))
    if steps.channels == "grey":
        return placed[:, :, np.newaxis]
    return np.ascontiguousarray(placed[:, :, ::-1]) if steps.channels == "bgr" else placed


def map_masks(masks: Bools, steps: Preprocessing, shift: tuple[int, int] = (0, 0)) -> Bools:
    """Masks [r, h, w] to [r, H, W] by the same steps, nearest neighbour; what a centre crop pads is in no mask."""
    placed = [np.asarray(_placed(Image.fromarray(mask.view(np.uint8)), steps, shift, "nearest")) for mask in masks]
    return np.stack(placed).astype(np.bool_)


def photograph_box(box: Sequence[int], steps: Preprocessing, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """A box (left, top, right, bottom) of the model's input in whole pixels of a photograph of `size` (width, height), inside it.

    A box in what a centre crop pads is the strip of the photograph next to it.
    """
    x0, y0, x1, y1 = steps.crop or (0, 0, *size)
    inner, resized = (x1 - x0, y1 - y0), steps.resized((x1 - x0, y1 - y0))
    seen = resized if steps.center_crop is None else (steps.size or resized)
    ends = list[tuple[int, int]]()
    for low, high, whole, before, after, start, limit in zip(
        box[:2], box[2:], seen, inner, resized, (x0, y0), size, strict=True
    ):
        if steps.flip and not ends:
            low, high = whole - high, whole - low
        offset = (after - whole) // 2
        first = min(max(0, round(start + (low + offset) * before / after)), limit - 1)
        ends.append((first, max(first + 1, min(limit, round(start + (high + offset) * before / after)))))
    (left, right), (top, bottom) = ends
    return left, top, right, bottom


def normalise(pixels: Pixels, steps: Preprocessing) -> NDArray[np.float32]:
    """Pixels [n, H, W, C] to the model's input [n, C, H, W]: (pixels / scale - mean) / std."""
    mean, std = (np.asarray(values, dtype=np.float32) for values in (steps.mean, steps.std))
    scaled = (pixels.astype(np.float32) / np.float32(steps.scale) - mean) / std
    return np.ascontiguousarray(scaled.transpose(0, 3, 1, 2))


def _placed(image: Image.Image, steps: Preprocessing, shift: tuple[int, int], name: str) -> Image.Image:
    if steps.crop is not None:
        image = image.crop(_shifted(steps.crop, shift, image.size))
    size = _resized(image.size, steps)
    if size != image.size:
        image = image.resize(size, FILTERS[name])
    if steps.center_crop is not None:
        width, height = steps.size or image.size
        left, top = (image.width - width) // 2, (image.height - height) // 2  # negative: Pillow pads with 0
        image = image.crop((left, top, left + width, top + height))
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if steps.flip else image


def _shifted(crop: Sequence[int], shift: tuple[int, int], size: tuple[int, int]) -> tuple[int, int, int, int]:
    (left, top, right, bottom), (dx, dy) = crop, shift
    box = left + dx, top + dy, right + dx, bottom + dy
    if not (0 <= box[0] < box[2] <= size[0] and 0 <= box[1] < box[3] <= size[1]):
        moved = f", shifted by statistics.jitter to {list(box)}," if any(shift) else ""
        pixels = f"a photograph of {size[0]} x {size[1]} pixels"
        raise BadRow("crop outside", f"model.preprocessing.crop {list(crop)}{moved} of {pixels}")
    return box


def _resized(size: tuple[int, int], steps: Preprocessing) -> tuple[int, int]:
    width, height = new = steps.resized(size)
    if width * height > MAX_PIXELS:
        detail = f"{size[0]} x {size[1]} becomes {width} x {height}; at most {MAX_PIXELS} pixels"
        raise BadRow("image too large", detail)
    return new

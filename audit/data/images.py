"""Labelled photographs, from a table or a folder per class: decoded as a viewer shows them, or quarantined with the reason.

A photograph is decoded once when it is checked and once whenever its pixels are used; none is kept. What is transparent
is seen on white, the EXIF rotation is applied, of an animation the first frame is taken, and 16-bit grey is scaled.
"""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, final

import numpy as np
from PIL import Image

from audit.config import Data, Preprocessing
from audit.data.examples import BadRow, Examples, Reader, is_blank, load_examples
from audit.data.geometry import Bools, Pixels, map_masks, map_pixels
from audit.data.image_files import decode, image_size, locate
from audit.data.regions import Regions, check_coco
from audit.errors import DataError
from audit.files import file_sha256
from audit.sequences import Made

WHITE: Final = (255, 255, 255, 255)


@final
@dataclass(frozen=True, slots=True)
class ImageRow:
    """File of a photograph, and the cells of the regions' columns in their order; those of mask files are paths, or None.

    `sha256` covers the files that belong to it once they were inspected.
    """

    path: Path
    cells: tuple[Any, ...] = ()
    sha256: str = ""


def read_image(path: Path) -> Pixels:
    """RGB [h, w, 3] of an image file of any mode; BadRow if it cannot be used."""
    image = decode(path)
    if image.mode == "F":
        raise BadRow("unsupported image", f"{path.name} has floating-point grey levels; save it with 8 or 16 bits")
    if image.mode.startswith("I"):
        image = _eight_bits(image, path.name)
    try:
        if image.has_transparency_data:
            coloured = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, WHITE), coloured)
        return np.array(image.convert("RGB"))
    except ValueError as error:
        raise BadRow("unsupported image", f"{path.name}: mode {image.mode}: {error!s:.80}") from None


@contextmanager
def unchanged(row: ImageRow) -> Iterator[None]:
    """A file that can no longer be used stops the run: it was checked before."""
    try:
        yield
    except BadRow as problem:
        raise DataError(
            f"{row.path}: could be read when it was checked, and now cannot ({problem.reason}: {problem.detail}); do not "
            "change the data during a run"
        ) from None


def read_masks(
    row: ImageRow,
    regions: Regions,
    steps: Preprocessing,
    shift: tuple[int, int] = (0, 0),
    size: tuple[int, int] | None = None,
) -> Bools:
    """The regions of a photograph as the model sees them: [r, H, W]; what no other covers, padding too, is the last."""
    width, height = size or image_size(row.path)
    crop = steps.crop or (0, 0, width, height)
    masks = regions.draw(row.cells, (width, height), row.path.as_posix(), crop)
    placed = map_masks(np.concatenate([masks, np.zeros((1, height, width), dtype=np.bool_)]), steps, shift)
    placed[-1] = ~placed[:-1].any(axis=0)
    return placed


def load_images(
    config: Data,
    path: Path,
    regions: Regions,
    steps: Preprocessing,
    *,
    classes: Sequence[str],
    labels: Mapping[str, str],
    seed: int,
    jitter: int = 0,
    inspect: bool = True,
) -> Examples[ImageRow]:
    """Read a table, or a folder per class, of photographs; other arguments and errors as for `load_examples`.

    A row is used if its image can be read, its regions drawn, and the crop taken under every shift up to `jitter` pixels;
    without `inspect` no image is opened.
    Paths, of images and of masks, are relative to the table's folder or to the folder of classes, and stay inside.
    """
    folder = path if path.is_dir() else path.parent

    def read(cells: Sequence[Any]) -> ImageRow:
        return ImageRow(locate(folder, cells[0]), _region_cells(folder, cells[1:], regions))

    def inspected(row: ImageRow) -> tuple[ImageRow, bytes]:
        with warnings.catch_warnings():  # Pillow's, on files with damaged metadata
            warnings.simplefilter("ignore", UserWarning)
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            digest = _inspected(row, regions, steps, jitter)
            return replace(row, sha256=digest.hex()), digest

    reader = Reader(
        "photograph", (config.columns.image, *regions.columns), read, inspected if inspect else None, folders=True
    )
    examples = load_examples(config, path, reader, classes=classes, labels=labels, seed=seed)
    check_coco(regions, Made(len(examples), lambda i: examples.payload[i].path.as_posix()))
    hashes = [examples.sha256, *map(file_sha256, regions.annotations)]
    return replace(examples, sha256=hashes[0] if len(hashes) == 1 else sha256("".join(hashes).encode()).hexdigest())


def _inspected(row: ImageRow, regions: Regions, steps: Preprocessing, jitter: int) -> bytes:
    """Digest of the file names and contents that belong to a usable row."""
    pixels = read_image(row.path)
    height, width, _ = pixels.shape
    for shift in dict.fromkeys([(0, 0), (-jitter, -jitter), (jitter, jitter)]):
        map_pixels(pixels, steps, shift)
    read_masks(row, regions, steps, size=(width, height))
    files = [row.path, *(cell for cell in row.cells if isinstance(cell, Path))]
    return sha256("".join(f"{file.name}\0{file_sha256(file)}\0" for file in files).encode(errors="replace")).digest()


def _region_cells(folder: Path, cells: Sequence[Any], regions: Regions) -> tuple[Any, ...]:
    return tuple(
        (None if is_blank(cell) else locate(folder, cell)) if column in regions.files else cell
        for column, cell in zip(regions.columns, cells, strict=True)
    )


def _eight_bits(image: Image.Image, name: str) -> Image.Image:
    """Grey of 0 to 65535 scaled to 0 to 255, not clipped."""
    values = np.asarray(image).astype(np.int64)
    if values.min() < 0 or values.max() > 65535:
        raise BadRow("unsupported image", f"{name} has 32-bit grey levels; save it with 8 or 16 bits")
    return Image.fromarray(((values + 128) // 257).astype(np.uint8))

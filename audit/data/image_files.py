"""Image files inside the data folder, opened with care: what is wrong with one is a `BadRow` with a stable reason.

Pillow decodes them, and of its formats only those listed here: none that starts another program. Sizes are checked in
the header, before anything is decoded.
"""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PureWindowsPath
from typing import Final

from PIL import Image, ImageOps, UnidentifiedImageError

from audit.data.examples import BadRow, is_blank
from audit.data.geometry import MAX_PIXELS

LOSSLESS: Final = ("PNG", "TIFF", "BMP", "GIF", "PPM")
PHOTOGRAPHS: Final = (*LOSSLESS, "JPEG", "WEBP")
DAMAGE: Final = (OSError, SyntaxError, ValueError, ArithmeticError, LookupError, TypeError, struct.error)
ORIENTATION: Final = 0x0112  # EXIF; 5 to 8 swap width and height


def locate(folder: Path, cell: object) -> Path:
    """The file that a cell names, relative to `folder`; BadRow for a path that leaves it, also by a symbolic link."""
    if is_blank(cell):
        raise BadRow("missing image", "the cell is blank")
    if not isinstance(cell, str):
        raise BadRow("malformed row", f"the image is a {type(cell).__name__}, not a path")
    if cell.startswith("/") or PureWindowsPath(cell).drive:
        raise BadRow("path outside", f"{cell:.120} is absolute; write it relative to the data file or folder")
    path = folder / cell
    try:
        inside = path.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError) as error:
        raise BadRow("file not found", f"{cell:.120}: {error!s:.60}") from None
    if not inside:
        raise BadRow("path outside", f"{cell:.120} leaves the data folder")
    return path


def decode(path: Path, formats: tuple[str, ...] = PHOTOGRAPHS) -> Image.Image:
    """The first frame, EXIF rotation applied, in the mode in which it is stored."""
    with _opened(path, formats) as image:
        image.load()
        return ImageOps.exif_transpose(image)


def image_size(path: Path) -> tuple[int, int]:
    """Width and height after the EXIF rotation, from the header."""
    with _opened(path, PHOTOGRAPHS) as image:
        if image.format == "TIFF":  # Pillow rotates it when it is loaded
            return decode(path).size
        width, height = image.size
        return (height, width) if image.getexif().get(ORIENTATION) in (5, 6, 7, 8) else (width, height)


@contextmanager
def _opened(path: Path, formats: tuple[str, ...]) -> Iterator[Image.Image]:
    _check_file(path)
    try:
        with Image.open(path, formats=formats) as image:
            if image.width * image.height > MAX_PIXELS:
                raise BadRow(
                    "image too large", f"{path.name} has {image.width} x {image.height} pixels, over {MAX_PIXELS}"
                )
            yield image
    except UnidentifiedImageError:
        raise BadRow("not an image", f"{path.name} is none of {', '.join(formats)}") from None
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise BadRow("image too large", f"{path.name} has more than {MAX_PIXELS} pixels") from None
    except DAMAGE as error:
        reason = "truncated image" if "truncated" in str(error).lower() else "corrupt image"
        raise BadRow(reason, f"{path.name}: {error!s:.100}") from None


def _check_file(path: Path) -> None:
    try:
        if not path.is_file():
            raise BadRow("file not found", f"{path.name} is {'no regular file' if path.exists() else 'missing'}")
        empty = path.stat().st_size == 0
    except OSError as error:
        raise BadRow("file not found", f"{path.name:.80}: {error.strerror}") from None
    if empty:
        raise BadRow("empty file", f"{path.name} has 0 bytes")

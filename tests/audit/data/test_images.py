import json
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from audit.config import Data, Preprocessing, Region
from audit.data.examples import BadRow, Examples
from audit.data.image_files import ORIENTATION, image_size
from audit.data.images import ImageRow, load_images, read_image
from audit.data.regions import build_regions
from audit.errors import DataError

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)
COLOURS = np.array([[RED, GREEN, BLUE], [(10, 20, 30), (90, 80, 70), (255, 255, 255)]], dtype=np.uint8)  # [2, 3, 3]
GREY = np.array([[0, 100, 255], [1, 50, 200]], dtype=np.uint8)


def png(width: int, height: int) -> bytes:
    """A PNG whose header claims a size, and that holds one pixel."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0\0")) + chunk(b"IEND", b"")


def write_bad_files(folder: Path) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 60, 3), dtype=np.uint8))
    for kind in ("png", "jpg", "gif", "bmp", "tif", "webp"):
        noise.save(folder / f"whole.{kind}")
        content = (folder / f"whole.{kind}").read_bytes()
        (folder / f"half.{kind}").write_bytes(content[: len(content) // 2])
    content = bytearray((folder / "whole.png").read_bytes())
    content[200:260] = bytes(60)
    (folder / "damaged.png").write_bytes(content)
    (folder / "empty.png").write_bytes(b"")
    (folder / "text.png").write_text("no image")
    (folder / "page.pdf").write_bytes(b"%PDF-1.4\n")
    (folder / "drawing.eps").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n")
    (folder / "header.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (folder / "bomb.png").write_bytes(png(10_000, 9_000))
    (folder / "huge.png").write_bytes(png(60_000, 60_000))
    (folder / "strip.png").write_bytes(png(1, 1))
    Image.fromarray(np.ones((3, 3), dtype=np.float32)).save(folder / "float.tif")
    Image.fromarray(np.full((3, 3), 70_000, dtype=np.int32)).save(folder / "long.tif")
    (folder / "sub").mkdir()
    os.mkfifo(folder / "pipe.png")
    noise.save(folder.parent / "secret.png")
    (folder / "link.png").symlink_to(folder.parent / "secret.png")
    (folder / "up").symlink_to(folder.parent)
    (folder / "loop.png").symlink_to(folder / "loop.png")
    (folder / "dangling.png").symlink_to(folder / "gone.png")


BAD_IMAGES = [
    # cell, reason, detail
    (None, "missing image", "the cell is blank"),
    ("  ", "missing image", "the cell is blank"),
    (7, "malformed row", "the image is a int, not a path"),
    (["a.png"], "malformed row", "the image is a list, not a path"),
    ("a\0.png", "malformed row", "NUL"),
    ("gone.png", "file not found", "gone.png is missing"),
    ("sub", "file not found", "sub is no regular file"),
    ("pipe.png", "file not found", "pipe.png is no regular file"),
    ("x" * 300 + ".png", "file not found", "name too long"),
    ("loop.png", "file not found", "loop"),
    ("dangling.png", "file not found", "dangling.png is missing"),
    ("/etc/hostname", "path outside", "/etc/hostname is absolute; write it relative to the data file or folder"),
    ("C:\\photos\\a.png", "path outside", "is absolute"),
    ("../secret.png", "path outside", "../secret.png leaves the data folder"),
    ("sub/../../secret.png", "path outside", "leaves the data folder"),
    ("link.png", "path outside", "link.png leaves the data folder"),
    ("up/secret.png", "path outside", "up/secret.png leaves the data folder"),
    ("empty.png", "empty file", "empty.png has 0 bytes"),
    ("text.png", "not an image", "text.png is none of PNG, TIFF, BMP"),
    ("page.pdf", "not an image", "page.pdf is none of"),
    ("drawing.eps", "not an image", "drawing.eps is none of"),
    ("half.png", "truncated image", "half.png: "),
    ("half.jpg", "truncated image", "half.jpg: image file is truncated"),
    ("half.gif", "truncated image", "half.gif: image file is truncated"),
    ("half.bmp", "truncated image", "half.bmp: "),
    ("half.tif", "truncated image", "half.tif: image file is truncated"),
    ("half.webp", "corrupt image", "half.webp: "),
    ("damaged.png", "corrupt image", "damaged.png: "),
    ("header.png", "not an image", "header.png"),
    ("bomb.png", "image too large", "bomb.png has more than 89478485 pixels"),
    ("huge.png", "image too large", "huge.png has more than 89478485 pixels"),
    ("float.tif", "unsupported image", "float.tif has floating-point grey levels; save it with 8 or 16 bits"),
    ("long.tif", "unsupported image", "long.tif has 32-bit grey levels; save it with 8 or 16 bits"),
]


def load(
    path: Path, steps: Preprocessing | None = None, regions: tuple[Region, ...] = (), **options: object
) -> Examples[ImageRow]:
    config = Data.model_validate({"path": path.name, "columns": options.pop("columns", {})})
    built = build_regions(regions, path.parent)
    steps = steps or Preprocessing()
    return load_images(config, path, built, steps, classes=("cat", "dog"), labels={}, seed=0, **options)


def test_every_bad_image_is_quarantined_with_its_reason(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    write_bad_files(folder)
    cells = [*(cell for cell, _, _ in BAD_IMAGES), "whole.png"]
    rows = [json.dumps({"id": str(i), "image": cell, "label": "cat"}) for i, cell in enumerate(cells)]
    (folder / "table.jsonl").write_text("\n".join(rows))
    data = load(folder / "table.jsonl")
    assert data.id.tolist() == [str(len(BAD_IMAGES))]
    for one, (cell, reason, detail) in zip(data.quarantined, BAD_IMAGES, strict=True):
        assert (cell, one.reason) == (cell, reason)
        assert detail in one.detail


@pytest.mark.parametrize("kind", ["png", "gif", "bmp", "tif", "webp", "ppm"])
def test_colours_of_a_lossless_file_are_read_exactly(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"a.{kind}"
    Image.fromarray(COLOURS).save(path, **({"lossless": True} if kind == "webp" else {}))
    np.testing.assert_array_equal(read_image(path), COLOURS)


def test_grey_one_bit_and_palette_are_read_as_rgb(tmp_path: Path) -> None:
    three = np.repeat(GREY[:, :, np.newaxis], 3, axis=2)
    Image.fromarray(GREY).save(tmp_path / "grey.png")
    np.testing.assert_array_equal(read_image(tmp_path / "grey.png"), three)
    Image.fromarray(GREY > 60).save(tmp_path / "bits.png")
    np.testing.assert_array_equal(read_image(tmp_path / "bits.png"), np.where(three > 60, 255, 0))
    Image.fromarray(COLOURS).convert("P", palette=Image.Palette.ADAPTIVE).save(tmp_path / "palette.png")
    with Image.open(tmp_path / "palette.png") as image:
        assert image.mode == "P"
    np.testing.assert_array_equal(read_image(tmp_path / "palette.png"), COLOURS)


def test_cmyk_is_read_as_rgb(tmp_path: Path) -> None:
    Image.new("CMYK", (4, 4), (0, 255, 255, 0)).save(tmp_path / "a.tif")
    Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(tmp_path / "a.jpg", quality=100)
    for name in ("a.tif", "a.jpg"):
        np.testing.assert_allclose(read_image(tmp_path / name)[1, 1], RED, atol=3)


@pytest.mark.parametrize("kind", ["png", "tif", "pgm"])
def test_sixteen_bit_grey_is_scaled_not_clipped(tmp_path: Path, kind: str) -> None:
    deep = np.array([[0, 257, 128 * 257], [65535, 40_000, 300]], dtype=np.uint16)
    Image.fromarray(deep).save(tmp_path / f"a.{kind}")
    np.testing.assert_array_equal(read_image(tmp_path / f"a.{kind}")[:, :, 1], [[0, 1, 128], [255, 156, 1]])


def test_transparent_pixels_are_seen_on_white(tmp_path: Path) -> None:
    alpha = np.array([[255, 0, 128], [255, 255, 0]], dtype=np.uint8)
    Image.fromarray(np.dstack([COLOURS, alpha])).save(tmp_path / "rgba.png")
    seen = read_image(tmp_path / "rgba.png")
    assert seen[0].tolist() == [[255, 0, 0], [255, 255, 255], [127, 127, 255]]
    Image.fromarray(np.dstack([GREY, alpha])).save(tmp_path / "la.png")
    assert read_image(tmp_path / "la.png")[0].tolist() == [[0] * 3, [255] * 3, [255] * 3]
    Image.fromarray(COLOURS).convert("P", palette=Image.Palette.WEB).save(tmp_path / "p.png", transparency=bytes(256))
    assert (read_image(tmp_path / "p.png") == 255).all()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["png", "tif", "webp"])
def test_exif_rotation_is_applied_and_known_from_the_header(tmp_path: Path, kind: str, orientation: int) -> None:
    shown = {
        1: COLOURS,
        2: COLOURS[:, ::-1],
        3: COLOURS[::-1, ::-1],
        4: COLOURS[::-1],
        5: COLOURS.transpose(1, 0, 2),
        6: np.rot90(COLOURS, -1),
        7: COLOURS[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(COLOURS),
    }[orientation]
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    path = tmp_path / f"a.{kind}"
    Image.fromarray(COLOURS).save(path, exif=exif, **({"lossless": True} if kind == "webp" else {}))
    np.testing.assert_array_equal(read_image(path), shown)
    assert image_size(path) == shown.shape[1::-1]


def test_first_frame_of_an_animation_is_read(tmp_path: Path) -> None:
    frames = [Image.fromarray(COLOURS), Image.fromarray(255 - COLOURS)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(read_image(tmp_path / "a.gif"), COLOURS)


def test_folder_per_class_gives_id_image_and_label(tmp_path: Path) -> None:
    folder = tmp_path / "pets"
    for name in (
        "dog/b.png",
        "cat/deep/a.png",
        "cat/.hidden.png",
        ".git/x.png",
        "dog/a.png",
        "fish/a.png",
        "notes.txt",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(COLOURS).save(folder / name, format="png")
    data = load(folder)
    assert data.id.tolist() == ["cat/deep/a.png", "dog/a.png", "dog/b.png"]
    assert data.label.tolist() == [0, 1, 1]
    assert data.payload[0].path == folder / "cat/deep/a.png"
    assert [(one.id, one.reason) for one in data.quarantined] == [
        ("fish/a.png", "unknown label"),
        ("", "malformed row"),
    ]
    with pytest.raises(DataError, match="has the columns id, image, label, not 'sex'; write a CSV file"):
        load(folder, columns={"attributes": {"gender": "sex"}})


def test_hash_knows_the_table_the_images_and_the_masks(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,image,label,m\n1,a.png,cat,m.png\n")
    regions = (Region(name="eyes", mask="m"),)

    def digest(pixels: np.ndarray, mask: np.ndarray) -> str:
        Image.fromarray(pixels).save(tmp_path / "a.png")
        Image.fromarray(mask).save(tmp_path / "m.png")
        return load(tmp_path / "a.csv", regions=regions).sha256

    first = digest(COLOURS, GREY)
    assert first == digest(COLOURS, GREY)
    assert len({first, digest(255 - COLOURS, GREY), digest(COLOURS, 255 - GREY)}) == 3


def test_hash_of_a_folder_knows_the_class_of_every_photograph(tmp_path: Path) -> None:
    hashes = set[str]()
    for name in ("cat/b.png", "dog/b.png"):
        folder = tmp_path / name.partition("/")[0]
        for path in ("cat/a.png", name, "dog/c.png"):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(COLOURS).save(folder / path)
        hashes.add(load(folder).sha256)
    assert len(hashes) == 2


def test_crop_must_fit_under_every_shift(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((20, 20, 3), dtype=np.uint8)).save(tmp_path / "a.png")
    (tmp_path / "a.csv").write_text("id,image,label\n1,a.png,cat\n")
    steps = Preprocessing(crop=(2, 2, 18, 18))
    assert len(load(tmp_path / "a.csv", steps, jitter=2)) == 1
    with pytest.raises(
        DataError,
        match=r"row 1: line 2: .*crop \[2, 2, 18, 18\], shifted by statistics.jitter to \[-1, -1, 15, 15\]",
    ):
        load(tmp_path / "a.csv", steps, jitter=3)


def test_read_image_itself_refuses_a_bomb(tmp_path: Path) -> None:
    (tmp_path / "bomb.png").write_bytes(png(10_000, 9_000))
    with pytest.raises(BadRow, match="image too large"):
        read_image(tmp_path / "bomb.png")

"""The committed sample: `python -m tests.sample RUN_DIR` makes it of a run, and without a folder renders it again from its own record."""

import shutil
import sys
from pathlib import Path
from typing import Final

import pypdfium2
from PIL import Image

from audit.report.render import DEBUG, render
from audit.store.manifest import RECORD, write_manifest
from audit.store.runs import load_record

ROOT: Final = Path(__file__).parents[1]
SAMPLE: Final = ROOT / "reports" / "sample"
PICTURE: Final = ROOT / "docs" / "images" / "report.png"
FORMATS: Final = ("html", "pdf")
SCALE: Final = 1.25  # pixels a point


def write_picture(report: Path, picture: Path) -> None:
    """The first page of a PDF."""
    page = pypdfium2.PdfDocument(report.read_bytes())[0]
    drawn = page.render(scale=SCALE).to_pil().convert("RGB")
    drawn.quantize(64, dither=Image.Dither.NONE).save(picture, optimize=True)


def main() -> None:
    """Record, pages, manifest and picture."""
    run = Path(sys.argv[1]) if len(sys.argv) > 1 else SAMPLE
    record = load_record(run)
    SAMPLE.mkdir(exist_ok=True)
    if run != SAMPLE:
        shutil.copy(run / RECORD, SAMPLE / RECORD)
    render(record, SAMPLE, FORMATS)
    (SAMPLE / DEBUG).unlink(missing_ok=True)  # internal, and of no use without examples
    write_manifest(SAMPLE)
    write_picture(SAMPLE / "report.pdf", PICTURE)


if __name__ == "__main__":
    main()

"""The run's model at hand: one text or photograph explained while a person waits, changed, and explained again.

One explanation at a time. A photograph that is sent is decoded as carefully as a dataset's, and kept in memory only, the last eight.
"""

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray

from audit.data.examples import BadRow
from audit.data.images import ImageRow, read_image
from audit.errors import DataError
from audit.explanation import ONE
from audit.records import Explanation
from audit.report.heatmaps import encoded, seen_by
from audit.reproduction import config_of
from audit.store.runs import load_record

KEPT: Final = 8
MOST_TEXT: Final = 20_000  # characters
OF_DATA: Final = "id:"  # begins the key of a photograph of the run's data
Box = tuple[int, int, int, int]  # left, top, width, height, in pixels of the photograph


@final
@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be explained: a text, or a photograph by its `key`; for a class or the contrast; by a composite; with a box covered."""

    text: str = ""
    key: str = ""
    target: str = ""
    composite: str = ""
    covered: Box | None = None


@final
class Live:
    """Not frozen: it holds the photographs that were sent, and lets one explanation at a time through.

    ConfigError or ModelError where the recorded config or its model is not there; `folder` is that of the config, by default as recorded.
    """

    def __init__(self, run: Path, folder: Path | None = None) -> None:
        record = load_record(run)
        self.loaded = config_of(run, record, folder)
        self.task = self.loaded.config.task
        one: Any = ONE[self.task](self.loaded)
        self.one = one
        self.other = self.one.model.sha256 != record.model.sha256
        self._sent: OrderedDict[str, bytes] = OrderedDict()
        self._data: dict[str, ImageRow] | None = None
        self._lock = threading.Lock()

    @property
    def composites(self) -> list[str]:
        """Those of the run."""
        return list(self.one.explainer.composites)

    @property
    def classes(self) -> list[str]:
        """Of the model."""
        return list(self.one.model.classes)

    def keep(self, photograph: bytes) -> str:
        """A key for a photograph that was sent; DataError where it cannot be read."""
        key = sha256(photograph).hexdigest()[:16]
        with _as_file(photograph) as file:
            _read(ImageRow(file))
        with self._lock:
            self._sent[key] = photograph
            while len(self._sent) > KEPT:
                self._sent.popitem(last=False)
        return key

    def picture(self, key: str) -> bytes:
        """A photograph as a PNG, those of the data as `report.images` shows them; DataError like `explain`."""
        with self._lock, self._row(key) as row:
            people = self.loaded.config.report.images if key.startswith(OF_DATA) else "show"
            return encoded(seen_by(_read(row), people), "PNG")

    def explain(self, asked: Asked) -> Explanation:
        """DataError for a text that is too long, a photograph that is not kept, or a class or composite that there is not."""
        rules = self.one.explainer.composites
        if asked.composite and asked.composite not in rules:
            raise DataError(f"{asked.composite!r:.60} is none of the run's rules: {', '.join(rules)}")
        more = asked.target or None, rules.get(asked.composite)
        found: Explanation
        if self.task == "text":
            if len(asked.text) > MOST_TEXT:
                raise DataError(f"a text has at most {MOST_TEXT:,} characters here")
            with self._lock:
                found = self.one(asked.text, *more)
            return found
        with self._lock, self._row(asked.key) as row, _covered(row, asked.covered) as seen:
            found = self.one.explain(seen, *more)
        return found

    def changed(self, asked: Asked) -> dict[str, Explanation]:
        """The contrast of the same with its terms swapped or a region hidden, by the column of the table of examples; errors as above."""
        with self._lock:
            if self.task == "text":
                return dict(self.one.changed(asked.text))
            with self._row(asked.key) as row:
                return dict(self.one.changed(row))

    @contextmanager
    def _row(self, key: str) -> Iterator[ImageRow]:
        """What was sent as a file that lives this long, or a photograph of the data where it lies."""
        if key.startswith(OF_DATA):
            if self._data is None:
                self._data = self.one.rows()
            name = key.removeprefix(OF_DATA)
            if name not in self._data:
                raise DataError(f"{name!r:.120} is no id in {self.loaded.config.data.path}")
            yield self._data[name]
            return
        if key not in self._sent:
            raise DataError("the photograph is no longer kept; send it again")
        with _as_file(self._sent[key]) as file:
            yield ImageRow(file, tuple(None for _ in self.one.drawing.columns))


@contextmanager
def _as_file(photograph: bytes) -> Iterator[Path]:
    """A file that lives this long."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "photograph"
        file.write_bytes(photograph)
        yield file


def _read(row: ImageRow) -> NDArray[np.uint8]:
    try:
        return read_image(row.path)
    except BadRow as problem:
        raise DataError(f"{row.path.name}: {problem.reason}: {problem.detail}") from None


@contextmanager
def _covered(row: ImageRow, box: Box | None) -> Iterator[ImageRow]:
    """The photograph with a box in the mean colour of all, as a file that lives this long."""
    if box is None:
        yield row
        return
    pixels = _read(row).copy()
    left, top, width, height = box
    if left >= pixels.shape[1] or top >= pixels.shape[0]:
        raise DataError(f"the box lies outside the photograph, which has {pixels.shape[1]} x {pixels.shape[0]} pixels")
    pixels[top : top + max(1, height), left : left + max(1, width)] = pixels.mean(axis=(0, 1)).round()
    with _as_file(encoded(pixels, "PNG")) as file:
        yield replace(row, path=file)

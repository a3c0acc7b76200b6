"""The run's model at hand: one text or photograph explained while a person waits, changed, and explained again.

One explanation at a time. A photograph that is sent is decoded as carefully as a dataset's, and kept in memory only, the last eight.
"""

import io
import threading
from collections import OrderedDict
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, final

from audit.errors import DataError
from audit.explanation import ONE
from audit.loading import LoadedConfig
from audit.records import Exhibit, Explanation
from audit.report import page
from audit.reproduction import config_of
from audit.store.runs import load_record

KEPT: Final = 8
MOST_TEXT: Final = 20_000  # characters
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
        loaded = config_of(run, record, folder)
        self.task, self.one = loaded.config.task, _made(loaded)
        self.other = self.one.model.sha256 != record.model.sha256
        self._photographs: OrderedDict[str, bytes] = OrderedDict()
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
        with self._lock:
            self._photographs[key] = photograph
            while len(self._photographs) > KEPT:
                self._photographs.popitem(last=False)
        self.explain(Asked(key=key))
        return key

    def explain(self, asked: Asked) -> Explanation:
        """DataError for a text that is too long, a photograph that is not kept, or a class or composite that there is not."""
        rules = self.one.explainer.composites
        if asked.composite and asked.composite not in rules:
            raise DataError(f"{asked.composite!r:.60} is none of the run's rules: {', '.join(rules)}")
        more = asked.target or None, rules.get(asked.composite)
        with self._lock:
            if self.task == "text":
                if len(asked.text) > MOST_TEXT:
                    raise DataError(f"a text has at most {MOST_TEXT:,} characters here")
                return _explained(self.one, asked.text, *more)
            if asked.key not in self._photographs:
                raise DataError("the photograph is no longer kept; send it again")
            with TemporaryDirectory() as folder:
                file = Path(folder) / "photograph"
                file.write_bytes(_covered(self._photographs[asked.key], asked.covered))
                return _explained(self.one, str(file), *more)


def card(explanation: Explanation) -> page.Card:
    """As the pages of a report show an example."""
    tokens = explanation.tokens
    return page.card(
        Exhibit(id="this text", label="", predicted=explanation.predicted, margin=explanation.output, tokens=tokens)
    )


def _explained(one: Any, given: str, target: str | None, composite: Any) -> Explanation:
    found: Explanation = one(given, target, composite)
    return found


def _made(loaded: LoadedConfig) -> Any:
    return ONE[loaded.config.task](loaded)


def _covered(photograph: bytes, box: Box | None) -> bytes:
    """With a box in the mean colour of all; the header decides before anything is decoded."""
    if box is None:
        return photograph
    from PIL import Image, ImageStat

    with Image.open(io.BytesIO(photograph), formats=("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")) as image:
        seen = image.convert("RGB")
    mean = tuple(round(each) for each in ImageStat.Stat(seen).mean)
    left, top, width, height = box
    seen.paste(mean, (left, top, left + max(1, width), top + max(1, height)))
    made = io.BytesIO()
    seen.save(made, "PNG")
    return made.getvalue()

"""Who was told of the runs of one name, and which of them a tracker has: a hidden file beside the runs.

A run folder stays as it was written, so that this lies beside it. A file that is missing or damaged says that nobody was told: to hear of a
run twice is better than never.
"""

from pathlib import Path
from typing import Final, final

from pydantic import Field, ValidationError

from audit.errors import OutputError
from audit.files import write_atomically
from audit.records.base import Entry

TOLD: Final = ".told.json"
MOST: Final = 10_000_000  # bytes that are read
CURE: Final = "the same may be told again"


@final
class Telling(Entry):
    """The last that one channel was told: the run's folder, None of an audit without a result, and the exit code."""

    run: str | None
    exit_code: int


@final
class Told(Entry):
    """By channel the last that it was told; and the folders of the runs that the tracker has, as far as they are still there."""

    channels: dict[str, Telling] = Field(default_factory=dict)
    tracked: tuple[str, ...] = ()


def read_told(place: Path) -> Told:
    """Of the runs in `place` (`output/NAME`)."""
    try:
        with (place / TOLD).open("rb") as file:
            return Told.model_validate_json(file.read(MOST))
    except (OSError, ValidationError):
        return Told()


def keep_telling(place: Path, channel: str, telling: Telling) -> None:
    """Raises `OutputError`, as `keep_tracked`."""
    told = read_told(place)
    _keep(place, told.model_copy(update={"channels": {**told.channels, channel: telling}}))


def keep_tracked(place: Path, run: str) -> None:
    """The tracker has it."""
    told = read_told(place)
    still = [name for name in told.tracked if (place / name).is_dir()]
    _keep(place, told.model_copy(update={"tracked": (*still, run)}))


def _keep(place: Path, told: Told) -> None:
    try:
        place.mkdir(parents=True, exist_ok=True)  # an audit without a result may have made none
    except OSError as error:
        raise OutputError(f"{place}: cannot be made ({error.strerror}); {CURE}") from None
    write_atomically(place / TOLD, told.model_dump_json().encode(), cure=CURE)

"""Where a run is made: a lock, what is done of it, and a draft that becomes the run folder in one step.

Below `output/NAME` a folder that is not hidden is a finished run. The lock is the operating system's and ends with the process that
holds it, so that none is left behind; the file names its owner for whoever waits.
"""

import errno
import json
import os
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, final

from audit.errors import AtWorkError, OutputError
from audit.files import failure
from audit.store.manifest import altered
from audit.store.summaries import read_summaries

CURE: Final = "give a folder that you may write with --output"
SHORT: Final = 16  # characters of an identity in names
FORGOTTEN: Final = 30 * 86_400  # seconds after which an unfinished run is given up
TAKEN: Final = frozenset((errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR))  # errors of a rename onto what is there


@final
@dataclass(frozen=True, slots=True)
class Workplace:
    """The place of the run of one identity in `parent` (`output/NAME`)."""

    parent: Path
    identity: str

    def _hidden(self, what: str) -> Path:
        return self.parent / f".{self.identity[:SHORT]}.{what}"

    @property
    def lock(self) -> Path:
        """The file that says who works here."""
        return self._hidden("lock")

    @property
    def parts(self) -> Path:
        """What is done of an unfinished run."""
        return self._hidden("parts")

    @property
    def draft(self) -> Path:
        """The run folder before it is one; as deep as that, so that relative paths in it hold."""
        return self._hidden("run")

    def finished(self) -> Path | None:
        """The last finished run of the same identity, if all its files are as they were written."""
        runs = read_summaries(self.parent, last=1).runs
        same = [self.parent / name for name, run in runs.items() if run.identity == self.identity]
        return next((folder for folder in reversed(same) if not altered(folder)), None)

    def begin(self) -> None:
        """Empty the draft, for what a killed run left of one is no use; and remove what runs left that nobody goes on with."""
        shutil.rmtree(self.draft, ignore_errors=True)
        try:
            self.parts.mkdir(exist_ok=True)
            self.draft.mkdir()
        except OSError as error:
            raise failure(error)(f"{self.parent}: the run folder cannot be made ({error.strerror}); {CURE}") from None
        for left in self.parent.glob(".*.parts"):
            if left != self.parts and _age(left) > FORGOTTEN:
                with suppress(OutputError), workplace(self.parent, left.name.split(".")[1]) as other:
                    other.clear()

    def publish(self, run_id: str) -> Path:
        """Make the draft a run folder, with a number behind its name if that exists; what was done of it is needed no longer."""
        _settle(self.draft)
        for suffix in ("", *(f"-{i}" for i in range(2, 1000))):
            folder = self.parent / f"{run_id}{suffix}"
            if not folder.exists() and self._becomes(folder):
                _settle_file(self.parent)
                self.clear()
                return folder
        raise OutputError(f"{self.parent}: a thousand runs start with {run_id}; give another folder with --output")

    def _becomes(self, folder: Path) -> bool:
        """Whether the draft is `folder` now; a run that came between is of the same second, and is not replaced: it is not empty."""
        try:
            self.draft.rename(folder)
        except OSError as error:
            if error.errno in TAKEN:
                return False
            raise OutputError(f"{folder}: the run folder cannot be made ({error.strerror}); {CURE}") from None
        return True

    def clear(self) -> None:
        """Remove everything of an unfinished run but the lock."""
        for place in (self.parts, self.draft):
            shutil.rmtree(place, ignore_errors=True)


@contextmanager
def workplace(parent: Path, identity: str) -> Iterator[Workplace]:
    """The place, for this process alone; raises `OutputError` that names the owner if another has it, or if nothing can be written."""
    from filelock import FileLock, Timeout

    try:
        parent.mkdir(parents=True, exist_ok=True)
        place = Workplace(parent, identity)
        lock = FileLock(place.lock, timeout=0, on_acquired=_sign)
        lock.acquire()
    except Timeout:
        raise AtWorkError(
            f"{parent}: another run of the same audit is at work here ({_owner(place.lock)}); wait until it ends, then run it again: "
            "it will be given back at once"
        ) from None
    except (OSError, ValueError) as error:
        what = error.strerror if isinstance(error, OSError) else error
        kind = failure(error) if isinstance(error, OSError) else OutputError
        raise kind(f"{parent}: the run folder cannot be made ({what}); {CURE}") from None
    try:
        yield place
    finally:
        with suppress(OSError):
            place.lock.unlink()  # while it is held: whoever opened it before finds that it has no name and asks again
        lock.release()


def _sign(descriptor: int) -> None:
    """Say in the lock file who holds it."""
    owner = {"host": socket.gethostname(), "process": os.getpid(), "since": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"}
    os.ftruncate(descriptor, 0)
    os.write(descriptor, json.dumps(owner).encode())


def _owner(lock: Path) -> str:
    try:
        owner = json.loads(lock.read_bytes())
        began = datetime.strptime(owner["since"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
        minutes = (datetime.now(UTC) - began).total_seconds() / 60
        return f"process {owner['process']} on {owner['host']}, since {began:%H:%M} UTC, {minutes:.0f} min ago"
    except (OSError, ValueError, KeyError, TypeError):
        return "which did not say who it is"


def _age(path: Path) -> float:
    """Seconds since it was last written to; 0 where another run has just removed it."""
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return 0.0


def _settle(folder: Path) -> None:
    """Have everything on the disk before the name says that it is there."""
    for path in folder.rglob("*"):
        _settle_file(path)
    _settle_file(folder)


def _settle_file(path: Path) -> None:
    with suppress(OSError):  # some file systems cannot
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

"""Stop a small audit at random moments until it ends, again and again: what it ends with must be what an undisturbed run gives.

`python -m tests.kills [STOPS]`: most are kill -9, some Ctrl-C or a disk that is full. In between, parts of the unfinished run are cut
now and then, as a power failure leaves them.
"""

import json
import multiprocessing
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from audit.errors import OutputError
from tests.conftest import classifier, project_in, save_model

TIMES = ("started", "finished", "seconds", "run_id")
SHARD_TOKENS = 512
SMALL: dict[str, Any] = {
    "n": 240,
    "checks": {"examples": 40, "validity": 20, "candidates": 0},
    "statistics": {"placebos": 199, "permutations": 199},
    "debug": {"clustered": 0, "explained": 0},
    "report": {"examples": 2},
}
STOPS = {"killed": 0.8, "interrupted": 0.1, "disk full": 0.1}


@dataclass
class Trial:
    """What happened until the audits ended; whole parts that were written again, of which there may be none."""

    stops: Counter[str] = field(default_factory=Counter)
    ended: int = 0
    cut: int = 0
    kept: int = 0
    written_again: int = 0
    different: int = 0


def audit_once(config: Path, output: Path, most_bytes: int | None) -> None:
    """In a process of its own, which makes many small shards; exit code 9 where the disk, of `most_bytes` a file, is full."""
    from audit.pipeline import run
    from audit.relevance import texts

    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell has what it starts in the background ignore it
    texts.SHARD_TOKENS = SHARD_TOKENS  # type: ignore[misc]
    sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115 - it ends with the process
    if most_bytes is not None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))
    try:
        run(config, output=output)
    except OutputError:
        sys.exit(9)


def result(output: Path) -> dict[str, Any]:
    """The record of the only run, without times."""
    (path,) = output.glob("*/2*/audit.json")
    document = json.loads(path.read_text())
    return {name: value for name, value in document.items() if name not in TIMES}


def process_of(*given: Any) -> Any:
    process = multiprocessing.get_context("fork").Process(target=audit_once, args=given)
    process.start()
    return process


def stopped(config: Path, output: Path, seconds: float, how: str, rng: Any) -> bool:
    """Whether the audit was stopped before it ended."""
    process = process_of(config, output, int(rng.integers(2_000, 200_000)) if how == "disk full" else None)
    process.join(None if how == "disk full" else rng.uniform(0, seconds))
    if how == "interrupted" and process.is_alive():
        os.kill(process.pid, signal.SIGINT)
        process.join(seconds)
    alive = process.is_alive()
    process.kill()
    process.join()
    assert alive or process.exitcode in (0, 1, 9), process.exitcode
    return bool(alive or process.exitcode)


def damaged(parts: dict[str, Path], rng: Any) -> dict[str, int]:
    """Cut some of the parts; they are told by their time from then on."""
    chosen = [name for name in sorted(parts) if rng.random() < 0.05 and parts[name].stat().st_size]
    for name in chosen:
        os.truncate(parts[name], int(rng.integers(parts[name].stat().st_size)))
    return {name: parts[name].stat().st_mtime_ns for name in chosen}


def disturbed(config: Path, output: Path, trial: Trial, *, seconds: float, wanted: dict[str, Any], rng: Any) -> None:
    """Stop one audit until it ends."""
    known, broken = dict[str, int](), dict[str, int]()
    while True:
        how = str(rng.choice(list(STOPS), p=list(STOPS.values())))
        if not stopped(config, output, seconds, how, rng):
            break
        trial.stops[how] += 1
        parts = {path.name: path for path in output.glob("*/.*.parts/*.npz")}
        now = {name: path.stat().st_mtime_ns for name, path in parts.items()}
        trial.written_again += sum(now.get(name, written) != written for name, written in known.items())
        trial.kept += len(known.keys() & now.keys())
        cut = damaged(parts, rng)
        trial.cut += len(cut)
        broken |= cut
        known = {name: time for name, time in now.items() if name not in cut and broken.get(name) != time}
    trial.ended += 1
    trial.different += result(output) != wanted


def main(stops: int) -> None:
    """Print what so many stops left."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "model").mkdir()
        config = project_in(folder, save_model(folder / "model", classifier()))(**SMALL)
        began = time.monotonic()
        process_of(config, folder / "undisturbed", None).join()
        seconds, trial, rng = time.monotonic() - began, Trial(), np.random.default_rng(0)
        wanted = result(folder / "undisturbed")
        while trial.stops.total() < stops:
            disturbed(config, folder / "disturbed", trial, seconds=seconds, wanted=wanted, rng=rng)
            shutil.rmtree(folder / "disturbed")
    print(json.dumps({**vars(trial), "seconds undisturbed": round(seconds, 1)}))


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 200)

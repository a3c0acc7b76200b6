"""Time and peak memory of an audit's statistics on 1,000,000 rows x 20 groups: `python -m tests.simulations.scale` prints JSON."""

import json
import resource
import signal
import subprocess
import sys
from typing import Any, Final

import numpy as np

from audit.config import Config, Data, Groups, Model, Target
from audit.questions import QUESTIONS
from audit.stats.cases import Evidence
from audit.stats.families import answer
from audit.tables import ExampleTable, FloatArray, GroupTable, WordTable

ROWS: Final = 1_000_000
GROUPS: Final = 20
COMPOSITES: Final = ("first", "second")
CAP: Final = 240  # seconds after which it is stopped


def evidence(rows: int = ROWS) -> Evidence:
    """One feature under two composites, in 95 % of the rows, and one attribute of 20 groups; no question on single words."""
    rng = np.random.default_rng(0)
    label = rng.integers(0, 2, rows)
    predicted = np.where(rng.random(rows) < 0.85, label, 1 - label)
    scores = rng.normal(size=(rows, 2)) + 2 * np.eye(2)[predicted]
    group = np.array([f"g{i:02d}" for i in range(GROUPS)])[rng.integers(0, GROUPS, rows)]
    examples = ExampleTable(
        np.arange(rows).astype(str), label, predicted, scores[:, 0] - scores[:, 1], scores, np.arange(rows),
        {"group": group},
    )  # fmt: skip
    share = np.where(rng.random((rows, 1)) < 0.05, np.nan, rng.beta(1, 8, (rows, 1)))
    none, zeros = np.zeros(0, dtype=int), {name: np.zeros(0) for name in COMPOSITES}
    words = WordTable(
        none, none, none, zeros, zeros, {name: np.zeros(rows) for name in COMPOSITES}, ("word",), np.zeros((1, 3)),
        {("words", "some"): np.array([0])},
    )  # fmt: skip
    return Evidence(
        config=Config(
            name="scale", data=Data(path="none"), model=Model(path="none"), target=Target(favour="a", against="b"),
            groups=(Groups(attribute="words", lexicon="gender"),),
        ),
        examples=examples, words=words,
        groups={name: _table(share * rng.uniform(0.9, 1, share.shape), rng) for name in COMPOSITES},
        mentions={}, swaps={}, composites=COMPOSITES, favourable=0, classes=("a", "b"),
    )  # fmt: skip


def _table(share: FloatArray, rng: np.random.Generator) -> GroupTable:
    return GroupTable(("words.some",), share, share * rng.uniform(-1, 1, share.shape), share, np.isfinite(share))


def measured() -> dict[str, Any]:
    """Seconds by question, findings, peak MiB and whether all ended within `CAP`, in a process of its own."""
    command = [sys.executable, "-m", "tests.simulations.scale"]
    done: dict[str, Any] = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return done


def _stop(signum: int, frame: object) -> None:
    raise TimeoutError


def main(rows: int = ROWS) -> None:
    """Answer every question, for at most `CAP` seconds; making the rows counts in the memory and not in the time."""
    asked, seconds, ended, found = evidence(rows), dict[str, float](), True, ()
    signal.signal(signal.SIGALRM, _stop)
    signal.alarm(CAP)
    try:
        found = answer(asked, seconds=seconds)
    except TimeoutError:
        ended = False
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    named = {name: seconds.get(f"statistics.{name}", 0.0) for name in QUESTIONS}
    counts = {name: sum(each.question == name for each in found) for name in QUESTIONS}
    sys.stdout.write(json.dumps({"seconds": named, "findings": counts, "mib": peak, "ended": ended}))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))

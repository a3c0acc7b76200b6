"""Time and peak memory of one family on 1,000,000 rows x 20 groups: `python -m tests.simulations.scale NAME SECONDS` prints JSON."""

import json
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Final

import numpy as np

from audit.stats.matching import confidence_bins
from audit.stats.performance import outcome_gaps
from audit.stats.tests import brunner_munzel, stratified_permutation

ROWS: Final = 1_000_000
GROUPS: Final = 20
RESAMPLES: Final = 9999
CAP: Final = 100  # seconds after which a family is stopped


def _rows() -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(0)
    label, margin = rng.integers(0, 2, ROWS), rng.normal(1, 2, ROWS)
    predicted = np.where(rng.random(ROWS) < 0.85, label, 1 - label)
    group = np.array([f"g{i:02d}" for i in range(GROUPS)])[rng.integers(0, GROUPS, ROWS)]
    return label, predicted, margin, group, rng.beta(0.6, 4, ROWS) * (rng.random(ROWS) < 0.5)


def _gaps() -> None:
    label, predicted, _, group, _ = _rows()
    pairs = [(name, "rest") for name in np.unique(group).tolist()]
    outcome_gaps(label, predicted, group, pairs, favourable=1, cluster=np.arange(ROWS))


def _disparity() -> None:
    """Strata anew for every group, as a family does, then both tests of each group against the rest."""
    label, predicted, margin, group, values = _rows()
    cluster, rng = np.arange(ROWS), np.random.default_rng(1)
    for name in np.unique(group):
        layer = confidence_bins(label, predicted, margin)
        brunner_munzel(values, group == name, cluster=cluster, strata=layer)
        stratified_permutation(
            values, group == name, strata=layer, cluster=cluster, rng=rng, resamples=RESAMPLES
        )  # fmt: skip


FAMILIES: Final[dict[str, Callable[[], None]]] = {
    "outcome gaps: 80, each with its intervals": _gaps,
    "disparity of one feature, 20 groups against the rest": _disparity,
}


def measured(name: str) -> tuple[float, float, bool]:
    """Seconds, peak MiB and whether it ended within `CAP`, in a process of its own, the making of the rows included."""
    command = [sys.executable, "-m", "tests.simulations.scale", name, str(CAP)]
    done = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return done["seconds"], done["mib"], done["ended"]


def _stop(signum: int, frame: object) -> None:
    raise TimeoutError


def main(name: str, cap: int) -> None:
    """Run one family, for at most `cap` seconds."""
    signal.signal(signal.SIGALRM, _stop)
    signal.alarm(cap)
    started, ended = time.perf_counter(), True
    try:
        FAMILIES[name]()
    except TimeoutError:
        ended = False
    seconds, peak = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    sys.stdout.write(json.dumps({"seconds": seconds, "mib": peak, "ended": ended}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))

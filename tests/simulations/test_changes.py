"""The small profile of changes between runs: the paired intervals hold their level, and MOVER is cautious where runs go together."""

import pytest

from tests.simulations.changes import APART, INTERVALS, PAIRED, RUNS, alarms
from tests.simulations.rates import LEVEL, Rate, confirmed

REPLICATES = 150


def held(name: str, method: str) -> Rate:
    def run(n: int, again: str) -> Rate:
        return alarms(name, method, n, again=again)

    return confirmed(run, lambda rate: rate.reaches_down_to(LEVEL), REPLICATES)[-1]


@pytest.mark.parametrize("name", RUNS)
def test_pairs_hold_their_level(name: str) -> None:
    rate = held(name, PAIRED)
    assert rate.offered and rate.reaches_down_to(LEVEL), str(rate)


@pytest.mark.parametrize("name", RUNS)
def test_intervals_of_runs_that_go_together_alarm_more_rarely_than_pairs(name: str) -> None:
    rate = alarms(name, INTERVALS, REPLICATES)
    assert rate.bounds[1] < LEVEL, f"wide, as promised: {rate}"


@pytest.mark.parametrize("name", APART)
def test_intervals_of_runs_that_have_nothing_in_common_hold_their_level(name: str) -> None:
    rate = held(name, INTERVALS)
    assert rate.reaches_down_to(LEVEL) and rate.value > 0.005, str(rate)

"""Before a run: whether resampled tests make enough draws for a finding to survive the correction of its family.

Of k draws the smallest p is 1 / (k + 1); a family of m tests asks of its smallest p to be at most alpha / m (Holm; Benjamini-Hochberg
where it is the only finding). Cost: nothing.
"""

from collections.abc import Mapping
from math import ceil

from audit.config import Config
from audit.questions import QUESTIONS


def needed_draws(m: int, alpha: float) -> int:
    """Fewest draws whose smallest p is at most alpha / m.

    >>> needed_draws(20, 0.05), needed_draws(21, 0.05)
    (399, 419)
    """
    return ceil(round(m / alpha, 6)) - 1


def short_of_draws(tests: Mapping[str, int], config: Config) -> dict[str, str]:
    """By key of `statistics`: how many draws are needed and why, where the config declares too few for `tests` of each question."""
    worst = dict[str, tuple[int, int, str]]()
    for question, m in tests.items():
        put, needed = QUESTIONS[question].put.get(config.task), needed_draws(m, config.alpha_of(question))
        if put and put.draws:
            worst[put.draws] = max(worst.get(put.draws, (0, 0, "")), (needed, m, question))
    return {
        key: f"{given:,} draws give no p below {1 / (given + 1):.2g}, and {m} tests of the family {QUESTIONS[question].family!r} share "
        f"alpha {config.alpha_of(question):.2g}: no finding on its own could be significant. Set it to {needed:,} or more, or ask "
        "less: fewer terms, regions, groups, gates or looks"
        for key, (needed, m, question) in worst.items()
        for given in [int(getattr(config.statistics, key))]
        if given < needed
    }  # fmt: skip

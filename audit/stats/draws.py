"""Before a run: whether resampled tests make enough draws for a finding to survive the correction of its family.

Of k draws the smallest p is 1 / (k + 1), and a correction multiplies the smallest p of m tests, where it is the only finding, by m (Holm,
Benjamini-Hochberg) or m times a harmonic sum (Benjamini-Yekutieli). Cost: nothing.
"""

from collections.abc import Mapping
from math import ceil

from audit.config import Config
from audit.questions import QUESTIONS
from audit.stats.multiplicity import CORRECTIONS, Correction


def needed_draws(m: int, alpha: float, correction: Correction = CORRECTIONS["holm"]) -> int:
    """Fewest draws whose smallest p is at most alpha when corrected.

    >>> needed_draws(20, 0.05), needed_draws(21, 0.05), needed_draws(20, 0.05, CORRECTIONS["by"])
    (399, 419, 1439)
    """
    return ceil(round(correction.factor(m) / alpha, 6)) - 1


def correction_of(question: str, config: Config) -> Correction:
    """Of the question's family."""
    return CORRECTIONS["holm" if question in config.gates else config.statistics.discovery]


def short_of_draws(tests: Mapping[str, int], config: Config) -> dict[str, str]:
    """By key of `statistics`: how many draws are needed and why, where the config declares too few for `tests` of each question."""
    worst = dict[str, tuple[int, int, str]]()
    for question, m in tests.items():
        put, needed = (
            QUESTIONS[question].put.get(config.task),
            needed_draws(m, config.alpha_of(question), correction_of(question, config)),
        )
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

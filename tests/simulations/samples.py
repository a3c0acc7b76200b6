"""Simulated rows of the nulls and alternatives: every generator maps `rng` to a `Sample`."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, final

import numpy as np
from scipy.special import expit

WORDS: Final = 6
PUSHED: Final = 0.4
Amount = Callable[[np.random.Generator, int], np.ndarray]


@final
@dataclass(frozen=True, slots=True)
class Sample:
    """Rows `[n]` as the tests take them; `label` is the stratum, `margin` the model's confidence with its sign."""

    values: np.ndarray
    group: np.ndarray
    cluster: np.ndarray
    label: np.ndarray
    predicted: np.ndarray
    margin: np.ndarray


Draw = Callable[[np.random.Generator], Sample]


def normal(centre: float = 0.0, sd: float = 1.0) -> Amount:
    """A share whose logit is normal; at `centre` 0 its mean is .5 whatever `sd` is."""
    return lambda rng, n: expit(centre + sd * rng.normal(size=n))


def tailed(centre: float = 0.0) -> Amount:
    """A share whose logit has the tails of Student's t with 3 degrees of freedom."""
    return lambda rng, n: expit(centre + rng.standard_t(3, n))


def zeros(share: float = 0.5, a: float = 0.6, b: float = 4.0) -> Amount:
    """Beta(a, b) shares, 0 with probability `share`."""
    return lambda rng, n: rng.beta(a, b, n) * (rng.random(n) >= share)


def levels(*p: float) -> Amount:
    """Ordered categories above 0, of which only the order means something."""
    return lambda rng, n: rng.choice(np.linspace(0.2, 1, len(p)) ** 2, n, p=p)


def rate(p: float) -> Amount:
    """1 with probability `p`, else 0."""
    return lambda rng, n: (rng.random(n) < p).astype(float)


def independent(first: int, rest: int, inside: Amount, outside: Amount | None = None) -> Draw:
    """`first` rows of the group, `rest` others, three classes that do not matter."""

    def draw(rng: np.random.Generator) -> Sample:
        n = first + rest
        values = np.concatenate([inside(rng, first), (outside or inside)(rng, rest)])
        return _sample(rng, values, np.arange(n) < first, label=rng.integers(0, 3, n))

    return draw


def by_class(n: int, shift: float = 0.0, present: float = 0.35) -> Draw:
    """How often (`present`, and .3 more in one class) and how far a share exceeds 0 depends on the class, and so does the group.

    `shift` is the group's own.
    """

    def draw(rng: np.random.Generator) -> Sample:
        label = rng.integers(0, 2, n)
        group = rng.random(n) < 0.25 + 0.5 * label
        values = expit(-1.5 + label + shift * group + 0.8 * rng.normal(size=n)) * (
            rng.random(n) < present + 0.3 * label
        )
        return _sample(rng, values, group, label=label)

    return draw


def by_confidence(n: int, gap: float, *, zeros: bool = False) -> Draw:
    """The share follows |margin|, in which the groups are `gap` apart (sd 1.4); at equal |margin| they are alike.

    With `zeros`, how often it exceeds 0 follows |margin| too.
    """

    def draw(rng: np.random.Generator) -> Sample:
        group, label = rng.random(n) < 0.5, rng.integers(0, 2, n)
        size = np.abs(rng.normal(1.5 + gap * group, 1.4))
        right = rng.random(n) < expit(1 + size)
        predicted = np.where(right, label, 1 - label)
        mean = expit(-2 + 0.4 * size)
        values = rng.beta(8 * mean, 8 * (1 - mean)) * (rng.random(n) < expit(0.4 * size - 0.8) if zeros else 1)
        return Sample(values, group, np.arange(n), label, predicted, size * (2 * predicted - 1))

    return draw


def by_other(n: int) -> Draw:
    """The share follows another attribute, with which the group agrees in 3 rows of 4, and not the group; no stratum tells them apart."""

    def draw(rng: np.random.Generator) -> Sample:
        other = rng.integers(0, 2, n)
        group = np.where(rng.random(n) < 0.75, other, 1 - other).astype(bool)
        return _sample(rng, zeros(0.5)(rng, n) * 0.5 + 0.3 * other * rng.random(n), group, label=rng.integers(0, 2, n))

    return draw


def clustered(
    inside: int, outside: int, rows: int, *, mixed: bool = False, threshold: float = -np.inf, shift: float = 0.0
) -> Draw:
    """Clusters of `rows` alike within (correlation .5); the share is 0 where its logit lies below `threshold`.

    A cluster is of one class and, unless `mixed`, of one group; `shift` is the group's own.
    """

    def draw(rng: np.random.Generator) -> Sample:
        units = inside + outside
        code = np.repeat(np.arange(units), rows)
        logit = rng.normal(size=units)[code] + rng.normal(size=len(code))
        group = rng.random(len(code)) < inside / units if mixed else code < inside
        values = expit(logit + shift * group) * (logit >= threshold)
        return _sample(rng, values, group, cluster=code, label=rng.integers(0, 2, units)[code])

    return draw


def worded(texts: int) -> Draw:
    """Rows are words of texts: `label` is the type, `cluster` the text, `predicted` its film (3 texts), `values` its relevance.

    Types below `WORDS` are one group, in texts of their own number of words; those below twice as many another. Words of the first
    push by `PUSHED` on average, of the second by nothing, all of a film by the same more or less.
    """

    def draw(rng: np.random.Generator) -> Sample:
        size = rng.integers(6, 18, texts)
        text = np.repeat(np.arange(texts), size)
        kind, film = rng.integers(0, 40, len(text)), text // 3
        ours = kind < WORDS
        pushed = PUSHED + 0.2 * rng.normal(size=texts // 3 + 1)[film]
        values = pushed * ours + (rng.exponential(1, len(text)) - 1) * rng.choice([-1, 1], len(text))
        return Sample(values, ours, text, kind, film, np.abs(values))

    return draw


def paired(n: int, differences: Amount, rows: int = 1, below: Amount | None = None) -> Draw:
    """One group: `n` clusters, each with its value of `differences`, to which rows above 1 add their own noise.

    `below` is what a ratio divides by; it takes the place of the margin.
    """

    def draw(rng: np.random.Generator) -> Sample:
        code = np.repeat(np.arange(n), rows)
        values = differences(rng, n)[code] + (rng.normal(size=n * rows) if rows > 1 else 0.0)
        found = _sample(rng, values, np.ones(n * rows, dtype=bool), cluster=code)
        return found if below is None else replace(found, margin=below(rng, n * rows))

    return draw


def _sample(
    rng: np.random.Generator, values: np.ndarray, group: np.ndarray, *, cluster: np.ndarray | None = None,
    label: np.ndarray | None = None,
) -> Sample:  # fmt: skip
    n = len(values)
    codes = np.zeros(n, dtype=int) if label is None else label
    return Sample(values, group, np.arange(n) if cluster is None else cluster, codes, codes, rng.normal(size=n))

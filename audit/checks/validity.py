"""Validity of the explanation itself, measured on a sample: does hiding what is relevant change what the model says?

The order in which features are hidden is that of the relevance under test, of the mean map of other examples on the same side of
the logit, which alone beats a random order (0 by symmetry), and of a re-initialised copy of the model, whose map shows what the
input alone gives. Cost: 12 forward passes an example and fill, and a map an example for a copy, the noise and each composite.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from audit.checks.flipping import Flipped, Maps, areas, orders
from audit.config import Config
from audit.tables import COPY, MEAN_MAP, OWN, FloatArray, IntArray, ValidityTable

VALIDITY_SEED: Final = 5
NOISE_SEED: Final = 6
STEPS: Final = 3  # the curves are read at a third and two thirds of the features
COPIES: Final = 3  # each explains a third of the sample
BINS: Final = 10  # of a mean map over features that are not the same in every example


class Specimens(Protocol):
    """A sample of examples cut into features that can be hidden: words of a text, cells of a photograph."""

    @property
    def rows(self) -> IntArray:
        """Which examples `[m]`."""
        ...

    @property
    def fills(self) -> tuple[str, ...]:
        """What can take the place of a hidden feature, by name."""
        ...

    @property
    def composites(self) -> tuple[str, ...]:
        """The first gives effect sizes."""
        ...

    @property
    def alike(self) -> float:
        """Mean share of the features of an example that most others have too."""
        ...

    def maps(self, composites: Sequence[str]) -> list[Maps]:
        """Relevance for the contrast logit by feature, under each composite."""
        ...

    def contrast(self, hidden: Flipped, fill: str) -> FloatArray:
        """Contrast logit `[m]` with the marked features of each example hidden; forward passes only."""
        ...

    def part(self, places: IntArray) -> "Specimens":
        """Those at some places `[k]` of the sample."""
        ...

    def reinitialised(self, seed: int) -> "Specimens":
        """The same inputs to a copy of the model with random weights."""
        ...

    def noisy(self, rng: np.random.Generator) -> "Specimens":
        """The same inputs under noise that is too small to see."""
        ...


def sampled(n: int, config: Config) -> IntArray:
    """The declared number of examples of `n`, drawn by a generator of its own, in order."""
    rng = np.random.default_rng([config.seed, VALIDITY_SEED])
    return np.sort(rng.permutation(n)[: config.checks.validity])


def forward_passes(sample: int, fills: int) -> int:
    """How many the measuring takes, one an example."""
    return sample * fills * 3 * 2 * (STEPS - 1)


def measure(
    specimens: Specimens, margin: FloatArray, *, seed: int, advance: Callable[[int], None] = lambda n: None
) -> ValidityTable:
    """What the sample shows; `margin` `[m]` are its contrast logits."""
    side, (first, *others) = np.where(margin < 0, -1.0, 1.0), specimens.composites
    own, *theirs = [_towards(maps, side) for maps in specimens.maps(specimens.composites)]
    copies = _towards(_of_copies(specimens, first, seed), side)
    (noisy,) = specimens.noisy(np.random.default_rng([seed, NOISE_SEED])).maps([first])

    def score(hidden: Flipped, fill: str) -> FloatArray:
        advance(len(side))
        return side * specimens.contrast(hidden, fill)

    usable = np.array([len(values) > 1 and bool(values.any()) for values in own], dtype=np.bool_)
    return ValidityTable(
        rows=specimens.rows,
        area={
            order: {
                fill: np.where(
                    usable & known, areas(partial(score, fill=fill), orders(maps, seed=seed), STEPS), np.nan
                )
                for fill in specimens.fills
            }
            for order, maps, known in (
                (OWN, own, True), (MEAN_MAP, mean_maps(own, side), _accompanied(side)), (COPY, copies, True),
            )
        },
        noise=_correlations(own, _towards(noisy, side)),
        copy=_correlations(own, copies),
        composites={name: _correlations(own, maps) for name, maps in zip(others, theirs, strict=True)},
        alike=specimens.alike,
    )  # fmt: skip


def _of_copies(specimens: Specimens, composite: str, seed: int) -> list[FloatArray]:
    """Maps of re-initialised models, of which each explains its part of the sample."""
    found: list[FloatArray] = [np.zeros(0)] * len(specimens.rows)
    for k in range(min(COPIES, len(found))):
        part = np.arange(k, len(found), COPIES)
        (maps,) = specimens.part(part).reinitialised(seed + 1 + k).maps([composite])
        for i, values in zip(part.tolist(), maps, strict=True):
            found[i] = values
    return found


def _accompanied(side: FloatArray) -> NDArray[np.bool_]:
    """Whether another example lies on the same side of the logit."""
    return np.array([(side == each).sum() > 1 for each in side], dtype=np.bool_)


def _towards(maps: Maps, side: FloatArray) -> list[FloatArray]:
    """Relevance for the side on which the logit lies, over sum |R|."""
    return [s * values / max(float(np.abs(values).sum()), 1e-30) for values, s in zip(maps, side, strict=True)]


def mean_maps(maps: Maps, side: FloatArray) -> list[FloatArray]:
    """For each example the mean map of the others on its side of the logit (0 of none), by place where numbers of features differ."""
    lengths = {len(values) for values in maps}
    bins = lengths.pop() if len(lengths) == 1 else BINS
    places = [np.arange(len(values)) * bins // max(len(values), 1) for values in maps]
    sums = np.stack([np.bincount(at, values, bins) for at, values in zip(places, maps, strict=True)])
    counts = np.stack([np.bincount(at, minlength=bins) for at in places]).astype(float)
    found = []
    for i, at in enumerate(places):
        others = (side == side[i]) & (np.arange(len(maps)) != i)
        total, n = sums[others].sum(0), counts[others].sum(0)
        found.append(np.divide(total, n, out=np.zeros(bins), where=n > 0)[at])
    return found


def _correlations(one: Maps, other: Maps) -> FloatArray:
    """Spearman's of each example's features; NaN where a map is constant or has fewer than three."""
    return np.array([_spearman(a, b) for a, b in zip(one, other, strict=True)])


def _spearman(one: FloatArray, other: FloatArray) -> float:
    if len(one) < 3 or np.ptp(one) == 0 or np.ptp(other) == 0:
        return float("nan")
    return float(stats.spearmanr(one, other).statistic)

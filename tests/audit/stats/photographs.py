"""Simulated photographs for the statistics of regions: relevance and masks both sit in the middle, as they do in real ones."""

from collections.abc import Iterable

import numpy as np
from scipy.ndimage import gaussian_filter

from audit.config import IMAGE_GATES, Config, Data, Model, Region, Statistics, Target
from audit.stats.cases import Evidence
from audit.stats.mask_swap import swap_blocks
from audit.tables import ExampleTable, GroupTable, RegionTable

SIDE = 24
Y, X = np.mgrid[:SIDE, :SIDE]
MIDDLE = np.exp(-((Y - 11.5) ** 2 + (X - 11.5) ** 2) / (2 * 5.0**2))


def masks(rng: np.random.Generator, n: int, jitter: float, size: np.ndarray | int = 7) -> np.ndarray:
    """`[n, 576]` squares that move about the middle by `jitter` pixels (sd)."""
    moved = np.clip(np.rint(rng.normal(0, jitter, (n, 2))), -7, 7)
    half = np.broadcast_to(size, n)[:, None, None] / 2
    inside = (np.abs(Y - 11.5 - moved[:, 0, None, None]) < half) & (np.abs(X - 11.5 - moved[:, 1, None, None]) < half)
    return inside.reshape(n, -1)


def maps(rng: np.random.Generator, n: int, sign: np.ndarray | float = 0.5) -> np.ndarray:
    """`[n, 576]` smooth signed relevance in the middle, sum |R| = 1; `sign` is its mean direction."""
    noise = gaussian_filter(rng.normal(size=(n, SIDE, SIDE)), (0, 1.5, 1.5))
    return scaled((MIDDLE * (noise / noise.std() + np.broadcast_to(sign, n)[:, None, None])).reshape(n, -1))


def scaled(relevance: np.ndarray) -> np.ndarray:
    return relevance / np.abs(relevance).sum(axis=1, keepdims=True)


def following(relevance: np.ndarray, inside: np.ndarray, weight: float) -> np.ndarray:
    """`weight` of each map's relevance lies evenly inside its mask."""
    return scaled((1 - weight) * relevance + weight * inside / inside.sum(axis=1, keepdims=True))


def swapped(relevance: np.ndarray, inside: np.ndarray, block: np.ndarray, place: np.ndarray) -> np.ndarray:
    net = np.full((len(block), 32), np.nan, dtype=np.float32)
    for code in np.unique(block[block >= 0]):
        rows = np.flatnonzero(block == code)
        rows = rows[np.argsort(place[rows])]
        net[rows[:, None], np.arange(len(rows))] = relevance[rows] @ inside[rows].T
    return net


def overlap(inside: np.ndarray, block: np.ndarray) -> float:
    """Mean intersection over union of masks of one block, each with the others."""
    return overlaps(inside, block)[0]


def overlaps(inside: np.ndarray, block: np.ndarray) -> tuple[float, float]:
    """The same, and the mean part of one mask that another of its block leaves uncovered."""
    found, left = [], []
    for code in np.unique(block[block >= 0]):
        one = inside[block == code].astype(float)
        both = one @ one.T
        ratio = both / (one.sum(axis=1)[:, None] + one.sum(axis=1) - both)
        found += ((ratio.sum(axis=1) - 1) / (len(one) - 1)).tolist()
        part = both / one.sum(axis=1)[:, None]
        left += (1 - (part.sum(axis=1) - 1) / (len(one) - 1)).tolist()
    return float(np.mean(found)), float(np.mean(left))


def own_minus_others(net: np.ndarray, block: np.ndarray, place: np.ndarray) -> np.ndarray:
    size = np.bincount(block + 1)[block + 1]
    own = net[np.arange(len(net)), place]
    return np.where(block >= 0, own - (np.nansum(net, axis=1) - own) / (size - 1), np.nan).astype(float)


def region_table(
    rng: np.random.Generator, label: np.ndarray, relevance: np.ndarray, parts: dict[str, np.ndarray],
    twins: Iterable[np.ndarray] = (), twin_confidence: np.ndarray | None = None,
) -> RegionTable:  # fmt: skip
    """Regions `parts` of maps `relevance` `[n, 576]` and of each twin's maps; the second composite is noisier."""
    n, names = len(label), (*parts, "outside")
    inside = [*parts.values(), ~np.any(list(parts.values()), axis=0)]
    placed = [swap_blocks(label, one.sum(axis=1), one.any(axis=1), rng) for one in inside]
    noisy = scaled(relevance + rng.normal(0, np.abs(relevance).mean(), relevance.shape))

    def over(values: np.ndarray) -> np.ndarray:
        summed = np.stack([(values * one).sum(axis=1) for one in inside], axis=1)
        return np.where(np.stack([one.any(axis=1) for one in inside], axis=1), summed, np.nan)

    def swaps(values: np.ndarray) -> np.ndarray:
        return np.stack([swapped(values, one, *where) for one, where in zip(inside, placed, strict=True)], axis=1)

    def differences(values: np.ndarray) -> np.ndarray:
        nets = swaps(values)
        return np.stack([own_minus_others(nets[:, r], *placed[r]) for r in range(len(names))], axis=1)

    known = list(twins)
    margin = np.abs(rng.normal(size=(len(known), n))) if twin_confidence is None else twin_confidence
    return RegionTable(
        names=names,
        net={"first": over(relevance), "second": over(noisy)},
        share={"first": over(np.abs(relevance)), "second": over(np.abs(noisy))},
        block=np.stack([where[0] for where in placed], axis=1),
        place=np.stack([where[1] for where in placed], axis=1),
        swapped={"first": swaps(relevance), "second": swaps(noisy)},
        overlap=np.array([overlap(one, where[0]) for one, where in zip(inside, placed, strict=True)]),
        uncovered=np.array([overlaps(one, where[0])[1] for one, where in zip(inside, placed, strict=True)]),
        aligned=np.zeros(len(names), dtype=bool),
        jitter=0,
        twin_rows=np.arange(n),
        twin_share=np.array([over(np.abs(values)) for values in known]).reshape(len(known), n, len(names)),
        twin_swap=np.array([differences(values) for values in known]).reshape(len(known), n, len(names)),
        twin_confidence=margin,
        twin_predicted=np.zeros((len(known), n), dtype=int),
    )


def evidence(
    regions: RegionTable, label: np.ndarray, predicted: np.ndarray, margin: np.ndarray,
    cluster: np.ndarray | None = None, permutations: int = 199, **attributes: np.ndarray,
) -> Evidence:  # fmt: skip
    n = len(label)
    config = Config(
        name="x",
        task="image",
        data=Data(path="x"),
        model=Model(path="x"),
        target=Target(favour="a"),
        regions=tuple(Region(name=name, mask=name) for name in regions.names[:-1]),
        statistics=Statistics(permutations=permutations),
        gates=IMAGE_GATES,
    )
    examples = ExampleTable(
        id=np.array([str(i) for i in range(n)]),
        label=label,
        predicted=predicted,
        margin=margin,
        scores=np.stack([np.zeros(n), margin], axis=1),
        cluster=np.arange(n) if cluster is None else cluster,
        attributes=attributes,
    )
    groups = {
        name: GroupTable(regions.names, share, regions.net[name], np.zeros_like(share), np.isfinite(share))
        for name, share in regions.share.items()
    }
    return Evidence(
        config=config,
        examples=examples,
        words=None,
        groups=groups,
        mentions={},
        swaps={},
        composites=("first", "second"),
        favourable=1,
        classes=("a", "b"),
        regions=regions,
    )

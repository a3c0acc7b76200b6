"""False alarms of the word-group tests on a real model: pretend-protected groups of words that nobody declared.

A pretend group is random words, or an anchor word and its nearest neighbours in the model's own embedding (coherent, as real
groups are). The floor is the nominal rate, .05.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from audit.stats.nulls import Design, contrast_test, reliance_test
from audit.stats.placebos import build_pool
from audit.tables import IntArray, WordTable

SIZES = (4, 6, 8, 12, 18, 26)


def pretend_groups(
    table: WordTable, n: int, rng: np.random.Generator, *, min_examples: int = 10
) -> list[tuple[str, IntArray]]:
    """`n` pairs' worth of groups (2 n), half random and half coherent, of 4 to 26 word types that occur in `min_examples` examples."""
    pool = build_pool(table)
    words = pool.eligible[pool.frequency[pool.eligible] >= min_examples]
    near = np.argsort(-(pool.unit[words] @ pool.unit[words].T), axis=1)
    groups = []
    for i in range(2 * n):
        size = int(rng.choice(SIZES))
        if i < n:
            groups.append(("random", rng.choice(words, size, replace=False)))
        else:
            close = words[near[rng.integers(len(words)), : 2 * size]]
            groups.append(("coherent", rng.choice(close, size, replace=False)))
    return groups


def false_alarms(
    table: WordTable,
    cluster: IntArray,
    scale: float,
    *,
    n: int,
    placebos: int = 199,
    seed: int = 0,
    composites: Sequence[str] = ("cp_lrp", "attn_lrp"),
) -> dict[str, list[float]]:
    """p values by test, kind and composite ('all' is the largest over composites, which is what a finding uses)."""
    rng, design = np.random.default_rng(seed), Design(cluster, k=placebos, min_terms=4, min_examples=10)
    found: dict[str, list[float]] = {}
    groups = pretend_groups(table, n, rng)
    for kind in ("random", "coherent"):
        mine = [types for name, types in groups if name == kind]
        for a, b in zip(mine, mine[1:] + mine[:1], strict=True):
            b = np.setdiff1d(b, a)
            if len(b) < 4:
                continue
            declared = {**table.groups, ("pretend", "a"): a, ("pretend", "b"): b}
            pool = build_pool(replace(table, groups=declared))
            results = {
                "reliance": reliance_test(pool, a, composites, design=design, rng=rng),
                "contrast": contrast_test(pool, a, b, composites, design=design, scale=scale, rng=rng),
            }
            for test, outcome in results.items():
                values = {name: each.p for name, each in outcome.items() if each.p is not None}
                if len(values) < len(outcome):
                    continue
                for name, p in {**values, "all": max(values.values())}.items():
                    found.setdefault(f"{test} {kind} {name}", []).append(p)
    return found

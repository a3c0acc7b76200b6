"""Turns the relevance stage's tables into what is filed: distributions of shares, term counts."""

from collections import Counter
from collections.abc import Mapping, Sequence
from math import ceil
from typing import Final

import numpy as np

from audit.match_table import MatchTable
from audit.records import Distribution, Estimate, TermCount
from audit.tables import FloatArray, GroupTable, Match

MOST_BINS: Final = 50
WIDTHS: Final = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02)  # of bins


def distributions(groups: GroupTable, composite: str, mean: Mapping[str, Estimate]) -> tuple[Distribution, ...]:
    """How the shares of every group that occurs are distributed, over the examples that hold it, all in the same bins."""
    held = {name: share[np.isfinite(share)] for name, share in zip(groups.names, groups.share.T, strict=True)}
    known = {name: values for name, values in held.items() if len(values)}
    edges = _edges(max((float(values.max()) for values in known.values()), default=1.0))
    return tuple(_distribution(name, values, edges, composite, mean[name]) for name, values in known.items())


def _edges(largest: float) -> FloatArray:
    """From 0 to the largest share, in at most `MOST_BINS` bins whose width is 1, 2 or 5 of a decimal."""
    width = next((w for w in WIDTHS if largest <= MOST_BINS * w), WIDTHS[-1])
    return np.asarray((np.arange(max(1, ceil(round(largest / width, 9))) + 1) * width).round(9))


def _distribution(name: str, share: FloatArray, edges: FloatArray, composite: str, mean: Estimate) -> Distribution:
    above = np.minimum(share[share > 0], edges[-1])  # rounding may lift a share above 1
    counts, _ = np.histogram(above, bins=edges)
    return Distribution(
        group=name,
        composite=composite,
        edges=tuple(edges.tolist()),
        counts=tuple(counts.tolist()),
        zeros=len(share) - len(above),
        n=len(share),
        mean=mean,
    )


def count_terms(
    declared: Mapping[tuple[str, str], Sequence[str]],
    texts: Sequence[str],
    matches: Sequence[Sequence[Match]],
    *,
    min_examples: int,
) -> tuple[TermCount, ...]:
    """How often each declared term was found, with the forms it took; terms never seen are left out (the lexicon lists them)."""
    occurrences: Counter[tuple[str, str, str]] = Counter()
    examples: Counter[tuple[str, str, str]] = Counter()
    forms: dict[tuple[str, str, str], Counter[str]] = {}
    for text, found in zip(texts, matches, strict=True):
        keys = [(m.attribute, m.group, m.term) for m in found]
        occurrences.update(keys)
        examples.update(set(keys))
        for key, m in zip(keys, found, strict=True):
            forms.setdefault(key, Counter())[text[m.start : m.end].lower()] += 1
    ordered = [(a, g, t) for (a, g), terms in declared.items() for t in dict.fromkeys(terms) if occurrences[(a, g, t)]]
    return tuple(
        TermCount(
            attribute=key[0],
            group=key[1],
            term=key[2],
            occurrences=occurrences[key],
            examples=examples[key],
            tested=examples[key] >= min_examples,
            forms=dict(forms[key].most_common(5)),
        )
        for key in ordered
    )


def mentions(matches: MatchTable, attribute: str) -> "np.ndarray[tuple[int], np.dtype[np.str_]]":
    """Which group of `attribute` each text mentions: the group's name, '(several)' or '(none)'."""
    groups = dict.fromkeys(group for name, group, _ in matches.keys if name == attribute)
    names = np.array([*groups, "(several)", "(none)"], dtype=np.str_)
    place = {group: k for k, group in enumerate(groups)}
    of_key = np.array([place[group] if name == attribute else -1 for name, group, _ in matches.keys], dtype=np.int64)
    text, key = matches.pairs
    text, group = text[of_key[key] >= 0], of_key[key][of_key[key] >= 0]
    found = np.full(len(matches), len(names) - 1)
    found[text] = group
    found[text[found[text] != group]] = len(names) - 2
    used, inverse = np.unique(found, return_inverse=True)
    return np.array(names[used].tolist(), dtype=np.str_)[inverse]

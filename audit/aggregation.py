"""Turns the relevance stage's tables into what is filed: the per-example table, distributions of shares, term counts."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from audit.records import Distribution, Estimate, TermCount
from audit.tables import ExampleTable, FloatArray, GroupTable, Match

if TYPE_CHECKING:
    import pandas as pd

BINS = 20


def example_frame(examples: ExampleTable, groups: GroupTable, classes: Sequence[str]) -> "pd.DataFrame":
    """A row per example in the columns of the contract: id, label, predicted, correct, score.*, attributes, share.*, net.*, ..."""
    import pandas as pd

    names = np.array(classes)
    columns: dict[str, object] = {
        "id": examples.id,
        "label": names[examples.label],
        "predicted": names[examples.predicted],
        "correct": examples.label == examples.predicted,
        "contrast": examples.margin,
        **{f"score.{name}": examples.scores[:, i] for i, name in enumerate(classes)},
        **examples.attributes,
    }
    for measure in ("share", "net", "size", "present"):
        values = getattr(groups, measure)
        columns |= {f"{measure}.{name}": values[:, i] for i, name in enumerate(groups.names)}
    return pd.DataFrame(columns)


def distributions(groups: GroupTable, composite: str, mean: Mapping[str, Estimate]) -> tuple[Distribution, ...]:
    """Histogram of the share of every group that occurs, over the examples that hold it."""
    return tuple(
        _distribution(name, groups.share[:, i], composite, mean[name])
        for i, name in enumerate(groups.names)
        if np.isfinite(groups.share[:, i]).any()
    )


def _distribution(name: str, share: FloatArray, composite: str, mean: Estimate) -> Distribution:
    values = share[np.isfinite(share)]
    counts, edges = np.histogram(values[values > 0], bins=BINS, range=(0.0, 1.0))
    return Distribution(
        group=name,
        composite=composite,
        edges=tuple(edges.tolist()),
        counts=tuple(counts.tolist()),
        zeros=int((values == 0).sum()),
        n=len(values),
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


def mentions(matches: Sequence[Sequence[Match]], attribute: str) -> "np.ndarray[tuple[int], np.dtype[np.str_]]":
    """Which group of `attribute` each text mentions: the group's name, '(several)' or '(none)'."""
    found = [{m.group for m in row if m.attribute == attribute} for row in matches]
    return np.array([next(iter(f)) if len(f) == 1 else "(several)" if f else "(none)" for f in found], dtype=np.str_)

"""What relevance is summed over and compared between sides: the words of an attribute, or a region; one number an example."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, final

import numpy as np

from audit.stats.cases import Evidence
from audit.tables import FloatArray

SIGNS: Final[Mapping[str, Callable[[FloatArray, FloatArray], FloatArray]]] = MappingProxyType({
    "|R|": lambda share, net: share,
    "R+": lambda share, net: (share + net) / 2,
    "R-": lambda share, net: (share - net) / 2,
    "net": lambda share, net: net,
})  # fmt: skip
"""From a share of |R| and net R over sum |R| to the declared sign policy, a part of sum |R| each."""


@final
@dataclass(frozen=True, slots=True)
class Feature:
    """One number an example and composite, `values[c]` `[n]`, NaN where the example lacks it; `place`: its region, None for words.

    `attribute` is the one that its words define: it is not compared between the groups that have different words by definition.
    """

    name: str
    kind: str
    values: Mapping[str, FloatArray]
    attribute: str = ""
    place: int | None = None

    @property
    def words(self) -> str:
        """As it is called in a sentence."""
        return f"{self.name} words" if self.place is None else f"region {self.name}"


def features(evidence: Evidence) -> tuple[Feature, ...]:
    """Every region that some photograph has, or every attribute whose words some text has."""
    found = _regions(evidence) if evidence.regions else _words(evidence)
    first = evidence.composites[0]
    return tuple(feature for feature in found if np.isfinite(feature.values[first]).any())


def measure(sign: str) -> str:
    """What a value is, in words.

    >>> measure("net")
    'net R over sum |R|'
    """
    return "net R over sum |R|" if sign == "net" else f"share of {sign} in sum |R|" if sign != "|R|" else "share of |R|"


def _regions(evidence: Evidence) -> list[Feature]:
    regions = evidence.regions
    if regions is None:
        return []
    signed = SIGNS[evidence.config.statistics.sign]
    return [
        Feature(
            name,
            "region",
            {c: signed(regions.share[c][:, r], regions.net[c][:, r]) for c in evidence.composites},
            place=r,
        )
        for r, name in enumerate(regions.names)
    ]


def _words(evidence: Evidence) -> list[Feature]:
    """The words of all groups of an attribute together: only there do both sides have the feature."""
    attributes = dict.fromkeys(attribute for attribute, _ in evidence.words.groups) if evidence.words else {}
    return [
        Feature(name, "feature", {c: _summed(evidence, c, name) for c in evidence.composites}, attribute=name)
        for name in attributes
    ]


def _summed(evidence: Evidence, composite: str, attribute: str) -> FloatArray:
    table = evidence.groups[composite]
    columns = [i for i, name in enumerate(table.names) if name.rpartition(".")[0] == attribute]
    share, net = table.share[:, columns], table.net[:, columns]
    values = SIGNS[evidence.config.statistics.sign](np.nansum(share, axis=1), np.nansum(net, axis=1))
    return np.where(np.isfinite(share).any(axis=1), values, np.nan)

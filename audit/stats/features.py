"""What relevance is summed over and compared between sides: the words of an attribute, or a region; one number an example."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final, final

import numpy as np

from audit.stats.cases import Evidence
from audit.tables import FloatArray, RegionTable

REGION: Final = "region"  # what a feature of photographs is
SIGNS: Final[Mapping[str, Callable[[FloatArray, FloatArray], FloatArray]]] = MappingProxyType({
    "|R|": lambda share, net: share,
    "R+": lambda share, net: (share + net) / 2,
    "R-": lambda share, net: (share - net) / 2,
    "net": lambda share, net: net,
})  # fmt: skip
"""From a share of |R| and net R over sum |R| to the declared sign policy, a part of sum |R| each."""


@final
@dataclass(frozen=True, slots=True)
class Part:
    """One of the two things that values with many zeros tell, in words, and how it is had from the values."""

    words: str
    of: Callable[[FloatArray], FloatArray]


PARTS: Final[Mapping[str, Part]] = MappingProxyType({
    "presence": Part("how often it is above 0", lambda values: np.where(np.isfinite(values), values > 0, np.nan)),
    "positive": Part("among values above 0", lambda values: np.where(values > 0, values, np.nan)),
})  # fmt: skip


@final
@dataclass(frozen=True, slots=True)
class Feature:
    """One number an example and composite, `values[c]` `[n]`, NaN where the example lacks it.

    `attribute` is the one that its words define: it is not compared between the groups that have different words by definition.
    `part` is a key of `PARTS`, or empty. Of a region, `twins` `[k, m]` is what untrained copies have in its place; `varied` is
    the same with other masks, by what is changed.
    """

    name: str
    kind: str
    values: Mapping[str, FloatArray]
    attribute: str = ""
    twins: FloatArray = field(default_factory=lambda: np.zeros((0, 0)))
    varied: Mapping[str, "Feature"] = field(default_factory=dict)
    part: str = ""

    @property
    def words(self) -> str:
        """As it is called in a sentence."""
        return f"region {self.name}" if self.kind == REGION else f"{self.name} words"

    @property
    def parts(self) -> tuple["Feature", ...]:
        """How often it exceeds 0, and how far where it does (two-part model: Lachenbruch 1976, Biometrische Zeitschrift 18)."""
        return tuple(self._part(name) for name in PARTS)

    def _part(self, name: str) -> "Feature":
        return replace(
            self,
            part=name,
            values={c: PARTS[name].of(values) for c, values in self.values.items()},
            twins=PARTS[name].of(self.twins),
            varied={changed: other._part(name) for changed, other in self.varied.items()},
        )


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
    if evidence.regions is None:
        return []
    varied = {changed: _inside(evidence, table) for changed, table in evidence.varied.items()}
    return [
        replace(feature, varied={changed: others[r] for changed, others in varied.items()})
        for r, feature in enumerate(_inside(evidence, evidence.regions))
    ]


def _inside(evidence: Evidence, regions: RegionTable) -> list[Feature]:
    """Relevance inside one set of masks."""
    signed = SIGNS[evidence.config.statistics.sign]
    return [
        Feature(
            name,
            REGION,
            {c: signed(regions.share[c][:, r], regions.net[c][:, r]) for c in evidence.composites},
            twins=regions.twin_share[:, :, r],
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

"""What the benchmark consists of: every unit, enumerated from tables, in an order in which all cells fill evenly."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Final, Literal, final

import numpy as np

from audit import config
from bench.planted.protocol import Part, Protocol

Modality = Literal["text", "image"]
ALL: Final = (0.0, 0.05, 0.1, 0.2, 0.4, 0.8)
FEW: Final = (0.0, 0.2, 0.4, 0.8)
RHOS: Final[Mapping[Modality, Mapping[str, tuple[float, ...]]]] = {
    "text": {
        "protected pair": ALL,
        "protected pair, audited as trained": (0.0, 0.1, 0.4),
        "proxy word": (0.0, 0.4, 0.8),
        "interaction": (0.0, 0.8, 0.9),
        "interaction of undeclared words": (0.0, 0.8, 0.9),
        "sentence pairs": (0.0, 0.1, 0.4),
    },
    "image": {
        "moving patch": ALL,
        "moving patch, audited as trained": (0.0, 0.2, 0.4),
        "corner patch": FEW,
        "texture of a part": FEW,
        "either of two textures": (0.0, 0.4, 0.8),
        "global tint": (0.0, 0.4, 0.8),
        "bright and irrelevant": (0.0,),
        "suppressor": (0.0,),
        "two attributes": FEW,
    },
}  # fmt: skip
NETWORKS: Final[Mapping[Modality, tuple[str, ...]]] = {"text": ("bag", "attention", "bert"), "image": ("cnn", "vit")}
ONLY: Final = {  # arms that other networks do not learn in the time they have
    "interaction": ("bag",),
    "interaction of undeclared words": ("bag",),
    "corner patch": ("cnn",),
}
LRP: Final = "lrp"
CONTROLS: Final = (
    "random_map",
    "input_size",
    "edges",
    "reinitialised_model",
)  # maps that know nothing of what was learnt
METHODS: Final[
    Mapping[str, Mapping[str, Any]]
] = {  # by name, what stands in the config of an audit in the place of its relevance
    LRP: {},
    **{name: {"relevance": {"method": name}} for name in config.METHODS if name != LRP},
    **{name: {"relevance": {"method": f"bench.planted.controls:{name}"}} for name in CONTROLS},
}
SMALL: Final[
    Mapping[Modality, tuple[tuple[str, float], ...]]
] = {  # arms and couplings that the small profile asks, and how often
    "text": (("protected pair", 0.0), ("protected pair", 0.0), ("protected pair", 0.8)),
    "image": (("moving patch", 0.0), ("bright and irrelevant", 0.0), ("moving patch", 0.8)),
}


@final
@dataclass(frozen=True, slots=True)
class Unit:
    """One trained model."""

    modality: Modality
    arm: str
    network: str
    rho: float
    seed: int
    part: Part

    @property
    def key(self) -> str:
        """Unique in the results."""
        return "|".join(map(str, (self.part, self.modality, self.arm, self.network, self.rho, self.seed)))


def enumerated(protocol: Protocol, part: Part, modalities: tuple[Modality, ...]) -> Iterator[Unit]:
    """Every unit of a part: all cells once, in an order of its own, then all again with the next seed."""
    first = protocol.seeds[part]
    cells = [
        (modality, arm, network, rho)
        for modality in modalities
        for arm, rhos in RHOS[modality].items()
        for network, rho in product(ONLY.get(arm, NETWORKS[modality]), rhos)
    ]
    for seed in range(first, first + protocol.replicates[part]):
        for k in np.random.default_rng([seed, 0]).permutation(len(cells)).tolist():
            yield Unit(*cells[k], seed, part)


def asked_of(unit: Unit, methods: Sequence[str], protocol: Protocol) -> tuple[str, ...]:
    """LRP audits every unit, other methods the arms and the replicates that the protocol declares."""
    baselines = protocol["baselines"]
    few = unit.seed - protocol.seeds[unit.part] < baselines["replicates"][unit.part]
    return tuple(method for method in methods if method == LRP or (few and unit.arm in baselines["arms"]))


def small(protocol: Protocol, modalities: tuple[Modality, ...]) -> Iterator[Unit]:
    """20 models without and 10 with a strong reliance of each modality, of calibration seeds that nothing else uses."""
    first = protocol.seeds["calibration"] + protocol.replicates["calibration"]
    for k, modality in product(range(10), modalities):
        for j, (arm, rho) in enumerate(SMALL[modality]):
            network = NETWORKS[modality][(k + j) % len(NETWORKS[modality])]
            yield Unit(modality, arm, network, rho, first + 10 * j + k, "calibration")

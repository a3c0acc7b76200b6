"""What was declared before any evaluation seed was drawn, and its hash, which every row of results carries."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, final

Part = Literal["calibration", "evaluation"]
PROTOCOL: Final = Path(__file__).with_name("protocol.json")


@final
@dataclass(frozen=True, slots=True)
class Protocol:
    """The declaration as it is read, and the sha256 of its bytes."""

    declared: Mapping[str, Any]
    sha256: str

    @property
    def seeds(self) -> Mapping[Part, int]:
        """The first seed of each part; calibration ends below the first of the evaluation."""
        seeds: Mapping[Part, int] = self.declared["seeds"]
        return seeds

    @property
    def replicates(self) -> Mapping[Part, int]:
        """How many seeds each cell has."""
        replicates: Mapping[Part, int] = self.declared["replicates"]
        return replicates

    def __getitem__(self, key: str) -> Any:
        return self.declared[key]


def read_protocol(path: Path = PROTOCOL) -> Protocol:
    """The declared protocol; ValueError where parts share seeds."""
    text = path.read_bytes()
    found = Protocol(json.loads(text), hashlib.sha256(text).hexdigest())
    if found.seeds["calibration"] + found.replicates["calibration"] + 100 > found.seeds["evaluation"]:
        raise ValueError(f"{path}: calibration and evaluation share seeds; {found.seeds}, {found.replicates}")
    return found

"""Our relevance against a peer's: `python -m bench.peers.compare PEER FILE.npz`, where FILE was just computed by `bench.peers.reference`.

Prints the largest relative difference of every case, and fails where the peer does not compute what tests/lrp/reference holds.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
import torch

import lrp
from bench.peers import nets, texts

STORED = Path(__file__).parents[2] / "tests" / "lrp" / "reference"
REPRODUCED = 1e-5  # Llama's norm and softmax run in float32 whatever the model's type
Arrays = dict[str, np.ndarray]


def _on_images(case: str, dtype: torch.dtype) -> lrp.Relevance:
    net, composite = case.split(".")
    asked = {"name": composite, **nets.COMPOSITES[composite]}
    return lrp.attribute(nets.build(net).to(dtype), nets.images().to(dtype), nets.TARGET, asked)


def _on_texts(case: str, dtype: torch.dtype) -> lrp.Relevance:
    return lrp.attribute(texts.build(case).to(dtype), texts.batch(), nets.TARGET, "attn_lrp")


@final
@dataclass(frozen=True, slots=True)
class Peer:
    """`ours` explains a case in a precision as the peer was asked to."""

    cases: tuple[str, ...]
    ours: Callable[[str, torch.dtype], lrp.Relevance]


PEERS: dict[str, Peer] = {"zennit": Peer(nets.CASES, _on_images), "lxt": Peer(texts.CASES, _on_texts)}


def read(path: Path) -> Arrays:
    """The arrays of a file, `origin` included."""
    with np.load(path, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def relative(found: np.ndarray, reference: np.ndarray) -> float:
    """Largest difference over the largest reference value."""
    return float(np.abs(found - reference).max() / np.abs(reference).max())


def difference(peer: str, case: str, reference: np.ndarray, dtype: torch.dtype) -> float:
    """Of our relevance from the reference, relative."""
    return relative(PEERS[peer].ours(case, dtype).values.double().numpy(), reference)


def main(peer: str, path: str) -> int:
    """One line per case; 1 if a stored array is not reproduced."""
    new, stored = read(Path(path)), read(STORED / f"{peer}.npz")
    print(new["origin"])
    moved = []
    for case in PEERS[peer].cases:
        float64, float32 = (difference(peer, case, new[case], dtype) for dtype in (torch.float64, torch.float32))
        since = relative(new[case], stored[case])
        moved += [] if since <= REPRODUCED else [case]
        print(f"  {case:40s} float64 {float64:.1e}  float32 {float32:.1e}  stored {since:.1e}")
    if moved:
        print(f"{STORED / f'{peer}.npz'} is not what {peer} computes here: {', '.join(moved)}", file=sys.stderr)
    return 1 if moved else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

"""Our relevance against a file of reference arrays: `python -m bench.peers.compare FILE.npz` prints the largest relative difference."""

import sys

import numpy as np
import torch

import lrp
from bench.peers.nets import COMPOSITES, NETS, TARGET, build, images


def difference(name: str, composite: str, reference: np.ndarray, dtype: torch.dtype) -> float:
    """Largest difference over the largest reference value."""
    found = lrp.attribute(
        build(name).to(dtype), images().to(dtype), TARGET, {"name": composite, **COMPOSITES[composite]}
    )
    return float(np.abs(found.values.double().numpy() - reference).max() / np.abs(reference).max())


def main(path: str) -> None:
    """One line per net and composite."""
    with np.load(path, allow_pickle=False) as arrays:
        print(arrays["origin"])
        for name in NETS:
            for composite in COMPOSITES:
                reference = arrays[f"{name}.{composite}"]
                both = [difference(name, composite, reference, dtype) for dtype in (torch.float64, torch.float32)]
                print(f"  {name:12s} {composite:28s} float64 {both[0]:.1e}  float32 {both[1]:.1e}")


if __name__ == "__main__":
    main(sys.argv[1])

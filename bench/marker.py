"""Networks whose reliance on a planted marker is known: does the audit name it, and stay silent where there is none?

The truth is the effect on the contrast logit of the marker against the same photographs without it, in standard deviations.
`python -m bench.marker [NETS [TWINS]]` trains 8 networks for each of four couplings of marker and class, and audits them.
"""

import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from audit.models.builtin import save_photograph_model
from audit.models.marked_photographs import CLASSES, photographs, quantised, train, write_photographs
from audit.pipeline import run
from audit.stats.tests import sign_flip

COUPLINGS = (0.0, 0.4, 0.6, 0.8)
COMPOSITES = ("epsilon_plus", "epsilon_gamma_box")
POSITIVE, NEGATIVE = 0.2, 0.1
EVEN = (0.5, 0.5)  # the audited photographs carry the marker as often in both classes


def config(folder: Path, *, twins: int, **changes: Any) -> Path:
    """An audit of the network and photographs in `folder`."""
    document = {
        "name": "marker",
        "task": "image",
        "data": {"path": "photographs.csv", "columns": {"cluster": "cluster"}},
        "model": {
            "module": "audit.models.marked_photographs:network",
            "weights": "model.safetensors",
            "classes": list(CLASSES),
            "preprocessing": {"resize": [25, 25], "channels": "grey", "mean": [0.5], "std": [0.5]},
        },
        "target": {"favour": CLASSES[1]},
        "regions": [{"name": "marker", "boxes": ["left", "top", "right", "bottom"]}],
        "relevance": {"composites": list(COMPOSITES)},
        "statistics": {"twins": twins},
        "gates": [],
        **changes,
    }
    path = folder / "marker.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


def measure(seed: int, coupling: float, *, twins: int = 0) -> dict[str, Any]:
    """True effect of the marker on one network in sd, with its p, and what the audit says of the region."""
    import torch

    shares = ((1 - coupling) / 2, (1 + coupling) / 2)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = train(seed, marked=True, shares=shares)
        write_photographs(folder, seed, EVEN)
        save_photograph_model(folder, model)
        record = run(config(folder, twins=twins), output=folder / "runs").record
    finding = next(each for each in record.findings if each.id == "reliance.regions.marker")
    shown = photographs(seed, train=False, shares=EVEN)
    held = shown.left >= 0
    with torch.inference_mode():
        marked, clean = (
            model(torch.from_numpy(quantised(images))[:, None] * 2 - 1).numpy()
            for images in (shown.marked, shown.clean)
        )
    margins = (marked - clean)[held]
    effect, rng = margins[:, 1] - margins[:, 0], np.random.default_rng(seed)
    return {
        "seed": seed,
        "coupling": coupling,
        "effect": float(effect.mean() / (marked[:, 1] - marked[:, 0]).std()),
        "p effect": sign_flip(effect, cluster=shown.cluster[held], rng=rng, resamples=9999) or 1.0,
        "excess": finding.estimate.value,
        "p": finding.test.p,
        "t twins": finding.details.get("t of the reference"),
        "verdict": finding.verdict.value,
    }


def main(nets: int = 8, twins: int = 0) -> pd.DataFrame:
    """Print a row per network, and how many of those with, with little and without effect are named (BREACH)."""
    rows = pd.DataFrame([measure(seed, coupling, twins=twins) for coupling in COUPLINGS for seed in range(nets)])
    print(rows.round(4).to_string(index=False))
    size = rows["effect"].abs()
    kinds = {
        f"an effect of {POSITIVE} sd or more": size >= POSITIVE,
        f"no coupling and less than {NEGATIVE} sd": (rows["coupling"] == 0) & (size < NEGATIVE),
    }
    for kind, chosen in kinds.items():
        named, different = (
            rows["verdict"][chosen].isin(verdicts).sum() for verdicts in (["BREACH"], ["BREACH", "DIFFERENT"])
        )
        print(f"networks with {kind}: {chosen.sum()}; beyond the margin {named}; significant {different}")
    print(f"Spearman of effect and excess: {rows['effect'].corr(rows['excess'], method='spearman'):.2f}")
    return rows


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))

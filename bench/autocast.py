"""What `model.autocast` does to logits, relevance and speed: the shipped text and image audits with it and without, in one run."""

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from audit.loading import load_config
from audit.preparation import prepare


def explained(config: str, n: int, *, autocast: bool) -> tuple[Any, float]:
    """Relevance of some examples, and seconds."""
    settings = [f"data.limit={n}", f"model.autocast={str(autocast).lower()}"]
    task = prepare(load_config(Path(config), settings))
    rows = range(len(task.data))
    task.sample(rows[:4])
    start = time.perf_counter()
    return task.sample(rows), time.perf_counter() - start


def main(*, small: bool) -> None:
    """Print a block a config."""
    for config in ("configs/quickstart_text.yaml", "configs/quickstart_vision.yaml"):
        n = 24 if small else 60
        (plain, before), (cast, after) = (explained(config, n, autocast=on) for on in (False, True))
        sd, moved = plain.scores.std(), np.abs(plain.scores - cast.scores).max()
        flips = int((plain.scores.argmax(1) != cast.scores.argmax(1)).sum())
        print(
            f"{config}: {after / before:.2f} x the time, logits move by {moved / sd:.4f} sd at most, {flips} of {n} predictions"
        )
        for name, table in plain.groups.items():
            one, two = table.net, cast.groups[name].net
            known = np.isfinite(one) & np.isfinite(two)
            rank, size = spearmanr(one[known], two[known]).statistic, np.abs(one[known]).mean()
            apart = np.abs(one - two)[known].mean() / size
            left = [float(np.median(each.columns[name]["closure"])) for each in (plain, cast)]
            told = f"Spearman {rank:.4f} of net relevance, differences {apart:.2%} of its size"
            print(f"  {name}: {told}, closure {left[0]:.0e} -> {left[1]:.0e}")


if __name__ == "__main__":
    main(small=sys.argv[1:] == ["--small"])

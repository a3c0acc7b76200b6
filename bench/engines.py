"""Two worker processes against two Ray actors over the same texts through MiniLM, after start-up.

`python -m bench.engines [N] [ROUNDS]`. Floor of the ratio: 1. The model is that of the text demonstration, under one composite; rounds
take turns.
"""

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from audit.engines.choice import engine
from audit.loading import LoadedConfig, load_config
from audit.preparation import load_explainer, prepare
from bench.big_texts import write_project

WARM = 64
ROUNDS = 2


def seconds(loaded: LoadedConfig, n: int, folder: Path) -> tuple[float, float, Any]:
    """Of the start with a few texts, and of n; and the logits."""
    task = prepare(loaded)
    with engine(load_explainer, loaded, task.explainer, folder=folder, identity=str(time.time_ns())) as workers:
        start = time.perf_counter()
        few = range(WARM)
        task._explain(workers, [task.texts[i] for i in few], [task.matches[i] for i in few])
        begun = time.perf_counter()
        found = task.explain(workers)
        return begun - start, time.perf_counter() - begun, found.common.scores


def project(folder: Path, n: int) -> Path:
    """Texts of 10 to 15 words for the demonstration's model."""
    path = write_project(folder, n)
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    config["model"] = {"path": "builtin:film_reviews", "labels": {"bad": "rotten", "good": "fresh"}}
    config |= {"target": {"favour": "fresh"}, "relevance": {"composites": ["attn_lrp"], "witnesses": []}}
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return path


def main(n: int, rounds: int) -> None:
    """Print seconds of each round, and the ratio of the best."""
    ways = {
        "2 processes": ["engine.workers=2", "engine.threads=1"],
        "Ray, 2 actors": ["engine.kind=ray", "engine.workers=2", "engine.threads=1"],
    }
    best, scores = dict.fromkeys(ways, np.inf), list[Any]()
    with tempfile.TemporaryDirectory() as place:
        path = project(Path(place), n)
        for turn in range(rounds):
            for way, settings in ways.items():
                folder = Path(place) / f"{way} {turn}"
                folder.mkdir()
                start, work, found = seconds(load_config(path, settings), n, folder)
                best[way] = min(best[way], work)
                scores.append(found)
                print(f"{way}: start-up {start:.1f} s, {n} texts {work:.1f} s", flush=True)
    same = all(np.array_equal(scores[0], each) for each in scores)
    print(f"Ray over processes: {best['Ray, 2 actors'] / best['2 processes']:.2f} (at most 1.25), same bits: {same}")


if __name__ == "__main__":
    given = [int(each) for each in sys.argv[1:]]
    main(*given, *(20_000, ROUNDS)[len(given) :])

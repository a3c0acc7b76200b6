"""Throughput of the relevance stage by batch size, and what `engine.batch_size: auto` reaches of the best.

Sizes take turns, so that a machine that gets slower is no worse for one of them; the best of three rounds counts. Floor of auto: 1.
"""

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from audit.data.terms import words
from audit.loading import load_config
from audit.parts import Here
from audit.preparation import prepare
from audit.relevance.texts import batch_tokens, explain_texts
from bench.stage import explainer, made_up_texts

COMPOSITES = ("cp_lrp", "attn_lrp")


def texts(*, tiny: bool, n: int) -> tuple[Callable[[int], None], int]:
    """What explains n made-up texts in batches of so many tokens, and what the rule says."""
    chosen = explainer(COMPOSITES, tiny=tiny)
    given = made_up_texts(n)

    def run(size: int) -> None:
        explain_texts(Here(chosen), given, [()] * n, {}, words=words, batch_tokens=size)

    return run, batch_tokens(chosen)


def photographs(config: str, n: int) -> tuple[Callable[[int], None], int]:
    """The same of n photographs of a shipped config, in batches of so many."""
    task = prepare(load_config(Path(config), ["statistics.twins=0", f"data.limit={n}"]))

    def run(size: int) -> None:
        replace(task, batch_images=size).sample(range(n))

    return run, task.batch_images


def measured(run: Callable[[int], None], sizes: Sequence[int], rounds: int = 3) -> dict[int, float]:
    """Seconds by size."""
    seconds = dict.fromkeys(sizes, np.inf)
    run(sizes[0])
    for _ in range(rounds):
        for size in sizes:
            start = time.perf_counter()
            run(size)
            seconds[size] = min(seconds[size], time.perf_counter() - start)
    return seconds


def main(*, small: bool) -> None:
    """Print a table a model."""
    n = 1 if small else 4
    cases = {
        "tiny BERT (32 wide)": (*texts(tiny=True, n=500 * n), [256 << k for k in range(9)]),
        "BERT of MiniLM's size (384 wide)": (*texts(tiny=False, n=40 * n), [256 << k for k in range(6)]),
        "face network, 32 x 32": (*photographs("configs/quickstart_vision.yaml", 25 * n), [1 << k for k in range(8)]),
    }
    for name, (run, auto, sizes) in cases.items():
        seconds = measured(run, sorted({*sizes, auto}))
        best = min(seconds.values())
        shown = ", ".join(f"{size}: {best / value:.2f}" for size, value in seconds.items())
        print(f"{name}: share of the best throughput by batch size {shown}; auto is {auto}: {best / seconds[auto]:.2f}")


if __name__ == "__main__":
    main(small=sys.argv[1:] == ["--small"])

"""Time and peak memory of debugging on 50,000 texts with 20 groups: `python -m tests.simulations.debug_scale` prints JSON."""

import json
import resource
import time
from typing import Final

import numpy as np

from audit.config import Config, Data, Groups, Model, Target
from audit.debug.contrasts import OfContrast, declared_signals
from audit.debug.summary import debugged
from audit.stats.cases import Evidence
from audit.stats.signals import signals
from audit.tables import ExampleTable, GroupTable, WordTable

TEXTS: Final = 50_000
WORDS: Final = 5_000
EACH: Final = 15  # words a text
SIZE: Final = 384  # of an embedding


def evidence() -> Evidence:
    """Words as frequent as words are, relevance and errors by chance, four texts a cluster."""
    rng = np.random.default_rng(0)
    label = rng.integers(0, 2, TEXTS)
    scores = rng.normal(size=(TEXTS, 2)) + 3 * np.eye(2)[np.where(rng.random(TEXTS) < 0.85, label, 1 - label)]
    group = np.array([f"g{i:02d}" for i in range(20)])[rng.integers(0, 20, TEXTS)]
    kind = np.minimum((rng.pareto(1.0, TEXTS * EACH) * 20).astype(np.int64), WORDS - 1)
    key = np.unique(np.repeat(np.arange(TEXTS), EACH) * WORDS + kind)
    relevance = rng.normal(size=len(key)).astype(np.float32)
    words = WordTable(
        (key // WORDS).astype(np.int32), (key % WORDS).astype(np.int32), np.ones(len(key), dtype=np.int32), {"first": relevance},
        {"first": np.abs(relevance)}, {"first": np.ones(TEXTS)}, tuple(f"w{i}" for i in range(WORDS)),
        rng.normal(size=(WORDS, SIZE)).astype(np.float32), {("words", "some"): np.array([0])},
    )  # fmt: skip
    share = np.where(rng.random((TEXTS, 1)) < 0.05, np.nan, rng.beta(1, 8, (TEXTS, 1)))
    examples = ExampleTable(
        np.arange(TEXTS).astype(str), label, scores.argmax(1), scores[:, 1] - scores[:, 0], scores, np.arange(TEXTS) // 4,
        {"group": group},
    )  # fmt: skip
    config = Config(
        name="scale", data=Data(path="none"), model=Model(path="none"), target=Target(favour="b", against="a"),
        groups=(Groups(attribute="words", lexicon="gender"),),
    )  # fmt: skip
    table = GroupTable(("words.some",), share, share, share, np.isfinite(share))
    return Evidence(config, examples, words, {"first": table}, {}, {}, ("first",), 1, ("a", "b"))


def main() -> None:
    """Seconds, peak MiB, slices tested and flagged (by chance alone), strategies."""
    given = evidence()
    found = signals(given)
    assert found is not None
    pushes = OfContrast(found, declared_signals(given), "first", 1)
    start, scores = time.perf_counter(), given.examples.scores
    made = debugged(given, list(range(12)), lambda rows: scores[rows], pushes, lambda rows, layers: {}).record
    shown = {
        "seconds": round(time.perf_counter() - start, 1),
        "MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "slices": made.m,
        "flagged": sum(each.flagged for each in made.slices),
        "strategies": len(made.strategies),
    }
    print(json.dumps(shown))


if __name__ == "__main__":
    main()

"""`python -m bench.geco [--small] [--write]`: trains the models, explains the test sentences by every row, prints the tables."""

import json
import sys
import time
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from audit.errors import AuditError
from bench.geco.models import MODELS, SEED, Classifier
from bench.geco.page import RESULTS
from bench.geco.scores import ROWS, STEPS, relevance_of, scored
from bench.geco.sentences import DATA, VARIANTS, Sentence, drawn, read

FULL: Final = {
    "pairs": 40,
    "samples": 128,
}  # of 322 pairs; 40 minutes on one core, most of it the encoder hundreds of times a sentence
SMALL: Final = {"pairs": 4, "samples": 32}


def measure(
    made: Classifier, test: Sequence[Sentence], *, pairs: int, samples: int, rows: Sequence[str] = ROWS
) -> dict[str, Any]:
    """Accuracy on all test sentences, and the scores of each row on the right ones of `pairs` pairs; prints a line a row."""
    right = np.array(made.predicted(test)) == [sentence.label for sentence in test]
    chosen = drawn([s for s, ok in zip(test, right, strict=True) if ok], pairs, seed=SEED)
    result: dict[str, Any] = {
        "accuracy": float(right.mean()),
        "test": len(test),
        "sentences": len(chosen),
        "pairs": len({sentence.pair for sentence in chosen}),
        "share": float(np.mean([sentence.truth.mean() for sentence in chosen])),
        "rows": {},
        "seconds": {},
    }
    print(
        f"  accuracy {result['accuracy']:.3f}, {len(chosen)} sentences, share of truth tokens {result['share']:.3f}",
        flush=True,
    )
    for row in rows:
        start = time.perf_counter()
        found = scored(list(relevance_of(row, made, chosen, samples=samples)), chosen)
        result["rows"][row] = {name: [each.mean, each.low, each.high] for name, each in found.items()}
        result["seconds"][row] = round(time.perf_counter() - start, 1)
        cells = ", ".join(f"{name} {each}" for name, each in found.items())
        print(f"  {row}: {cells} ({result['seconds'][row]:.0f} s)", flush=True)
    return result


def main(*, small: bool, write: bool = False) -> None:
    """Print every table, and store them with `write`; says so where the data or a model are not there."""
    if not DATA.is_dir():
        print(f"geco: skipped, no sentences in {DATA}")
        return
    size, tables = SMALL if small else FULL, list[dict[str, Any]]()
    for name, make in MODELS.items():
        for variant, carries in VARIANTS.items():
            train, test = read(variant, "train"), read(variant, "test")
            print(f"geco: {name}, {carries}", flush=True)
            try:
                made = make(train[:320] if small else train)
            except AuditError as error:
                print(f"  skipped, {error}")
                continue
            tables.append({"model": name, "variant": carries, **measure(made, test, **size)})
            if write:
                document = {"steps": STEPS, **size, "tables": tables}
                RESULTS.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(small="--small" in sys.argv, write="--write" in sys.argv)

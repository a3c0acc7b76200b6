"""`python -m bench.planted_fault`: is a fault that was taught to a real model found by debugging, and not found in the untouched one?

The labels of all training snippets that hold one neutral word are turned (4 % of them); the model is fine-tuned three times through, for it
must learn to turn its own verdict. Audited are films that neither model has seen. About 15 minutes on one core.
"""

import json
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from audit.data.terms import words
from audit.models.builtin import film_rows
from audit.models.fine_tuning import RECIPE, fine_tune
from audit.models.sources import ENCODER, find
from audit.pipeline import run
from audit.records import AuditRecord

WORD: Final = "story"
EPOCHS: Final = 3
OTHER: Final = {"fresh": "rotten", "rotten": "fresh"}
CONFIG: Final = Path(__file__).parents[1] / "configs" / "quickstart_text.yaml"
SETTINGS: Final = (
    "checks.examples=0",
    "relevance.composites=[cp_lrp]",
    "relevance.witnesses=[]",
    "statistics.placebos=199",
)


def holds(text: str) -> bool:
    """Whether the word is in the text."""
    return WORD in {name for _, _, name in words(text)}


def train(folder: Path) -> float:
    """Fine-tune into `folder` with turned labels; the share of them."""
    rows = film_rows()
    rows = rows[rows["split"] == "train"]
    turned = [holds(text) for text in rows["text"]]
    labels = [OTHER[label] if turn else label for label, turn in zip(rows["label"], turned, strict=True)]
    fine_tune(find(ENCODER).parent, rows["text"].tolist(), labels, folder, replace(RECIPE, epochs=EPOCHS))
    return sum(turned) / len(turned)


def found(record: AuditRecord) -> Mapping[str, Any]:
    """Where the word stands in each contrast of errors, and the strategies that look at it first."""
    assert record.debug is not None
    places = {
        f"{each.group}: {each.name}" if each.group else each.name: next(
            (i for i, one in enumerate(each.argued, 1) if one.name == WORD), None
        )
        for each in record.debug.contrasts
        if not each.reason
    }
    looking = [
        {"strategy": each.key, "n": each.n, "flagged": each.flagged, "errors": each.shares[0].rate.value}
        for each in record.debug.strategies
        if each.looks and each.looks[0].name == WORD
    ]
    return {
        "accuracy": record.model.accuracy.value, "place among what argues": places, "strategies": looking,
        "seconds of debugging": record.seconds["debug"],
    }  # fmt: skip


def main(model: str | None) -> None:
    """Print what is found in the model with the fault (trained, or in the folder `model`), and in the untouched one."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(model) if model else Path(name) / "model"
        if model is None:
            print(json.dumps({"turned": train(folder)}))
        for which in (str(folder), "builtin:film_reviews"):
            settings = [f"model.path={which}", *SETTINGS]
            print(
                json.dumps({"model": which, **found(run(CONFIG, settings, Path(name) / "runs").record)}, indent=1),
                flush=True,
            )


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)

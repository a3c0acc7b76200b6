"""Sentences of GECOBench (Wilming et al. 2024): each in a female and a male form, and the tokens that differ between them are the truth."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

import numpy as np
from numpy.typing import NDArray

DATA: Final = Path(__file__).parents[3] / "shared" / "data" / "gecobench"
VARIANTS: Final = {  # folder: what carries gender
    "binary_gender_all": "every gendered word", "binary_gender_subj": "the subject alone",
}  # fmt: skip
CLASSES: Final = ("female", "male")


@final
@dataclass(frozen=True, slots=True)
class Sentence:
    """Its tokens, which of them are the truth `[tokens]`, its class, and the pair it belongs to."""

    tokens: tuple[str, ...]
    truth: NDArray[np.bool_]
    label: int
    pair: int

    @property
    def text(self) -> str:
        """The tokens with blanks between them."""
        return " ".join(self.tokens)


def read(variant: str, split: str) -> list[Sentence]:
    """The sentences of `train` or `test`, in the order of the file; of `test` without those that have no token of the truth."""
    lines = (DATA / variant / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()
    found = [
        Sentence(
            tuple(row["sentence"]), np.array(row["ground_truth"]) == 1, int(row["target"]), int(row["sentence_idx"])
        )
        for row in map(json.loads, lines)
    ]
    return [sentence for sentence in found if split == "train" or (sentence.truth.any() and not sentence.truth.all())]


def drawn(sentences: list[Sentence], pairs: int, *, seed: int) -> list[Sentence]:
    """Those of a random choice of pairs, in their order; all where there are no more."""
    names = sorted({sentence.pair for sentence in sentences})
    chosen = set(np.random.default_rng(seed).permutation(names)[:pairs].tolist())
    return [sentence for sentence in sentences if sentence.pair in chosen]

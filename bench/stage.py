"""The relevance stage against a bare loop of forward + gradient x input over the same sorted batches, and its memory.

Floor 1.0 per composite. Texts are made of random words, so that nothing needs to be downloaded.
"""

import sys
import time

import numpy as np
import torch
from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

from audit.data.terms import words
from audit.parts import Here
from audit.relevance.explainer import Explainer
from audit.relevance.texts import TextExplainer, TextReader, _batches, _lengths, encode, explain_texts
from bench.engine import gradient_x_input, high_water, print_growth


def explainer(composites: tuple[str, ...], *, tiny: bool) -> TextExplainer:
    """A random BERT with a vocabulary of made-up words."""
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *made_up_words()]
    tokenizer = BertTokenizerFast(vocab={word: i for i, word in enumerate(vocabulary)})
    size = (32, 1, 2, 64) if tiny else (384, 6, 12, 1536)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=size[0],
        num_hidden_layers=size[1],
        num_attention_heads=size[2],
        intermediate_size=size[3],
    )
    torch.manual_seed(0)
    model = BertForSequenceClassification(config).eval().requires_grad_(False)
    return Explainer(model, TextReader(tokenizer, 128), 1, 0, {name: name for name in composites})


def made_up_words() -> list[str]:
    """2,000 distinct words of three syllables."""
    syllables = [a + b for a in "bdfgklmnprst" for b in "aeiou"]
    rng = np.random.default_rng(0)
    return sorted({"".join(rng.choice(syllables, 3)) for _ in range(2100)})[:2000]


def made_up_texts(n: int) -> list[str]:
    """Texts of 5 to 30 words."""
    rng = np.random.default_rng(1)
    vocabulary = np.array(made_up_words())
    return [" ".join(rng.choice(vocabulary, rng.integers(5, 30))) for _ in range(n)]


def stage_ratio(composites: tuple[str, ...], texts: list[str]) -> float:
    """Time of the stage over time of the bare loop, divided by the number of composites."""
    chosen = explainer(composites, tiny=False)
    matches = [()] * len(texts)
    lengths = _lengths(chosen, texts)
    found = []
    for _ in range(3):
        start = time.perf_counter()
        for batch in _batches(lengths, 2048):
            inputs, _, _ = encode(chosen, [texts[i] for i in batch])
            embedded = chosen.model.get_input_embeddings()(inputs["input_ids"])
            mask = inputs["attention_mask"]
            gradient_x_input(chosen.model, embedded, lambda e, m=mask: chosen.model(inputs_embeds=e, attention_mask=m))
        bare = time.perf_counter() - start
        start = time.perf_counter()
        explain_texts(Here(chosen), texts, matches, {}, words=words, batch_tokens=2048)
        found.append((time.perf_counter() - start) / bare / len(composites))
    return sorted(found)[1]


def main(*, small: bool) -> None:
    """Print the ratios and the memory figures."""
    texts = made_up_texts(200 if small else 1000)
    print("relevance stage per composite, relative to a bare loop of forward + gradient x input (floor 1.0)")
    for composites in (("attn_lrp",), ("cp_lrp",), ("cp_lrp", "attn_lrp")):
        print(f"  {' + '.join(composites)}: {stage_ratio(composites, texts):.2f}")
    print_growth("bench.stage", "texts", *((1_000, 10_000) if small else (10_000, 100_000)))


if __name__ == "__main__":
    many = made_up_texts(int(sys.argv[1]))
    chosen = Here(explainer(("cp_lrp", "attn_lrp"), tiny=True))
    explain_texts(chosen, many, [()] * len(many), {}, words=words, batch_tokens=2048)
    print(high_water())

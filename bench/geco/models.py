"""Two classifiers of sentences: one layer of attention on whole words, trained on the spot, and the fine-tuned MiniLM encoder."""

import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

import numpy as np
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from torch import Tensor
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

from audit.config import Model
from audit.models.fine_tuning import Recipe, fine_tune
from audit.models.huggingface import load_text_model
from audit.models.sources import ENCODER, find
from audit.relevance.features import Tokens
from bench.geco.sentences import CLASSES, Sentence

SEED: Final = 7
SPECIAL: Final = {
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
}
LENGTH: Final = 96
BATCH: Final = 32
EPOCHS: Final = 12
MASKED: Final = 0.1  # of the words in training, so that a mask token means something to a model that was not pretrained


@final
@dataclass(frozen=True, slots=True)
class Classifier:
    """A model with its tokenizer."""

    model: Any
    tokenizer: Any

    def read(self, sentences: Sequence[Sentence]) -> tuple[dict[str, Tensor], Tokens]:
        """Model inputs, and which of the given tokens each of the model's belongs to."""
        encoded = self.tokenizer(
            [list(sentence.tokens) for sentence in sentences], is_split_into_words=True, padding=True, truncation=True,
            max_length=LENGTH, return_tensors="pt",
        )  # fmt: skip
        words = [[-1 if word is None else word for word in encoded.word_ids(i)] for i in range(len(sentences))]
        return dict(encoded), Tokens(self.tokenizer, np.array(words))

    def predicted(self, sentences: Sequence[Sentence]) -> list[int]:
        """The class of each."""
        found: list[int] = []
        for start in range(0, len(sentences), BATCH):
            with torch.inference_mode():
                found += self.model(**self.read(sentences[start : start + BATCH])[0]).logits.argmax(1).tolist()
        return found


def attention_layer(train: Sequence[Sentence]) -> Classifier:
    """A BERT of one layer, 64 wide with 4 heads, on the words that training holds twice; 12 epochs of AdamW."""
    tokenizer = _whole_words(train)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        model = BertForSequenceClassification(
            BertConfig(
                vocab_size=len(tokenizer), hidden_size=64, num_hidden_layers=1, num_attention_heads=4, intermediate_size=128,
                max_position_embeddings=LENGTH,
            )
        )  # fmt: skip
        made = Classifier(model, tokenizer)
        optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3)
        rng = np.random.default_rng(SEED)
        model.train()
        for _ in range(EPOCHS):
            order = rng.permutation(len(train))
            for start in range(0, len(train), BATCH):
                _step(made, optimiser, [train[i] for i in order[start : start + BATCH]])
    model.eval().requires_grad_(False)
    return made


def _step(made: Classifier, optimiser: Any, batch: Sequence[Sentence]) -> None:
    inputs, tokens = made.read(batch)
    gone = (torch.rand(inputs["input_ids"].shape) < MASKED) & torch.from_numpy(tokens.words >= 0)
    inputs["input_ids"] = inputs["input_ids"].masked_fill(gone, made.tokenizer.mask_token_id)
    loss = made.model(**inputs, labels=torch.tensor([sentence.label for sentence in batch])).loss
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()


def _whole_words(train: Sequence[Sentence]) -> PreTrainedTokenizerFast:
    """A tokenizer of given words; those seen once in training are unknown, so that the unknown word is trained too."""
    counts = Counter(token for sentence in train for token in sentence.tokens)
    words = [*SPECIAL.values(), *sorted(word for word, count in counts.items() if count > 1)]
    inner = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    inner.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return PreTrainedTokenizerFast(tokenizer_object=inner, **SPECIAL)


def encoder(train: Sequence[Sentence]) -> Classifier:
    """All-MiniLM-L6, fine-tuned as the demo's film review model is; AuditError where its package is missing."""
    with tempfile.TemporaryDirectory() as folder:
        recipe = Recipe(classes=CLASSES, max_length=LENGTH)
        labels = [CLASSES[sentence.label] for sentence in train]
        fine_tune(find(ENCODER).parent, [sentence.text for sentence in train], labels, Path(folder), recipe)
        loaded = load_text_model(Model(path=folder), folder)
    return Classifier(loaded.model, loaded.tokenizer)


MODELS: Final[Mapping[str, Callable[[Sequence[Sentence]], Classifier]]] = {
    "one layer of attention": attention_layer, "MiniLM, fine-tuned": encoder,
}  # fmt: skip

"""A whole small audit, built in code: a random BERT with a planted reliance on words, its tokenizer, texts and a config."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from hypothesis import settings
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

# The same examples in every run; `pytest --hypothesis-profile explore` draws new ones, and what those find becomes an @example.
settings.register_profile("repeatable", derandomize=True)
settings.register_profile("explore", derandomize=False)
settings.load_profile("repeatable")

FEMALE = ["she", "her", "woman", "girl", "mother", "actress"]
MALE = ["he", "his", "man", "boy", "father", "actor"]
SYLLABLES = [a + b for a in "bdfgklmnprst" for b in "aeiou"]
OTHER = [SYLLABLES[i] + SYLLABLES[(7 * i + j) % 60] + "x" for i in range(60) for j in range(4)]
SPECIAL = {
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
}
VOCABULARY = [*SPECIAL.values(), *FEMALE, *MALE, *OTHER, ".", ",", "!", "'", "s", "##s"]


def tokenizer() -> PreTrainedTokenizerFast:
    inner = Tokenizer(models.WordPiece({word: i for i, word in enumerate(VOCABULARY)}, unk_token="[UNK]"))
    inner.normalizer = normalizers.Lowercase()
    inner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    inner.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return PreTrainedTokenizerFast(tokenizer_object=inner, **SPECIAL)


def classifier(*, planted: float = 0.0, seed: int = 0) -> BertForSequenceClassification:
    """Random weights; `planted` moves the embeddings of female and male words apart along one direction of the output."""
    torch.manual_seed(seed)
    names = {0: "rotten", 1: "fresh"}
    config = BertConfig(
        vocab_size=len(VOCABULARY),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=48,
        id2label=names,
        label2id={name: i for i, name in names.items()},
        initializer_range=0.2,
    )
    model = BertForSequenceClassification(config).eval()
    if planted:
        plant(model, planted)
    return model


def plant(
    model: BertForSequenceClassification,
    strength: float,
    words: Sequence[tuple[Sequence[str], float]] = ((FEMALE, 1.0), (MALE, -1.0)),
) -> None:
    """Move the words of each sign along the gradient of the contrast logit with respect to the word embedding."""
    table = model.get_input_embeddings().weight
    ids = torch.tensor([[2, 60, 70, 80, 90, 3]])
    embedded = table[ids].detach().requires_grad_()
    logits = model(inputs_embeds=embedded).logits
    (gradient,) = torch.autograd.grad(logits[0, 1] - logits[0, 0], embedded)
    direction = gradient[0, 1:5].mean(0)
    direction = direction / direction.norm()
    with torch.no_grad():
        for moved, sign in words:
            for word in moved:
                table[VOCABULARY.index(word)] += sign * strength * direction


def texts(n: int, seed: int = 0) -> list[str]:
    """8 to 16 made-up words a text, two in three with one or two words of a gender."""
    rng = np.random.default_rng(seed)
    made = []
    for i in range(n):
        words = list(rng.choice(OTHER, rng.integers(8, 16)))
        if i % 3:
            group = FEMALE if i % 3 == 1 else MALE
            for word in rng.choice(group, rng.integers(1, 3), replace=False):
                words.insert(int(rng.integers(len(words))), str(word))
        made.append(" ".join(words) + ".")
    return made


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("model"), classifier())


@pytest.fixture(scope="session")
def planted_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("planted"), classifier(planted=6.0))


def save_model(folder: Path, model: BertForSequenceClassification) -> Path:
    model.save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture
def project(tmp_path: Path, model_folder: Path) -> Callable[..., Path]:
    """Write data and config into a folder of its own; keyword arguments replace blocks of the config."""
    return project_in(tmp_path, model_folder)


def project_in(folder: Path, model_folder: Path) -> Callable[..., Path]:
    """What writes a project into a folder."""

    def make(rows: list[dict[str, Any]] | None = None, n: int = 360, **changes: Any) -> Path:
        import pandas as pd

        rng = np.random.default_rng(5)
        default = [
            {"id": f"r{i}", "text": text, "label": ["rotten", "fresh"][int(rng.integers(2))], "film": f"f{i // 4}"}
            for i, text in enumerate(texts(n))
        ]
        pd.DataFrame(default if rows is None else rows).to_csv(folder / "data.csv", index=False)
        config: dict[str, Any] = {
            "name": "small",
            "seed": 3,
            "data": {"path": "data.csv", "columns": {"cluster": "film"}},
            "model": {"path": str(model_folder)},
            "target": {"favour": "fresh"},
            "groups": [{"attribute": "gender", "lexicon": "gender", "only": ["female", "male"]}],
            "statistics": {"placebos": 499, "permutations": 999},
            "debug": {"explained": 8},
            "output": str(folder / "out"),
            **changes,
        }
        path = folder / "small.yaml"
        path.write_text(yaml.safe_dump(config), encoding="utf-8")
        return path

    return make


@pytest.fixture
def small_project(project: Callable[..., Path], tmp_path: Path) -> Path:
    """A working directory with a small stand-in for `configs/quickstart_text.yaml`, and the shipped one for images."""
    config = project(
        name="quickstart_text", data={"path": "../data.csv", "columns": {"cluster": "film"}}, output="reports"
    )
    (tmp_path / "configs").mkdir()
    config.rename(tmp_path / "configs" / "quickstart_text.yaml")
    shipped = Path(__file__).parents[1] / "configs" / "quickstart_vision.yaml"
    (tmp_path / "configs" / shipped.name).write_bytes(shipped.read_bytes())
    return tmp_path

"""Fine-tuning of a tiny encoder: it learns, repeats itself, and leaves the caller's random state and terminal alone."""

from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from audit.config import Model
from audit.models.fine_tuning import Recipe, fine_tune
from audit.models.huggingface import load_text_model
from audit.models.pretrained import weights_fingerprint

WORDS = ["[PAD]", "[UNK]", "a", "good", "bad", "film"]
TEXTS = ["a good film", "bad film", "good", "a bad", "film a good", "a film bad"] * 4
LABELS = ["fresh", "rotten"] * 12
QUICK = Recipe(epochs=12, batch=8, rate=2e-2)


@pytest.fixture
def encoder(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    BertModel(BertConfig(vocab_size=len(WORDS), max_position_embeddings=16, **small)).save_pretrained(
        tmp_path / "encoder"
    )
    inner = Tokenizer(models.WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    words = PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="[PAD]", unk_token="[UNK]")
    words.save_pretrained(tmp_path / "encoder")
    return tmp_path / "encoder"


def test_trained_model_tells_the_classes_apart(encoder: Path, tmp_path: Path) -> None:
    fine_tune(encoder, TEXTS, LABELS, tmp_path / "out", QUICK)
    loaded = load_text_model(Model(path="out"), str(tmp_path / "out"))
    assert loaded.classes == ("rotten", "fresh")
    logits = loaded.model(**loaded.tokenizer(TEXTS, padding=True, return_tensors="pt")).logits
    assert [loaded.classes[index] for index in logits.argmax(dim=1)] == LABELS


def test_same_seed_gives_the_same_weights_and_another_seed_others(encoder: Path, tmp_path: Path) -> None:
    for name, seed in (("first", 1), ("again", 1), ("other", 2)):
        fine_tune(encoder, TEXTS, LABELS, tmp_path / name, Recipe(batch=8, seed=seed))
    first, again, other = (weights_fingerprint(tmp_path / name) for name in ("first", "again", "other"))
    assert first == again != other


def test_random_state_of_the_caller_is_left_alone(encoder: Path, tmp_path: Path) -> None:
    before = torch.get_rng_state()
    fine_tune(encoder, TEXTS, LABELS, tmp_path / "out", Recipe(batch=8))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_log_gets_plain_lines_on_stderr_only(
    encoder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    capfd.readouterr()
    fine_tune(encoder, TEXTS, LABELS, tmp_path / "out", Recipe(batch=8))
    out, err = capfd.readouterr()
    assert out == ""
    lines = err.splitlines()
    assert [line.split(", ")[0] for line in lines] == [
        f"fine-tuning the demo model (once): step {step} of 3" for step in (1, 2, 3)
    ]

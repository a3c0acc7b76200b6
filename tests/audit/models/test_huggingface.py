"""Loading: what is right loads with the right facts; every way to be unusable is named, with the cure."""

import json
import os
import pickle
import subprocess
import sys
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    BertForTokenClassification,
    BertModel,
    BertTokenizerFast,
    ByT5Tokenizer,
    GPT2Config,
    GPT2ForSequenceClassification,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaForSequenceClassification,
)

from audit.config import Model
from audit.errors import ModelError
from audit.models.huggingface import load_text_model
from audit.models.pretrained import weights_fingerprint

SMALL = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
SPECIAL = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
WORDS = [*SPECIAL.values(), "a", "good", "bad", "film", "##s"]


def bert(cls: type[PreTrainedModel] = BertForSequenceClassification, **changes: Any) -> PreTrainedModel:
    settings = {"vocab_size": len(WORDS), "max_position_embeddings": 32, "num_labels": 3, **SMALL, **changes}
    return cls(BertConfig(**settings))


def tokenizer(words: list[str] = WORDS, **special: str) -> PreTrainedTokenizerFast:
    inner = Tokenizer(models.WordPiece({word: index for index, word in enumerate(words)}, unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    inner.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return PreTrainedTokenizerFast(tokenizer_object=inner, **(special or SPECIAL))


def saved(folder: Path, model: PreTrainedModel | None = None, words: PreTrainedTokenizerFast | None = None) -> Path:
    torch.manual_seed(0)
    (model or bert()).save_pretrained(folder)
    (words or tokenizer()).save_pretrained(folder)
    return folder


def load(folder: Path, **changes: Any) -> Any:
    return load_text_model(Model(path=str(folder), **changes), str(folder))


def test_bert_loads_with_its_facts(tmp_path: Path) -> None:
    names = {0: "low", 1: "middle", 2: "high"}
    loaded = load(saved(tmp_path, bert(id2label=names, label2id={v: k for k, v in names.items()})))
    assert loaded.classes == ("low", "middle", "high")
    assert loaded.architecture == "BertForSequenceClassification"
    assert loaded.max_length == 32
    assert loaded.notes == ()
    assert loaded.parameters == sum(w.numel() for w in load_file(tmp_path / "model.safetensors").values())
    assert not loaded.model.training
    assert not any(weight.requires_grad for weight in loaded.model.parameters())
    encoded = loaded.tokenizer("good films", return_offsets_mapping=True)
    assert encoded["offset_mapping"] == [(0, 0), (0, 4), (5, 9), (9, 10), (0, 0)]


def test_more_than_ten_classes_keep_logit_order(tmp_path: Path) -> None:
    names = {index: f"class {index}" for index in range(12)}
    model = bert(num_labels=12, id2label=names, label2id={v: k for k, v in names.items()})
    assert load(saved(tmp_path, model)).classes == tuple(names.values())


def test_float64_is_the_saved_float32_exactly(tmp_path: Path) -> None:
    model = load(saved(tmp_path), dtype="float64").model
    weight = load_file(tmp_path / "model.safetensors")["classifier.weight"]
    assert model.classifier.weight.dtype == torch.float64
    assert torch.equal(model.classifier.weight, weight.double())


def test_gpt2_without_padding_token_pads_with_its_end_token_and_ignores_the_padding(tmp_path: Path) -> None:
    model = GPT2ForSequenceClassification(
        GPT2Config(vocab_size=len(WORDS), n_embd=16, n_layer=1, n_head=2, n_positions=24, num_labels=2)
    )
    loaded = load(saved(tmp_path, model, tokenizer(unk_token="[UNK]", eos_token="[SEP]")))
    assert loaded.tokenizer.pad_token == "[SEP]"
    assert loaded.model.config.pad_token_id == loaded.tokenizer.pad_token_id == 3
    assert loaded.max_length == 24
    assert "no padding token" in loaded.notes[0]
    texts = ["good film", "a bad bad bad film"]
    batch = loaded.tokenizer(texts, padding=True, return_tensors="pt", add_special_tokens=False)
    alone = loaded.tokenizer(texts[:1], return_tensors="pt", add_special_tokens=False)
    torch.testing.assert_close(loaded.model(**batch).logits[:1], loaded.model(**alone).logits)


def test_roberta_can_read_its_longest_text(tmp_path: Path) -> None:
    config = RobertaConfig(vocab_size=len(WORDS), max_position_embeddings=20, pad_token_id=0, num_labels=2, **SMALL)
    loaded = load(saved(tmp_path, RobertaForSequenceClassification(config)))
    assert loaded.max_length == 19
    ids = loaded.tokenizer("good " * 30, truncation=True, max_length=19, return_tensors="pt")["input_ids"]
    assert ids.shape == (1, 19)
    assert bool(torch.isfinite(loaded.model(ids).logits).all())
    with pytest.raises((IndexError, RuntimeError), match="out of"):
        loaded.model(torch.cat([ids, ids[:, :1]], dim=1))


def test_asked_max_length_is_kept(tmp_path: Path) -> None:
    assert load(saved(tmp_path), max_length=8).max_length == 8


def test_loading_writes_nothing_to_the_terminal(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    saved(tmp_path)
    capfd.readouterr()
    load(tmp_path)
    assert capfd.readouterr() == ("", "")


def test_settings_of_transformers_are_restored(tmp_path: Path) -> None:
    from transformers.utils import logging

    logging.set_verbosity_info()
    try:
        filters = list(warnings.filters)
        load(saved(tmp_path))
        assert logging.get_verbosity() == logging.INFO
        assert logging.is_progress_bar_enabled()
        assert list(warnings.filters) == filters
    finally:
        logging.set_verbosity_warning()


def test_fingerprint_changes_with_every_deciding_file_and_no_other(tmp_path: Path) -> None:
    saved(tmp_path)
    first = weights_fingerprint(tmp_path)
    (tmp_path / "README.md").write_text("hello")
    assert weights_fingerprint(tmp_path) == first == load(tmp_path).sha256
    seen = {first}
    for name in ("model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json"):
        with (tmp_path / name).open("ab") as stream:
            stream.write(b" ")
        seen.add(weights_fingerprint(tmp_path))
    assert len(seen) == 5


def test_hub_name_is_loaded_at_one_commit_which_is_its_fingerprint(tmp_path: Path) -> None:
    """Offline, from a hub cache laid out as huggingface_hub documents it; a new process, as it reads HF_HOME once."""
    commit = "0123456789abcdef" * 2 + "01234567"
    hub = tmp_path / "hub" / "models--someone--classifier"
    saved(hub / "snapshots" / commit)
    (hub / "refs").mkdir()
    (hub / "refs" / "main").write_text(commit)
    code = (
        "from audit.config import Model; from audit.models.huggingface import load_text_model\n"
        "loaded = load_text_model(Model(path='someone/classifier'), 'someone/classifier')\n"
        "print(loaded.sha256, loaded.architecture, loaded.model.training)"
    )
    env = {**os.environ, "HF_HOME": str(tmp_path), "HF_HUB_CACHE": str(tmp_path / "hub"), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == (f"{commit} BertForSequenceClassification False\n", "")


def to_pickle(folder: Path) -> None:
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def test_allowed_pickle_loads_the_same_numbers(tmp_path: Path) -> None:
    weight = load(saved(tmp_path)).model.classifier.weight
    to_pickle(tmp_path)
    assert torch.equal(load(tmp_path, allow_pickle=True).model.classifier.weight, weight)


class Touch:
    """Unpickling this creates the file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[str, str], Any], tuple[str, str]]:
        return open, (str(self.path), "w")


def test_allowed_pickle_still_runs_no_code(tmp_path: Path) -> None:
    folder, marker = saved(tmp_path / "model"), tmp_path / "ran"
    to_pickle(folder)
    torch.save({"classifier.weight": Touch(marker)}, folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match="more than tensors and was not run"):
        load(folder, allow_pickle=True)
    assert not marker.exists()
    pickle.loads(pickle.dumps(Touch(marker))).close()
    assert marker.exists(), "the trap itself must work"


def write_code(folder: Path) -> None:
    change_config(folder, model_type="own", auto_map={"AutoConfig": "own.OwnConfig"})
    (folder / "own.py").write_text(f"open({str(folder / 'ran')!r}, 'w')")


def test_code_of_the_model_is_not_run_unless_allowed(tmp_path: Path) -> None:
    write_code(saved(tmp_path))
    with pytest.raises(ModelError, match=r"set model\.allow_remote_code: true if you trust"):
        load(tmp_path)
    assert not (tmp_path / "ran").exists()


def change_config(folder: Path, **changes: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def change_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def remove(folder: Path, pattern: str) -> None:
    for file in list(folder.glob(pattern)):
        file.unlink()


def no_vocabulary(folder: Path) -> None:
    remove(folder, "tokenizer.json")


def no_words(folder: Path) -> None:
    BertTokenizerFast().save_pretrained(folder)


def one_logit(folder: Path) -> None:
    bert(num_labels=1).save_pretrained(folder)


def slow_tokenizer(folder: Path) -> None:
    remove(folder, "tokenizer*")
    ByT5Tokenizer().save_pretrained(folder)


BROKEN: Mapping[str, tuple[Callable[[Path], object], str]] = MappingProxyType(
    {
        "folder without config": (lambda f: remove(f, "config.json"), r"holds no config\.json; give a folder"),
        "folder without weights": (lambda f: remove(f, "*.safetensors"), r"holds no weights .*save the model again"),
        "pickled weights": (to_pickle, r"pickled .*convert them .*or set model\.allow_pickle: true"),
        "cut weights": (
            lambda f: (f / "model.safetensors").write_bytes((f / "model.safetensors").read_bytes()[:-9]),
            "the model cannot be loaded: SafetensorError",
        ),
        "config that is not JSON": (
            lambda f: (f / "config.json").write_text("{"),
            "the model's config cannot be loaded",
        ),
        "bare encoder": (lambda f: bert(BertModel).save_pretrained(f), "is a BertModel, not a .*fine-tune it"),
        "token classifier": (
            lambda f: bert(BertForTokenClassification).save_pretrained(f),
            "is a BertForTokenClassification, not a",
        ),
        "untrained head": (
            lambda f: change_weights(f, lambda w: (w.pop("classifier.weight"), w.pop("classifier.bias"))),
            r"2 weights .*'classifier\.bias'; an untrained head cannot be audited",
        ),
        "head of another size": (
            lambda f: change_weights(f, lambda w: w.update({"classifier.bias": torch.zeros(5)})),
            r"1 weights .* of another shape, such as 'classifier\.bias'",
        ),
        "NaN weights": (
            lambda f: change_weights(f, lambda w: w["classifier.weight"].fill_(float("nan"))),
            r"weight 'classifier\.weight' holds NaN or infinity in float32",
        ),
        "regression": (lambda f: change_config(f, problem_type="regression"), "problem_type is 'regression'"),
        "multi-label": (
            lambda f: change_config(f, problem_type="multi_label_classification"),
            "problem_type is 'multi_label_classification'",
        ),
        "single logit": (one_logit, r"has 1 logit; .*num_labels=2"),
        "repeated class name": (
            lambda f: change_config(f, id2label={0: "x", 1: "x", 2: "y"}),
            "must name logits 0 to 2, each by another name",
        ),
        "no tokenizer": (lambda f: remove(f, "tokenizer*"), r"holds no tokenizer; .*tokenizer\.save_pretrained"),
        "tokenizer without vocabulary": (no_vocabulary, "the tokenizer cannot be loaded: .*save a fast tokenizer"),
        "tokenizer without words": (no_words, "the tokenizer knows no words; save a fast tokenizer"),
        "slow tokenizer": (slow_tokenizer, "ByT5Tokenizer does not say which characters .*save a fast tokenizer"),
        "no padding token": (
            lambda f: tokenizer(unk_token="[UNK]").save_pretrained(f),
            "neither a padding nor an end token; set tokenizer.pad_token",
        ),
        "larger vocabulary": (
            lambda f: tokenizer([*WORDS, "more"]).save_pretrained(f),
            f"ids up to {len(WORDS)}, the model has {len(WORDS)} embeddings",
        ),
    }
)


@pytest.mark.parametrize("case", BROKEN)
def test_unusable_folder_is_named_with_its_cure(case: str, tmp_path: Path) -> None:
    damage, message = BROKEN[case]
    damage(saved(tmp_path))
    with pytest.raises(ModelError, match=message) as raised:
        load(tmp_path)
    assert str(tmp_path) in str(raised.value)


@pytest.mark.parametrize("path", ["./missing", "/missing/model", "a/b/c"])
def test_missing_folder_is_not_looked_up_on_the_hub(path: str) -> None:
    with pytest.raises(ModelError, match="no such model folder"):
        load_text_model(Model(path=path), path)


def test_unreachable_hub_name_is_a_model_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(
        ModelError, match=r"nobody/nothing: no folder of this name here, and from the hub .* cannot be loaded"
    ):
        load_text_model(Model(path="nobody/nothing"), "nobody/nothing")


@pytest.mark.parametrize("device", ["gpu", "cuda:99", "meta"])
def test_unusable_device_is_refused(device: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=rf"engine\.device: '{device}' .*use 'cpu'"):
        load_text_model(Model(path=str(saved(tmp_path))), str(tmp_path), device=device)


def test_overflow_in_half_precision_is_refused(tmp_path: Path) -> None:
    saved(tmp_path)
    change_weights(tmp_path, lambda w: w["classifier.weight"].fill_(1e6))
    with pytest.raises(ModelError, match="infinity in float16"):
        load(tmp_path, dtype="float16")


def test_max_length_beyond_the_positions_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"model\.max_length: 33 is more than the 32 tokens"):
        load(saved(tmp_path), max_length=33)

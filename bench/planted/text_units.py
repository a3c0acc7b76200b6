"""One unit of texts: a classifier trained on texts with a planted reliance, and the folder of its audit."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from shutil import copyfile
from typing import Any, Final, final

import numpy as np
import torch
import yaml
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from torch import Tensor, nn
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

from bench.planted import text_networks
from bench.planted.texts import IDS, SPECIAL, VOCABULARY, Ints, Texts, draw, written
from bench.planted.training import Recipe, contrast, train

CLASSES: Final = ("no", "yes")
TRAINED: Final = 12_800
AUDITED: Final = 640
COLUMNS: Final = {"group": ("b", "a"), "decoy": ("d", "c"), "topic": ("t0", "t1"), "origin": ("out", "in")}


@final
@dataclass(frozen=True, slots=True)
class TextArm:
    """How sides of words go with the label, or with one another, where the model is trained and where it is audited.

    `rho` in a coupling stands for the unit's. `declared`: pairs of groups the audit is told of. `origin`: the attribute of the data
    that outcome gaps are asked of. `pairs`: every audited text comes with its counterpart. `longer`: trained for so many times the
    epochs.
    """

    trained: Mapping[str, tuple[str, float | str]]
    audited: Mapping[str, tuple[str, float | str]]
    declared: tuple[str, ...] = ("group", "decoy")
    origin: str = ""
    pairs: bool = False
    longer: int = 1


TEXT_ARMS: Final = {
    "protected pair": TextArm({"group": ("label", "rho")}, {}),
    "protected pair, audited as trained": TextArm({"group": ("label", "rho")}, {"group": ("label", "rho")}),
    "proxy word": TextArm({"proxy": ("label", "rho")}, {"proxy": ("group", 0.9)}),
    "interaction": TextArm({"label": ("group xor topic", "rho")}, {}, origin="group xor topic", longer=6),
    "interaction of undeclared words": TextArm(
        {"label": ("group xor topic", "rho")}, {}, declared=("decoy",), origin="group xor topic", longer=6
    ),
    "sentence pairs": TextArm({"group": ("label", "rho")}, {}, pairs=True),
}  # fmt: skip


def _bert() -> nn.Module:
    return BertForSequenceClassification(
        BertConfig(
            vocab_size=len(VOCABULARY), hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
            max_position_embeddings=20, initializer_range=0.1, **_names(),
        )
    )  # fmt: skip


def _own(name: str) -> Callable[[], nn.Module]:
    def make() -> nn.Module:
        code, kind = text_networks.__name__.rpartition(".")[2], f"{name}ForSequenceClassification"
        settings = getattr(text_networks, f"{name}Config")(vocab_size=len(VOCABULARY), **_names())
        settings.auto_map = {
            "AutoConfig": f"{code}.{name}Config",
            "AutoModelForSequenceClassification": f"{code}.{kind}",
        }
        model: nn.Module = getattr(text_networks, kind)(settings)
        return model

    return make


def _names() -> dict[str, Any]:
    return {"id2label": dict(enumerate(CLASSES)), "label2id": {name: i for i, name in enumerate(CLASSES)}}


TEXT_NETWORKS: Final = {
    "bag": (_own("Bag"), Recipe(1, 2e-2)),
    "attention": (_own("Attention"), Recipe(1, 1e-2)),
    "bert": (_bert, Recipe(1, 2e-3)),
}


def tokenizer() -> PreTrainedTokenizerFast:
    """A word is a token; [CLS] and [SEP] enclose a text."""
    inner = Tokenizer(models.WordLevel({word: i for i, word in enumerate(VOCABULARY)}, unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    inner.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    names = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")
    return PreTrainedTokenizerFast(tokenizer_object=inner, **dict(zip(names, SPECIAL, strict=True)))


def inputs(words: Ints) -> dict[str, Tensor]:
    """What the tokenizer makes of the texts."""
    ends = (np.full((len(words), 1), SPECIAL.index(name)) for name in ("[CLS]", "[SEP]"))
    ids = torch.from_numpy(np.hstack([next(ends), words, next(ends)]))
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


def couplings(given: Mapping[str, tuple[str, float | str]], rho: float) -> dict[str, tuple[str, float]]:
    """With the unit's rho."""
    return {role: (base, rho if size == "rho" else float(size)) for role, (base, size) in given.items()}


def text_unit(
    folder: Path, arm: TextArm, network: str, rho: float, seed: int
) -> tuple[dict[str, Any], dict[str, float]]:
    """Train, and write data and model into `folder`: the blocks of the config of its audit, and the truth."""
    rng = np.random.default_rng([seed, 1])
    seen = draw(TRAINED, rng, coupling=couplings(arm.trained, rho))
    n = AUDITED // 2 if arm.pairs else AUDITED
    asked = draw(n, rng, coupling=couplings(arm.audited, rho), twice=arm.pairs)
    make, recipe = TEXT_NETWORKS[network]
    recipe = replace(recipe, epochs=arm.longer * recipe.epochs)
    model = train(make, inputs(seen.words), seen.label, recipe, seed)
    save(folder, model)
    _write(folder, asked)
    return _blocks(arm), text_truth(model, asked)


def text_truth(model: nn.Module, texts: Texts) -> dict[str, float]:
    """The effect of side 1 in the place of side 0 of the planted pair, in sd of the contrast logit; flips, accuracy."""
    margin, one, zero = (contrast(model, inputs(words)) for words in (texts.words, *texts.toggled))
    return {
        "effect": float((one - zero).mean() / margin.std()),
        "flips": float(((one > 0) != (zero > 0)).mean()),
        "accuracy": float(((margin > 0) == texts.label).mean()),
    }


def save(folder: Path, model: Any) -> None:
    """Weights, settings, tokenizer, and the code of a model that transformers does not have."""
    model.save_pretrained(folder / "model")
    tokenizer().save_pretrained(folder / "model")
    if getattr(model.config, "auto_map", None):
        copyfile(text_networks.__file__, folder / "model" / Path(text_networks.__file__).name)


def _write(folder: Path, texts: Texts) -> None:
    import pandas as pd

    sides = {**texts.sides, "origin": texts.sides["group"] ^ texts.sides["topic"]}
    named = {role: np.array(COLUMNS[role])[side] for role, side in sides.items() if role in COLUMNS}
    label = np.array(CLASSES)[texts.label]
    rows = {"id": np.arange(len(label)), "text": written(texts.words), "label": label, "pair": texts.cluster, **named}
    pd.DataFrame(rows).to_csv(folder / "texts.csv", index=False)
    names = np.array(VOCABULARY)
    for pair in ("group", "decoy"):
        sides_of = zip(COLUMNS[pair], IDS[pair], strict=True)
        groups = {name: {"words": names[ids].tolist()} for name, ids in reversed(list(sides_of))}
        lexicon = {"attribute": pair, "version": "1", "provenance": "made-up words", "groups": groups}
        (folder / f"{pair}.yaml").write_text(yaml.safe_dump(lexicon))


def _blocks(arm: TextArm) -> dict[str, Any]:
    attributes = {"origin": "origin"} if arm.origin else {}
    return {
        "task": "text",
        "data": {"path": "texts.csv", "columns": {"cluster": "pair", "attributes": attributes}},
        "model": {"path": "model", "allow_remote_code": True},
        "engine": {"batch_size": 8192},
        "target": {"favour": CLASSES[1]},
        "groups": [{"attribute": pair, "lexicon": f"{pair}.yaml"} for pair in arm.declared],
    }

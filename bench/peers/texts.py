"""Tiny text classifiers with the same weights everywhere, for transformers 4 (where LXT runs) and 5; no engine is imported."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import AutoModelForSequenceClassification, BertConfig, GPT2Config, LlamaConfig

from bench.peers.nets import fill

_COMMON: dict[str, Any] = {"vocab_size": 100, "num_labels": 3, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
_SMALL: dict[str, Any] = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
FAMILIES: dict[str, Callable[[], BertConfig | GPT2Config | LlamaConfig]] = {
    "bert": lambda: BertConfig(**_COMMON, **_SMALL, max_position_embeddings=32),
    "gpt2": lambda: GPT2Config(**_COMMON, n_embd=32, n_layer=2, n_head=4, n_positions=32),
    "llama": lambda: LlamaConfig(**_COMMON, **_SMALL, num_key_value_heads=2, max_position_embeddings=32),
}
ATTENTION = ("eager", "sdpa")
CASES = tuple(f"{family}.{attention}" for family in FAMILIES for attention in ATTENTION)


def build(case: str) -> nn.Module:
    """A classifier of 3 classes in float64 and evaluation mode."""
    family, attention = case.split(".")
    model: Any = AutoModelForSequenceClassification.from_config(FAMILIES[family](), attn_implementation=attention)
    model = model.double().eval().requires_grad_(False)
    fill(family, model.named_parameters())
    return model


def batch() -> dict[str, Tensor]:
    """Two texts of 9 tokens, of which the second hides three.

    Not at an end: a padded end is found by ids, which LXT does not get, and before a causal text it leaves rows without any
    token, where transformers' eager Llama is NaN in float64 (it takes softmax in float32, where the mask is minus infinity).
    """
    ids = torch.from_numpy(np.random.Generator(np.random.PCG64(11)).integers(5, 100, size=(2, 9)))
    mask = torch.ones_like(ids)
    mask[1, 3:6] = 0
    return {"input_ids": ids, "attention_mask": mask}

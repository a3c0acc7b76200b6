"""How one line of the zoo becomes a model and its inputs: the configuration of an architecture shrunk by one table of sizes."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

import torch
import transformers
from torch import Tensor, nn
from transformers import CONFIG_MAPPING, PreTrainedConfig
from transformers.models.auto import modeling_auto

from tests.lrp.zoo_sizes import OWN

Inputs = Tensor | dict[str, Tensor]
Attention = str | None
Builder = Callable[[torch.dtype], Inputs]

SEED, BATCH, LABELS, VOCABULARY, TOKENS, SIDE = 4, 3, 3, 100, 9, 32
PADDED = 3  # tokens of padding at the end of the second text

SIZES: dict[str, int] = {
    **dict.fromkeys(
        "hidden_size d_model dim n_embd emb_dim embed_dim embedding_size projection_dim d_latents".split(), 32
    ),
    **dict.fromkeys(
        "word_embed_proj_dim pooler_hidden_size pooler_output_size output_hidden_size true_hidden_size".split(), 32
    ),
    **dict.fromkeys("input_embedding_size output_embedding_size projection_size intra_bottleneck_size".split(), 32),
    **dict.fromkeys("num_hidden_layers n_layers n_layer num_layers encoder_layers decoder_layers depth".split(), 2),
    **dict.fromkeys("num_decoder_layers num_self_attends_per_block".split(), 2),
    **dict.fromkeys(
        "num_attention_heads n_heads n_head num_heads encoder_attention_heads decoder_attention_heads".split(), 4
    ),
    **dict.fromkeys("num_self_attention_heads num_cross_attention_heads".split(), 4),
    **dict.fromkeys("num_key_value_heads num_kv_heads".split(), 2),
    **dict.fromkeys(
        "intermediate_size ffn_dim encoder_ffn_dim decoder_ffn_dim d_ff dff d_inner hidden_dim".split(), 64
    ),
    **dict.fromkeys(
        "moe_intermediate_size shared_expert_intermediate_size ffn_hidden_size feed_forward_size".split(), 64
    ),
    **dict.fromkeys("head_dim d_kv d_head attention_head_size v_head_dim qk_nope_head_dim qk_rope_head_dim".split(), 8),
    **dict.fromkeys("kv_channels rotary_dim linear_key_head_dim linear_value_head_dim index_head_dim".split(), 8),
    **dict.fromkeys("q_lora_rank kv_lora_rank mamba_dt_rank mamba_d_state".split(), 8),
    **dict.fromkeys("linear_num_key_heads linear_num_value_heads index_n_heads".split(), 2),
    **dict.fromkeys("num_experts num_local_experts n_routed_experts".split(), 4),
    **dict.fromkeys("num_experts_per_tok moe_topk".split(), 2),
    **dict.fromkeys("n_shared_experts n_group topk_group mamba_n_groups".split(), 1),
    **dict.fromkeys("max_position_embeddings n_positions max_seq_len".split(), 64),
    "vocab_size": VOCABULARY,
    "image_size": SIDE,
    "classifier_proj_size": 32,
}
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
NORMALISATIONS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
SPECIAL = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}


@final
@dataclass(frozen=True, slots=True)
class Specimen:
    """One architecture of the zoo.

    `model(attention)`: seeded, in evaluation mode, every parameter random. `inputs(dtype)`: a batch. `lacks`: the
    operation without a rule and the reason, for those that must raise `UncoveredOperation`.
    """

    family: str
    model: Callable[[Attention], nn.Module]
    inputs: Callable[[torch.dtype], Inputs]
    lacks: str = ""


def randomised(model: nn.Module, spread: float = 0.2) -> nn.Module:
    """The model in evaluation mode, random biases, gains and running statistics too, so that every ledger entry is used."""
    generator = torch.Generator().manual_seed(SEED)
    wide = {id(m.weight): (2 / m.weight[0].numel()) ** 0.5 for m in model.modules() if isinstance(m, CONVOLUTIONS)}
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, NORMALISATIONS) and module.weight is not None:
                nn.init.ones_(module.weight)  # some of the release start near zero, where no signal passes
        for parameter in model.parameters():
            scale = wide.get(id(parameter), spread)
            parameter.add_(scale * torch.randn(parameter.shape, generator=generator))
        for name, buffer in model.named_buffers():
            if name.endswith("running_mean"):
                buffer.copy_(spread * torch.randn(buffer.shape, generator=generator))
            if name.endswith("running_var"):
                buffer.copy_(0.5 + torch.rand(buffer.shape, generator=generator))
    return model.eval()


def shrunk(kind: type[PreTrainedConfig], **overrides: Any) -> PreTrainedConfig:
    """A configuration with every size of `SIZES` that it has as a number; nested ones too; `overrides` last."""
    overrides, default = dict(overrides), kind()
    found: dict[str, Any] = {}
    for name, value in vars(default).items():
        if isinstance(value, PreTrainedConfig):
            found[name] = shrunk(type(value), **overrides.pop(name, {}))
        elif name in SIZES and type(value) is int:
            found[name] = SIZES[name]
        elif name in SPECIAL:
            found[name] = SPECIAL[name]
    return kind(**{**found, "num_labels": LABELS, **overrides})


def pretrained(mapping: str, name: str, cls: str, overrides: dict[str, Any], attention: Attention) -> nn.Module:
    """A classifier of the release with random weights; its class is the one of the auto mapping unless given."""
    found = getattr(modeling_auto, f"MODEL_FOR_{mapping}_CLASSIFICATION_MAPPING_NAMES")[name]
    chosen = cls or (found if isinstance(found, str) else found[0])
    config = shrunk(CONFIG_MAPPING[name], **{**OWN.get(name, {}), **overrides})
    if attention is not None:
        config._attn_implementation = attention
    torch.manual_seed(SEED)
    return randomised(getattr(transformers, chosen)(config))


class LastState(nn.Module):
    """A model of the release that returns its logits as `last_hidden_state`."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, **inputs: Tensor) -> Tensor:
        return self.inner(**inputs).last_hidden_state


def texts(length: int = TOKENS, *, mask: bool = True) -> Builder:
    """Three texts that end with the end token; the second is followed by padding, where there is a mask."""

    def build(dtype: torch.dtype) -> dict[str, Tensor]:
        ids = torch.randint(5, VOCABULARY, (BATCH, length), generator=torch.Generator().manual_seed(1))
        ids[:, -1] = SPECIAL["eos_token_id"]
        if not mask:
            return {"input_ids": ids}
        attention = torch.ones_like(ids)
        ids[1, -PADDED - 1], ids[1, -PADDED:] = SPECIAL["eos_token_id"], SPECIAL["pad_token_id"]
        attention[1, -PADDED:] = 0
        return {"input_ids": ids, "attention_mask": attention}

    return build


def noise(name: str, *shape: int) -> Builder:
    """A batch of random numbers under one name."""
    return lambda dtype: {name: torch.randn(shape, generator=torch.Generator().manual_seed(1)).to(dtype)}


def images(side: int) -> Builder:
    """Square images."""
    return noise("pixel_values", BATCH, 3, side, side)


def patches(count: int = 16, size: int = 4) -> Builder:
    """Images as flattened patches with a mask and the shape of their grid, as Siglip2 reads them."""

    def build(dtype: torch.dtype) -> dict[str, Tensor]:
        values = noise("pixel_values", BATCH, count, 3 * size * size)(dtype)
        mask = torch.ones(BATCH, count, dtype=torch.long)
        return {**values, "pixel_attention_mask": mask, "spatial_shapes": torch.full((BATCH, 2), math.isqrt(count))}

    return build


def floats(*shape: int) -> Builder:
    """A batch of random numbers as one tensor."""
    return lambda dtype: torch.randn(shape, generator=torch.Generator().manual_seed(1)).to(dtype)


TEXTS, IMAGES, SOUNDS = texts(), images(SIDE), noise("input_values", BATCH, 800)


def text(name: str, inputs: Builder = TEXTS, cls: str = "", lacks: str = "", **overrides: Any) -> Specimen:
    """A sequence classifier of the release."""
    return Specimen("text", lambda a: pretrained("SEQUENCE", name, cls, overrides, a), inputs, lacks)


def vision(
    name: str, inputs: Builder = IMAGES, cls: str = "", lacks: str = "", *, wrapped: bool = False, **overrides: Any
) -> Specimen:
    """An image classifier of the release; `wrapped` where its logits have another name."""

    def model(attention: Attention) -> nn.Module:
        inner = pretrained("IMAGE", name, cls, overrides, attention)
        return LastState(inner) if wrapped else inner

    return Specimen("vision", model, inputs, lacks)


def audio(name: str, inputs: Builder = SOUNDS, cls: str = "", lacks: str = "", **overrides: Any) -> Specimen:
    """An audio classifier of the release."""
    return Specimen("audio", lambda a: pretrained("AUDIO", name, cls, overrides, a), inputs, lacks)


def plain(build: Callable[..., nn.Module], *shape: int, lacks: str = "", **arguments: Any) -> Specimen:
    """A torch model on random numbers of `shape` (without the batch), or on texts when there is none."""

    def model(attention: Attention) -> nn.Module:
        torch.manual_seed(SEED)
        return randomised(build(**arguments))

    return Specimen("plain", model, floats(BATCH, *shape) if shape else TEXTS, lacks)

"""Cost of a composite relative to gradient x input on the same model and batch, interleaved, median of the ratios.

Floor: 1.0, since a composite needs one forward and one backward pass too. Two composites from one forward pass: about 1.5.
"""

import statistics
import time
from collections.abc import Callable

import torch
from transformers import AutoModelForSequenceClassification, BertConfig, LlamaConfig, PreTrainedModel

import lrp

SHAPES = {
    "BERT-base shape (12 x 768)": lambda: BertConfig(),
    "MiniLM shape (6 x 384)": lambda: BertConfig(
        hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536
    ),
    "Llama shape (6 x 512)": lambda: LlamaConfig(
        vocab_size=2000,
        hidden_size=512,
        num_hidden_layers=6,
        num_attention_heads=8,
        intermediate_size=1376,
        pad_token_id=0,
    ),
}


def gradient_x_input(model: PreTrainedModel, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The baseline, in plain autograd."""
    embedded = model.get_input_embeddings()(ids).detach().requires_grad_()
    logits = model(inputs_embeds=embedded, attention_mask=mask).logits
    (gradient,) = torch.autograd.grad(logits[:, 0].sum(), embedded)
    return (embedded * gradient).sum(-1)


def ratios(calls: dict[str, Callable[[], object]], baseline: str, rounds: int) -> dict[str, float]:
    """Median over rounds of each call's time over the baseline's in the same round; the first round warms up."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds + 1):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            times[name].append(time.perf_counter() - start)
    return {
        name: statistics.median(a / b for a, b in zip(taken[1:], times[baseline][1:], strict=True))
        for name, taken in times.items()
    }


def measure(model: PreTrainedModel, rounds: int) -> dict[str, float]:
    """Ratios of every composite on one model."""
    ids = torch.randint(5, 1000, (8, 64))
    mask = torch.ones_like(ids)
    inputs = {"input_ids": ids, "attention_mask": mask}
    calls: dict[str, Callable[[], object]] = {
        "gradient x input": lambda: gradient_x_input(model, ids, mask),
        "attn_lrp": lambda: lrp.attribute(model, inputs, 0, "attn_lrp"),
        "cp_lrp": lambda: lrp.attribute(model, inputs, 0, "cp_lrp"),
        "epsilon": lambda: lrp.attribute(model, inputs, 0, "epsilon"),
        "cp_lrp + attn_lrp": lambda: lrp.attribute_each(model, inputs, 0, ("cp_lrp", "attn_lrp")),
    }
    return ratios(calls, "gradient x input", rounds)


def main(*, small: bool) -> None:
    """Print one row per model shape."""
    print("engine: cost relative to gradient x input (floor 1.0; two composites about 1.5)")
    for title, config in SHAPES.items():
        torch.manual_seed(0)
        found = measure(
            AutoModelForSequenceClassification.from_config(config()).eval().requires_grad_(False), 3 if small else 15
        )
        print(
            f"  {title}: "
            + ", ".join(f"{name} {value:.2f}" for name, value in found.items() if name != "gradient x input")
        )

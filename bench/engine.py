"""Cost of a composite relative to gradient x input on the same model and batch, interleaved, median of the ratios.

Floor: 1.0 for rules that change only the gradient; about 1.5 for one more forward product per convolution (z+, gamma where x >= 0);
2.0 for signed inputs under gamma. Two composites from one forward pass: about 1.5.
"""

import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import run
from typing import Any

import torch
from torch import Tensor, nn

import lrp
from bench.shapes import IMAGES, TEXTS, Words, build, tiny

Composites = dict[str, Any]
ON_IMAGES: dict[str, Composites] = {
    "VGG-16": {
        "epsilon_gamma_box": {"name": "epsilon_gamma_box", "low": 0.0, "high": 1.0},
        "epsilon_plus_flat": "epsilon_plus_flat",
        "epsilon": "epsilon",
        "lrp_z": "lrp_z",
    },
    "ResNet-50": {"epsilon_plus": "epsilon_plus", "epsilon": "epsilon"},
    "ViT-B": {"attn_lrp": "attn_lrp", "attn_lrp with gamma": {"name": "attn_lrp", "gamma": 0.1}},
}
ON_TEXTS: tuple[str, ...] = ("attn_lrp", "cp_lrp", "epsilon")


def gradient_x_input(model: nn.Module, x: Tensor, call: Callable[[Tensor], Any]) -> Tensor:
    """The baseline, in plain autograd; `call` gives the output from the leaf."""
    leaf = x.detach().clone().requires_grad_()
    output = call(leaf)
    logits = output if isinstance(output, Tensor) else output.logits
    (gradient,) = torch.autograd.grad(logits[:, 0].sum(), leaf)
    return leaf * gradient


def ratios(calls: dict[str, Callable[[], object]], baseline: str, rounds: int, *, warm_up: int = 1) -> dict[str, float]:
    """Median over rounds of each call's time over the baseline's in the same round, after `warm_up` rounds."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds + warm_up):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            times[name].append(time.perf_counter() - start)
    return {
        name: statistics.median(a / b for a, b in zip(taken[warm_up:], times[baseline][warm_up:], strict=True))
        for name, taken in times.items()
    }


def _report(title: str, calls: dict[str, Callable[[], object]], rounds: int) -> None:
    found = ratios(calls, "gradient x input", rounds)
    print(f"  {title}: " + ", ".join(f"{n} {v:.2f}" for n, v in found.items() if n != "gradient x input"), flush=True)


def images(rounds: int) -> None:
    """One row per image model."""
    for title, (make, shape) in IMAGES.items():
        model, x = build(make), torch.rand(shape)
        calls: dict[str, Callable[[], object]] = {
            "gradient x input": lambda model=model, x=x: gradient_x_input(model, x, model)
        }
        for name, composite in next(v for k, v in ON_IMAGES.items() if title.startswith(k)).items():
            calls[name] = lambda model=model, x=x, c=composite: lrp.attribute(model, x, 0, c)
        _report(title, calls, rounds)


def texts(rounds: int) -> None:
    """One row per text model."""
    for title, make in TEXTS.items():
        model = build(make)
        ids = torch.randint(5, 1000, (8, 64))
        inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
        words = model.get_input_embeddings()
        calls: dict[str, Callable[[], object]] = {
            "gradient x input": lambda model=model, words=words, inputs=inputs: gradient_x_input(
                model,
                words(inputs["input_ids"]),
                lambda e: model(inputs_embeds=e, attention_mask=inputs["attention_mask"]),
            )
        }
        for name in ON_TEXTS:
            calls[name] = lambda model=model, inputs=inputs, name=name: lrp.attribute(model, inputs, 0, name)
        calls["cp_lrp + attn_lrp"] = lambda model=model, inputs=inputs: lrp.attribute_each(
            model, inputs, 0, ("cp_lrp", "attn_lrp")
        )
        _report(title, calls, rounds)


def recurrent(rounds: int) -> None:
    """LSTM of 2 layers of 256, by its steps."""
    model = build(Words)
    ids = torch.randint(5, 1000, (16, 64))
    calls: dict[str, Callable[[], object]] = {
        "gradient x input": lambda: gradient_x_input(
            model, model.words(ids), lambda e: model.head(model.body(e)[0][:, -1])
        ),
        "attn_lrp": lambda: lrp.attribute(model, {"input_ids": ids}, 0, "attn_lrp"),
    }
    _report("LSTM, 2 x 256 (16 texts of 64 tokens)", calls, rounds)


def overhead() -> None:
    """Milliseconds of a call on a model that itself takes none."""
    model, x = build(tiny), torch.rand(1, 8)
    for composite in ("attn_lrp", {"name": "attn_lrp", "gamma": 0.1}):
        taken = []
        for _ in range(200):
            start = time.perf_counter()
            lrp.attribute(model, x, 0, composite)
            taken.append(time.perf_counter() - start)
        print(f"  two layers, one example, {composite}: {1e3 * statistics.median(taken):.2f} ms a call (at most 2)")


def peak(composite: str) -> None:
    """Peak resident memory in MB of this process after one call on the VGG shape."""
    make, shape = IMAGES["VGG-16 shape (2 x 128 x 128)"]
    model, x = build(make), torch.rand(8, *shape[1:])
    before = high_water()
    if composite == "gradient x input":
        gradient_x_input(model, x, model)
    else:
        lrp.attribute(model, x, 0, composite)
    print(high_water() - before)


def print_growth(module: str, noun: str, low: int, high: int) -> None:
    """Print the peak memory of `python -m MODULE N`, each in a fresh process, for both N; its last line is the peak."""
    peaks = []
    for n in (low, high):
        done = run([sys.executable, "-m", module, str(n)], capture_output=True, text=True, check=True)
        peaks.append(float(done.stdout.strip().splitlines()[-1]))
    base, top = peaks
    print(f"peak memory: {low} {noun} {base:.0f} MB, {high} {noun} {top:.0f} MB, difference {top - base:.0f} MB")


def high_water() -> float:
    """Peak resident memory in MB; VmHWM, because ru_maxrss is inherited from the process that forked this one."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def memory() -> None:
    """Peak memory above the weights, each in a process of its own."""
    names = ("gradient x input", "lrp_z", "epsilon", "epsilon_plus_flat")
    code = "import sys; from bench.engine import peak; peak(sys.argv[1])"
    given_back = {
        **os.environ,
        "MALLOC_MMAP_THRESHOLD_": "1000000",
    }  # freed blocks leave the process, so that runs agree
    found = {
        n: float(
            run([sys.executable, "-c", code, n], capture_output=True, text=True, check=True, env=given_back).stdout
        )
        for n in names
    }
    base = found["gradient x input"]
    print(
        "  peak memory above the weights, VGG-16 shape (8 x 128 x 128), relative (at most 1.3): "
        + ", ".join(f"{name} {found[name] / base:.2f}" for name in names[1:])
    )


def main(*, small: bool) -> None:
    """Print one row per model shape."""
    rounds = 2 if small else 7
    print("engine: cost relative to gradient x input (floor 1.0; z+ and gamma 1.5, signed 2.0; two composites 1.5)")
    overhead()  # first, while the process is small
    texts(rounds)
    recurrent(rounds)
    images(rounds)
    memory()

"""`python -m bench.method_cost [--write]`: seconds of LRP and of other methods on a real encoder, the same texts, in one run.

The planted benchmark measures cost on networks of a thousand weights, where reading the texts takes longer than the network; here the
network is the cost. Floor: integrated gradients take 50 forward and backward passes, Kernel SHAP 512 forward passes, LRP a forward and, for
each composite, a backward pass.
"""

import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import torch

from audit.config import DEFAULTS
from audit.loading import load_config
from audit.preparation import prepare
from audit.relevance.explainer import attribute
from audit.relevance.features import Tokens, word_of_tokens
from audit.relevance.methods import make_method
from audit.relevance.texts import encode

RESULTS: Final = Path(__file__).with_name("method_cost.json")
CONFIG: Final = Path(__file__).parents[1] / "configs" / "quickstart_text.yaml"
TEXTS: Final = 8
REPEATS: Final = {
    "LRP, one composite": 20,
    "LRP, two composites and a witness": 10,
    "integrated_gradients": 2,
    "kernel_shap": 1,
}
LIMITS: Final = {"integrated_gradients": 1 / 20, "kernel_shap": 1 / 50}


def measured(threads: int = 1) -> dict[str, Any]:
    """Median seconds a text of each; the order of the methods turns with every repeat."""
    torch.set_num_threads(threads)
    task = prepare(load_config(CONFIG, [f"data.limit={TEXTS}"]))
    explainer, texts = task.explainer, task.texts
    inputs, offsets, real = encode(explainer, texts)
    words = [word_of_tokens(*row) for row in zip(texts, offsets, real, strict=True)]
    tokens = Tokens(explainer.reader.tokenizer, torch.tensor([each.tolist() for each in words]).numpy())
    own = list(explainer.composites.values())
    asked: dict[str, list[Any]] = {"LRP, one composite": own[:1], "LRP, two composites and a witness": own}
    asked |= {
        name: [make_method(name, "bench", steps=DEFAULTS["steps"], samples=DEFAULTS["samples"], seed=0)]
        for name in LIMITS
    }
    seconds: dict[str, list[float]] = {name: [] for name in asked}
    attribute(explainer.model, inputs, explainer.target, own, tokens)  # warm
    for name, composites in asked.items():
        for _ in range(REPEATS[name]):
            start = time.perf_counter()
            attribute(explainer.model, inputs, explainer.target, composites, tokens)
            seconds[name].append(time.perf_counter() - start)
    shown = {name: sorted(each)[len(each) // 2] / len(texts) for name, each in seconds.items()}
    return {"texts": len(texts), "tokens": int(inputs["attention_mask"].sum()), "threads": threads, "seconds": shown}


def section(found: Mapping[str, Any] | None = None) -> str:
    """Markdown: a table of seconds a text and ratios."""
    given = json.loads(RESULTS.read_text(encoding="utf-8")) if found is None else found
    first, three = list(given["seconds"].values())[:2]
    lines = [
        "## Cost on a real encoder",
        "",
        f"{given['texts']} film reviews of {given['tokens']} tokens, the fine-tuned MiniLM of the demo, {given['threads']} thread, one",
        "run, median a text. Asked: at most 1/20 of integrated gradients with 50 steps, 1/50 of Kernel SHAP with 512 draws.",
        "`python -m bench.method_cost --write` measures this anew.",
        "",
        "| relevance | seconds a text | LRP, one composite / it | LRP, all three / it |",
        "|---|---:|---:|---:|",
        *(
            f"| {name} | {value:.3f} | {first / value:.3f} | {three / value:.3f} |"
            for name, value in given["seconds"].items()
        ),
    ]
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str]) -> None:
    """Print the table, and keep it with `--write`."""
    found = measured()
    print(section(found))
    if "--write" in arguments:
        RESULTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])

"""The results of GECO as a section of Markdown, from the file that the last full run wrote."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

RESULTS: Final = Path(__file__).with_name("results.json")


def section(results: Mapping[str, Any] | None = None) -> str:
    """Markdown: what is measured, then a table for each variant and model."""
    found = json.loads(RESULTS.read_text(encoding="utf-8")) if results is None else results
    lines = [
        "## GECO: relevance on the words that make the classes", "",
        "Sentences of GECOBench (Wilming et al. 2024) in a female and a male form; the words that differ are the truth, every gendered",
        "word or the subject alone. Mass accuracy is the share of |relevance| on them; ROC-AUC and average precision rank |relevance|",
        "within a sentence. Correctly classified test sentences only, for the true class against the other; relevance of sub-words is",
        "summed over a given token. Means over pairs of sentences with 95 % t intervals. Integrated gradients take",
        f"{found['steps']} steps, Kernel SHAP and LIME {found['samples']} draws. `python -m bench.geco --write` measures this anew.", "",
        "Relevance beside the truth may be the model's doing: it may read a word that carries no gender.",
    ]  # fmt: skip
    for each in found["tables"]:
        lines += ["", *_table(each)]
    return "\n".join(lines) + "\n"


def _table(each: Mapping[str, Any]) -> list[str]:
    names = list(next(iter(each["rows"].values())))
    lines = [
        f"**{each['model']}, {each['variant']}**: accuracy {each['accuracy']:.3f} of {each['test']} test sentences; {each['sentences']} "
        f"sentences of {each['pairs']} pairs explained; share of truth tokens {each['share']:.3f}.",
        "",
        f"| relevance | {' | '.join(names)} | seconds |",
        f"|---{'|---:' * (len(names) + 1)}|",
    ]
    for row, scores in each["rows"].items():
        cells = [f"{mean:.3f} [{low:.3f}, {high:.3f}]" for mean, low, high in scores.values()]
        lines.append(f"| `{row}` | {' | '.join(cells)} | {each['seconds'][row]:.0f} |")
    return lines

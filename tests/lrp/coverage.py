"""docs/coverage.md from every check of every architecture in the zoo: `make coverage`, two minutes on one core."""

import sys
from collections.abc import Mapping
from pathlib import Path

import torch
import transformers

from lrp.testing import CLOSURE, SAME, Check, first_line
from tests.lrp.checks import CHECKS, COSINE, checked
from tests.lrp.specimens import Specimen
from tests.lrp.zoo import ABSENT, ZOO

PAGE = """# Coverage of the LRP engine

Written by `make coverage`; do not edit. torch {torch}, transformers {transformers}, composite `auto`, on a CPU.

**{passed} of {total} models pass every check that applies to them, in strict mode.** {raising} raise `UncoveredOperation`, {failing} fail a
check. {release} are classifiers of text, images and audio of the installed transformers release, built from their configurations;
{plain} are plain torch models. Every model is small, has random weights, biases, gains and running statistics, and is used
as it is. To add one, add a line to `tests/lrp/zoo.py`.

| check | holds when |
|---|---|
{legend}

`·`: the check does not apply; the reasons that are not obvious are listed below the tables.
"""
CRITERIA = {
    "strict": "no operation without a rule; relevance is finite and not zero",
    "output": f"the logits that are explained are the model's own to {SAME[torch.float64]:.0e} (float64)",
    "ledger, float32": f"the ledger closes to {CLOSURE[torch.float32]:.0e} of the sum of its terms",
    "ledger, float64": f"the same to {CLOSURE[torch.float64]:.0e}; casts to float32 inside the model are raised to float64",
    "untouched": "parameters, buffers, hooks, random state, training flags, gradients, inputs are as before, bit by bit",
    "batch = single": f"each example alone gives the same relevance to {SAME[torch.float64]:.0e} (float64)",
    "eager = fused": f"attention written out and fused give the same relevance to {SAME[torch.float64]:.0e} (float64)",
    "padded = unpadded": f"padding has no relevance and changes none to {SAME[torch.float64]:.0e} (float64)",
    "bfloat16": f"cosine with relevance in float32 above {COSINE}",
}
OBVIOUS = ("one implementation of attention", "no attention mask")


def page(results: Mapping[str, Mapping[str, Check]]) -> str:
    """docs/coverage.md."""
    raising = [name for name in ZOO if "uncovered" in results[name]]
    passed = [name for name in ZOO if all(outcome.passed is not False for outcome in results[name].values())]
    plain = sum(specimen.family == "plain" for specimen in ZOO.values())
    legend = "\n".join(f"| {name} | {CRITERIA[name]} |" for name in CHECKS)
    head = PAGE.format(
        torch=torch.__version__.split("+")[0], transformers=transformers.__version__, passed=len(passed), total=len(ZOO),
        plain=plain, release=len(ZOO) - plain, raising=len(raising), failing=len(ZOO) - len(passed) - len(raising), legend=legend,
    )  # fmt: skip
    tables = [
        f"## {family.capitalize()}\n\n{table(family, results)}" for family in ("text", "vision", "audio", "plain")
    ]
    return "\n".join([head, *tables, uncovered(results, raising), reasons(results), absent()])


def table(family: str, results: Mapping[str, Mapping[str, Check]]) -> str:
    """One line per architecture of a family that raises nothing."""
    lines = ["| architecture | " + " | ".join(CHECKS) + " |", "|---" * (len(CHECKS) + 1) + "|"]
    for name, specimen in ZOO.items():
        if specimen.family == family and "uncovered" not in results[name]:
            marks = ({True: "yes", False: "**no**", None: "·"}[results[name][check].passed] for check in CHECKS)
            lines.append(f"| {name} | " + " | ".join(marks) + " |")
    return "\n".join(lines) + "\n"


def uncovered(results: Mapping[str, Mapping[str, Check]], names: list[str]) -> str:
    """Those that raise: operation, module and reason."""
    lines = [
        "## What raises `UncoveredOperation`",
        "",
        "| architecture | operation | module | reason |",
        "|---|---|---|---|",
    ]
    for name in names:
        operation, _, rest = results[name]["uncovered"].note.partition(" carries relevance")[0].rpartition(" in ")
        lines.append(f"| {name} | {operation} | {rest} | {ZOO[name].lacks} |")
    return "\n".join(lines) + "\n"


def reasons(results: Mapping[str, Mapping[str, Check]]) -> str:
    """Failed checks with their figure, and why a check does not apply."""
    lines = ["## Remarks", ""]
    for name, outcomes in results.items():
        for check, outcome in outcomes.items():
            if check != "uncovered" and not outcome.passed and outcome.note not in OBVIOUS:
                lines.append(f"* {name}, {check}: {outcome.note}.")
    return "\n".join(lines) + "\n"


def absent() -> str:
    """What the release maps to classification and the zoo has not."""
    return "\n".join(["## Not built", "", *(f"* {name}: {reason}." for name, reason in ABSENT.items())]) + "\n"


def outcomes(specimen: Specimen) -> dict[str, Check]:
    """Of every check; whatever else goes wrong fails them all, with the error as the figure."""
    try:
        return checked(specimen)
    except (RuntimeError, ValueError, TypeError, AttributeError, LookupError) as error:
        return {check: Check(check, False, f"{type(error).__name__}: {first_line(error)}") for check in CHECKS}


def main() -> None:
    """Run every check and write docs/coverage.md."""
    transformers.logging.set_verbosity_error()
    torch.set_num_threads(1)
    results: dict[str, dict[str, Check]] = {}
    for name, specimen in ZOO.items():
        results[name] = outcomes(specimen)
        bad = [check for check, outcome in results[name].items() if outcome.passed is False]
        sys.stderr.write(f"{name}: {', '.join(bad) or 'passes'}\n")
    (Path(__file__).parents[2] / "docs" / "coverage.md").write_text(page(results), encoding="utf-8")


if __name__ == "__main__":
    main()

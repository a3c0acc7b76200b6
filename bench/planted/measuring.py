"""One row of results: train a unit, let the shipped pipeline audit it, and keep of the record what is judged."""

import contextlib
import io
import math
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from scipy import stats

from audit.models.quiet import quiet_transformers
from audit.pipeline import Run, run
from audit.records import Finding
from bench.planted.image_units import IMAGE_ARMS, image_unit
from bench.planted.protocol import Protocol
from bench.planted.text_units import TEXT_ARMS, text_unit
from bench.planted.units import METHODS, Unit

Row = dict[str, Any]
Job = tuple[Unit, tuple[str, ...], Protocol]


def rows_of(job: Job) -> list[Row]:
    """The rows of one job, on one core; it stands here because processes that are spawned cannot find what is in a `__main__`."""
    import torch

    torch.set_num_threads(1)
    with quiet_transformers():
        return list(measured(*job))


def measured(unit: Unit, methods: Sequence[str], protocol: Protocol) -> Iterator[Row]:
    """A row a method; of a unit that fails, with its error."""
    with tempfile.TemporaryDirectory() as name, contextlib.redirect_stderr(io.StringIO()):
        folder, start = Path(name), time.perf_counter()
        head = _head(unit, protocol)
        try:
            blocks, truth = prepared(unit, folder)
        except Exception as error:  # noqa: BLE001 - a unit that fails is a result
            yield from ({**head, "method": method, "error": _said(error)} for method in methods)
            return
        head |= {"truth": _rounded(truth), "training": round(time.perf_counter() - start, 2)}
        for method in methods:
            yield {**head, "method": method, **_audited(unit, folder, config(unit, blocks, method, protocol), protocol)}


def prepared(unit: Unit, folder: Path) -> tuple[dict[str, Any], dict[str, float]]:
    """Train, write the audit's data and model; its own blocks of the config, and the truth."""
    if unit.modality == "text":
        return text_unit(folder, TEXT_ARMS[unit.arm], unit.network, unit.rho, unit.seed)
    return image_unit(folder, IMAGE_ARMS[unit.arm], unit.network, unit.rho, unit.seed)


def config(unit: Unit, blocks: Mapping[str, Any], method: str, protocol: Protocol) -> dict[str, Any]:
    """The whole document: what the protocol declares for all, what the arm needs, what the method changes."""
    own = {"relevance": protocol["relevance"][unit.network]} if unit.network in protocol["relevance"] else {}
    shared = {**protocol["config"], "gates": protocol["gates"][unit.modality], **own}
    return {**merged(shared, blocks), **METHODS[method]}


def merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`over` counts, block by block.

    >>> merged({"a": {"b": 1, "c": 2}}, {"a": {"c": 3}})
    {'a': {'b': 1, 'c': 3}}
    """
    both = {key: merged(under[key], over[key]) for key in under.keys() & over.keys() if isinstance(over[key], Mapping)}
    return {**under, **over, **both}


def _head(unit: Unit, protocol: Protocol) -> Row:
    named = {name: getattr(unit, name) for name in ("part", "modality", "arm", "network", "rho", "seed")}
    return {"key": unit.key, **named, "protocol": protocol.sha256}


def _audited(unit: Unit, folder: Path, document: Mapping[str, Any], protocol: Protocol) -> Row:
    path, start = folder / "planted.yaml", time.perf_counter()
    path.write_text(yaml.safe_dump(dict(document)))
    try:
        done = run(path, output=folder / "runs")
    except Exception as error:  # noqa: BLE001 - an audit that fails is a result
        return {"error": _said(error)}
    wall = time.perf_counter() - start
    record, question = done.record, protocol["question"][unit.modality]
    spent = {name: record.seconds[name] for name in ("relevance", "interventions", "statistics")}
    return {
        "findings": {_feature(each): _kept(each) for each in record.findings if each.question == question and _one(each)},
        "unexplained": [each.id for each in record.findings if each.question == "unexplained" and each.grade],
        "outcome": [each.id for each in record.findings if each.question == "outcome" and each.grade],
        "naive": naive(done, unit),
        "exit": record.exit_code,
        "examples": record.data.used,
        "seconds": _rounded({**spent, "audit": wall}),
    }  # fmt: skip


def _one(finding: Finding) -> bool:
    """A row of one feature, not the list of those that cannot be tested."""
    return finding.attribute != "regions" or len(finding.groups) == 1


def _feature(finding: Finding) -> str:
    return finding.groups[0] if finding.attribute == "regions" else finding.attribute


def _kept(finding: Finding) -> Row:
    estimate, test = finding.estimate, finding.test
    numbers = {
        "value": estimate.value,
        "low": estimate.low,
        "high": estimate.high,
        "p": test.p,
        "adjusted": test.p_adjusted,
    }
    others = {opinion.composite: opinion.estimate.value for opinion in finding.second_opinion}
    graded = {"verdict": finding.verdict.value, "grade": finding.grade and finding.grade.value}
    return {**_rounded(numbers), **graded, "others": _rounded(others)}


def naive(done: Run, unit: Unit) -> dict[str, float | None]:
    """p by feature of the tests that one would make at first: of two groups' words by Welch's t, of share and area by Student's."""
    import pandas as pd

    table = pd.read_parquet(done.folder / "examples.parquet")
    found: dict[str, float | None] = {}
    if unit.modality == "text":
        for pair, (one, other) in {"group": ("a", "b"), "decoy": ("c", "d")}.items():
            if f"net.{pair}.{one}" in table:
                sides = [
                    _known(table[f"net.{pair}.{side}"].where(table[f"present.{pair}.{side}"])) for side in (one, other)
                ]
                found[pair] = float(stats.ttest_ind(*sides, equal_var=False).pvalue)
    else:
        for region in (name.removeprefix("share.") for name in table if name.startswith("share.") and "@" not in name):
            if region != "outside":
                excess = _known((table[f"share.{region}"] - table[f"size.{region}"]).where(table[f"present.{region}"]))
                found[region] = float(stats.ttest_1samp(excess, 0.0).pvalue)
    return _rounded(found)


def _known(values: Any) -> Any:
    return np.asarray(values.dropna(), dtype=float)


def _rounded(values: Mapping[str, float | None]) -> dict[str, float | None]:
    return {name: None if x is None or math.isnan(x) else float(f"{x:.4g}") for name, x in values.items()}


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"[:300]

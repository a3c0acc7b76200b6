"""Regression checks: a config for each confirmed finding, which asks the next version of a model the same of the same examples."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml
from numpy.typing import NDArray

from audit.config import BUILTIN
from audit.files import write_atomically
from audit.questions import gates
from audit.records import SHOWN, AuditRecord, Finding, Grade
from audit.store.manifest import CURE

CHECKS: Final = "checks"
IDS: Final = "ids.json"


def write_checks(folder: Path, record: AuditRecord, base: Path, ids: NDArray[Any]) -> None:
    """`checks/*.yaml` and the ids that they share; `base` is the folder that the paths of the record's config are relative to.

    A check has the question of its finding as its only gate, and no baseline. Findings of questions that can be no gate have none.
    """
    known = gates("image" if record.config.get("task") == "image" else "text")
    asked = {each.question: each for each in reversed(record.findings) if _pinned(each) and each.question in known}
    for question, finding in asked.items():
        (folder / CHECKS).mkdir(exist_ok=True)
        text = _header(record, question) + yaml.safe_dump(
            _config(record, finding, base, folder), sort_keys=False, allow_unicode=True, width=120
        )
        write_atomically(folder / CHECKS / f"{question}.yaml", text.encode(), cure=CURE)
    if asked:
        write_atomically(
            folder / CHECKS / IDS, json.dumps(ids.tolist(), ensure_ascii=False, indent=0).encode(), cure=CURE
        )


def _pinned(finding: Finding) -> bool:
    """Whether it is confirmed, and has a margin inside which the next version can lie."""
    return finding.grade is Grade.CONFIRMED and finding.verdict in SHOWN and finding.margin is not None


def _header(record: AuditRecord, question: str) -> str:
    shown = [
        f"#   {json.dumps(', '.join(each.groups), ensure_ascii=False)} {each.verdict.value}, {each.estimate.value:.3f} {each.estimate.unit}"
        for each in record.findings
        if each.question == question and _pinned(each) and each.estimate.value is not None
    ]
    return (
        f"# Regression check of run {record.run_id}, confirmed there:\n"
        + "".join(f"{line}\n" for line in shown)
        + f"# lrp-audit run {CHECKS}/{question}.yaml --set model.path=NEW (absolute; of a module model.weights) ends with 0 once every\n"
        "# finding of the question lies inside its margin, with 3 as long as one is breached, with 5 where the data cannot tell.\n"
        "# Code of your own (module:function) is looked for beside this file, or among what is installed.\n"
    )


def _config(record: AuditRecord, finding: Finding, base: Path, folder: Path) -> dict[str, Any]:
    """The whole config with paths from anywhere, the ids, and one gate."""
    config: dict[str, Any] = json.loads(json.dumps(record.config))
    config["name"] = f"{str(config['name'])[:60]}-{finding.question}"
    config["about"] = f"regression check of run {record.run_id}: {finding.question}"
    config["gates"] = [finding.question]
    config["data"] |= {"limit": None, "ids": IDS}
    del config["debug"]
    config.pop("baseline", None)  # it has gates of other questions, and what is confirmed here is not to grow but to go
    for block, key in _paths(config):
        block[key] = _from_checks(str(block[key]), base, folder / CHECKS)
    return config


def _paths(config: Mapping[str, Any]) -> list[tuple[dict[str, Any], str]]:
    blocks: Sequence[tuple[dict[str, Any], str]] = [
        (config["data"], "path"), (config["model"], "path"), (config["model"], "weights"),
        *((each, key) for each in (*config["groups"], *config["regions"]) for key in ("lexicon", "coco")),
    ]  # fmt: skip
    return [(block, key) for block, key in blocks if block.get(key)]


def _from_checks(path: str, base: Path, checks: Path) -> str:
    """A file or folder as it is found from the checks, so that no report tells where it lies; other names stay."""
    found = (base / path).absolute()
    named = path.startswith(BUILTIN) or ("/" not in path and "." not in path)
    return path if named or not found.exists() else os.path.relpath(found, checks.absolute())

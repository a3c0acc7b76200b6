"""Regression checks: a config for each confirmed finding, which asks the next version of a model the same of the same examples."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml
from numpy.typing import NDArray

from audit.config import BUILTIN
from audit.files import write_atomically
from audit.questions import gates
from audit.records import SHOWN, AuditRecord, Finding, Grade
from audit.store.runs import CURE

CHECKS: Final = "checks"
IDS: Final = "ids.txt"


def write_checks(folder: Path, record: AuditRecord, base: Path, ids: NDArray[Any]) -> None:
    """`checks/*.yaml` and the ids that they share; `base` is the folder that the paths of the record's config are relative to.

    A check has the question of its finding as its only gate. Findings of questions that can be no gate have none.
    """
    known = gates("image" if record.config.get("task") == "image" else "text")
    asked = {
        each.question: each
        for each in reversed(record.findings)
        if each.grade is Grade.CONFIRMED and each.verdict in SHOWN and each.question in known
    }
    for question, finding in asked.items():
        (folder / CHECKS).mkdir(exist_ok=True)
        text = _header(record, question) + yaml.safe_dump(
            _config(record, finding, base), sort_keys=False, allow_unicode=True, width=120
        )
        write_atomically(folder / CHECKS / f"{question}.yaml", text.encode(), cure=CURE)
    if asked:
        write_atomically(folder / CHECKS / IDS, "".join(f"{each}\n" for each in ids.tolist()).encode(), cure=CURE)


def _header(record: AuditRecord, question: str) -> str:
    shown = [
        f"#   {json.dumps(', '.join(each.groups), ensure_ascii=False)} {each.verdict.value}, {each.estimate.value:.3f} {each.estimate.unit}"
        for each in record.findings
        if each.question == question and each.grade is Grade.CONFIRMED and each.estimate.value is not None
    ]
    return (
        f"# Regression check of run {record.run_id}, confirmed there:\n"
        + "".join(f"{line}\n" for line in shown)
        + f"# lrp-audit run {CHECKS}/{question}.yaml --set model.path=NEW ends with 0 once all of it lies inside its margin, and with 3\n"
        "# as long as it is breached. Code of your own (module:function) is looked for beside this file, or among what is installed.\n"
    )


def _config(record: AuditRecord, finding: Finding, base: Path) -> dict[str, Any]:
    """The whole config with paths from anywhere, the ids, and one gate."""
    config: dict[str, Any] = json.loads(json.dumps(record.config))
    config["name"] = f"{str(config['name'])[:60]}-{finding.question}"
    config["about"] = f"regression check of run {record.run_id}: {finding.question}"
    config["gates"] = [finding.question]
    config["data"] |= {"limit": None, "ids": IDS}
    for block, key in _paths(config):
        block[key] = _from_anywhere(str(block[key]), base)
    return config


def _paths(config: Mapping[str, Any]) -> list[tuple[dict[str, Any], str]]:
    blocks: Sequence[tuple[dict[str, Any], str]] = [
        (config["data"], "path"), (config["model"], "path"), (config["model"], "weights"),
        *((each, key) for each in (*config["groups"], *config["regions"]) for key in ("lexicon", "coco")),
    ]  # fmt: skip
    return [(block, key) for block, key in blocks if block.get(key)]


def _from_anywhere(path: str, base: Path) -> str:
    """A file or folder by its absolute path; names of built-ins, lexicons and hubs as they are."""
    found = (base / path).absolute()
    return path if path.startswith(BUILTIN) or not found.exists() else str(found)

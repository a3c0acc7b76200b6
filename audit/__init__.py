"""Assess what a trained classifier relies on: `audit.run(config)` writes a run folder, `audit.load_record(dir)` reads one."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from audit.records import AuditRecord

__all__ = ["load_record", "run"]


def run(config: str | Path) -> "AuditRecord":
    """Audit what the config file says; the run folder is written below its `output`."""
    from audit.pipeline import run as run_pipeline

    return run_pipeline(config).record


def load_record(folder: str | Path) -> "AuditRecord":
    """The record of a finished run."""
    from audit.store.runs import load_record as load

    return load(folder).located(Path(folder))

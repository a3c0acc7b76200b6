"""The whole audit: `audit.json` is this."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field, JsonValue, PrivateAttr

from audit.errors import OutputError
from audit.records import frames
from audit.records.base import Entry, Estimate
from audit.records.baseline import Baseline, Worsening
from audit.records.debugging import Debugging
from audit.records.described import (
    Distribution,
    Exhibit,
    LedgerSummary,
    Lexicon,
    MeanMap,
    RegionRecord,
    TermCount,
    TermEffect,
)
from audit.records.discovery import Discovery
from audit.records.findings import Agreement, Finding, Gate, ValidityCheck
from audit.records.html import record_html
from audit.records.impact import ImpactTable

if TYPE_CHECKING:
    import pandas as pd

SCHEMA_VERSION = "2.0"


class DataRecord(Entry):
    """Counts that add up: rows = used + sum(excluded) + not_sampled; None where a cell is too small to publish."""

    path: str
    sha256: str
    rows: int
    used: int
    excluded: dict[str, int]
    not_sampled: int = 0
    unknown: dict[str, int | None]
    truncated: int
    labels: dict[str, int | None]
    clusters: int | None
    attributes: dict[str, dict[str, int | None]]


class ModelRecord(Entry):
    """The model under audit; `notes` says what was changed or declared to make it one that can be audited."""

    path: str
    sha256: str
    architecture: str
    parameters: int
    classes: tuple[str, ...]
    contrast: str
    logit_sd: float
    accuracy: Estimate
    notes: tuple[str, ...] = ()


class Provenance(Entry):
    """What is needed to run it again.

    `git_*`: of the checkout that holds the config; `code_*`: of the checkout that lrp-audit itself lies in, None for an installed one.
    `config_path` is relative to the working directory, `config_written` is the file's text, `overrides` are the `--set` beside it;
    `hardware` has processor, cores, memory in GiB and accelerator.
    """

    git_revision: str | None
    git_dirty: bool | None
    python: str
    platform: str
    packages: dict[str, str]
    device: str
    seed: int
    code_revision: str | None = None
    code_dirty: bool | None = None
    command: tuple[str, ...] = ()
    config_path: str = ""
    config_written: str = ""
    overrides: tuple[str, ...] = ()
    hardware: dict[str, str] = Field(default_factory=dict)


class ProtocolChange(Entry):
    """The last finished run of the same name that had another protocol, and the settings in which that differs."""

    run_id: str
    protocol_sha256: str
    settings: tuple[str, ...]


class AuditRecord(Entry):
    """The whole audit; `audit.json` is this, and every report is rendered from it alone.

    `identity` is the hash of all that went in.
    `seconds` of a stage; "statistics.QUESTION" is the part of `statistics` that a family of questions took.
    The file is the auditor's: it keeps every count and id. A report shows `audit.report.privacy.published` of it.
    """

    schema_version: str = SCHEMA_VERSION
    name: str
    run_id: str
    started: str
    finished: str
    seconds: dict[str, float]
    protocol_sha256: str
    protocol_changed: ProtocolChange | None = None
    identity: str = ""
    config: dict[str, JsonValue]
    provenance: Provenance
    data: DataRecord
    model: ModelRecord
    lexicons: tuple[Lexicon, ...] = ()
    terms: tuple[TermCount, ...] = ()
    regions: tuple[RegionRecord, ...] = ()
    concentration: dict[str, Estimate] = Field(default_factory=dict)
    maps: tuple[MeanMap, ...] = ()
    ledger: tuple[LedgerSummary, ...]
    findings: tuple[Finding, ...]
    impact: tuple[ImpactTable, ...] = ()
    effects: tuple[TermEffect, ...] = ()
    distributions: tuple[Distribution, ...]
    exhibits: tuple[Exhibit, ...]
    agreement: tuple[Agreement, ...] = ()
    validity: tuple[ValidityCheck, ...] = ()
    discovery: Discovery | None = None
    debug: Debugging | None = None
    baseline: Baseline | None = Field(
        None, exclude_if=lambda value: value is None
    )  # keeps the hash of records without one
    gates: tuple[Gate, ...]
    exit_code: int
    limits: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    _folder: Path | None = PrivateAttr(None)

    def file_bytes(self) -> bytes:
        """`audit.json`: keys sorted, NaN refused."""
        document = self.model_dump(mode="json")
        text = json.dumps(document, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False)
        return f"{text}\n".encode()

    def located(self, folder: Path) -> "AuditRecord":
        """The same, which knows its run folder."""
        found = self.model_copy()
        found._folder = folder
        return found

    @property
    def folder(self) -> Path:
        """The run folder; raises `OutputError` for a record that was made from its file's text alone."""
        if self._folder is None:
            raise OutputError("this record does not know its run folder; read it with audit.load_record(folder)")
        return self._folder

    @property
    def worsenings(self) -> tuple[Worsening, ...]:
        """What the gates against the baseline rest on; none where there is no baseline."""
        return self.baseline.worsenings if self.baseline else ()

    @property
    def table(self) -> "pd.DataFrame":
        """A row a finding."""
        return frames.findings(self.findings)

    @property
    def errors(self) -> "pd.DataFrame":
        """The misclassified rows of `examples.parquet`."""
        return frames.errors(self.folder)

    @property
    def slices(self) -> "pd.DataFrame":
        """Where the model errs more than on all other examples, a row a slice."""
        return frames.slices(self._debug)

    @property
    def contrasts(self) -> "pd.DataFrame":
        """What argued for the wrong class and what was missing for the true one, a row a feature."""
        return frames.contrasts(self._debug.contrasts)

    @property
    def hesitation(self) -> "pd.DataFrame":
        """The same of unsure examples, towards the second class."""
        return frames.contrasts(self._debug.hesitation)

    @property
    def clusters(self) -> "pd.DataFrame":
        """Strategies, a row each."""
        return frames.clusters(self._debug)

    @property
    def neighbours(self) -> "pd.DataFrame":
        """The nearest right example of each shown error."""
        return frames.neighbours(self._debug)

    @property
    def label_problems(self) -> "pd.DataFrame":
        """Examples whose label looks wrong."""
        return frames.labels(self._debug)

    @property
    def _debug(self) -> Debugging:
        if self.debug is None:
            raise OutputError("this record was written before audits summed up errors; run the audit again")
        return self.debug

    def _repr_html_(self) -> str:
        """For notebooks: gates, and the worst findings."""
        return record_html(self.name, self.run_id, self.exit_code, self.gates, self.findings)

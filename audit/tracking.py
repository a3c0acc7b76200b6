"""A finished run in an experiment tracker, beside the training runs of the model; whatever goes wrong there changes nothing.

MLflow decides where: MLFLOW_TRACKING_URI, MLFLOW_EXPERIMENT_NAME and its other variables, in which also its credentials stand.
"""

import json
import logging
import os
import re
import warnings
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, TypeVar

from audit.config.settings import flat
from audit.errors import ConfigError
from audit.loading import LoadedConfig
from audit.log import Event, tell
from audit.records import AuditRecord
from audit.report.text import shorten
from audit.store.manifest import RECORD
from audit.store.summaries import SUMMARY
from audit.store.told import keep_tracked, read_told

T = TypeVar("T")
INSTALL: Final = "pip install 'lrp-audit[mlflow]'"
ARTEFACTS: Final = (RECORD, "report.html", SUMMARY)
LONGEST_NAME, LONGEST_VALUE = 250, 6000  # MLflow's own limits
BATCH: Final = 100
DEFAULTS: Final = {  # an audit reports to nobody unasked, its log stays one, and an hour is not spent on a server that is away
    "MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_CONFIGURE_LOGGING": "0", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
}  # fmt: skip


def require_tracker(loaded: LoadedConfig) -> None:
    """ConfigError where `tracking` asks for a package that is not installed."""
    if loaded.config.tracking and find_spec("mlflow") is None:
        raise ConfigError(
            f"{loaded.at('tracking')}: mlflow is not installed: {INSTALL}, or leave `tracking` out of the config"
        )


def track(record: AuditRecord, folder: Path) -> None:
    """Log parameters, estimates, gates and files as a run of MLflow's, if it has it not yet; a failure is told on standard error."""
    if folder.name in read_told(folder.parent).tracked:
        return
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _log(record, folder)
        keep_tracked(folder.parent, folder.name)
    except Exception as error:  # noqa: BLE001 - whatever a store raises: the audit is done
        said = re.sub(r"//[^/@\s]*@", "//", str(error).strip())  # credentials in an address
        reason = shorten(f"{type(error).__name__}: {said.splitlines()[0] if said else ''}", 800)
        body = f"tracking: {reason}; the audit itself is not affected"
        tell(Event.NOT_TOLD, body, level=logging.WARNING, channel="tracking")


def _log(record: AuditRecord, folder: Path) -> None:
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Param, RunTag

    client = MlflowClient()
    run = client.create_run(_experiment(client, record.name), run_name=record.run_id).info
    ended = "FAILED"
    try:
        tags = named((name, value[:LONGEST_VALUE]) for name, value in _tags(record).items())
        client.log_batch(run.run_id, tags=[RunTag(name, value) for name, value in tags.items()])
        params = [Param(name, value) for name, value in named(_parameters(record.config)).items()]
        metrics = [Metric(name, value, run.start_time, 0) for name, value in named(_estimates(record)).items()]
        for start in range(0, max(len(params), len(metrics)), BATCH):
            part = slice(start, start + BATCH)
            client.log_batch(run.run_id, params=params[part], metrics=metrics[part])
        client.log_batch(run.run_id, tags=[RunTag("lrp_audit.folder", str(folder))])
        for name in ARTEFACTS:
            client.log_artifact(run.run_id, str(folder / name))
        ended = "FINISHED"
    finally:
        client.set_terminated(run.run_id, ended)


def _experiment(client: Any, name: str) -> str:
    """Its id; that of the environment, or one of the config's name, which is made where there is none."""
    if given := os.environ.get("MLFLOW_EXPERIMENT_ID"):
        return given
    wanted = os.environ.get("MLFLOW_EXPERIMENT_NAME") or name
    found = client.get_experiment_by_name(wanted)
    return str(client.create_experiment(wanted) if found is None else found.experiment_id)


def _tags(record: AuditRecord) -> dict[str, str]:
    gates = {f"lrp_audit.gate.{gate.question}": gate.state for gate in record.gates}
    return {
        "lrp_audit.exit_code": str(record.exit_code), "lrp_audit.run_id": record.run_id,
        "lrp_audit.protocol": record.protocol_sha256, "lrp_audit.model": record.model.sha256, **gates,
    }  # fmt: skip


def _parameters(settings: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Each setting in JSON, or as it is if it is text."""
    for name, value in flat(settings).items():
        told = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        yield name, told[:LONGEST_VALUE]


def _estimates(record: AuditRecord) -> Iterator[tuple[str, float]]:
    """Of each finding that has one."""
    return ((each.id, each.estimate.value) for each in record.findings if each.estimate.value is not None)


def named(values: Iterator[tuple[str, T]]) -> dict[str, T]:
    """Under names that MLflow takes; two that would be one are numbered.

    >>> named(iter([("a: b/<c>", 1), ("a: b/[c]", 2), ("..", 3)]))
    {'a_ b/_c_': 1, 'a_ b/_c_ 2': 2, '_': 3}
    """
    found: dict[str, T] = {}
    for name, value in values:
        parts = [re.sub(r"[^\w. -]+", "_", part) for part in name.split("/")]
        clean = "/".join(part if part.strip(". ") else "_" for part in parts)[: LONGEST_NAME - 10]
        free, n = clean, 1
        while free in found:
            n += 1
            free = f"{clean} {n}"
        found[free] = value
    return found

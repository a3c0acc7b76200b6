"""Runs in MLflow: a real local store, real failures, and audits that nothing of it disturbs."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from audit.cli import main
from audit.pipeline import run
from audit.tracking import LONGEST_NAME, named

Project = Callable[..., Path]
ROOT = Path(__file__).parents[2]
CHEAP = {
    "checks": {"examples": 0, "validity": 20, "candidates": 0},
    "debug": {"clustered": 0, "explained": 0},
    "tracking": "mlflow",
}


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store of files, which needs no database package; MLflow asks to be told that this is meant."""
    for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "store").as_uri())
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    return tmp_path / "store"


def tracked(experiment: str) -> list[Any]:
    from mlflow import MlflowClient

    client = MlflowClient()
    found = client.get_experiment_by_name(experiment)
    return [] if found is None else list(client.search_runs([found.experiment_id]))


def test_a_run_is_logged_with_parameters_estimates_gates_and_files(project: Project, store: Path) -> None:
    asked = {"command": [sys.executable, "-c", ""]}
    made = run(project(n=120, **CHEAP, notify=asked))
    (logged,) = tracked("small")
    assert (logged.info.run_name, logged.info.status) == (made.record.run_id, "FINISHED")
    assert logged.data.params["statistics.alpha"] == "0.05" and logged.data.params["target.favour"] == "fresh"
    assert not [name for name in logged.data.params if name.startswith(("notify", "tracking"))]
    estimates = {each.id: each.estimate.value for each in made.record.findings if each.estimate.value is not None}
    assert estimates and logged.data.metrics == pytest.approx(named(iter(estimates.items())))
    assert logged.data.tags["lrp_audit.exit_code"] == str(made.record.exit_code)
    assert {
        f"lrp_audit.gate.{gate.question}": gate.state for gate in made.record.gates
    }.items() <= logged.data.tags.items()
    kept = {path.name: path.read_bytes() for path in store.glob("*/*/artifacts/*")}
    assert kept == {name: (made.folder / name).read_bytes() for name in ("audit.json", "report.html", "summary.json")}


def test_gates_against_a_baseline_are_tags_too(project: Project, store: Path) -> None:
    before = run(project(n=120, **CHEAP))
    baseline = {"run": str(before.folder), "worse_by": {"outcome": 0.05}}
    made = run(project(n=120, **CHEAP, baseline=baseline))
    (state,) = [gate.state for gate in made.record.gates if gate.question == "outcome, against the baseline"]
    logged = {each.info.run_name: each for each in tracked("small")}
    assert logged[made.record.run_id].data.tags["lrp_audit.gate.outcome_ against the baseline"] == state
    assert {each.info.status for each in logged.values()} == {"FINISHED"}


def test_the_environment_names_the_experiment(project: Project, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "fairness of reviews")
    run(project(n=120, **CHEAP))
    assert len(tracked("fairness of reviews")) == 1 and not tracked("small")
    run(project(n=120, **CHEAP))
    assert len(tracked("fairness of reviews")) == 1, "a run that is given back is no other one"
    run(project(n=120, **CHEAP), again=True)
    assert len(tracked("fairness of reviews")) == 2


def test_a_store_that_is_away_is_told_and_changes_nothing(
    project: Project, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.write_text("no folder")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    plain = CliRunner().invoke(main, ["run", str(project(n=120, **{**CHEAP, "tracking": None}))])
    for uri in (store.as_uri(), "http://user:s3cr3t@127.0.0.1:1"):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        result = CliRunner().invoke(main, ["run", str(project(n=120, **CHEAP)), "--again"])
        assert result.exit_code == plain.exit_code, result.output
        assert "WARNING: tracking: " in result.stderr
        assert "s3cr3t" not in result.output


def test_without_the_package_nothing_is_begun(project: Project, tmp_path: Path) -> None:
    """A process that finds no mlflow, as where the extra is not installed."""
    code = (
        "import sys, importlib.util as u; find = u.find_spec; u.find_spec = lambda name, *a: None if name == 'mlflow' else find(name, *a); "
        "from audit.cli import main; main()"
    )
    command = [sys.executable, "-c", code, "run", str(project(n=120, **CHEAP))]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "tracking: mlflow is not installed: pip install 'lrp-audit[mlflow]'" in done.stderr
    assert not (tmp_path / "out").exists()


def test_mlflow_is_imported_by_those_who_ask_for_it(project: Project) -> None:
    code = "import sys; from audit.pipeline import run; run(sys.argv[1]); sys.exit('mlflow' in sys.modules)"
    config = project(n=120, **{**CHEAP, "tracking": None})
    assert subprocess.run([sys.executable, "-c", code, str(config)], cwd=ROOT, check=False).returncode == 0


def test_names_are_taken_by_mlflow_and_stay_apart() -> None:
    from mlflow.utils.validation import _validate_metric_name

    hostile = ["a\nb", "../../etc", "/", "", "x" * 400, "x" * 401, "é: <b>", "a b", "a_b", "a?b", "C:\\x", ". "]
    found = named((name, 1.0) for name in hostile)
    assert len(found) == len(hostile)
    for name in found:
        _validate_metric_name(name)
        assert len(name) <= LONGEST_NAME
    assert json.dumps(list(found)).isprintable()


def test_a_run_that_was_never_logged_is_logged_once_when_it_is_given_back(
    project: Project, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = project(n=120, **CHEAP)
    made = run(config, ["tracking=null"])
    with monkeypatch.context() as away:
        away.setenv("MLFLOW_TRACKING_URI", (store.parent / "small.yaml").as_uri())
        run(config)
    assert not tracked("small"), "the store was away"
    for _ in range(2):
        assert not run(config).made
    assert [each.info.run_name for each in tracked("small")] == [made.record.run_id]

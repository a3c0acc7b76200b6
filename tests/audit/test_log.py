"""JSON lines in the fields of OpenTelemetry's log data model, lines for people, and nothing that hostile values can break."""

import json
import logging
import os
import re
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from audit.cli import main
from audit.engines.kept import Kept
from audit.log import Event, logged, span, structured, tell
from audit.parts import InProcess, Shard

Project = Callable[..., Path]
ROOT = Path(__file__).parents[2]
FIELDS = {  # of the specification; the optional ObservedTimestamp and TraceFlags are left out
    "Timestamp", "SeverityText", "SeverityNumber", "Body", "Attributes", "Resource", "InstrumentationScope", "TraceId", "SpanId",
    "EventName",
}  # fmt: skip
CHEAP = {
    "checks": {"examples": 0, "validity": 20, "candidates": 0},
    "debug": {"clustered": 0, "explained": 0},
    "gates": ["outcome"],
}


def lines(stderr: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stderr.splitlines()]


def test_an_event_has_the_fields_of_the_specification(capsys: pytest.CaptureFixture[str]) -> None:
    before = time.time_ns()
    with logged("json"):
        tell(Event.STAGE_FINISHED, "relevance took 2 s", stage="relevance", seconds=2.0, exit_code=3)
    (line,) = lines(capsys.readouterr().err)
    assert set(line) == FIELDS
    assert before <= int(line["Timestamp"]) <= time.time_ns()
    assert (line["SeverityText"], line["SeverityNumber"]) == ("INFO", 9)
    assert line["EventName"] == "lrp_audit.stage.finished"
    assert line["Attributes"] == {"lrp_audit.stage": "relevance", "lrp_audit.seconds": 2.0, "process.exit.code": 3}
    assert line["Resource"]["service.name"] == "lrp-audit"
    assert re.fullmatch("[0-9a-f]{32}", line["TraceId"]) and re.fullmatch("[0-9a-f]{16}", line["SpanId"])


@pytest.mark.parametrize(
    "hostile", ['a\nb\r\n{"Body": "forged"}', "a\u2028b\u0085c", "\x1b[31m", "\ud800", "%s %d", '"']
)
def test_no_value_breaks_a_line(hostile: str, capsys: pytest.CaptureFixture[str]) -> None:
    with logged("json"):
        tell(Event.WARNING, hostile, level=logging.WARNING, folder=hostile, path=Path(hostile))
    stderr = capsys.readouterr().err
    (line,) = lines(stderr)
    assert (line["Body"], line["Attributes"]["lrp_audit.folder"]) == (hostile, hostile)
    assert stderr.isascii()
    assert line["SeverityNumber"] == 13


def test_stages_have_spans_of_their_own_within_one_trace(capsys: pytest.CaptureFixture[str]) -> None:
    with logged("json"):
        tell(Event.RUN_STARTED, "a")
        with span():
            tell(Event.STAGE_STARTED, "b")
            tell(Event.PROGRESS, "c")
        tell(Event.RUN_FINISHED, "d")
    told = lines(capsys.readouterr().err)
    assert len({line["TraceId"] for line in told}) == 1
    start, stage, progress, end = (line["SpanId"] for line in told)
    assert start == end != stage == progress


def test_the_trace_is_that_of_the_job_that_starts_the_run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for given in ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", f"00-{'0' * 32}-b7ad6b7169203331-01", "x"):
        monkeypatch.setenv("TRACEPARENT", given)
        with logged("json"):
            tell(Event.RUN_STARTED, "a")
        found.append(lines(capsys.readouterr().err)[0]["TraceId"])
    assert found[0] == "0af7651916cd43dd8448eb211c80319c"
    assert found[1].strip("0") and found[2] != found[1]


def test_what_others_log_and_warn_of_is_told_as_json_too(capsys: pytest.CaptureFixture[str]) -> None:
    with logged("json"):
        assert structured()
        logging.getLogger("another.package").warning("two\nlines of %s", "another")
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn("something is odd", UserWarning, stacklevel=1)
    assert not structured()
    other, warned = lines(capsys.readouterr().err)
    assert other["Body"] == "two\nlines of another" and other["InstrumentationScope"] == {"name": "another.package"}
    assert "something is odd" in warned["Body"]


def test_an_error_is_told_by_the_names_of_the_conventions(capsys: pytest.CaptureFixture[str]) -> None:
    with logged("json"):
        tell(Event.RUN_FAILED, "x", level=logging.ERROR, error=ValueError("bad\nvalue"))
    (line,) = lines(capsys.readouterr().err)
    assert line["Attributes"]["exception.type"] == "ValueError"
    assert line["Attributes"]["exception.message"] == "bad\nvalue"
    assert "ValueError: bad" in line["Attributes"]["exception.stacktrace"]
    assert line["SeverityNumber"] == 17


@dataclass(frozen=True)
class Ones:
    """Work that takes no model."""

    digest: str = "ones"

    def do(self, explainer: Any, content: int) -> dict[str, np.ndarray]:
        return {"row.one": np.ones(content)}


def test_a_shard_that_was_done_before_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    engine = Kept(None, InProcess(None), tmp_path, "identity")
    shards = [Shard(np.arange(3), 3, "a"), Shard(np.arange(3, 5), 2, "b")]
    with logged("json"):
        engine.parts(Ones(), shards[:1])
        assert not capsys.readouterr().err
        engine.parts(Ones(), shards)
    (line,) = lines(capsys.readouterr().err)
    assert (line["EventName"], line["Attributes"]["lrp_audit.examples"]) == (Event.SHARD_REUSED, 3)


def test_people_are_told_what_is_not_in_the_summary(capsys: pytest.CaptureFixture[str]) -> None:
    with logged("text"):
        tell(Event.STAGE_STARTED, "not shown")
        tell(Event.PROGRESS, "relevance: 5 of 10")
        tell(Event.RUN_FAILED, "config.yaml:1:1: bad", level=logging.ERROR)
        tell(Event.NOT_TOLD, "notify.url: HTTP 500", level=logging.WARNING)
    assert capsys.readouterr().err.splitlines() == [
        "relevance: 5 of 10", "error: config.yaml:1:1: bad", "WARNING: notify.url: HTTP 500",
    ]  # fmt: skip


def started(config: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "audit", "run", str(config), *words]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, env={**os.environ, **environment}
    )


def test_every_line_of_a_run_is_json_and_the_run_tells_cost_stages_and_end(project: Project) -> None:
    done = started(project(n=120, **CHEAP), "--log", "json")
    told = lines(done.stderr)
    names = [line.get("EventName") for line in told]
    assert set(told[0]) == FIELDS
    (start,) = [line for line in told if line.get("EventName") == Event.RUN_STARTED]
    assert start["Attributes"]["lrp_audit.examples"] == 120
    assert start["Attributes"]["lrp_audit.forward_passes"] > 120
    for event in (Event.STAGE_STARTED, Event.STAGE_FINISHED):
        stages = {line["Attributes"]["lrp_audit.stage"] for line in told if line.get("EventName") == event}
        assert {"model", "data", "relevance", "validity", "interventions", "statistics", "debug"} <= stages
    assert names.count(Event.RUN_FINISHED) == 1 and names[-1] == Event.RUN_FINISHED
    assert told[-1]["Attributes"]["process.exit.code"] == done.returncode
    assert Path(told[-1]["Attributes"]["lrp_audit.folder"], "audit.json").is_file()
    assert len({line["TraceId"] for line in told}) == 1


def test_a_failure_is_one_json_line_also_when_the_environment_asks_for_it(project: Project) -> None:
    done = started(project(n=60, model={"path": "./nowhere"}), LRP_AUDIT_LOG="json")
    assert done.returncode == 2
    last = lines(done.stderr)[-1]
    assert (last["EventName"], last["Attributes"]["process.exit.code"]) == (Event.RUN_FAILED, 2)
    assert "nowhere" in last["Body"]


def test_a_crash_is_one_json_line_with_its_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    """No input is known that makes one, so the audit is replaced."""

    def crash(*_: object, **__: object) -> None:
        raise ZeroDivisionError("division\nby zero")

    monkeypatch.setattr("audit.pipeline.run", crash)
    result = CliRunner().invoke(main, ["run", "any.yaml", "--log", "json"])
    (line,) = lines(result.stderr)
    assert result.exit_code == line["Attributes"]["process.exit.code"] == 1
    assert line["EventName"] == Event.RUN_FAILED
    assert "in crash" in line["Attributes"]["exception.stacktrace"]
    assert isinstance(CliRunner().invoke(main, ["run", "any.yaml"]).exception, ZeroDivisionError), (
        "people see the traceback"
    )


def test_without_the_option_lines_are_for_people(project: Project) -> None:
    done = started(project(n=120, **CHEAP))
    assert re.search(r"^small: 120 texts, [\d,]+ explanations, about [\d,]+ forward and", done.stderr, re.MULTILINE)
    assert re.search(r"^relevance: 360 of 360, .* a second, took \d+ s$", done.stderr, re.MULTILINE)
    assert "{" not in done.stderr

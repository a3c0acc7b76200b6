"""The examples of docs/scheduling.md: real parsers accept them, and their shell takes each exit code for what it is."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from croniter import croniter

from audit.config import Notify
from audit.log import Event

PAGE = Path(__file__).parents[1] / "docs" / "scheduling.md"
EXAMPLES = PAGE.parent / "scheduling"
TEXT = PAGE.read_text(encoding="utf-8")
VERDICTS, FAILURES = (0, 3, 4, 5), (1, 2, 137)


def example(name: str) -> Any:
    return yaml.safe_load((EXAMPLES / name).read_text(encoding="utf-8"))


def test_the_page_links_every_example() -> None:
    assert set(re.findall(r"\]\(scheduling/([^)]+)\)", TEXT)) == {path.name for path in EXAMPLES.iterdir()}


def test_the_page_lists_every_event() -> None:
    assert re.findall(r"^\| `(lrp_audit\.[\w.]+)`", TEXT, re.MULTILINE) == [str(event) for event in Event]


def test_the_block_that_the_page_shows_is_valid_and_complete() -> None:
    (shown,) = re.findall(r"^```yaml\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    block = json.dumps(yaml.safe_load(shown)["notify"])
    assert Notify.model_validate_json(block, strict=True).model_fields_set == set(Notify.model_fields)


@pytest.mark.parametrize(
    ("name", "schema"), [("github-actions.yml", "vendor.github-workflows"), ("gitlab-ci.yml", "vendor.gitlab-ci")]
)
def test_the_schema_of_the_platform_accepts_the_example(name: str, schema: str, tmp_path: Path) -> None:
    assert checked(schema, EXAMPLES / name).returncode == 0, checked(schema, EXAMPLES / name).stdout
    broken = tmp_path / name
    broken.write_text((EXAMPLES / name).read_text().replace("timeout", "timeouts"))
    assert checked(schema, broken).returncode == 1, "the check can fail"


def checked(schema: str, path: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_every_cron_expression_is_one() -> None:
    found = [
        example("kubernetes-cronjob.yaml")["spec"]["schedule"],
        *re.findall(r'cron: "(.*)"', (EXAMPLES / "github-actions.yml").read_text()),
        *re.findall(r'schedule="(.*)"', (EXAMPLES / "airflow_dag.py").read_text()),
    ]
    lines = [line for line in (EXAMPLES / "crontab").read_text().splitlines() if not re.match(r"#|\w+=", line)]
    (timed,) = [line for line in lines if not line.startswith("@reboot ")]
    found.append(" ".join(timed.split()[:5]))
    assert len(found) == 4 and all(croniter.is_valid(each) for each in found)
    assert not any("%" in line for line in lines), "cron takes % for a new line"
    assert len({re.sub(r"^(@reboot|(\S+ ){5})", "", line).strip() for line in lines}) == 1


SYSTEMD = shutil.which("systemd-analyze")


@pytest.mark.skipif(
    not SYSTEMD and not os.environ.get("LRP_AUDIT_NEEDS_SYSTEMD"), reason="no systemd-analyze: apt install systemd"
)
def test_systemd_accepts_service_and_timer(tmp_path: Path) -> None:
    """With a program, a user and a folder that this machine has."""
    service = (EXAMPLES / "lrp-audit.service").read_text().replace("/srv/audit/.venv/bin/lrp-audit", "/bin/true")
    (tmp_path / "lrp-audit.service").write_text(service.replace("User=audit", "User=daemon"))
    (tmp_path / "lrp-audit.timer").write_text((EXAMPLES / "lrp-audit.timer").read_text())
    assert verified(tmp_path) == ""
    (tmp_path / "lrp-audit.service").write_text(service.replace("Restart=on-failure", "Restart=sometimes"))
    assert "sometimes" in verified(tmp_path), "the check can fail"
    calendar = re.findall("OnCalendar=(.*)", (EXAMPLES / "lrp-audit.timer").read_text())
    subprocess.run([str(SYSTEMD), "calendar", *calendar], check=True, capture_output=True)


def verified(folder: Path) -> str:
    """What systemd has to say about the units themselves."""
    units = [str(path) for path in sorted(folder.iterdir())]
    done = subprocess.run(
        [str(SYSTEMD), "verify", "--man=no", *units], capture_output=True, text=True, check=False,
        env={**os.environ, "SYSTEMD_LOG_COLOR": "0"},
    )  # fmt: skip
    return "\n".join(line for line in done.stderr.splitlines() if "lrp-audit" in line)


def test_the_service_takes_verdicts_for_successes_and_tries_failures_again() -> None:
    settings = dict(re.findall(r"^(\w+)=(.*)$", (EXAMPLES / "lrp-audit.service").read_text(), re.MULTILINE))
    assert settings["SuccessExitStatus"].split() == ["3", "5"]
    assert (settings["Restart"], settings["RestartPreventExitStatus"].split()) == ("on-failure", ["2", "4"])


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, where `lrp-audit` and `pip` do nothing but end with $CODE; a run gives back the older of two unless it fails."""
    (tmp_path / "bin").mkdir()
    program = (
        'case "$CODE" in 0|3|4|5) for r in 1 2; do mkdir -p reports/reviews/$r; touch reports/reviews/$r/report.junit.xml; done; '
        'while [ $# -gt 1 ]; do if [ "$1" = --folder-file ]; then echo reports/reviews/1 > "$2"; fi; shift; done ;; '
        'esac; exit "$CODE"\n'
    )
    for name, text in {"lrp-audit": program, "pip": "exit 0\n"}.items():
        (tmp_path / "bin" / name).write_text(f"#!/bin/sh\n{text}")
        (tmp_path / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def shell(script: str, code: int, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [*(words or ("bash", "-eo", "pipefail", "-c")), script]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "CODE": str(code), **environment}
    )


@pytest.mark.parametrize("code", [*VERDICTS, *FAILURES])
def test_github_uploads_a_report_where_there_is_one_and_judges_last(fake: Path, code: int) -> None:
    steps = example("github-actions.yml")["jobs"]["audit"]["steps"]
    (audit,) = [step for step in steps if step.get("id") == "audit"]
    output = fake / "output"
    output.touch()
    done = shell(audit["run"], code, GITHUB_OUTPUT=str(output))
    told = dict(line.split("=") for line in output.read_text().splitlines())
    assert told["code"] == str(code)
    assert done.returncode == (0 if code in VERDICTS else code)
    assert told.get("run") == ("reports/reviews/1" if code in VERDICTS else None)
    if code in VERDICTS:
        verdict = shell(steps[-1]["run"], code)
        assert verdict.returncode == (code if code in (3, 4) else 0)
        assert ("::warning::" in verdict.stdout) == (code == 5)
    uploads = [step for step in steps if "upload" in step.get("uses", "")]
    assert len(uploads) == 2 and all(step["if"] == "steps.audit.outputs.run" for step in uploads)


@pytest.mark.parametrize("code", [*VERDICTS, *FAILURES])
def test_gitlab_keeps_the_exit_code_and_the_report(fake: Path, code: int) -> None:
    job = example("gitlab-ci.yml")["audit"]
    done = shell("\n".join(job["script"]), code)
    assert done.returncode == code, done.stderr
    assert (fake / job["artifacts"]["reports"]["junit"]).exists() == (code in VERDICTS)
    assert job["allow_failure"] == {"exit_codes": [5]}
    assert not {2, *VERDICTS} & set(job["retry"]["exit_codes"])


@pytest.mark.parametrize("code", [*VERDICTS, *FAILURES])
def test_kubernetes_tries_again_what_can_go_on(fake: Path, code: int) -> None:
    job = example("kubernetes-cronjob.yaml")["spec"]["jobTemplate"]["spec"]
    (container,) = job["template"]["spec"]["containers"]
    done = shell(container["args"][0], code, *container["command"])
    assert done.returncode == (0 if code == 5 else code)
    (final,) = [rule["onExitCodes"] for rule in job["podFailurePolicy"]["rules"] if rule["action"] == "FailJob"]
    assert final == {"containerName": container["name"], "operator": "In", "values": [2, 3, 4]}
    assert job["template"]["spec"]["restartPolicy"] == "Never", "podFailurePolicy asks for it"


@pytest.mark.parametrize("code", [*VERDICTS, *FAILURES])
def test_the_shell_of_the_page_tells_verdicts_from_failures(fake: Path, code: int) -> None:
    (script,) = re.findall(r"^```bash\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    assert shell(script, code).returncode == (0 if code in VERDICTS else code)


def test_the_dag_is_python_that_repeats_failures_and_judges_verdicts() -> None:
    """Airflow itself is too large for the tests; it is imported by hand before a release."""
    source = (EXAMPLES / "airflow_dag.py").read_text(encoding="utf-8")
    compile(source, "airflow_dag.py", "exec")
    functions = {node.name: node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)}
    assert {"audit_reviews", "audit", "judge"} <= set(functions)
    assert [d.id for d in functions["audit"].decorator_list if isinstance(d, ast.Name)] == ["task"]
    assert "max_active_runs=1" in source and "catchup=False" in source
    raised = [
        ast.unparse(node.exc).split("(")[0] for node in ast.walk(functions["audit"]) if isinstance(node, ast.Raise)
    ]  # type: ignore[arg-type]
    assert sorted(raised) == ["AirflowFailException", "RuntimeError"]

"""Who is told how a run ended: real commands, a real server, and audits that nothing of it disturbs."""

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from audit.cli import main
from audit.config import Notify
from audit.log import logged
from audit.notification import Notice, notify, of_failure
from audit.pipeline import run
from audit.reproduction import reproduce

Project = Callable[..., Path]
CHEAP = {"checks": {"examples": 0, "validity": 20, "candidates": 0}, "debug": {"clustered": 0}, "gates": ["outcome"]}
SECRET = "s3cr3t-t0k3n"


@dataclass
class Hook:
    """A server that keeps what it is posted."""

    url: str
    posted: list[tuple[str, dict[str, str], Any]] = field(default_factory=list)


@pytest.fixture
def hook() -> Iterator[Hook]:
    """/hook answers 200, /error 500, /elsewhere redirects to /hook, /hangs sends a byte now and then and never ends."""
    stop = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path.startswith("/hangs"):
                self.wfile.write(b"HTTP/1.1 200 OK\r\n")
                while not stop.wait(0.2):
                    self.wfile.write(b"X-More: a\r\n")
                return
            made.posted.append((self.path, dict(self.headers), json.loads(body)))
            self.send_response({"/error": 500, "/elsewhere": 302}.get(self.path.partition("?")[0], 200))
            self.send_header("Location", f"{made.url}/hook")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    made = Hook(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield made
    stop.set()
    server.shutdown()
    server.server_close()
    thread.join()


def python(code: str) -> tuple[str, ...]:
    return (sys.executable, "-c", code)


def keeps(file: Path) -> tuple[str, ...]:
    """A command that writes down what it is given."""
    return python(
        f"import json, os, sys; json.dump([json.load(sys.stdin), os.environ['LRP_AUDIT_RUN'], os.environ['LRP_AUDIT_EXIT_CODE']], "
        f"open({str(file)!r}, 'w'))"
    )


NOTICE = Notice(b'{"name": "a\\nb"}', 3, Path("reports/a/b"), 3)


def test_a_command_is_given_the_summary_the_folder_and_the_exit_code(tmp_path: Path) -> None:
    notify(Notify(command=keeps(tmp_path / "told")), NOTICE)
    assert json.loads((tmp_path / "told").read_text()) == [{"name": "a\nb"}, "reports/a/b", "3"]


def test_a_command_meets_no_shell(tmp_path: Path) -> None:
    hostile = f"$(touch {tmp_path}/shell); touch {tmp_path}/shell"
    writes = python("import sys; open(sys.argv[1], 'w').write(sys.argv[2])")
    notify(Notify(command=(*writes, str(tmp_path / "f"), hostile)), NOTICE)
    assert (tmp_path / "f").read_text() == hostile
    assert not (tmp_path / "shell").exists()


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (("no-such-program-here",), "'no-such-program-here' cannot be started (No such file or directory)"),
        (python("import sys; sys.exit('no\\x1b[31m space')"), "exit code 1: no"),
        (("a\0b",), "cannot be started"),
    ],
)
def test_a_command_that_fails_is_told(command: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    stderr = failing(Notify(command=command), capsys)
    assert f"WARNING: notify.command: {told}" in stderr or told in stderr
    assert "the audit itself is not affected" in stderr
    assert "\x1b" not in stderr


def failing(asked: Notify, capsys: pytest.CaptureFixture[str]) -> str:
    with logged("text"):
        notify(asked, NOTICE)
    return capsys.readouterr().err


def test_a_hung_command_is_killed_with_what_it_started(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    child = f"import os, time; open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    began = time.monotonic()
    stderr = failing(Notify(command=python(parent), timeout=3), capsys)
    assert time.monotonic() - began < 30
    assert "killed after 3 s (notify.timeout)" in stderr
    assert ended(int((tmp_path / "pid").read_text()))


def ended(pid: int) -> bool:
    """A killed orphan is gone, or a zombie until somebody reaps it."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        stat = Path(f"/proc/{pid}/stat")
        if not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z":
            return True
        time.sleep(0.05)
    return False


def test_an_address_is_posted_the_summary_with_its_headers(hook: Hook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK", f"{hook.url}/hook?key={SECRET}\n")
    monkeypatch.setenv("TOKEN", f"Bearer {SECRET}")
    notify(Notify(url="env:HOOK", headers={"Authorization": "env:TOKEN"}), NOTICE)
    ((path, headers, document),) = hook.posted
    assert (path, document) == (f"/hook?key={SECRET}", {"name": "a\nb"})
    assert headers["Authorization"] == f"Bearer {SECRET}"
    assert headers["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("{url}/error?k=" + SECRET, "the answer is HTTP 500"),
        ("{url}/elsewhere?k=" + SECRET, "the answer is HTTP 302"),
        ("{url}/hangs?k=" + SECRET, "given up after 1 s (notify.timeout)"),
        ("http://127.0.0.1:1/" + SECRET, "Connection refused"),
        ("file:///etc/passwd?" + SECRET, "env:HOOK holds no http or https address"),
        ("http://127.0.0.1:1/a b" + SECRET, "InvalidURL"),
        ("http://[" + SECRET, "ValueError"),
        ("", "the environment variable HOOK is not set"),
    ],
)
def test_an_address_that_fails_is_told_without_its_secret(
    hook: Hook, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], value: str, told: str
) -> None:
    monkeypatch.setenv("HOOK", value.format(url=hook.url))
    began = time.monotonic()
    stderr = failing(Notify(url="env:HOOK", timeout=1), capsys)
    assert time.monotonic() - began < 10
    assert f"notify.url: {told}" in stderr
    assert SECRET not in stderr
    assert not [path for path, _, _ in hook.posted if path == "/hook"], "another address is never told"


def test_a_header_that_cannot_be_sent_is_told_without_its_value(
    hook: Hook, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOOK", f"{hook.url}/hook")
    monkeypatch.setenv("TOKEN", f"{SECRET}\nX-Injected: yes")
    stderr = failing(Notify(url="env:HOOK", headers={"Authorization": "env:TOKEN"}), capsys)
    assert "notify.url: ValueError" in stderr
    assert SECRET not in stderr
    assert not hook.posted


@pytest.mark.parametrize(
    ("when", "code", "before", "told"),
    [
        ("always", 0, 0, True),
        ("changed", 5, 5, False),
        ("changed", 3, 5, True),
        ("changed", 0, None, True),
        ("failed", 0, 3, False),
        ("failed", 5, 5, True),
    ],
)
def test_when_decides(tmp_path: Path, when: Any, code: int, before: int | None, told: bool) -> None:
    notify(Notify(command=keeps(tmp_path / "told"), when=when), Notice(b"{}", code, None, before))
    assert (tmp_path / "told").exists() == told


def test_a_run_tells_its_summary_and_only_a_change_the_second_time(project: Project, tmp_path: Path) -> None:
    config = project(n=60, **CHEAP, notify={"command": list(keeps(tmp_path / "told")), "when": "changed"})
    made = run(config)
    document, folder, code = json.loads((tmp_path / "told").read_text())
    assert document == json.loads((made.folder / "summary.json").read_text())
    assert (Path(folder), int(code)) == (made.folder, made.record.exit_code)
    (tmp_path / "told").unlink()
    time.sleep(1.1)  # the runs start in different seconds
    run(config)
    assert not (tmp_path / "told").exists()


def test_an_audit_that_fails_is_heard(project: Project, tmp_path: Path) -> None:
    asked = {"command": list(keeps(tmp_path / "told")), "when": "failed"}
    config = project(n=60, **CHEAP, notify=asked, model={"path": "./nowhere"})
    assert invoked(config).exit_code == 2
    document, folder, code = json.loads((tmp_path / "told").read_text())
    assert (document["name"], document["run_id"], document["exit_code"], folder, code) == ("small", None, 2, "", "2")
    assert "nowhere" in document["error"]


def invoked(config: Path, *words: str) -> Result:
    return CliRunner().invoke(main, ["run", str(config), *words])


def test_an_error_that_nobody_foresaw_is_told_with_exit_code_1(tmp_path: Path) -> None:
    notice = of_failure("small", tmp_path / "none", ZeroDivisionError("division by zero"))
    assert notice.exit_code == 1
    assert json.loads(notice.content)["error"] == "ZeroDivisionError: division by zero"


def test_failing_to_notify_changes_neither_exit_code_nor_run(project: Project, tmp_path: Path) -> None:
    plain = invoked(project(n=60, **CHEAP))
    told = invoked(project(n=60, **CHEAP, notify={"command": ["no-such-program-here"], "url": "env:NO_SUCH_VARIABLE"}))
    assert told.exit_code == plain.exit_code
    assert "notify.command: 'no-such-program-here' cannot be started" in told.stderr
    assert "notify.url: the environment variable NO_SUCH_VARIABLE is not set" in told.stderr
    protocols = {json.loads(path.read_text())["protocol_sha256"] for path in tmp_path.glob("out/small/*/audit.json")}
    assert len(protocols) == 1, "who is told is no part of the protocol"


def test_no_secret_reaches_a_file_of_the_run(hook: Hook, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK", f"{hook.url}/{SECRET}")
    monkeypatch.setenv("TOKEN", SECRET)
    asked = {"url": "env:HOOK", "headers": {"X-Token": "env:TOKEN"}}
    made = run(project(n=60, **CHEAP, notify=asked), ["report.formats=[json, csv, model-card]"])
    assert len(hook.posted) == 1
    files = [path for path in made.folder.rglob("*") if path.is_file()]
    assert len(files) > 8
    assert not [path for path in files if SECRET.encode() in path.read_bytes()]
    assert "notify" not in made.record.config, "who runs the record again notifies nobody"


def test_reproducing_a_run_notifies_nobody(project: Project, tmp_path: Path) -> None:
    made = run(project(n=60, **CHEAP, notify={"command": list(keeps(tmp_path / "told"))}))
    (tmp_path / "told").unlink()
    assert reproduce(made.folder).holds
    assert not (tmp_path / "told").exists()


@pytest.mark.parametrize("key", ["notify.url", "notify.headers.Authorization"])
def test_a_secret_in_a_config_is_refused_and_not_repeated(project: Project, key: str) -> None:
    refused = invoked(project(n=60), "--set", f"{key}=https://example.org/{SECRET}")
    assert refused.exit_code == 2
    assert "write env:NAME" in refused.output
    printed = refused.output.replace(f"--set {key}=https://example.org/{SECRET}", "")
    assert SECRET not in printed


def test_the_names_of_headers_are_names(project: Project) -> None:
    refused = invoked(project(n=60), "--set", 'notify.headers={"X-A: b": env:NAME}')
    assert refused.exit_code == 2
    assert "is no name of a header" in refused.output

"""Who is told how a run ended: real commands, a real server, and audits that nothing of it disturbs."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from audit.cli import main
from audit.config import Notify
from audit.errors import AuditError, ConfigError, DataError, ModelError, OutputError
from audit.loading import load_config
from audit.log import logged
from audit.notification import HURRY, Notice, notify, notify_failure, of_failure, of_run
from audit.pipeline import run
from audit.preparation import identity, prepare
from audit.reproduction import reproduce
from audit.store.told import Telling, read_told
from audit.store.workplace import workplace

Project = Callable[..., Path]
CHEAP = {
    "checks": {"examples": 0, "validity": 20, "candidates": 0},
    "debug": {"clustered": 0, "explained": 0},
    "gates": ["outcome"],
}
SECRET = "s3cr3t-t0k3n"
ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


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


NOTICE = Notice(lambda: b'{"name": "a\\nb"}', 3, Path("reports/a/b"))


@pytest.fixture(autouse=True)
def place(tmp_path: Path) -> Path:
    """Where it is kept what was told."""
    return tmp_path / "place"


def test_a_command_is_given_the_summary_the_folder_and_the_exit_code(tmp_path: Path, place: Path) -> None:
    notify(Notify(command=keeps(tmp_path / "told")), NOTICE, place)
    assert json.loads((tmp_path / "told").read_text()) == [{"name": "a\nb"}, "reports/a/b", "3"]


def test_a_command_meets_no_shell(tmp_path: Path, place: Path) -> None:
    hostile = f"$(touch {tmp_path}/shell); touch {tmp_path}/shell"
    writes = python("import sys; open(sys.argv[1], 'w').write(sys.argv[2])")
    notify(Notify(command=(*writes, str(tmp_path / "f"), hostile)), NOTICE, place)
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
def test_a_command_that_fails_is_told(
    command: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str], place: Path
) -> None:
    stderr = failing(Notify(command=command), capsys, place)
    assert f"WARNING: notify.command: {told}" in stderr or told in stderr
    assert "the audit itself is not affected" in stderr
    assert "\x1b" not in stderr


def failing(asked: Notify, capsys: pytest.CaptureFixture[str], place: Path) -> str:
    with logged("text"):
        notify(asked, NOTICE, place)
    assert not read_told(place).channels, "what failed was not told"
    return capsys.readouterr().err


def test_a_hung_command_is_killed_with_what_it_started(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], place: Path
) -> None:
    child = f"import os, time; open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    began = time.monotonic()
    stderr = failing(Notify(command=python(parent), timeout=3), capsys, place)
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


def test_an_address_is_posted_the_summary_with_its_headers(
    hook: Hook, monkeypatch: pytest.MonkeyPatch, place: Path
) -> None:
    monkeypatch.setenv("HOOK", f"{hook.url}/hook?key={SECRET}\n")
    monkeypatch.setenv("TOKEN", f"Bearer {SECRET}")
    notify(Notify(url="env:HOOK", headers={"Authorization": "env:TOKEN"}), NOTICE, place)
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
    hook: Hook, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], value: str, told: str, place: Path
) -> None:
    monkeypatch.setenv("HOOK", value.format(url=hook.url))
    began = time.monotonic()
    stderr = failing(Notify(url="env:HOOK", timeout=1), capsys, place)
    assert time.monotonic() - began < 10
    assert f"notify.url: {told}" in stderr
    assert SECRET not in stderr
    assert not [path for path, _, _ in hook.posted if path == "/hook"], "another address is never told"


def test_a_header_that_cannot_be_sent_is_told_without_its_value(
    hook: Hook, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], place: Path
) -> None:
    monkeypatch.setenv("HOOK", f"{hook.url}/hook")
    monkeypatch.setenv("TOKEN", f"{SECRET}\nX-Injected: yes")
    stderr = failing(Notify(url="env:HOOK", headers={"Authorization": "env:TOKEN"}), capsys, place)
    assert "notify.url: ValueError" in stderr
    assert SECRET not in stderr
    assert not hook.posted


@pytest.mark.parametrize(
    ("when", "codes", "told"),
    [
        ("always", (0, 0), (True, True)),
        ("changed", (5, 5, 3, 5, 0, 0), (True, False, True, True, True, False)),
        ("changed", (0, 0), (True, False)),
        ("failed", (3, 0, 5, 5), (True, False, True, True)),
    ],
)
def test_when_decides(tmp_path: Path, place: Path, when: Any, codes: tuple[int, ...], told: tuple[bool, ...]) -> None:
    for code, wanted in zip(codes, told, strict=True):
        notify(Notify(command=keeps(tmp_path / "told"), when=when), Notice(lambda: b"{}", code, None), place)
        assert (tmp_path / "told").exists() == wanted
        (tmp_path / "told").unlink(missing_ok=True)


def test_each_channel_is_told_what_it_was_not_told_yet(
    hook: Hook, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, place: Path
) -> None:
    monkeypatch.setenv("HOOK", f"{hook.url}/error")
    asked = Notify(command=keeps(tmp_path / "told"), url="env:HOOK", when="changed")
    notify(asked, NOTICE, place)
    assert read_told(place).channels == {"notify.command": Telling(run="b", exit_code=3)}
    (tmp_path / "told").unlink()
    hook.posted.clear()
    monkeypatch.setenv("HOOK", f"{hook.url}/hook")
    for _ in range(2):
        notify(asked, NOTICE, place)
    assert len(hook.posted) == 1 and not (tmp_path / "told").exists()


@pytest.mark.parametrize("content", [b"", b"{", b'{"channels": 3}', b'{"channels": {}, "more": 1}', b"\xff"])
def test_what_was_told_is_not_known_from_a_damaged_file(tmp_path: Path, place: Path, content: bytes) -> None:
    asked = Notify(command=keeps(tmp_path / "told"), when="changed")
    notify(asked, NOTICE, place)
    (tmp_path / "told").unlink()
    (place / ".told.json").write_bytes(content)
    notify(asked, NOTICE, place)
    assert (tmp_path / "told").exists()
    assert read_told(place).channels == {"notify.command": Telling(run="b", exit_code=3)}


def test_a_place_that_cannot_be_written_is_told_and_fails_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    with logged("text"):
        notify(Notify(command=keeps(tmp_path / "told")), NOTICE, tmp_path / "file" / "place")
    assert (tmp_path / "told").exists()
    assert "cannot be made (Not a directory); the same may be told again" in capsys.readouterr().err


def test_a_machine_without_room_for_temporary_files_tells_nobody_and_fails_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], place: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    stderr = failing(Notify(command=keeps(tmp_path / "told")), capsys, place)
    assert "notify.command: No such file or directory; the audit itself is not affected" in stderr


def test_a_summary_that_cannot_be_read_fails_nothing(
    tmp_path: Path, hook: Hook, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], place: Path
) -> None:
    monkeypatch.setenv("HOOK", f"{hook.url}/hook")
    with logged("text"):
        notify(Notify(command=keeps(tmp_path / "told"), url="env:HOOK"), of_run(0, tmp_path / "gone"), place)
    stderr = capsys.readouterr().err
    assert "notify.command: No such file" in stderr and "notify.url: No such file" in stderr
    assert not hook.posted and not read_told(place).channels


LEAVES = """
import os, sys, threading
from pathlib import Path
from audit.config import Notify
from audit.log import logged
from audit.notification import Notice, notify
threading.Timer(1, lambda: os.setuid(65534)).start()
hangs = f"import os, time; open({sys.argv[1]!r}, 'w').write(str(os.getpid())); time.sleep(600)"
asked = Notify(command=(sys.executable, "-c", hangs), timeout=3)
with logged("text"):
    notify(asked, Notice(lambda: b"{}", 0, None), Path(sys.argv[2]))
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes somebody else")
def test_a_command_that_may_not_be_killed_is_left_alone(tmp_path: Path, place: Path) -> None:
    """The audit becomes another user once the command runs, as a command of another user's does by setuid."""
    command = [sys.executable, "-c", LEAVES, str(tmp_path / "pid"), str(place)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=ROOT)
    os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)
    assert done.returncode == 0, done.stderr
    assert "notify.command: killed after 3 s (notify.timeout)" in done.stderr


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


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (KeyError("alice@example.org"), 1, "KeyError"),
        (ValueError("cell 17 of row alice"), 1, "ValueError"),
        (DataError("a.csv: none of 3 rows can be used: label 1 (row 2: alice)"), 2, "DataError"),
        (
            ConfigError("a.yaml:3:1: data.ids: the first is 'alice'; take it out"),
            2,
            "ConfigError: a.yaml:3:1: data.ids: the first is",
        ),
        (ModelError('model.labels: the model\'s "alice" is unknown'), 2, "ModelError: model.labels: the model's"),
        (OutputError("out: cannot be written (alice); free some space"), 2, "OutputError: out: cannot be written"),
        (OutputError("a\x1b[2Jb " + 400 * "x"), 2, "OutputError: a\ufffd[2Jb " + 292 * "x" + "…"),
        (KeyboardInterrupt(), 1, "interrupted"),
    ],
)
def test_a_failure_is_told_by_its_kind_and_quotes_nothing_of_the_data(
    error: BaseException, code: int, told: str
) -> None:
    notice = of_failure("small", error)
    document = json.loads(notice.content())
    assert (notice.exit_code, document["exit_code"], document["error"]) == (code, code, told)


def test_what_another_package_said_is_not_told() -> None:
    error = ModelError("method fails with ValueError: alice")
    error.__cause__ = ValueError("alice")
    assert json.loads(of_failure("small", error).content())["error"] == "ModelError"


def test_a_run_that_is_given_back_is_told_where_it_is_another_than_was_told_last(
    project: Project, tmp_path: Path
) -> None:
    config = project(n=60, **CHEAP, notify={"command": list(keeps(tmp_path / "told")), "when": "changed"})
    seen = []
    for more in ([], ["model.path=./nowhere"], ["model.path=./nowhere"], [], []):
        with suppress(AuditError):
            run(config, more)
        seen.append(json.loads((tmp_path / "told").read_text())[2] if (tmp_path / "told").exists() else None)
        (tmp_path / "told").unlink(missing_ok=True)
    code = str(run(config).record.exit_code)
    assert seen == [code, "2", None, code, None]


def test_a_run_that_was_killed_before_it_was_told_is_told_by_the_next_start(project: Project, tmp_path: Path) -> None:
    config = project(n=60, **CHEAP, notify={"command": ["true"], "when": "changed"})
    kills = json.dumps(python("import os, signal; os.kill(os.getppid(), signal.SIGKILL)"))
    command = [sys.executable, "-m", "audit", "run", str(config), "--set", f"notify.command={kills}"]
    killed = subprocess.run(command, capture_output=True, timeout=120, check=False, cwd=tmp_path, env=ENVIRONMENT)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    for told in (True, False):
        made = run(config, [f"notify.command={json.dumps(keeps(tmp_path / 'told'))}"])
        assert not made.made and (tmp_path / "told").exists() == told
        (tmp_path / "told").unlink(missing_ok=True)


def test_an_audit_that_is_stopped_by_a_scheduler_is_told(project: Project, tmp_path: Path) -> None:
    config = project(
        n=240, **CHEAP, notify={"command": list(keeps(tmp_path / "told")), "when": "failed", "timeout": 30}
    )
    command = [sys.executable, "-m", "audit", "run", str(config)]
    process = subprocess.Popen(
        command, cwd=tmp_path, env=ENVIRONMENT, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("out/small/.*.run")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.terminate()
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 1, said
    document, folder, code = json.loads((tmp_path / "told").read_text())
    assert (document["error"], document["exit_code"], document["run_id"], folder, code) == (
        "interrupted",
        1,
        None,
        "",
        "1",
    )


def test_who_interrupts_waits_seconds_for_a_command_that_hangs(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    began = time.monotonic()
    with logged("text"):
        notify_failure(
            Notify(command=python("import time; time.sleep(600)"), timeout=600), "small", KeyboardInterrupt(), place
        )
    assert time.monotonic() - began < 3 * HURRY
    assert f"killed after {HURRY:g} s" in capsys.readouterr().err


def test_an_audit_that_is_at_work_already_is_no_failure_to_tell(project: Project, tmp_path: Path) -> None:
    config = project(n=60, **CHEAP, notify={"command": list(keeps(tmp_path / "told"))})
    loaded = load_config(config)
    with (
        workplace(Path(loaded.config.output) / "small", identity(prepare(loaded))),
        pytest.raises(OutputError, match="at work here"),
    ):
        run(config)
    assert not (tmp_path / "told").exists()


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

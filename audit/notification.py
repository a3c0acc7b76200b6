"""How a run ended, told to a command and to an address; whatever goes wrong there is told on standard error and changes nothing."""

import http.client
import json
import logging
import os
import signal
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any, Final, final

from audit.config import Notify
from audit.errors import AuditError, OutputError
from audit.log import SERVICE, Event, tell
from audit.records import AuditRecord
from audit.report.text import shorten
from audit.store.summaries import SUMMARY, read_summaries

INTERNAL: Final = 1  # exit code of an error that nobody foresaw


@final
@dataclass(frozen=True, slots=True)
class Notice:
    """What is told: JSON, the exit code, the run folder if there is one, and the exit code of the run before, if there is one."""

    content: bytes
    exit_code: int
    folder: Path | None
    before: int | None

    def wanted(self, when: str) -> bool:
        """Whether `notify.when` asks for it; a first run is a change."""
        return {"always": True, "changed": self.exit_code != self.before, "failed": self.exit_code != 0}[when]


def of_run(record: AuditRecord, folder: Path, *, made: bool = True) -> Notice:
    """A finished run's `summary.json`, which holds what may be published; one that was not `made` now is no change."""
    before = _before(folder.parent, folder) if made else record.exit_code
    return Notice((folder / SUMMARY).read_bytes(), record.exit_code, folder, before)


def of_failure(name: str, folder: Path, error: Exception) -> Notice:
    """An audit that ended without a result; `folder` holds the runs of this name."""
    code = error.exit_code if isinstance(error, AuditError) else INTERNAL
    told = str(error) if isinstance(error, AuditError) else f"{type(error).__name__}: {error}"
    content = json.dumps({"name": name, "run_id": None, "exit_code": code, "error": told}).encode()
    return Notice(content, code, None, _before(folder, None))


def notify(asked: Notify, notice: Notice) -> None:
    """Tell whoever is to be told, one after the other."""
    if not notice.wanted(asked.when):
        return
    if asked.command:
        _attempt("notify.command", lambda: _run(asked, notice))
    if asked.url:
        _attempt("notify.url", lambda: _in_time(lambda: _post(asked, notice.content), asked.timeout))


class _NotTold(Exception):
    """Why, in words that hold no secret."""


def _attempt(what: str, act: Callable[[], None]) -> None:
    try:
        act()
    except _NotTold as reason:
        body = f"{what}: {reason}; the audit itself is not affected"
        tell(Event.NOT_TOLD, body, level=logging.WARNING, channel=what)


def _before(folder: Path, run: Path | None) -> int | None:
    """Exit code of the last finished run in `folder` (before `run`); None where there is none that can be read."""
    try:
        runs = read_summaries(folder, last=1).runs
    except OutputError:
        return None
    names = list(runs)
    earlier = names[: names.index(run.name)] if run is not None and run.name in runs else names
    return runs[earlier[-1]].exit_code if earlier else None


def _run(asked: Notify, notice: Notice) -> None:
    """Files, not pipes: a process that the command leaves behind may keep a pipe open for ever."""
    told = {"LRP_AUDIT_RUN": str(notice.folder or ""), "LRP_AUDIT_EXIT_CODE": str(notice.exit_code)}
    with TemporaryFile() as given, TemporaryFile() as said:
        given.write(notice.content)
        given.seek(0)
        try:
            process = subprocess.Popen(
                asked.command, stdin=given, stdout=subprocess.DEVNULL, stderr=said, env={**os.environ, **told},
                start_new_session=True,
            )  # fmt: skip
        except (OSError, ValueError) as error:
            raise _NotTold(
                f"{asked.command[0]!r:.200} cannot be started ({getattr(error, 'strerror', error)})"
            ) from None
        code = _waited(process, asked.timeout)
        if code:
            raise _NotTold(f"exit code {code}{_last_words(said)}")


def _waited(process: "subprocess.Popen[bytes]", timeout: float) -> int:
    """Its exit code; it is killed, with what it started, when the time is over or the audit is interrupted."""
    try:
        return process.wait(timeout)
    except subprocess.TimeoutExpired:
        raise _NotTold(f"killed after {timeout:g} s (notify.timeout)") from None
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _last_words(said: IO[bytes]) -> str:
    size = said.seek(0, os.SEEK_END)
    said.seek(max(0, size - 2000))
    lines = said.read().decode(errors="replace").strip().splitlines()
    return f": {shorten(lines[-1], 200)}" if lines else ""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Another address would be told the headers."""

    def redirect_request(self, *_: Any) -> None:
        """None: the answer itself is the error."""


def _post(asked: Notify, content: bytes) -> None:
    url = _value(asked.url or "")
    if not url.lower().startswith(("http://", "https://")):
        raise _NotTold(f"{asked.url} holds no http or https address")
    headers = {
        "Content-Type": "application/json",
        "User-Agent": SERVICE,
        **{name: _value(named) for name, named in asked.headers.items()},
    }
    try:
        request = urllib.request.Request(url, content, headers, method="POST")
        with urllib.request.build_opener(_NoRedirect).open(request, timeout=asked.timeout):
            pass
    except urllib.error.HTTPError as error:
        error.close()
        raise _NotTold(f"the answer is HTTP {error.code}") from None
    except OSError as error:
        reason = getattr(error, "reason", error)
        raise _NotTold(getattr(reason, "strerror", None) or type(reason).__name__) from None
    except (http.client.HTTPException, ValueError) as error:  # their messages hold what could not be sent
        raise _NotTold(type(error).__name__) from None


def _in_time(act: Callable[[], None], seconds: float) -> None:
    """A socket's own timeout starts anew with every byte, and looking up a name has none."""
    reasons: list[_NotTold] = []

    def attempt() -> None:
        try:
            act()
        except _NotTold as reason:
            reasons.append(reason)

    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise _NotTold(f"given up after {seconds:g} s (notify.timeout)")
    if reasons:
        raise reasons[0]


def _value(named: str) -> str:
    """What env:NAME stands for."""
    name = named.removeprefix("env:")
    found = os.environ.get(name, "").strip()
    if not found:
        raise _NotTold(f"the environment variable {name} is not set")
    return found

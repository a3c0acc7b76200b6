"""How a run ended, told to a command and to an address; whatever goes wrong there is told on standard error and changes nothing."""

import http.client
import json
import logging
import os
import re
import signal
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any, Final, final

from audit.config import Notify
from audit.errors import AuditError, DataError
from audit.log import SERVICE, Event, tell
from audit.report.text import shorten
from audit.store.summaries import SUMMARY
from audit.store.told import Telling, keep_telling, read_told

INTERNAL: Final = 1  # exit code of an error that nobody foresaw, and of an interrupt
HURRY: Final = 5.0  # seconds a channel has after an interrupt: whoever sent it kills in 10 (Docker) to 90 (systemd)
QUOTED: Final = re.compile(r"(?<!\w)['\"`“‘«(]")
"""Begins a value, or what another package says, in a message."""
TELLING: Final = 300  # characters of a message


@final
@dataclass(frozen=True, slots=True)
class Notice:
    """What is told: where its JSON is from, the exit code, and the run folder if there is one."""

    content: Callable[[], bytes]
    exit_code: int
    folder: Path | None

    def wanted(self, when: str, before: int | None) -> bool:
        """Whether `notify.when` asks for it where the last that was told is `before`; the first is a change."""
        return {"always": True, "changed": self.exit_code != before, "failed": self.exit_code != 0}[when]


def of_run(exit_code: int, folder: Path) -> Notice:
    """A finished run's `summary.json`, which holds what may be published."""
    return Notice((folder / SUMMARY).read_bytes, exit_code, folder)


def of_failure(name: str, error: BaseException) -> Notice:
    """An audit that ended without a result."""
    code = error.exit_code if isinstance(error, AuditError) else INTERNAL
    content = json.dumps({"name": name, "run_id": None, "exit_code": code, "error": _publishable(error)}).encode()
    return Notice(lambda: content, code, None)


def _publishable(error: BaseException) -> str:
    """The class, and the message up to the first value that it quotes; no message that may hold what stands in the data.

    >>> _publishable(AuditError("a.yaml:3:1: name: 'x' is taken")), _publishable(DataError("row 3: 'x'")), _publishable(KeyError("x"))
    ('AuditError: a.yaml:3:1: name', 'DataError', 'KeyError')
    """
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    own = isinstance(error, AuditError) and not isinstance(error, DataError) and error.__cause__ is None
    said = QUOTED.split(str(error), maxsplit=1)[0].rstrip(" :;,=") if own else ""
    return ": ".join(filter(None, (type(error).__name__, shorten(said, TELLING))))


def notify(asked: Notify, notice: Notice, place: Path) -> None:
    """Tell whoever is to be told, one after the other, and keep in `place` (`output/NAME`) what they were told."""
    kept = Telling(run=notice.folder.name if notice.folder else None, exit_code=notice.exit_code)
    for channel, act in _channels(asked, notice):
        before = read_told(place).channels.get(channel)
        if notice.wanted(asked.when, before.exit_code if before else None) and _attempt(channel, act):
            _attempt(channel, partial(keep_telling, place, channel, kept))


def notify_failure(asked: Notify, name: str, error: BaseException, place: Path) -> None:
    """Tell of an audit that ended without a result; in a hurry where it was interrupted."""
    timeout = min(asked.timeout, HURRY) if isinstance(error, KeyboardInterrupt) else asked.timeout
    notify(asked.model_copy(update={"timeout": timeout}), of_failure(name, error), place)


def _channels(asked: Notify, notice: Notice) -> Iterator[tuple[str, Callable[[], None]]]:
    if asked.command:
        yield "notify.command", partial(_run, asked, notice)
    if asked.url:
        yield "notify.url", lambda: _in_time(lambda: _post(asked, notice.content()), asked.timeout)


class _NotTold(Exception):
    """Why, in words that hold no secret."""


def _attempt(channel: str, act: Callable[[], None]) -> bool:
    """Whether it was done; whatever goes wrong is told on standard error."""
    try:
        act()
    except Exception as error:  # noqa: BLE001 - the audit is done, or ends with an error of its own
        body = f"{channel}: {_why(error)}; the audit itself is not affected"
        tell(Event.NOT_TOLD, body, level=logging.WARNING, channel=channel)
        return False
    return True


def _why(error: Exception) -> str:
    """Messages of other packages may hold what could not be sent."""
    if isinstance(error, _NotTold | AuditError):
        return str(error)
    return str(getattr(error, "strerror", None) or type(error).__name__)


def _run(asked: Notify, notice: Notice) -> None:
    """Files, not pipes: a process that the command leaves behind may keep a pipe open for ever."""
    told = {"LRP_AUDIT_RUN": str(notice.folder or ""), "LRP_AUDIT_EXIT_CODE": str(notice.exit_code)}
    with TemporaryFile() as given, TemporaryFile() as said:
        given.write(notice.content())
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
            with suppress(OSError):  # one of another user's (setuid) is not ours to kill, nor to wait for
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
    reasons: list[Exception] = []

    def caught() -> None:
        try:
            act()
        except Exception as reason:  # noqa: BLE001 - it is raised below
            reasons.append(reason)

    thread = threading.Thread(target=caught, daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise _NotTold(f"given up after {seconds:g} s (notify.timeout)")
    if reasons:
        raise reasons[0]


def unset(asked: Notify) -> list[str]:
    """The environment variables that it names and that are not set now."""
    named = [each.removeprefix("env:") for each in (asked.url, *asked.headers.values()) if each]
    return [name for name in dict.fromkeys(named) if not os.environ.get(name, "").strip()]


def _value(named: str) -> str:
    """What env:NAME stands for."""
    name = named.removeprefix("env:")
    found = os.environ.get(name, "").strip()
    if not found:
        raise _NotTold(f"the environment variable {name} is not set")
    return found

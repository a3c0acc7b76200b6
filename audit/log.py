"""What a run tells on standard error while it works: lines to read, or JSON lines in the fields of OpenTelemetry's log data model.

It is Python's logging, logger `audit`; a program that has set logging up gets the events there. The fields are those of the
specification, version 1.55 (https://opentelemetry.io/docs/specs/otel/logs/data-model/): Timestamp in nanoseconds since 1970, as text as
in OTLP's JSON; TraceId a run, SpanId a stage.
"""

import json
import logging
import os
import re
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from enum import StrEnum
from importlib.metadata import version
from typing import Any, Final, Literal, final

Format = Literal["text", "json"]
LOGGER: Final = logging.getLogger("audit")
SERVICE: Final = "lrp-audit"
NAMESPACE: Final = "lrp_audit"
SEVERITY: Final = {"DEBUG": 5, "INFO": 9, "WARNING": 13, "ERROR": 17, "CRITICAL": 21}
MARKS: Final = {"WARNING": "WARNING: ", "ERROR": "error: "}
_SPAN: Final[ContextVar[str]] = ContextVar("span", default="")


class Event(StrEnum):
    """What is told; EventName in a JSON line."""

    RUN_STARTED = "lrp_audit.run.started"
    STAGE_STARTED = "lrp_audit.stage.started"
    PROGRESS = "lrp_audit.stage.progress"
    STAGE_FINISHED = "lrp_audit.stage.finished"
    SHARD_REUSED = "lrp_audit.shard.reused"
    SHARD_LOST = "lrp_audit.shard.lost"
    WORKERS_AWAITED = "lrp_audit.workers.awaited"
    WARNING = "lrp_audit.run.warning"
    RUN_FINISHED = "lrp_audit.run.finished"
    RUN_FAILED = "lrp_audit.run.failed"
    NOT_TOLD = "lrp_audit.delivery.failed"


LINES: Final = frozenset(
    {Event.RUN_STARTED, Event.PROGRESS, Event.SHARD_LOST, Event.WORKERS_AWAITED, Event.RUN_FAILED, Event.NOT_TOLD}
)  # the summary has the rest


def tell(
    event: Event, body: str, *, level: int = logging.INFO, error: BaseException | None = None, **attributes: Any
) -> None:
    """Log one event; attributes are named `lrp_audit.NAME`, and `exit_code` as OpenTelemetry names it."""
    if not LOGGER.hasHandlers():  # called from Python, where nobody has set logging up
        _handle(_Handler(_Lines()))
    named = {
        "process.exit.code" if name == "exit_code" else f"{NAMESPACE}.{name}": value
        for name, value in attributes.items()
    }
    LOGGER.log(level, body, exc_info=error, extra={"event": event, "attributes": named})


@contextmanager
def logged(form: Format) -> Iterator[None]:
    """Inside the block everything is told in this form; as JSON so are warnings of Python, and what other packages log."""
    before, level, other = LOGGER.handlers[:], LOGGER.level, logging.getLogger()
    handler = _Handler(_Lines() if form == "text" else _Json())
    _handle(handler)
    if form == "json":
        LOGGER.propagate = False
        other.addHandler(handler)
        logging.captureWarnings(capture=True)
    try:
        yield
    finally:
        if form == "json":
            logging.captureWarnings(capture=False)
            other.removeHandler(handler)
            LOGGER.propagate = True
        LOGGER.handlers[:] = before
        LOGGER.setLevel(level)


def structured() -> bool:
    """Whether a program reads the log."""
    return any(isinstance(each.formatter, _Json) for each in LOGGER.handlers)


@contextmanager
def span() -> Iterator[None]:
    """A stage: what is told inside carries its SpanId."""
    token = _SPAN.set(_random(8))
    try:
        yield
    finally:
        _SPAN.reset(token)


def _handle(handler: logging.Handler) -> None:
    LOGGER.handlers[:] = [handler]
    LOGGER.setLevel(logging.INFO)


@final
class _Handler(logging.Handler):
    """Not frozen, as logging asks for its subclass; it writes to what standard error is at that moment."""

    def __init__(self, formatter: logging.Formatter) -> None:
        super().__init__()
        self.setFormatter(formatter)
        self.addFilter(lambda record: isinstance(formatter, _Json) or getattr(record, "event", None) in LINES)

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        try:
            print(self.format(record), file=sys.stderr, flush=True)
        except (OSError, ValueError):  # nobody reads: the audit goes on
            self.handleError(record)


@final
class _Lines(logging.Formatter):
    """For people."""

    def format(self, record: logging.LogRecord) -> str:
        """The message, marked where something is wrong."""
        return MARKS.get(record.levelname, "") + record.getMessage()


@final
class _Json(logging.Formatter):
    """An object a line; whatever a value holds, JSON escapes its newlines."""

    def __init__(self) -> None:
        super().__init__()
        self.trace, self.root = _context()
        self.resource = {"service.name": SERVICE, "service.version": version(SERVICE), "process.pid": os.getpid()}

    def format(self, record: logging.LogRecord) -> str:
        """The fields that the specification names; of another package's record those that it has."""
        document = {
            "Timestamp": str(time.time_ns()),
            "SeverityText": record.levelname,
            "SeverityNumber": SEVERITY.get(record.levelname, 9),
            "Body": record.getMessage(),
            "Attributes": {**getattr(record, "attributes", {}), **_exception(record)},
            "Resource": self.resource,
            "InstrumentationScope": {"name": record.name},
            "TraceId": self.trace,
            "SpanId": _SPAN.get() or self.root,
        }
        event = getattr(record, "event", None)
        return json.dumps({**document, "EventName": event} if event else document, default=str)


def _exception(record: logging.LogRecord) -> dict[str, str]:
    """As OpenTelemetry's conventions name its parts."""
    kind, error, _ = record.exc_info or (None, None, None)
    if kind is None or error is None:
        return {}
    stack = "".join(traceback.format_exception(error))
    return {
        "exception.type": kind.__qualname__,
        "exception.message": str(error),
        "exception.stacktrace": stack,
    }


def _context() -> tuple[str, str]:
    """Trace and span of the run; the trace is that of the job that started it, where TRACEPARENT tells one (W3C Trace Context)."""
    given = re.fullmatch(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}.*", os.environ.get("TRACEPARENT", ""))
    return given[1] if given and given[1].strip("0") else _random(16), _random(8)


def _random(size: int) -> str:
    return os.urandom(size).hex()

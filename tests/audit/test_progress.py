"""Long stages tell how fast they are and how long they still take; a terminal has bars."""

import io
import time

import pytest

from audit import progress as stage
from audit.log import logged
from audit.progress import duration, progress, timed


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that have gone by."""
    now = [1000.0]
    monkeypatch.setattr(stage.time, "monotonic", lambda: now[0])
    return now


def told(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().err.splitlines()


def test_a_log_has_a_line_a_minute_with_rate_and_remaining_time(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    with logged("text"), progress("relevance", 4000) as advance:
        for _ in range(240):
            clock[0] += 1
            advance(10)
    assert told(capsys) == [
        "relevance: 600 of 4,000, 10 a second, 6 min left",
        "relevance: 1,200 of 4,000, 10 a second, 5 min left",
        "relevance: 1,800 of 4,000, 10 a second, 4 min left",
        "relevance: 2,400 of 4,000, 10 a second, 3 min left",
        "relevance: 2,400 of 4,000, 10 a second, took 4 min",
    ]


def test_what_is_reused_does_not_count_as_speed(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with logged("text"), progress("relevance", 10_000) as advance:
        clock[0] += 60
        advance(9000)
        clock[0] += 60
        advance(60)
    assert told(capsys)[1] == "relevance: 9,060 of 10,000, 1 a second, 16 min left"


def test_a_short_stage_has_one_line_and_an_empty_one_none(capsys: pytest.CaptureFixture[str]) -> None:
    with logged("text"):
        with progress("short", 3) as advance:
            advance(3)
        with progress("empty", 0):
            pass
    (line,) = told(capsys)
    assert line.startswith("short: 3 of 3, ")


def test_a_stage_that_fails_tells_no_end(capsys: pytest.CaptureFixture[str]) -> None:
    with logged("text"), pytest.raises(ValueError, match="stop"), progress("broken", 3):
        raise ValueError("stop")
    assert told(capsys) == []


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_has_a_bar_with_rate_and_remaining_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    screen = Terminal()
    monkeypatch.setattr("sys.stderr", screen)
    with progress("relevance", 100) as advance:
        for _ in range(5):
            time.sleep(0.15)
            advance(10)
    drawn = screen.getvalue()
    assert "relevance" in drawn and "50/100" in drawn and " a second" in drawn and "0:00:0" in drawn


def test_json_lines_take_the_place_of_bars_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr("sys.stderr", screen)
    with logged("json"), progress("relevance", 2) as advance:
        advance(2)
    (line,) = screen.getvalue().splitlines()
    assert line.startswith("{")


def test_timed_notes_the_seconds_of_a_stage() -> None:
    seconds: dict[str, float] = {}
    with timed(seconds, "sleep"):
        time.sleep(0.02)
    assert 0.02 <= seconds["sleep"] < 5


def test_durations_are_for_people() -> None:
    assert [duration(s) for s in (0.4, 119, 150, 7140, 7300)] == ["0 s", "119 s", "2 min", "119 min", "2 h 2 min"]

"""A run that was stopped goes on, a finished one is given back, and of two at once the second is told."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from audit.pipeline import run

ROOT = Path(__file__).parents[2]
Project = Callable[..., Path]
ALONE = {**os.environ, "OMP_NUM_THREADS": "1"}


def test_stopped_at_random_moments_it_ends_with_the_record_of_an_undisturbed_run() -> None:
    """`python -m tests.kills 200` does more of the same."""
    command = [sys.executable, "-m", "tests.kills", "20"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=ALONE, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert sum(found["stops"].values()) >= 20 and found["ended"] >= 1
    assert found["different"] == 0, "the record is that of an undisturbed run"
    assert found["written_again"] == 0, "nothing is explained twice but what was under way or damaged"
    assert found["kept"] > 20 and found["cut"] > 0


def test_a_finished_run_is_given_back_until_something_changes(project: Project) -> None:
    first = run(project())
    given = run(project())
    assert (first.made, given.made) == (True, False) and given.folder == first.folder
    assert given.record == first.record
    assert run(project(), again=True).folder != first.folder
    assert run(project(report={"examples": 3})).made
    assert run(project(n=357)).made
    page = run(project()).folder / "report.html"
    page.write_text("changed", encoding="utf-8")
    assert run(project(), again=False).folder not in (page.parent,)


def test_what_only_says_who_does_the_work_is_no_change(project: Project) -> None:
    first = run(project())
    config = project(engine={"workers": 2}, notify={"command": ["true"]})
    config.write_text(f"# mended on Monday\n{config.read_text()}")
    assert not run(config).made
    assert run(project(), ["engine.batch_size=512"]).folder != first.folder
    assert run(project(), ["engine.threads=1"]).made, "another number of threads may change the last bits"


def started(config: Path, *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "audit", "run", str(config), *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=ALONE)


def wait_for(folder: Path, pattern: str) -> None:
    deadline = time.monotonic() + 120
    while not list(folder.glob(pattern)):
        assert time.monotonic() < deadline, f"no {pattern}"
        time.sleep(0.05)


def test_of_two_runs_at_once_the_second_is_told_who_is_at_work(project: Project, tmp_path: Path) -> None:
    config = project(n=4000)
    first = started(config)
    wait_for(tmp_path, "out/small/.*.parts/*.npz")
    second = started(config)
    _, told = second.communicate(timeout=300)
    assert second.returncode == 1 and f"at work here (process {first.pid} on " in told
    first.kill()
    first.communicate()


def children(process: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def alive(process: int) -> bool:
    state = Path(f"/proc/{process}/stat")
    return state.exists() and state.read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs Linux's /proc")
def test_workers_do_not_outlive_the_run_that_is_killed(project: Project, tmp_path: Path) -> None:
    process = started(project(n=4000, engine={"workers": 2}))
    wait_for(tmp_path, "out/small/.*.parts/*.npz")
    workers = children(process.pid)
    assert len(workers) >= 2
    process.send_signal(signal.SIGKILL)
    process.communicate()
    deadline = time.monotonic() + 30
    while any(map(alive, workers)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(map(alive, workers))


def test_a_schedulers_stop_keeps_what_is_done_and_says_so(project: Project, tmp_path: Path) -> None:
    process = started(project(n=4000))
    wait_for(tmp_path, "out/small/.*.parts/*.npz")
    process.send_signal(signal.SIGTERM)
    _, told = process.communicate(timeout=120)
    assert process.returncode == 1 and "give the same command again to go on" in told
    assert list(tmp_path.glob("out/small/.*.parts/*.npz"))

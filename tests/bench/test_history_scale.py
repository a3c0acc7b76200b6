"""The bench of `lrp-audit history` measures runs that are read as those of an audit are."""

from pathlib import Path

from audit.store.summaries import histories, read_summaries
from bench.history_scale import FINDINGS, write_runs


def test_the_runs_of_the_bench_are_whole(tmp_path: Path) -> None:
    write_runs(tmp_path / "nightly", 4)
    assert list(histories(tmp_path)) == ["nightly"]
    read = read_summaries(tmp_path / "nightly")
    assert [len(each.findings) for each in read.runs.values()] == [FINDINGS] * 4
    assert not read.broken

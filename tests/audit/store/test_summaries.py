"""`summary.json` says what the record says, and a folder of runs is read whatever lies in it."""

import json
import os
import shutil
from pathlib import Path

import pytest

from audit.errors import OutputError
from audit.records import RunSummary
from audit.report.publication import publication
from audit.store.manifest import MANIFEST, RECORD
from audit.store.runs import load_record
from audit.store.summaries import SUMMARY, histories, read_summaries, refuse_inside_run, summary, write_summary
from tests.audit.nights import gap, night, second, written

SAMPLE = Path(__file__).parents[3] / "reports" / "sample"


def test_a_summary_says_of_gated_findings_what_the_record_says() -> None:
    record = load_record(SAMPLE)
    made = summary(record)
    gated = {each.id: each for each in record.findings if each.question in made.gates}
    assert made.gates == {"contrast": "holds", "intervention": "inconclusive"}
    assert [each.id for each in made.findings] == list(gated)
    for each in made.findings:
        finding = gated[each.id]
        assert (each.value, each.low, each.high) == (
            finding.estimate.value, finding.estimate.low, finding.estimate.high,
        )  # fmt: skip
        assert (each.verdict, each.margin, each.n) == (finding.verdict, finding.margin, finding.estimate.n)
        assert (each.p_adjusted, each.settled) == (finding.test.p_adjusted, finding.settled)
    pair = next(each for each in made.findings if each.id == "intervention.flips.age.old-young")
    assert (pair.group, pair.comparison, pair.category) == ("old", "young", "flips")
    assert sum(made.verdicts.values()) == len(record.findings)
    assert (made.looks, made.alpha, made.exit_code) == (1, 0.05, 5)
    assert made.data.rows == made.data.used + made.data.excluded + made.data.not_sampled
    assert made.release == record.provenance.packages["lrp-audit"]


def test_a_summary_of_what_may_be_published_withholds_what_the_report_withholds() -> None:
    record = load_record(SAMPLE)
    flips = {each.id: each for each in summary(publication(record).record).findings}["intervention.flips.age.old-young"]
    assert flips.value is None
    assert flips.verdict.value == "INCONCLUSIVE"


def test_a_summary_is_a_few_kilobytes_and_reads_back_the_same(tmp_path: Path) -> None:
    record = load_record(SAMPLE)
    write_summary(tmp_path, record)
    content = (tmp_path / SUMMARY).read_bytes()
    assert len(content) < 8_000
    assert RunSummary.model_validate_json(content) == summary(record)
    lines = content.splitlines()
    assert len(lines) == 3 + len(summary(record).findings)
    assert json.loads(lines[0].rstrip(b",") + b"}")["run_id"] == record.run_id


def test_runs_come_in_the_order_of_their_starts(tmp_path: Path) -> None:
    folder = written(tmp_path, night(2, gap(0.01)), night(0, gap(0.02)), night(1, gap(0.03)))
    (folder / night(1).run_id).rename(folder / "zzz")
    assert [each.started[:10] for each in read_summaries(folder).runs.values()] == [
        "2026-01-01", "2026-01-02", "2026-01-03",
    ]  # fmt: skip


def test_only_the_newest_have_their_findings_where_only_these_are_asked_for(tmp_path: Path) -> None:
    folder = written(tmp_path, *(night(i, gap(0.01 * i)) for i in range(4)))
    every, newest = read_summaries(folder).runs, read_summaries(folder, last=2).runs
    assert [len(each.findings) for each in newest.values()] == [0, 0, 1, 1]
    assert list(newest) == list(every)
    assert list(newest.values())[2:] == list(every.values())[2:]
    assert {each.protocol_sha256 for each in newest.values()} == {"a" * 64}


def test_a_summary_in_another_layout_is_read_all_the_same(tmp_path: Path) -> None:
    folder = written(tmp_path, night(0, gap(0.01)), night(1, gap(0.02)))
    path = folder / night(0).run_id / SUMMARY
    path.write_text(json.dumps(json.loads(path.read_text()), indent=2, sort_keys=True))
    assert len(read_summaries(folder, last=1).runs) == 2


def test_a_run_without_a_summary_is_summed_up_from_its_record(tmp_path: Path) -> None:
    shutil.copytree(SAMPLE, tmp_path / "old")
    (tmp_path / "old" / SUMMARY).unlink(missing_ok=True)
    record = load_record(SAMPLE)
    assert read_summaries(tmp_path).runs == {"old": summary(record)}
    published = read_summaries(tmp_path, published=lambda each: publication(each).record).runs["old"]
    assert published == summary(publication(record).record)


BROKEN = {
    "unfinished": (lambda run: (run / MANIFEST).unlink(), "did not finish"),
    "cut": (lambda run: (run / SUMMARY).write_text('{"schema_version":"1.0","na'), "not valid"),
    "cut after its first line": (
        lambda run: (run / SUMMARY).write_bytes((run / SUMMARY).read_bytes()[:-60]),
        "not valid",
    ),
    "not an object": (lambda run: (run / SUMMARY).write_text("[" * 100_000), "not valid"),
    "no number": (
        lambda run: (run / SUMMARY).write_text((run / SUMMARY).read_text().replace('"margin":0.05', '"margin":NaN')),
        "not valid",
    ),
    "later": (
        lambda run: (run / SUMMARY).write_text((run / SUMMARY).read_text().replace('"1.0"', '"7.0"')),
        "schema version 7.0",
    ),
    "a folder": (lambda run: [(run / SUMMARY).unlink(), (run / SUMMARY).mkdir()], "cannot be read"),
    "neither summary nor record": (lambda run: (run / SUMMARY).unlink(), "holds no audit.json"),
    "a record that is none": (
        lambda run: [(run / SUMMARY).unlink(), (run / RECORD).write_text('{"schema_version":"2.0"}')],
        "not a valid record",
    ),
    "empty": (lambda run: [shutil.rmtree(run), run.mkdir()], "did not finish"),
}


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.parametrize("last", [None, 1, 5])
def test_a_broken_run_is_named_with_its_reason_and_hides_no_other(tmp_path: Path, name: str, last: int | None) -> None:
    folder = written(tmp_path, night(0, gap(0.01)), night(1, gap(0.02)))
    damage, reason = BROKEN[name]
    damage(folder / night(1).run_id)
    read = read_summaries(folder, last=last)
    assert list(read.runs) == [night(0).run_id]
    assert list(read.broken) == [night(1).run_id]
    assert reason in read.broken[night(1).run_id]
    assert len(read.runs[night(0).run_id].findings) == 1


def test_hidden_folders_and_files_are_no_runs(tmp_path: Path) -> None:
    folder = written(tmp_path, night(0, gap(0.01)))
    shutil.copytree(folder / night(0).run_id, folder / ".identity.run")
    (folder / ".identity.work").mkdir()
    (folder / "history.html").write_text("")
    read = read_summaries(folder)
    assert (list(read.runs), read.broken) == ([night(0).run_id], {})


def test_names_below_a_folder_are_found_and_runs_beside_them(tmp_path: Path) -> None:
    one, two = written(tmp_path / "one", night(0)), written(tmp_path / "two", night(0), second(1))
    (tmp_path / "empty").mkdir()
    assert histories(tmp_path) == {"one": one, "two": two}
    assert histories(one) == {"one": one}
    written(tmp_path, night(3))
    assert histories(tmp_path) == {tmp_path.name: tmp_path, "one": one, "two": two}
    read = read_summaries(tmp_path)
    assert (list(read.runs), list(read.broken)) == ([night(3).run_id], ["empty"])


def test_a_folder_without_runs_says_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="holds no finished run"):
        histories(tmp_path)
    with pytest.raises(OutputError, match="is no folder"):
        histories(tmp_path / "nowhere")
    folder = written(tmp_path, night(0))
    with pytest.raises(OutputError, match=f"is one run; give the folder in which it lies, such as {folder}"):
        histories(folder / night(0).run_id)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_folder_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    tmp_path.chmod(0)
    try:
        with pytest.raises(OutputError, match="cannot be read"):
            histories(tmp_path)
    finally:
        tmp_path.chmod(0o700)


def test_a_file_inside_of_a_run_is_refused(tmp_path: Path) -> None:
    shutil.copytree(SAMPLE, tmp_path / "run")
    with pytest.raises(OutputError, match="lies in a run"):
        refuse_inside_run(tmp_path / "run" / "deeper" / "history.html")
    refuse_inside_run(tmp_path / "history.html")

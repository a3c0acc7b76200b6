"""Two runs are compared: what changed is told, what is not comparable is not, and pairs are made of the examples in both."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from audit.cli import main
from audit.comparison import compare
from audit.pipeline import run
from audit.records import AuditRecord, Gate
from audit.stats.changes import INDEPENDENT, PAIRED_MEAN, PAIRED_RATES, independent
from audit.stats.paired_ranks import PAIRED_RANKS
from audit.store.manifest import write_manifest
from audit.store.runs import load_record, write_record

Project = Callable[..., Path]
CHEAP = {
    "statistics": {"placebos": 499, "permutations": 199},
    "checks": {"examples": 20, "validity": 20, "candidates": 0},
    "debug": {"clustered": 0, "unsure": 0, "explained": 0},
    "report": {"examples": 2},
    "gates": ["outcome"],
}


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds the two runs that every test copies, once they are made."""
    return tmp_path_factory.mktemp("kept")


@pytest.fixture
def two(project: Project, planted_folder: Path, kept: Path, tmp_path: Path) -> tuple[Path, Path]:
    """Runs of two models on the same texts."""
    if not (kept / "after").exists():
        config = project(n=180, **CHEAP)
        for name, model in (("before", []), ("after", [f"model.path={planted_folder}"])):
            shutil.copytree(run(config, model).folder, kept / name)
    return shutil.copytree(kept / "before", tmp_path / "one"), shutil.copytree(kept / "after", tmp_path / "two")


def rewritten(folder: Path, **changes: object) -> AuditRecord:
    """The record with other fields, as if the run had written it."""
    record = load_record(folder).model_copy(update=changes)
    write_record(folder, record)
    write_manifest(folder)
    return record


def test_another_model_on_the_same_texts_is_compared_by_their_own_differences(two: tuple[Path, Path]) -> None:
    found = compare(*two)
    assert [each.name for each in found.inputs if each.state == "changed"] == ["model", "protocol"]
    assert [each.name for each in found.settings] == ["model.path"]
    assert found.examples == {"in both": 180, "only before": 0, "only after": 0} and not found.apart
    by = {each.finding: each for each in found.moved}
    swap, flips, gap = (
        by[name]
        for name in (
            "intervention.gender.female-male",
            "intervention.flips.gender.female-male",
            "outcome.selection_rate.gender (mentioned).female-male",
        )
    )
    assert (swap.method, flips.method, gap.method) == (PAIRED_MEAN, PAIRED_RATES, PAIRED_RATES)
    assert swap.significant and swap.change.value > 0.5, "the second model has a planted reliance on words of gender"
    assert by["contrast.gender.female-male"].method == INDEPENDENT
    assert by["contrast.gender.female-male"].change.value > 0.5
    for each in found.moved:
        if each.change.value is not None:
            assert each.change.value == pytest.approx(each.after.value - each.before.value, abs=1e-6)
            assert each.change.low is not None or each.change.reason
    frames = [pd.read_parquet(folder / "examples.parquet").set_index("id") for folder in two]
    everything = found.predictions.flips[0]
    wrong = frames[0].predicted != frames[1].predicted
    assert set(everything.ids) == set(wrong[wrong].index) and len(everything.ids) > 0
    assert everything.mended == found.predictions.mcnemar.gained and everything.examples == 180
    assert found.predictions.clustered and "clusters as units" in found.predictions.counted
    change = frames[1].correct.mean() - frames[0].correct.mean()
    assert found.predictions.accuracy.value == pytest.approx(change)


def test_the_command_prints_tables_or_everything_as_json(two: tuple[Path, Path]) -> None:
    result = CliRunner().invoke(main, ["compare", *map(str, two)])
    assert result.exit_code == 0, result.output
    assert "settings that differ" in result.output and "model.path" in result.output
    assert "MOVER takes the runs as independent" in result.output and "exact McNemar p" in result.output
    document = json.loads(CliRunner().invoke(main, ["compare", *map(str, two), "--json"]).stdout)
    ids = document["predictions"]["flips"][0]["ids"]
    assert ids and ids[0] not in result.output
    assert all(set(each["change"]) >= {"low", "high", "level", "reason"} for each in document["moved"])


def test_gated_questions_of_the_later_run_come_first_and_shown_changes_first_of_these(two: tuple[Path, Path]) -> None:
    for gated in ("outcome", "intervention"):
        record = load_record(two[1])
        ids = tuple(each.id for each in record.findings if each.question == gated)
        rewritten(two[1], gates=(Gate(question=gated, state="inconclusive", findings=ids),))
        moved = compare(*two).moved
        order = [(each.question != gated, not each.significant) for each in moved]
        assert moved[0].question == gated and order == sorted(order) and len(set(order)) >= 3
        told = [each.finding for each in moved if each.change.value is not None]
        result = CliRunner().invoke(main, ["compare", *map(str, two)], env={"COLUMNS": "400"})
        table = result.output.partition("changes of estimates")[2]
        first = [line.split("│")[1].strip() for line in table.splitlines() if line.count("│") > 5]
        assert "".join("".join(first).split()).startswith("".join("".join(told).split()))
        questions = {each.id: each.question for each in record.findings}
        verdicts = [questions[each.finding] != gated for each in compare(*two).verdicts]
        assert verdicts == sorted(verdicts)
        document = json.loads(CliRunner().invoke(main, ["compare", *map(str, two), "--json"]).stdout)
        assert [each["finding"] for each in document["moved"]] == [each.finding for each in moved]
    assert len(set(verdicts)) == 2, "verdicts of both kinds changed, so that their order says something"


def test_a_run_against_itself_changes_nothing_and_other_examples_are_taken_as_independent(
    two: tuple[Path, Path], project: Project
) -> None:
    same = compare(two[0], two[0])
    assert not same.settings and not same.verdicts and not any(each.significant for each in same.moved)
    assert same.predictions.mcnemar.p is None and same.predictions.flips[0].ids == ()
    other = compare(two[0], run(project(n=120, **CHEAP)).folder)
    assert other.examples == {"in both": 120, "only before": 60, "only after": 0}
    swap = next(each for each in other.moved if each.finding == "intervention.gender.female-male")
    assert (swap.method, swap.why) == (INDEPENDENT, "the runs compare other examples")
    assert swap.change.high - swap.change.low > swap.after.high - swap.after.low


def test_what_is_not_one_quantity_has_no_change(two: tuple[Path, Path]) -> None:
    record = load_record(two[1])
    rewritten(two[1], model=record.model.model_copy(update={"contrast": "rotten"}))
    other = compare(*two)
    assert {each.change.value for each in other.moved} == {None}
    assert "other contrasts: fresh" in other.moved[0].change.reason
    first = record.findings[0].model_copy(update={"composite": "another"})
    rewritten(two[1], model=record.model, findings=(first, *record.findings[1:]))
    moved = {each.finding: each for each in compare(*two).moved}
    assert moved[first.id].change.value is None and "by another after" in moved[first.id].change.reason


def test_numbered_rows_of_other_data_and_lost_tables_are_not_paired(two: tuple[Path, Path]) -> None:
    record = load_record(two[1])
    columns = {**record.config["data"]["columns"], "id": None}
    other = record.data.model_copy(update={"sha256": "0" * 64})
    rewritten(two[1], config={**record.config, "data": {**record.config["data"], "columns": columns}}, data=other)
    found = compare(*two)
    assert found.apart.startswith("ids are the places of rows") and found.predictions is None
    assert {each.method for each in found.moved} <= {INDEPENDENT, "none"}
    (two[0] / "examples.parquet").unlink()
    lost = compare(two[0], two[0])
    assert lost.apart == "a run has no table of examples" and lost.moved


def test_text_of_the_data_cannot_write_on_the_terminal(two: tuple[Path, Path]) -> None:
    for folder in two:
        first, *others = load_record(folder).findings
        rewritten(folder, findings=(first.model_copy(update={"id": "\x1b[31m[red]evil\u202e"}), *others))
    output = CliRunner().invoke(main, ["compare", *map(str, two)]).output
    assert "\x1b" not in output and "\u202e" not in output and "[red]evil" in output


def test_folders_that_are_no_runs_or_were_changed_are_refused_with_code_2(
    two: tuple[Path, Path], tmp_path: Path
) -> None:
    result = CliRunner().invoke(main, ["compare", str(tmp_path / "none"), str(two[1])])
    assert result.exit_code == 2 and "holds no audit.json" in result.output
    with (two[1] / "examples.parquet").open("ab") as file:
        file.write(b"more")
    result = CliRunner().invoke(main, ["compare", *map(str, two)])
    assert result.exit_code == 2 and "examples.parquet: was changed after the run" in result.output


def test_disparities_of_the_same_texts_are_compared_by_placements(
    project: Project, planted_folder: Path, tmp_path: Path
) -> None:
    config = project(n=360, **CHEAP)
    table = pd.read_csv(tmp_path / "data.csv")
    table["club"] = ["city" if i % 8 < 4 else "united" for i in range(len(table))]
    table.to_csv(tmp_path / "data.csv", index=False)
    columns = "data.columns={cluster: film, attributes: {club: club}}"
    runs = [run(config, [columns, *model]).folder for model in ([], [f"model.path={planted_folder}"])]
    moved = [each for each in compare(*runs).moved if each.question == "disparity" and each.change.value is not None]
    assert moved and {each.method for each in moved} == {PAIRED_RANKS}
    for each in moved:
        assert each.change.value == pytest.approx(each.after.value - each.before.value, abs=1e-6)
        apart = independent(each.before, each.after).estimate(each.change.level)
        assert 0 < each.change.high - each.change.low < 1.5 * (apart.high - apart.low)


def test_comparing_needs_no_torch() -> None:
    code = (
        "import sys, audit.comparison, audit.comparison_tables; assert not {'torch', 'transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

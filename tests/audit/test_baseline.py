"""A run held against an earlier one: gates that breach where a difference has grown, and baselines that are refused."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from click.testing import CliRunner

from audit.cli import main
from audit.errors import ConfigError
from audit.loading import load_config
from audit.pipeline import run
from audit.records import Standing
from audit.stats.changes import INDEPENDENT, PAIRED_MEAN, PAIRED_RATES
from audit.store.manifest import write_manifest
from audit.store.runs import load_record, verify, write_record

Project = Callable[..., Path]
CHEAP: dict[str, Any] = {
    "statistics": {"placebos": 499, "permutations": 499},
    "checks": {"examples": 20, "validity": 20, "candidates": 0},
    "debug": {"clustered": 0, "unsure": 0, "explained": 0},
    "report": {"examples": 2, "formats": ["junit", "sarif", "json", "csv"]},
    "gates": ["outcome"],
}
SWAP = "baseline.intervention.gender.female-male"


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds the baseline that every test copies, once it is made."""
    return tmp_path_factory.mktemp("kept")


@pytest.fixture
def reference(project: Project, kept: Path, tmp_path: Path) -> Path:
    """A run of the model without planted reliance, beside the config; `asked` writes a config that is held against it."""
    if not (kept / "made").exists():
        shutil.copytree(run(project(n=180, **CHEAP)).folder, kept / "made")
    return shutil.copytree(kept / "made", tmp_path / "accepted")


@pytest.fixture
def asked(project: Project, reference: Path) -> Project:
    """Writes a config that is held against the reference."""

    def write(worse_by: object, **changes: Any) -> Path:
        return project(n=180, **{**CHEAP, "baseline": {"run": "accepted", "worse_by": worse_by}, **changes})

    return write


def test_a_model_that_is_worse_breaches_and_every_report_says_so(asked: Project, planted_folder: Path) -> None:
    config = asked({"intervention": 0.1, "outcome": 0.5}, model={"path": str(planted_folder)})
    result = CliRunner().invoke(main, ["run", str(config)])
    assert result.exit_code == 3, result.output
    assert "gate intervention, against the baseline: breached (2 tested" in result.output
    runs = [path for path in (config.parent / "out" / "small").iterdir() if load_record(path).baseline]
    (folder,) = runs
    record = load_record(folder)
    assert record.baseline is not None
    assert record.baseline.run_id == load_record(config.parent / "accepted").run_id
    known = {each.id: each for each in record.worsenings}
    swap = known[SWAP]
    assert (swap.standing, swap.method) == (Standing.BREACHED, PAIRED_MEAN)
    assert swap.estimate.low > 0.1 and swap.test.p_adjusted < 0.05 / 3
    assert swap.estimate.value == pytest.approx(abs(swap.after.value) - abs(swap.before.value))
    assert {gate.question: gate.state for gate in record.gates} | {"outcome": ""} == {
        "outcome": "", "intervention, against the baseline": "breached",
        "outcome, against the baseline": "holds" if all(
            each.standing in (Standing.HOLDS, Standing.NOT_TESTED) for each in record.worsenings if each.question == "outcome"
        ) else "inconclusive",
    }  # fmt: skip
    failed = ET.parse(folder / "report.junit.xml").findall(".//testcase[failure]")
    assert SWAP in {case.get("name") for case in failed}
    message = next(case.find("failure").get("message") for case in failed if case.get("name") == SWAP)
    assert (
        message.startswith("breached, Swaps, against the baseline, gender: female − male")
        and "worse by 1.8" in message
        and "adjusted p < 0.001" in message
    )
    (sarif,) = json.loads((folder / "report.sarif").read_text())["runs"]
    errors = [each["ruleId"] for each in sarif["results"] if each["level"] == "error"]
    assert "intervention, against the baseline" in errors
    page = (folder / "report.html").read_text()
    assert "Against the baseline, run" in page and 'id="baseline"' in page and "audit.json" in page
    assert "baseline" in json.loads((folder / "report.json").read_text())
    assert "further from no difference than in the baseline" in (folder / "report.csv").read_text()
    assert verify(folder) == []


def test_the_same_model_is_not_worse(asked: Project) -> None:
    record = run(asked(0.2, gates=["intervention", "contrast"])).record
    assert record.exit_code in (0, 3, 5)
    states = {gate.question: gate.state for gate in record.gates}
    assert states["intervention, against the baseline"] == "holds"
    assert states["contrast, against the baseline"] in ("holds", "inconclusive")
    by = {each.id: each for each in record.worsenings}
    assert by[SWAP].estimate.value == 0 and by[SWAP].standing is Standing.HOLDS
    assert {each.method for each in record.worsenings} == {PAIRED_MEAN, PAIRED_RATES, INDEPENDENT}
    alphas = {finding.test.alpha for finding in record.findings if finding.gate} | {
        each.test.alpha for each in record.worsenings
    }
    assert alphas == {0.05 / 4}, "two gates and two gates against the baseline share alpha"


def test_the_baseline_belongs_to_the_protocol_by_its_content(asked: Project, reference: Path) -> None:
    path = asked({"outcome": 0.3})
    protocols = [run(path).record.protocol_sha256]
    shutil.move(reference, reference.with_name("moved"))
    protocols.append(run(path, ["baseline.run=moved"]).record.protocol_sha256)
    assert protocols[0] == protocols[1], "where it lies does not matter"
    moved = reference.with_name("moved")
    record = load_record(moved)
    write_record(moved, record.model_copy(update={"warnings": ("another",)}))
    write_manifest(moved)
    assert run(path, ["baseline.run=moved"]).record.protocol_sha256 != protocols[0]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"margins": {"swap": 0.2}}, "margins.swap was 0.1, is 0.2"),
        ({"target": {"favour": "rotten"}}, "target.favour was 'fresh', is 'rotten'"),
        ({"statistics": {**CHEAP["statistics"], "min_terms": 5}}, "statistics.min_terms was 4, is 5"),
        ({"groups": [{"attribute": "gender", "lexicon": "gender"}]}, "groups was"),
        ({"relevance": {"composites": ["cp_lrp"]}}, "relevance.composites was"),
    ],
)
def test_a_baseline_of_another_protocol_is_refused_before_anything_is_explained(
    asked: Project, changes: dict[str, Any], told: str
) -> None:
    with pytest.raises(ConfigError, match=r"small\.yaml:\d+:\d+: baseline\.run: .*asks something else") as caught:
        run(asked({"outcome": 0.05}, **changes))
    assert told in str(caught.value)


def test_another_lexicon_is_another_protocol(asked: Project, reference: Path) -> None:
    record = load_record(reference)
    others = tuple(each.model_copy(update={"sha256": "0" * 64}) for each in record.lexicons)
    write_record(reference, record.model_copy(update={"lexicons": others}))
    write_manifest(reference)
    with pytest.raises(ConfigError, match="the terms of 'gender' are others"):
        run(asked({"outcome": 0.05}))


def test_a_baseline_that_is_missing_or_was_changed_is_refused(asked: Project, reference: Path) -> None:
    path = asked({"outcome": 0.05})
    with pytest.raises(ConfigError, match=r"baseline\.run: .*nowhere: holds no audit\.json"):
        run(path, ["baseline.run=nowhere"])
    (reference / "audit.json").write_bytes((reference / "audit.json").read_bytes() + b" ")
    with pytest.raises(ConfigError, match=r"baseline\.run: .*was changed after the run"):
        run(path)


def test_what_one_run_alone_has_is_listed_and_not_tested(asked: Project, reference: Path) -> None:
    record = load_record(reference)
    kept = tuple(each for each in record.findings if "selection_rate" not in each.id)
    write_record(reference, record.model_copy(update={"findings": kept}))
    (reference / "examples.parquet").unlink()
    write_manifest(reference)
    shutil.rmtree(reference.parent / "out", ignore_errors=True)
    config = asked({"outcome": 0.9})
    result = CliRunner().invoke(main, ["run", str(config)])
    made = load_record(next(config.parent.glob("out/small/2*")))
    assert "gate outcome, against the baseline: inconclusive" in result.output and "in one run alone)" in result.output
    assert result.exit_code in (3, 5)
    by = {each.id: each for each in made.worsenings}
    lost = by["baseline.outcome.selection_rate.gender (mentioned).female-male"]
    assert (lost.standing, lost.reason) == (Standing.NOT_TESTED, "the baseline has no such finding")
    assert lost.before.value is None and lost.after.value is not None
    (gate,) = [each for each in made.gates if each.question == "outcome, against the baseline"]
    assert (gate.lone, gate.state) == (1, "inconclusive")
    page = next(config.parent.glob("out/small/*/report.html")).read_text()
    assert "1 finding has an estimate in one run alone" in page and "1 of these in one run alone" in page
    assert "in one run alone" in next(config.parent.glob("out/small/*/report.junit.xml")).read_text()
    other = by["baseline.outcome.error_rate.gender (mentioned).female-male"]
    assert other.method == INDEPENDENT and "not paired" in other.reason and other.standing is not Standing.NOT_TESTED


@pytest.mark.parametrize(
    ("baseline", "told"),
    [
        (
            {"run": "x", "worse_by": {"outcomes": 0.05}},
            "'outcomes' is no question for task 'text'; did you mean 'outcome'",
        ),
        ({"run": "x", "worse_by": 0}, "baseline.worse_by: 0 is no margin; give a number above 0"),
        ({"run": "x", "worse_by": {"outcome": "much"}}, "'much' is no margin"),
        ({"run": "x", "worse_by": {}}, "names no question"),
        ({"worse_by": 0.1}, "baseline.run: required key is missing"),
        ({"run": "x", "worse_by": 0.1, "by": 1}, "unknown key"),
    ],
)
def test_a_block_that_does_not_say_what_is_asked_is_refused(project: Project, baseline: Any, told: str) -> None:
    path = project(n=12, baseline=baseline)
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert told in str(caught.value)


def test_one_number_needs_gates_and_without_a_block_alpha_is_as_before(project: Project) -> None:
    with pytest.raises(ConfigError, match="no gate that one number could be for"):
        load_config(project(n=12, gates=[], baseline={"run": "x", "worse_by": 0.1}))
    config = load_config(project(n=12)).config
    assert config.worse_by == {} and config.alpha_of("outcome") == pytest.approx(0.05 / 3)
    more = load_config(project(n=12, baseline={"run": "x", "worse_by": 0.1})).config
    assert set(more.worse_by) == {"contrast", "intervention", "outcome"}
    assert more.alpha_of("outcome") == more.alpha_of_baseline == pytest.approx(0.05 / 6)
    assert more.alpha_of("direction") == 0.05


def test_the_checks_of_a_run_with_a_baseline_can_be_run_and_have_their_own_gate_alone(
    asked: Project, planted_folder: Path, tmp_path: Path
) -> None:
    config = asked({"intervention": 0.1, "outcome": 0.5}, model={"path": str(planted_folder)})
    made = run(config)
    checks = sorted((made.folder / "checks").glob("*.yaml"))
    assert checks, [(each.id, each.grade, each.margin) for each in made.record.findings if each.grade]
    again = run(checks[0], output=tmp_path / "checked").record
    assert [gate.question for gate in again.gates] == [checks[0].stem] and again.baseline is None
    assert {each.test.alpha for each in again.findings if each.gate} == {0.05}, "no gate shares alpha with it"
    assert {each.id for each in again.findings} == {each.id for each in made.record.findings}

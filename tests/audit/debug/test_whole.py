"""Debugging of a real run: every group is exported, the page is safe and small, checks replay, other tools read what is written."""

import csv
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from virelay.model import Project

import audit
import audit.errors
from audit.debug.contrasts import OfContrast, OfPairs, declared_signals
from audit.loading import load_config
from audit.pipeline import _examples, run
from audit.preparation import prepare
from audit.records import AuditRecord
from audit.records.debugging import Debugging
from audit.report.document import debug_html
from audit.stats.signals import signals
from audit.store.worklists import write_worklist

ROOT = Path(__file__).parents[3]
CONFIG = ROOT / "configs" / "quickstart_vision.yaml"
SETTINGS = ['debug.layers=["2"]', "debug.virelay=60", "checks.examples=60", "statistics.twins=20", "debug.unsure=100"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(CONFIG, SETTINGS, tmp_path_factory.mktemp("runs")).folder


@pytest.fixture(scope="module")
def record(folder: Path) -> AuditRecord:
    return audit.load_record(folder)


@pytest.fixture(scope="module")
def debug(record: AuditRecord) -> Debugging:
    assert record.debug is not None
    return record.debug


def test_every_example_is_in_one_cell_and_every_group_in_the_worklist(
    folder: Path, record: AuditRecord, debug: Debugging
):
    assert sum(n for row in debug.confusion[0].cells.values() for n in row.values()) == record.data.used
    listed = json.loads((folder / "worklist.json").read_text())["groups"]
    table = pd.read_parquet(folder / "examples.parquet")
    rows = list(csv.reader((folder / "worklist.csv").read_text().splitlines()))
    assert rows[0] == ["kind", "group", "id", "label", "predicted", "probability", "strategy"] and len(rows) - 1 == sum(
        each["n"] for each in listed
    )
    wrong = {i for each in listed if each["kind"] == "errors" for i in each["ids"]}
    assert wrong == set(table[~table["correct"]]["id"]) == set(record.errors["id"])
    sure = {row[2]: float(row[5]) for row in rows[1:]}
    for each in listed:
        if each["kind"] in ("errors", "unsure", "label"):
            found = [sure[i] for i in each["ids"]]
            assert found == sorted(found, reverse=each["kind"] != "unsure")
    for number, strategy in enumerate(debug.strategies, 1):
        mine = next(each for each in listed if each["name"] == f"strategy {number}")
        assert set(mine["ids"]) == set(table[table["debug.strategy"] == f"strategy {number}"]["id"])
        assert strategy.n == mine["n"] and set(strategy.prototypes) <= set(mine["ids"])
    flagged = record.slices[record.slices["flagged"]]
    assert {each["name"] for each in listed if each["kind"] == "slice"} == set(flagged["slice"])


def test_the_neighbour_is_a_right_example_of_the_true_class(folder: Path, record: AuditRecord, debug: Debugging):
    table = pd.read_parquet(folder / "examples.parquet").set_index("id")
    assert [each.id for each in debug.neighbours] and {each.id for each in debug.neighbours} == {
        each.id for each in record.exhibits
    }
    for each in debug.neighbours:
        other = table.loc[each.neighbour]
        assert other["cluster"] != table.loc[each.id]["cluster"]
        assert other["correct"] and other["label"] == table.loc[each.id]["label"]
        assert each.exhibit is not None and each.exhibit.id == each.neighbour and each.exhibit.picture


def test_concepts_name_channels_and_their_most_relevant_examples(debug: Debugging):
    assert {each.layer for each in debug.concepts} == {"2"} and {each.feature for each in debug.concepts} == {"marker"}
    shares = [abs(each.share.value or 0.0) for each in debug.concepts]
    assert shares == sorted(shares, reverse=True) and shares[0] > 0.05
    assert all(len(each.exhibits) == 2 for each in debug.concepts)


def test_a_check_replays_what_was_confirmed(folder: Path, record: AuditRecord, tmp_path: Path):
    check = folder / "checks" / "reliance.yaml"
    ids = json.loads((folder / "checks" / "ids.json").read_text())
    assert len(ids) == record.data.used
    again = run(check, output=tmp_path).record
    assert again.exit_code == 3 and again.findings[0].estimate == record.findings[0].estimate
    new = run(check, ["model.path=builtin:unmarked_photographs"], tmp_path).record
    assert new.exit_code == 0 and [gate.question for gate in new.gates] == ["reliance"]


def test_virelay_reads_the_project(folder: Path, record: AuditRecord):
    project = Project(str(folder / "virelay" / "project.yaml"))
    assert [each.human_readable_name for each in project.get_analysis_categories("Spectral")] == ["not face", "face"]
    assert project.get_analysis_clustering_names("Spectral") == ["misclassified", "strategy"]
    table = pd.read_parquet(folder / "examples.parquet")
    sizes = 0
    for category in ("00000000", "00000001"):
        found = project.get_analysis("Spectral", category, "misclassified", "spectral")
        sizes += len(found.clustering)
        assert found.embedding.shape == (len(found.clustering), len(found.eigenvalues))
    assert sizes == 60
    sample, shown = project.get_sample(0), project.get_attribution(0)
    assert sample.data.shape == (25, 25, 3) and shown.data.shape == (25, 25, 1)
    clustered = table["debug.embedding"].notna()
    assert clustered.sum() == record.data.used


def test_the_page_is_small_and_says_that_it_is_internal(folder: Path):
    page = (folder / "debug.html").read_text(encoding="utf-8")
    assert len(page) < 5_000_000 and "Internal" in page and "default-src &#39;none&#39;" in page
    assert "<script" not in page and "http" not in re.sub(r"http-equiv|http://www.w3.org\S+", "", page)
    assert "debug.html" in (folder / "report.html").read_text(encoding="utf-8")
    for anchor in re.findall(r'href="#([^"]+)"', page):
        assert f'id="{anchor}"' in page


def test_hostile_names_are_escaped_in_the_page_and_inert_in_the_table(
    record: AuditRecord, debug: Debugging, tmp_path: Path
):
    bad = "<img src=x onerror=alert(1)>"
    first = debug.contrasts[0].model_copy(update={"name": bad})
    changed = debug.model_copy(
        update={"contrasts": (first,), "labels": (debug.labels[0].model_copy(update={"id": bad}),)}
    )
    page = debug_html(record.model_copy(update={"debug": changed})).decode()
    assert bad not in page and "&lt;img src=x" in page

    class Named:
        dimension, name, rows, rank = "slice", "=cmd()", np.array([True, False]), None

    write_worklist(tmp_path, {"id": np.array(["+1", "b"]), "label": np.array(["@x", "y"])}, [Named()])
    assert (tmp_path / "worklist.csv").read_text() == "kind,group,id,label\nslice,'=cmd(),'+1,'@x\n"
    assert json.loads((tmp_path / "worklist.json").read_text())["groups"][0]["ids"] == ["+1"]


def test_pairs_of_two_classes_are_the_contrast_with_its_sign():
    task = prepare(load_config(CONFIG, ["statistics.twins=0", "checks.examples=0", "data.limit=120"]))
    explained = task.explain()
    evidence = task.evidence(explained, _examples(task, explained.common))
    found = signals(evidence)
    assert found is not None
    rows = np.array([3, 50, 90])
    towards, away = np.array([0, 1, 0]), np.array([1, 0, 1])
    contrast = OfContrast(found, declared_signals(evidence), evidence.composites[0], evidence.favourable)
    pairs = OfPairs(lambda chosen, targets: task.pairs(chosen, targets, evidence.scale), frozenset())
    one, two = dense(*contrast.of(rows, towards, away)), dense(*pairs.of(rows, towards, away))
    assert np.abs(one[rows]).sum() > 0
    assert np.allclose(one[rows], two[rows], atol=1e-5)


def dense(found, values: np.ndarray) -> np.ndarray:
    table = np.zeros((len(found.usable), len(found.names)))
    table[found.example, found.feature] = values
    return table


def test_records_and_findings_draw_themselves(record: AuditRecord):
    assert "BREACH" in record._repr_html_() and "<table>" in record.findings[0]._repr_html_()
    hostile = record.findings[0].model_copy(update={"attribute": "<b>x"})
    assert "<b>x" not in hostile._repr_html_()
    with pytest.raises(audit.errors.OutputError, match="load_record"):
        _ = AuditRecord.model_validate(record.model_dump()).errors

"""Whose explanations a run keeps."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from audit.pipeline import Run, run
from audit.store.explanations import UNCHANGED, explained_ids, load_explanations, load_picture
from audit.store.tables import load_examples
from tests.audit.explore.conftest import image_run_in
from tests.conftest import project_in

KEPT = 60


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, planted_folder: Path) -> Run:
    project = project_in(tmp_path_factory.mktemp("kept"), planted_folder)
    return run(project(checks={"validity": 20, "candidates": 0}, debug={"explained": KEPT}))


def test_the_surest_errors_and_those_that_drive_findings_are_kept(finished: Run) -> None:
    table = load_examples(finished.folder)
    assert table is not None
    kept = np.array([bool(load_explanations(finished.folder, name)) for name in table["id"]])
    assert kept.sum() == KEPT
    wrong = ~table["correct"].astype(bool)
    for name, values in table.items():
        if name.startswith(("net.gender.", "swap.gender.")) and "@" not in name:
            known = np.flatnonzero(np.isfinite(values))
            assert kept[known[values[known].argmax()]] and kept[known[values[known].argmin()]], name
    surest = np.flatnonzero(wrong)[np.argsort(-table["confidence"][wrong])]
    assert kept[surest[:5]].all()
    for exhibit in finished.record.exhibits:
        assert load_explanations(finished.folder, exhibit.id)[UNCHANGED].tokens == exhibit.tokens


def test_each_is_explained_for_its_prediction_and_with_its_words_swapped(finished: Run) -> None:
    table = load_examples(finished.folder)
    assert table is not None
    seen = 0
    for i, name in enumerate(table["id"]):
        found = load_explanations(finished.folder, name)
        if not found:
            continue
        other = {"fresh": "rotten", "rotten": "fresh"}[table["predicted"][i]]
        side = 1 if table["predicted"][i] == "fresh" else -1
        for change, each in found.items():
            moved = 0.0 if change == UNCHANGED else table[change][i]
            assert each.explained == f"{table['predicted'][i]} - {other}"
            assert each.output == pytest.approx(side * (table["contrast"][i] + moved), abs=1e-4)
            assert sum(each.ledger.values()) == pytest.approx(each.output, abs=1e-4)
            seen += change != UNCHANGED
    assert seen > 10


def test_maps_have_colour_where_the_report_shows_no_photograph(tmp_path: Path) -> None:
    made = image_run_in(tmp_path, "report.examples=0", "debug.explained=4")
    name = min(explained_ids(made.folder))
    with Image.open(io.BytesIO(load_picture(made.folder, name))) as picture:
        colour = np.asarray(picture.convert("RGB")).astype(int)
    assert (
        made.record.exhibits == () and (colour.max(axis=2) - colour.min(axis=2)).max() > 60
    )  # the photographs are grey

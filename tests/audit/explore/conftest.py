"""A text run with a breach, an image run, each served."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from audit.explore.live import Live
from audit.models.builtin import save_photograph_model
from audit.models.marked_photographs import train, write_photographs
from audit.pipeline import Run, run
from tests.audit.explore.served import Served, served
from tests.audit.test_image_pipeline import marker_config
from tests.conftest import project_in

FEW = {
    "gates": ["contrast", "intervention"],
    "checks": {"validity": 40, "candidates": 0},
    "debug": {"explained": 40},
}


def text_run_in(folder: Path, model: Path) -> Run:
    """Of a model with a planted reliance on words."""
    return run(project_in(folder, model)(n=600, **FEW))


def image_run_in(folder: Path, *overrides: str) -> Run:
    """Of a model with a planted reliance on a marker."""
    write_photographs(folder, 7)
    save_photograph_model(folder, train(7, marked=True))
    return run(
        marker_config(folder, gates=["reliance"]),
        ["data.limit=160", "debug.explained=20", *overrides],
        output=folder / "runs",
    )


@pytest.fixture(scope="session")
def text_run(tmp_path_factory: pytest.TempPathFactory, planted_folder: Path) -> Run:
    return text_run_in(tmp_path_factory.mktemp("explored"), planted_folder)


@pytest.fixture(scope="session")
def image_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return image_run_in(tmp_path_factory.mktemp("photographs"))


@pytest.fixture(scope="module")
def texts_served(text_run: Run) -> Iterator[Served]:
    with served(text_run.folder, live=Live(text_run.folder)) as made:
        yield made


@pytest.fixture(scope="module")
def images_served(image_run: Run) -> Iterator[Served]:
    with served(image_run.folder, live=Live(image_run.folder)) as made:
        yield made

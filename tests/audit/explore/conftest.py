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

FEW = {"gates": ["contrast", "intervention"], "checks": {"validity": 40, "candidates": 0}}


@pytest.fixture(scope="module")
def text_run(tmp_path_factory: pytest.TempPathFactory, planted_folder: Path) -> Run:
    return run(project_in(tmp_path_factory.mktemp("explored"), planted_folder)(n=600, **FEW))


@pytest.fixture(scope="module")
def image_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("photographs")
    write_photographs(folder, 7)
    save_photograph_model(folder, train(7, marked=True))
    return run(marker_config(folder), ["data.limit=160"], output=folder / "runs")


@pytest.fixture(scope="module")
def texts_served(text_run: Run) -> Iterator[Served]:
    with served(text_run.folder, live=Live(text_run.folder)) as made:
        yield made


@pytest.fixture(scope="module")
def images_served(image_run: Run) -> Iterator[Served]:
    with served(image_run.folder, live=Live(image_run.folder)) as made:
        yield made

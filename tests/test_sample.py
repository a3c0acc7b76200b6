"""`reports/sample/` is what this code makes of its record; `python -m tests.sample` renders it again, `make sample-report` audits again."""

import numpy as np
import pytest
from PIL import Image

from audit.report.render import render
from audit.store.runs import load_record, verify
from tests.sample import FORMATS, PICTURE, SAMPLE, write_picture


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sample")
    render(load_record(SAMPLE), folder, FORMATS)
    return folder


@pytest.mark.parametrize("name", ["report.html", "report.pdf"])
def test_the_sample_is_what_its_record_gives(rendered, name):
    same = (rendered / name).read_bytes() == (SAMPLE / name).read_bytes()
    assert same, "reports look otherwise now: look at them, then `python -m tests.sample`"


def test_the_sample_is_complete_and_holds_no_text_of_the_dataset():
    assert verify(SAMPLE) == []
    record = load_record(SAMPLE)
    assert record.exhibits == () and record.debug is not None
    assert not [each for strategy in record.debug.strategies for each in strategy.exhibits]
    assert sum(path.stat().st_size for path in SAMPLE.iterdir()) < 5_000_000


def test_the_picture_in_the_readme_is_its_first_page(rendered, tmp_path):
    write_picture(rendered / "report.pdf", tmp_path / "page.png")
    one, two = (np.asarray(Image.open(path).convert("L"), dtype=float) for path in (tmp_path / "page.png", PICTURE))
    assert one.shape == two.shape and abs(one - two).mean() < 1

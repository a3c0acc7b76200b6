import json

import pypdfium2
import pytest

from audit.report.document import html as page_of
from audit.report.formats import FORMATS
from audit.report.pdf import pdf
from audit.report.publication import PUBLIC_CELL, publication
from tests.audit.report.sample import sample_record

SECRET = "/home/someone/secret"


@pytest.fixture(scope="module")
def record():
    whole = sample_record()
    provenance = whole.provenance.model_copy(
        update={
            "command": ("lrp-audit", "run", f"{SECRET}/a.yaml"),
            "config_path": f"{SECRET}/a.yaml",
            "config_written": f"data: {{path: {SECRET}/x.csv}}",
            "hardware": {"processor": "secret silicon"},
            "overrides": (f"data.path={SECRET}/x.csv",),
        }
    )
    config = {
        "output": f"{SECRET}/reports",
        "groups": [{"attribute": "gender", "lexicon": f"{SECRET}/words.yaml"}],
        "regions": [{"name": "hat", "coco": f"{SECRET}/hats.json"}],
    }
    lexicons = tuple(
        each.model_copy(update={"source": f"lexicon {SECRET}/words.yaml, version 1"}) for each in whole.lexicons
    )
    data = {**whole.config.get("data", {}), "path": f"{SECRET}/reviews.csv"}  # type: ignore[dict-item]
    model = {**whole.config.get("model", {}), "path": f"{SECRET}/model"}  # type: ignore[dict-item]
    return whole.model_copy(
        update={
            "provenance": provenance,
            "config": {**whole.config, **config, "data": data, "model": model},
            "lexicons": lexicons,
            "data": whole.data.model_copy(update={"path": f"{SECRET}/reviews.csv"}),
            "model": whole.model.model_copy(update={"path": f"{SECRET}/model"}),
        }
    )


@pytest.fixture(scope="module")
def public(record):
    return publication(record, public=True)


def test_the_public_learn_no_path_command_or_machine(record, public):
    assert SECRET in page_of(publication(record)).decode()
    assert "secret" not in public.record.model_dump_json()
    for name, make in [
        item for each in FORMATS.values() for item in each.files.items() if not item[0].endswith(".pdf")
    ]:
        assert b"secret" not in make(public), name
    assert "reviews.csv" in page_of(public).decode() and "lexicon words.yaml, version 1" in page_of(public).decode()


def test_folders_of_any_system_are_left_out(record):
    windows = "C:\\Users\\someone\\reviews.csv"
    given = record.model_copy(update={"data": record.data.model_copy(update={"path": windows})})
    shown = publication(given, public=True).record
    assert shown.data.path == "reviews.csv" and "someone" not in shown.model_dump_json()


def test_the_public_see_no_example_and_no_word_of_the_dataset(record, public):
    told = [
        token.text.strip() for exhibit in record.exhibits for token in exhibit.tokens if len(token.text.strip()) > 7
    ]
    shown = page_of(public).decode()
    assert told and not [word for word in told if word in shown]
    assert public.record.exhibits == () and public.slices is None
    assert not [exhibit.id for exhibit in record.exhibits if exhibit.id in public.record.model_dump_json()]


def test_counts_for_the_public_start_higher_and_never_below_what_the_config_asks(record, public):
    for asked, shown in ((5, PUBLIC_CELL), (50, 50)):
        settings = {**record.config["report"], "smallest_cell": asked}
        given = record.model_copy(update={"config": {**record.config, "report": settings}})
        assert publication(given, public=True).record.config["report"]["smallest_cell"] == shown
    small = [n for groups in public.record.data.attributes.values() for n in groups.values() if n is not None]
    assert all(n == 0 or n >= PUBLIC_CELL for n in small)


def test_the_variant_for_the_public_says_what_it_is_in_both_formats(public):
    assert "variant for publication" in page_of(public).decode()
    page = pypdfium2.PdfDocument(pdf(public))[0].get_textpage().get_text_bounded()
    assert "variant for publication" in page


def test_the_hash_is_that_of_the_whole_record(record, public):
    from hashlib import sha256

    assert public.sha256 == publication(record).sha256 == sha256(record.file_bytes()).hexdigest()
    assert json.loads(record.file_bytes())["run_id"] == record.run_id

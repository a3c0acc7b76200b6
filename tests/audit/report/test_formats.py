"""What holds for every format that programs read."""

import pytest

from audit.report.formats import FORMATS
from audit.report.publication import publication
from tests.audit.report.complete import complete_record

FILES = {
    file: make for name, each in FORMATS.items() if name not in ("html", "pdf") for file, make in each.files.items()
}
KEPT_BACK = (
    b"ballet",
    b"onerror=alert(3)",
    b"models/reviews",
    b"configs/film",
    b"film%20reviews",
    b"Linux-6.1",
    b"r00000",
)


@pytest.mark.parametrize("file", FILES)
def test_the_variant_for_everybody_holds_no_words_of_the_data_no_ids_and_no_paths(file):
    content = FILES[file](publication(complete_record(), public=True))
    assert content.endswith(b"\n") and len(content) > 500
    assert not [each for each in KEPT_BACK if each in content]


def test_what_is_kept_back_from_everybody_stands_in_the_other_variant():
    record = complete_record()
    told = record.model_copy(update={"config": {**record.config, "report": {"smallest_cell": 1, "hash_ids": False}}})
    content = b"".join(make(publication(told)) for make in FILES.values())
    assert [each for each in KEPT_BACK if each not in content] == []


@pytest.mark.parametrize("file", FILES)
def test_small_counts_of_the_record_are_in_no_format(file):
    record = complete_record()
    few = record.model_copy(
        update={
            "terms": tuple(each.model_copy(update={"examples": 7, "occurrences": 7654}) for each in record.terms),
            "config": {**record.config, "report": {"smallest_cell": 10}},
        }
    )  # fmt: skip
    content = FILES[file](publication(few))
    assert b"7654" not in content


@pytest.mark.parametrize("file", FILES)
def test_the_same_record_gives_the_same_bytes(file):
    shown = publication(complete_record())
    assert FILES[file](shown) == FILES[file](publication(complete_record()))

"""Explanations that a run keeps: read as they were written, by id and by what was changed."""

from pathlib import Path

import pytest

from audit.errors import OutputError
from audit.records import Explanation, RegionShare, Token
from audit.store.explanations import (
    EXPLANATIONS,
    UNCHANGED,
    explained_ids,
    load_explanations,
    load_picture,
    write_explanations,
)

TEXT = Explanation(
    explained="fresh - rotten", composite="cp_lrp", output=1.25, predicted="fresh", ledger={"inputs": 1.0, "bias": 0.25},
    tokens=(Token(text="she", relevance=-0.1, groups=("gender.female",)), Token(text=" =1+1", relevance=1.1)),
)  # fmt: skip
PHOTOGRAPH = Explanation(
    explained="face", composite="epsilon_plus", output=-2.0, predicted="not face", ledger={"inputs": -2.0},
    regions=(RegionShare(name="marker", share=0.5, net=None, size=0.1),), picture=b"\xff\xd8\x00", name="p1",
)  # fmt: skip


def test_they_are_read_as_they_were_written(tmp_path: Path) -> None:
    odd = "../'\"\n/etc"
    write_explanations(
        tmp_path, [("a", UNCHANGED, TEXT), ("a", "swap.gender.male", PHOTOGRAPH), (odd, UNCHANGED, PHOTOGRAPH)]
    )
    assert load_explanations(tmp_path, "a") == {UNCHANGED: TEXT, "swap.gender.male": PHOTOGRAPH}
    assert load_explanations(tmp_path, odd) == {UNCHANGED: PHOTOGRAPH} and load_explanations(tmp_path, "b") == {}
    assert explained_ids(tmp_path) == {"a", odd}
    assert load_picture(tmp_path, "a", "swap.gender.male") == PHOTOGRAPH.picture and load_picture(tmp_path, "a") == b""


def test_a_run_that_keeps_none_has_no_file(tmp_path: Path) -> None:
    write_explanations(tmp_path, [])
    assert (
        list(tmp_path.iterdir()) == [] and load_explanations(tmp_path, "a") == {} and explained_ids(tmp_path) == set()
    )


def test_a_damaged_file_is_told(tmp_path: Path) -> None:
    (tmp_path / EXPLANATIONS).write_bytes(b"PAR1 no table")
    with pytest.raises(OutputError, match=r"explanations\.parquet: cannot be read .*as it was written"):
        load_explanations(tmp_path, "a")

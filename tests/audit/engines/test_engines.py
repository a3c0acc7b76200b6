"""Every engine gives the same parts bit for bit, of texts and of photographs, and says what its workers say."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from audit.engines.choice import engine
from audit.errors import ModelError
from audit.loading import LoadedConfig, load_config
from audit.models.builtin import save_photograph_model
from audit.models.marked_photographs import CLASSES, network, write_photographs
from audit.preparation import load_explainer, prepare
from audit.relevance import photographs, reference, texts
from tests.audit.engines.conftest import Squares, refused, shards
from tests.audit.test_image_pipeline import marker_config

Project = Callable[..., Path]
ENGINES = {"processes": {"workers": 2}, "ray": {"kind": "ray", "workers": 2}}
every_engine = pytest.mark.parametrize("block", ENGINES.values(), ids=ENGINES)


def leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """What a result holds, with its place in it."""
    if is_dataclass(value):
        for each in fields(value):
            yield from leaves(getattr(value, each.name), f"{name}.{each.name}")
    elif isinstance(value, Mapping):
        for key in value:
            yield from leaves(value[key], f"{name}[{key}]")
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for i, each in enumerate(value):
            yield from leaves(each, f"{name}[{i}]")
    else:
        yield name, value


def assert_same_by(block: dict[str, Any], made: Callable[[dict[str, Any]], Path], folders: tuple[Path, Path]) -> None:
    """Of the config that `made` writes for a block `engine`."""
    alone = load_config(made({"threads": 1, "batch_size": block["batch_size"]}))
    task = prepare(load_config(made({**block, "threads": 1})))
    with engine(load_explainer, alone, task.explainer, folder=folders[1], identity="x") as one:
        here = dict(leaves(task.explain(one)))
    with engine(load_explainer, task.loaded, task.explainer, folder=folders[0], identity="x") as workers:
        there = dict(leaves(task.explain(workers)))
    assert workers.counts["done"] > 4
    assert here.keys() == there.keys() and sum(isinstance(each, np.ndarray) for each in here.values()) > 10
    for name, value in here.items():
        np.testing.assert_array_equal(value, there[name], err_msg=name)


@every_engine
def test_relevance_of_texts_is_the_same_bit_for_bit(
    block: dict[str, Any], folders: tuple[Path, Path], project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(texts, "SHARD_TOKENS", 512)
    assert_same_by({**block, "batch_size": 512}, lambda given: project(engine=given), folders)


@every_engine
def test_relevance_of_photographs_and_by_twins_is_the_same_bit_for_bit(
    block: dict[str, Any], folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(photographs, "SHARD_IMAGES", 4)
    monkeypatch.setattr(reference, "SHARD_TWINS", 1)
    write_photographs(tmp_path, 0)
    torch.manual_seed(0)
    save_photograph_model(tmp_path, network())
    steps = {"crop": [1, 1, 24, 24], "resize": [25, 25], "channels": "grey", "mean": [0.5], "std": [0.5]}
    changes = {
        "model": {
            "module": "audit.models.marked_photographs:network",
            "weights": "model.safetensors",
            "classes": list(CLASSES),
            "preprocessing": steps,
        },
        "data": {"path": "photographs.csv", "columns": {"cluster": "cluster"}, "limit": 24},
        "statistics": {"twins": 20, "twin_examples": 20, "jitter": 1},
    }
    assert_same_by({**block, "batch_size": 4}, lambda given: marker_config(tmp_path, engine=given, **changes), folders)


@every_engine
def test_what_is_wrong_with_the_model_is_told_at_once_as_it_is_here(
    block: dict[str, Any], folders: tuple[Path, Path], config: Callable[..., LoadedConfig]
) -> None:
    began = time.monotonic()
    with (
        pytest.raises(ModelError, match=r"^the folder of the model is empty$"),
        engine(refused, config(**block), None, folder=folders[0], identity="x") as workers,
    ):
        workers.parts(Squares(folders[1]), shards(30))
    assert time.monotonic() - began < 60

"""Examples with a planted reason to fail, in the tables that debugging reads."""

from dataclasses import replace
from typing import Any

import numpy as np

from audit.config import Config, Data, Groups, Model, Region, Statistics, Target
from audit.stats.cases import Evidence
from audit.tables import CellTable, ExampleTable, GroupTable, WordTable

FIRST = "first"
GRID = 8


def examples(
    label: np.ndarray, predicted: np.ndarray, *, cluster: np.ndarray | None = None, **attributes: np.ndarray
) -> ExampleTable:
    n = len(label)
    margin = np.where(predicted == 1, 1.0, -1.0)
    return ExampleTable(
        np.array([f"e{i}" for i in range(n)]), label, predicted, margin, np.stack([-margin, margin], axis=1),
        np.arange(n) if cluster is None else cluster, attributes,
    )  # fmt: skip


def groups(name: str, share: np.ndarray) -> dict[str, GroupTable]:
    table = share[:, None]
    return {FIRST: GroupTable((name,), table, table, table, np.isfinite(table))}


def of_cells(maps: np.ndarray, given: ExampleTable, **changes: Any) -> Evidence:
    """Photographs with relevance `[n, 64]` in the cells of a grid."""
    edges = np.arange(GRID) * 4
    top, left = (each.ravel() for each in np.meshgrid(edges, edges, indexing="ij"))
    boxes = np.stack([left, top, left + 4, top + 4], axis=1)
    config = Config(
        name="x", task="image", data=Data(path="x"), model=Model(path="x"), target=Target(favour="a"),
        regions=(Region(name="r", mask="r"),), gates=(),
    )  # fmt: skip
    cells = CellTable({FIRST: maps}, boxes, declared=np.zeros(len(boxes), dtype=bool))
    made = Evidence(config, given, None, groups("r", np.abs(maps[:, 0])), {}, {}, (FIRST,), 1, ("b", "a"), cells=cells)
    return replace(made, **changes)


def of_words(
    relevance: np.ndarray, given: ExampleTable, *, embedding: np.ndarray | None = None, smallest: int = 20
) -> Evidence:
    """Texts with relevance `[n, words]` of each word, NaN where a text does not hold it."""
    example, kind = np.nonzero(np.isfinite(relevance))
    values = relevance[example, kind]
    words = relevance.shape[1]
    table = WordTable(
        example.astype(np.int32), kind.astype(np.int32), np.ones(len(example), dtype=np.int32), {FIRST: values}, {FIRST: np.abs(values)},
        {FIRST: np.ones(len(relevance))}, tuple(f"w{j}" for j in range(words)), np.eye(words) if embedding is None else embedding,
        {("other", "a"): np.array([0])},
    )  # fmt: skip
    config = Config(
        name="x", data=Data(path="x"), model=Model(path="x"), target=Target(favour="a"),
        groups=(Groups(attribute="other", patterns={"a": "a"}),), gates=(), statistics=Statistics(min_group_size=smallest),
    )  # fmt: skip
    share = np.where(np.isfinite(relevance[:, 0]), np.abs(relevance[:, 0]), np.nan)
    return Evidence(config, given, table, groups("other.a", share), {}, {}, (FIRST,), 1, ("b", "a"))

"""What a run and a check say of the cost is one thing, and it is what the run then does."""

import logging
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from audit.checks.hiding import generators
from audit.cli import main
from audit.cost import Cost, estimate
from audit.loading import load_config
from audit.log import LOGGER, Event
from audit.pipeline import run
from audit.preparation import prepare
from audit.tables import MaskTable
from audit.tasks.image_effects import count_hidden, hidden_photographs

Project = Callable[..., Path]


class Watch(logging.Handler):
    """Counts the inputs that go through classifiers after the run has told its cost."""

    def __init__(self) -> None:
        super().__init__()
        self.forward, self.told, self.counts = 0, {}, {}

    def emit(self, record: logging.LogRecord) -> None:
        told: dict[str, Any] = getattr(record, "attributes", {})
        if getattr(record, "event", None) == Event.RUN_STARTED:
            self.told, self.forward = told, 0
        if getattr(record, "event", None) == Event.PROGRESS:
            self.counts[told["lrp_audit.stage"]] = (told["lrp_audit.done"], told["lrp_audit.total"])

    def note(self, module: torch.nn.Module, args: Any, kwargs: Any) -> None:
        if type(module).__name__ == "BertForSequenceClassification":
            self.forward += len(kwargs.get("input_ids", kwargs.get("inputs_embeds")))


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Iterator[Watch]:
    made = Watch()
    call = torch.nn.Module.__call__

    def counted(self: torch.nn.Module, *args: Any, **kwargs: Any) -> Any:
        made.note(self, args, kwargs)
        return call(self, *args, **kwargs)

    monkeypatch.setattr(torch.nn.Module, "__call__", counted)
    LOGGER.addHandler(made)
    LOGGER.setLevel(logging.INFO)
    yield made
    LOGGER.removeHandler(made)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"relevance": {"method": "kernel_shap", "samples": 64}},
        {"relevance": {"method": "occlusion"}, "debug": {"explained": 60}},
    ],
)
def test_a_run_makes_the_forward_passes_that_it_told(project: Project, watch: Watch, changes: dict[str, Any]) -> None:
    run(project(n=200, **changes))
    assert watch.told["lrp_audit.forward_passes"] == pytest.approx(watch.forward, rel=0.1)
    assert watch.counts.pop("relevance") == (watch.told["lrp_audit.examples"] * (1 if changes else 3),) * 2
    assert watch.counts and all(done == total for done, total in watch.counts.values()), watch.counts


def test_check_and_run_tell_the_same(project: Project, watch: Watch) -> None:
    config = project(n=200)
    checked = CliRunner().invoke(main, ["check", str(config)]).output
    told = re.search(r"a run takes: (.*) passes,", checked)
    done = CliRunner().invoke(main, ["run", str(config)]).stderr
    assert told is not None and f"small: {told[1]} passes," in done


def test_asking_takes_little_of_a_run(project: Project) -> None:
    task = prepare(load_config(project(n=2000)))
    asked: list[int] = []
    sample = task.sample

    class Asked:
        """The task, which notes how many examples are asked for."""

        def __getattr__(self, name: str) -> Any:
            return getattr(task, name)

        def sample(self, some: list[int]) -> Any:
            asked.append(len(some))
            return sample(some)

    made: Any = Asked()
    assert isinstance(estimate(made), Cost)
    assert sum(asked) <= 2000 // 4


def test_a_run_of_two_examples_has_a_cost(project: Project) -> None:
    cost = estimate(prepare(load_config(project(n=2, gates=["outcome"]))))
    assert cost.examples == 2 and cost.seconds > 0 and cost.disk > 1_000_000


def test_regions_that_cannot_be_moved_are_counted_without_their_control() -> None:
    """A region of three quarters of the picture has no place elsewhere."""
    size, n = 16, 10
    small, large = np.zeros((size, size), dtype=bool), np.zeros((size, size), dtype=bool)
    small[:3, :3], large[:, :13] = True, True
    masks = table(np.array([[each, ~each] for each in [small, large] * (n // 2)]))
    names = ("region",)
    inputs = hidden_photographs(
        lambda rows: np.zeros((len(rows), 3, size, size), dtype=np.float32), masks, names, most=8, draws=generators(0)
    )
    counted = count_hidden(masks, names, most=8, draws=generators(0))
    assert counted == len(list(inputs))
    assert counted < 3 * (n + 2 * 8)


def table(masks: np.ndarray) -> MaskTable:
    """Of masks `[n, r, H, W]`."""
    n, r, height, width = masks.shape
    turns = np.diff(masks.reshape(n * r, -1).astype(int), axis=1, prepend=0, append=0)
    counts, (_, start), (_, end) = (turns == 1).sum(1), np.nonzero(turns == 1), np.nonzero(turns == -1)
    return MaskTable(
        (r, height, width), masks.sum(axis=(2, 3)), np.arange(n), np.concatenate([[0], counts.cumsum()]), start, end
    )

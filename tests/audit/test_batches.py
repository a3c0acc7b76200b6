"""What goes into a batch: by rule, and in halves where it does not fit in the memory there is."""

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audit.errors import ModelError
from audit.loading import load_config
from audit.preparation import prepare
from audit.relevance.halving import in_halves
from audit.tables import OWN
from audit.tasks.task import Task

ROOT = Path(__file__).parents[2]
LIMITED = """
import json, resource, sys
from pathlib import Path
import numpy as np, torch
torch.set_num_threads(1)
from audit.loading import load_config
from audit.preparation import prepare
from audit.relevance import halving, texts
whole, parts = [], halving.in_halves
texts.in_halves = lambda places, do: (whole.append(len(places)), parts(places, lambda some: (sizes.append(len(some)), do(some))))
texts.SHARD_TOKENS = 10**9
sizes = []
task = prepare(load_config(Path(sys.argv[1]), ["engine.batch_size=2048"]))
expected = task.explain()
task = prepare(load_config(Path(sys.argv[1]), ["engine.batch_size=1000000"]))
whole.clear(), sizes.clear()
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 250 * 2**20, resource.RLIM_INFINITY))
found = task.explain()
resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
apart = max(float(np.nanmax(np.abs(found.common.groups[name].net - table.net))) for name, table in expected.common.groups.items())
print(json.dumps({"batches": whole, "tried": sizes, "apart": apart}))
"""


def test_halves_go_down_to_what_fits_and_keep_the_order() -> None:
    done: list[list[int]] = []

    def do(places: Sequence[int]) -> None:
        if len(places) > 3:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
        done.append(list(places))

    in_halves(range(10), do)
    assert [i for part in done for i in part] == list(range(10)) and max(map(len, done)) <= 3


def test_a_single_example_that_does_not_fit_is_told_with_the_cure() -> None:
    def do(places: Sequence[int]) -> None:
        raise RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory")

    with pytest.raises(ModelError, match=r"out of memory .*alloc_cpu.* lower model\.max_length"):
        in_halves([4, 5], do)


def test_other_errors_are_what_they_are() -> None:
    def do(places: Sequence[int]) -> None:
        raise RuntimeError("shapes differ")

    with pytest.raises(RuntimeError, match="shapes differ"):
        in_halves([4, 5], do)


def small_memory(task: Task[Any], most: int = 3) -> None:
    """Have the model refuse more examples at once."""

    def refuse(module: Any, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
        if len(inputs[0] if inputs else named["input_ids"]) > most:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")

    task.explainer.model.register_forward_pre_hook(refuse, with_kwargs=True)


STAGES: dict[str, Callable[[Task[Any]], Any]] = {
    "relevance": lambda task: task.explain().common.groups[task.explainer.names[0]].net,
    "validity": lambda task: list(task.validity(task.explain().common.scores).area[OWN].values()),
    "pairs": lambda task: list(task.pairs(np.arange(9), np.tile([1, 0], (9, 1)), 1.0).values.values()),
    "representations": lambda task: task.represent(np.arange(9)),
    "concepts": lambda task: list(task.concepts(np.arange(9), LAYERS[task.noun]).values()),
}
LAYERS = {"text": ["bert.encoder.layer.0"], "photograph": ["3"]}


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("noun", ["text", "image"])
def test_every_stage_goes_on_with_smaller_batches(project: Callable[..., Path], noun: str, stage: str) -> None:
    path = project(n=60) if noun == "text" else ROOT / "configs" / "quickstart_vision.yaml"
    few = ["checks.validity=20", "checks.examples=8"]
    settings = few if noun == "text" else [*few, "data.limit=20", "statistics.twins=0"]
    task = prepare(load_config(path, [*settings, f"engine.batch_size={400 if noun == 'text' else 8}"]))
    whole = STAGES[stage](task)
    small_memory(task)
    for one, other in zip(whole, STAGES[stage](task), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs Linux's /proc")
def test_a_process_that_runs_out_of_memory_goes_on_with_smaller_batches(project: Callable[..., Path]) -> None:
    command = [sys.executable, "-c", LIMITED, str(project(n=6000))]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["batches"] == [6000] and len(found["tried"]) > 2, found
    assert found["apart"] < 1e-5


def test_a_batch_is_a_power_of_two_that_the_model_decides_and_the_config_can(project: Callable[..., Path]) -> None:
    auto, again = (prepare(load_config(project())).batch_tokens for _ in range(2))
    assert auto == again and auto & (auto - 1) == 0 and auto > 1
    assert prepare(load_config(project(), ["engine.batch_size=300"])).batch_tokens == 300

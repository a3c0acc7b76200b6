"""Memory and time of an audit of N short texts, stage by stage: `python -m bench.big_texts N`; without N, of 100,000 and 1,000,000.

Memory is to be flat and time linear. Each N runs in a process of its own; `--relevance` goes on with the relevance stage, on a tiny model.
Peaks are of the resident memory, counted anew in every stage, and `kept` is what is resident when it has ended, MB above the first line.
"""

import gc
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import run
from typing import Any, Final, final

import numpy as np
import pyarrow
import torch
import yaml
from pyarrow import csv, parquet
from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

from audit.data.text import load_texts
from audit.engines.kept import Kept
from audit.loading import LoadedConfig, load_config
from audit.parts import InProcess
from audit.relevance.texts import _shards
from audit.tasks.resolving import data_block, resolve_data
from audit.tasks.task import Task
from audit.tasks.text_effects import Scorer
from audit.tasks.texts import load_text_task
from bench.engine import high_water
from bench.stage import made_up_words

SEED: Final = 9
CHUNK: Final = 10_000
ALONE: Final = 20_000  # texts that the model alone explains, for comparison
CLASSES: Final = ("bad", "good")
REGIONS: Final = np.array(["north", "south", "east", "west"])
GROUPS: Final = {"female": ["she", "her", "woman", "girl"], "male": ["he", "him", "man", "boy"]}
WORDS: Final = {name: [word for word in words if word not in ("girl", "boy")] for name, words in GROUPS.items()}
SCHEMA: Final = pyarrow.schema([(name, pyarrow.string()) for name in ("id", "text", "label", "region", "site")])


def write_texts(path: Path, n: int) -> None:
    """Texts of 10 to 15 words, every other one with a word of a group, to a Parquet or CSV file, in pieces."""
    write = csv.CSVWriter if path.suffix == ".csv" else parquet.ParquetWriter
    with write(path, SCHEMA) as writer:
        for start in range(0, n, CHUNK):
            writer.write_table(_piece(start, min(CHUNK, n - start)))


def _piece(start: int, n: int) -> pyarrow.Table:
    rng = np.random.default_rng([SEED, start])
    chosen = np.array(made_up_words())[rng.integers(0, 2000, (n, 15))]
    declared = np.array([word for words in GROUPS.values() for word in words])
    held = rng.random(n) < 0.5
    chosen[held, rng.integers(0, 10, n)[held]] = declared[rng.integers(0, len(declared), held.sum())]
    lengths = rng.integers(10, 16, n)
    columns = (
        [f"r{i:07d}" for i in range(start, start + n)],
        [" ".join(words[:length]) for words, length in zip(chosen.tolist(), lengths.tolist(), strict=True)],
        np.array(CLASSES)[rng.integers(0, 2, n)].tolist(),
        REGIONS[rng.integers(0, len(REGIONS), n)].tolist(),
        [f"site {i}" for i in rng.integers(0, 50, n)],
    )
    return pyarrow.Table.from_arrays([pyarrow.array(column, pyarrow.string()) for column in columns], schema=SCHEMA)


def write_model(folder: Path) -> None:
    """A random BERT of two layers of 128, the size that is published as tiny, whose vocabulary is that of the texts."""
    declared = [word for words in GROUPS.values() for word in words]
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *declared, *made_up_words()]
    folder.mkdir()
    BertTokenizerFast(vocab={word: i for i, word in enumerate(vocabulary)}, model_max_length=64).save_pretrained(folder)
    config = BertConfig(
        vocab_size=len(vocabulary), hidden_size=128, num_hidden_layers=2, num_attention_heads=2, intermediate_size=512,
        max_position_embeddings=64, id2label=dict(enumerate(CLASSES)), label2id={c: i for i, c in enumerate(CLASSES)},
    )  # fmt: skip
    torch.manual_seed(0)
    BertForSequenceClassification(config).save_pretrained(folder)


def write_project(folder: Path, n: int, *, suffix: str = "parquet") -> Path:
    """Texts, model, lexicon and the config that names them, which is returned."""
    write_texts(folder / f"texts.{suffix}", n)
    write_model(folder / "model")
    lexicon = {
        "attribute": "gender", "version": "1", "provenance": "made up for a benchmark",
        "groups": {name: {"words": WORDS[name], "nouns": [GROUPS[name][-1]]} for name in GROUPS},
        "swaps": [list(pair) for pair in zip(*GROUPS.values(), strict=True)],
    }  # fmt: skip
    (folder / "words.yaml").write_text(yaml.safe_dump(lexicon), encoding="utf-8")
    config = {
        "name": "big", "data": {"path": f"texts.{suffix}", "columns": {"attributes": {"region": "region", "site": "site"}}},
        "model": {"path": "model"}, "target": {"favour": "good"},
        "groups": [{"attribute": "gender", "lexicon": "words.yaml"}], "output": str(folder / "out"),
    }  # fmt: skip
    (folder / "big.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    return folder / "big.yaml"


@final
@dataclass(frozen=True, slots=True)
class Stage:
    """What was measured of one stage: seconds, those of the processor, and MB of resident memory, at its peak and when it had ended."""

    name: str
    seconds: float
    processor: float
    peak: float
    kept: float


def measured(name: str, call: Callable[[], object]) -> tuple[Stage, Any]:
    """The stage's figures and what it returned."""
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak is counted from here
    start, worked = time.perf_counter(), time.process_time()
    made = call()
    seconds, processor, peak = time.perf_counter() - start, time.process_time() - worked, high_water()
    gc.collect()
    return Stage(name, seconds, processor, peak, _resident()), made


def stages(config: LoadedConfig, *, relevance: bool) -> Iterator[Stage]:
    """Read, prepare, ask, and, with `relevance`, explain and intervene."""
    settings = {"classes": CLASSES, "labels": {}, "seed": SEED}
    read, data = measured("read", lambda: load_texts(data_block(config), resolve_data(config), **settings))
    yield read
    del data
    prepared, task = measured("prepare (reads again)", lambda: load_text_task(config))
    yield prepared
    asked: dict[str, Callable[[Task[Any]], object]] = {
        "terms": lambda task: task.terms(),
        "columns, tests": lambda task: (task.columns, task.features, task.telling, task.tests),
        "swaps made": lambda task: task._swapped,
        "hidden inputs": lambda task: task.hidden(),
        "interventions counted": lambda task: task.interventions,
    }
    for name, call in asked.items():
        yield measured(name, lambda call=call: call(task))[0]
    if relevance:
        with tempfile.TemporaryDirectory() as parts:
            kept = Kept(task.explainer, InProcess(task.explainer), Path(parts), "")
            watch = Watch(task.explanations)
            stage, explained = measured("relevance", lambda: task.explain(kept, watch.advance))
            yield stage
            print(f"  resident by tenths of relevance: {', '.join(f'{each:.0f}' for each in watch.resident)} MB")
            size = sum(path.stat().st_size for path in Path(parts).iterdir()) / len(task.data)
            print(f"  parts: {len(list(Path(parts).iterdir()))}, {size:.0f} bytes a text")
            scores = explained.common.scores
            del explained
            yield measured("interventions", lambda: _interventions(task, kept, scores))[0]
        batches = list(_batches_of(task))
        yield measured(f"the model alone, {ALONE} texts", lambda: _alone(task, batches))[0]


@dataclass
class Watch:
    """Resident MB when each tenth of so many explanations is done."""

    total: int
    done: int = 0
    resident: list[float] = field(default_factory=list)

    def advance(self, n: int) -> None:
        """After n more."""
        self.done += n
        while self.done * 10 >= self.total * (len(self.resident) + 1):
            self.resident.append(_resident())


def _batches_of(task: Any) -> Iterator[Any]:
    """Some texts as the model reads them, in the batches of the stage."""
    texts = [task.texts[i] for i in range(min(ALONE, len(task.data)))]
    for shard in _shards(task.explainer, texts, batch_tokens=task.batch_tokens):
        for _, (inputs, _, _) in shard.content.batches(task.explainer):
            yield inputs


def _alone(task: Any, batches: list[Any]) -> None:
    """Forward passes and relevance: what no stage can be faster than."""
    import lrp

    chosen = list(task.explainer.composites.values())
    for inputs in batches:
        lrp.attribute_each(task.explainer.model, inputs, task.explainer.target, chosen)


def _interventions(task: Any, kept: Kept, scores: Any) -> object:
    score = Scorer(kept, scores, task.batch_tokens)
    return score.swaps(task._swapped), score.effects(*task.hidden())


def _resident() -> float:
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def one(n: int, *, suffix: str, relevance: bool) -> None:
    """Print the table of one N; the last line is its highest peak in MB above what imports take."""
    with tempfile.TemporaryDirectory() as folder:
        run([sys.executable, "-m", "bench.big_texts", str(n), f"--write={folder}", f"--{suffix}"], check=True)
        base, top = _resident(), 0.0
        print(f"{n} texts, {suffix}; {base:.0f} MB resident before", flush=True)
        for stage in stages(load_config(Path(folder) / "big.yaml"), relevance=relevance):
            top = max(top, stage.peak - base)
            spent = f"{stage.seconds:8.1f} s ({stage.processor:.1f} s of processor)"
            figures = f"{spent}, peak {stage.peak - base:6.0f} MB, kept {stage.kept - base:6.0f} MB"
            print(f"  {stage.name:24}{figures}", flush=True)
    print(f"{top:.0f}")


def main(*, small: bool, extra: tuple[str, ...] = ()) -> None:
    """Print the tables of two N, a tenth and all, each in a process of its own."""
    most, peaks = 20_000 if small else 1_000_000, []
    for n in (most // 10, most):
        done = run(
            [sys.executable, "-m", "bench.big_texts", str(n), *extra], capture_output=True, text=True, check=True
        )
        *lines, last = done.stdout.splitlines()
        print("\n".join(lines), flush=True)
        peaks.append(float(last))
    print(f"peak memory grows by {peaks[1] - peaks[0]:.0f} MB (at most 300)")


def _from_command_line(words: list[str]) -> None:
    options = dict(each.removeprefix("--").partition("=")[::2] for each in words if each.startswith("--"))
    numbers = [int(each) for each in words if not each.startswith("--")]
    suffix = "csv" if "csv" in options else "parquet"
    if "write" in options:
        write_project(Path(options["write"]), numbers[0], suffix=suffix)
    elif numbers:
        one(numbers[0], suffix=suffix, relevance="relevance" in options)
    else:
        main(small="small" in options, extra=tuple(f"--{each}" for each in options if each != "small"))


if __name__ == "__main__":
    _from_command_line(sys.argv[1:])

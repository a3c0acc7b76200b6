"""Fine-tunes a BERT encoder into a text classifier: small, seeded, on the CPU; only for the built-in demo model."""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, final

import numpy as np

from audit.models.quiet import quiet_transformers

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@final
@dataclass(frozen=True, slots=True)
class Recipe:
    """How to train: AdamW; the rate rises over the first `warmup` share of the steps, then falls linearly to 0."""

    classes: tuple[str, ...] = ("rotten", "fresh")
    epochs: int = 1
    batch: int = 32
    max_length: int = 48
    rate: float = 1e-4
    warmup: float = 0.1
    seed: int = 7


RECIPE = Recipe()


class Report(Protocol):
    """Called after each step with the mean loss so far."""

    def __call__(self, loss: float) -> None: ...


def fine_tune(encoder: Path, texts: Sequence[str], labels: Sequence[str], out: Path, recipe: Recipe = RECIPE) -> None:
    """Train on `texts` with class names `labels` and save model and tokenizer (safetensors) in the folder `out`.

    Repeatable on one machine with one number of threads; another number of threads rounds differently. The caller's
    random state is left alone.
    """
    import torch

    with quiet_transformers(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        model, tokenizer = _new_classifier(encoder, recipe)
        _train(model, _batches(tokenizer, texts, labels, recipe), recipe)
        model.eval().save_pretrained(out)
        tokenizer.save_pretrained(out)


def _new_classifier(encoder: Path, recipe: Recipe) -> "tuple[PreTrainedModel, PreTrainedTokenizerBase]":
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    names = dict(enumerate(recipe.classes))
    model = AutoModelForSequenceClassification.from_pretrained(
        encoder,
        num_labels=len(names),
        id2label=names,
        label2id={name: index for index, name in names.items()},
        local_files_only=True,
        use_safetensors=True,
    )
    return model, AutoTokenizer.from_pretrained(encoder, local_files_only=True)


def _batches(
    tokenizer: "PreTrainedTokenizerBase", texts: Sequence[str], labels: Sequence[str], recipe: Recipe
) -> "list[dict[str, torch.Tensor]]":
    """Shuffled batches: `input_ids`, `attention_mask` [batch, tokens], `labels` [batch]; padded to their longest."""
    import torch

    rng = np.random.default_rng(recipe.seed)
    batches = []
    for order in (rng.permutation(len(texts)) for _ in range(recipe.epochs)):
        for rows in (order[at : at + recipe.batch] for at in range(0, len(order), recipe.batch)):
            batch = tokenizer(
                [texts[row] for row in rows],
                truncation=True,
                max_length=recipe.max_length,
                padding=True,
                return_tensors="pt",
            )
            batch["labels"] = torch.tensor([recipe.classes.index(labels[row]) for row in rows])
            batches.append(dict(batch))
    return batches


def _train(model: "PreTrainedModel", batches: "Sequence[dict[str, torch.Tensor]]", recipe: Recipe) -> None:
    import torch

    optimiser = torch.optim.AdamW(model.parameters(), lr=recipe.rate, weight_decay=0.01)
    rising = max(1, round(recipe.warmup * len(batches)))

    def rate(step: int) -> float:
        return min((step + 1) / rising, (len(batches) - step) / (len(batches) - rising + 1))

    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, rate)
    model.train()
    losses = []
    with _progress(len(batches)) as report:
        for batch in batches:
            loss = model(**batch).loss
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            losses.append(float(loss.detach()))
            report(float(np.mean(losses[-20:])))


@contextmanager
def _progress(steps: int) -> Iterator[Report]:
    """Report on stderr: a bar on a terminal, else a plain line every tenth of the way."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    title = "fine-tuning the demo model (once)"
    if console.is_terminal:
        with Progress(console=console, transient=True) as bar:
            task = bar.add_task(title, total=steps)
            yield lambda loss: bar.update(task, advance=1, description=f"{title}, loss {loss:.2f}")
        return
    started, done = time.monotonic(), 0

    def line(loss: float) -> None:
        nonlocal done
        done += 1
        if done % max(1, steps // 10) == 0 or done == steps:
            print(
                f"{title}: step {done} of {steps}, loss {loss:.2f}, {time.monotonic() - started:.0f} s",
                file=sys.stderr,
                flush=True,
            )

    yield line

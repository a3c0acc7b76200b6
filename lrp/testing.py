"""Checks for a rule and a model of your own: `assert_passes(check_rule(rule))`, `assert_passes(check_model(model, inputs))`.

A check returns what it found and raises nothing, so that a notebook can print it. `check_rule` takes seconds, `check_model`
about as long as two explanations and two of each example.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, final

import torch
from torch import Tensor, nn

from lrp.attribution import attribute
from lrp.boundary import Inputs
from lrp.composites import Composite
from lrp.errors import BrokenRelevance, UncoveredOperation
from lrp.propagation import WeightedRule
from lrp.trials import (
    Oracle,
    Trial,
    batch_gap,
    conservation_gap,
    float32_gap,
    formula_gap,
    gap,
    largest,
    layout_gap,
    trials,
)
from lrp.types import Relevance, Target

# Largest closure of the ledger, and largest difference of two maps relative to their largest value.
CLOSURE = {torch.float32: 1e-4, torch.float64: 1e-9}
SAME = {torch.float32: 1e-3, torch.float64: 1e-6}
EXACT = 1e-10

Finding = tuple[bool | None, str]


@final
@dataclass(frozen=True, slots=True)
class Check:
    """`passed` is None where the check does not apply; `note` gives the figure or the reason."""

    name: str
    passed: bool | None
    note: str


def assert_passes(checks: Iterable[Check]) -> None:
    """Raise `AssertionError` that lists the checks that fail, each with its note."""
    checks = tuple(checks)
    failed = [check for check in checks if check.passed is False]
    if failed:
        lines = "".join(f"\n  {check.name}: {check.note}" for check in failed)
        raise AssertionError(f"{len(failed)} of {len(checks)} checks fail{lines}")


def check_model(
    model: nn.Module, inputs: Inputs, target: Target = None, composite: str | Mapping[str, Any] | Composite = "auto"
) -> tuple[Check, ...]:
    """Whether a model's relevance can be trusted; arguments as for `lrp.attribute`.

    `strict`: no operation without a rule. `ledger`: it closes. `untouched`: an explanation leaves no trace on the model, the
    inputs or the random state. `batch = single`: an example alone has the relevance that it has in the batch. `padded =
    unpadded`: padding has no relevance and changes none. These two do not apply where the model's own logits differ.
    `output`: the logits that are explained are the model's own.
    """
    subject = Subject(model, inputs, target, composite)
    try:
        return tuple(Check(name, *check(subject)) for name, check in MODEL_CHECKS.items())
    except (UncoveredOperation, BrokenRelevance) as error:
        return (Check("strict", False, str(error)),)


@final
class Subject:
    """A model with inputs to explain, and the relevance that several checks share."""

    def __init__(
        self,
        model: nn.Module,
        inputs: Inputs,
        target: Target = None,
        composite: str | Mapping[str, Any] | Composite = "auto",
    ) -> None:
        self.model, self.inputs, self.target, self.composite = model, inputs, target, composite

    @cached_property
    def relevance(self) -> Relevance:
        """Of the whole batch, strictly."""
        return attribute(self.model, self.inputs, self.target, self.composite)

    @property
    def dtype(self) -> torch.dtype:
        """In which the model computes."""
        return self.relevance.values.dtype

    def row(self, i: int, keep: Tensor | None = None) -> Inputs:
        """Example `i` alone; where an input has a value per token, only the tokens to `keep` (a mask)."""
        batch = len(self.relevance.values)

        def cut(value: Any) -> Any:
            if not isinstance(value, Tensor) or not value.dim() or len(value) != batch:
                return value
            row = value[i : i + 1]
            return row if keep is None or row.shape[1:2] != keep.shape else row[:, keep]

        if isinstance(self.inputs, Tensor):
            return self.inputs[i : i + 1]
        return {name: cut(value) for name, value in self.inputs.items()}

    def alone(self, i: int, inputs: Inputs) -> Relevance:
        """Of what `row` returned, for the target of example `i`."""
        return attribute(self.model, inputs, self.relevance.target[i : i + 1], self.composite)

    def logits(self, inputs: Inputs | None = None) -> Tensor:
        """The model's own, in evaluation mode and without any rule, `[batch, classes]`."""
        return attribute(self.model, self.inputs if inputs is None else inputs, 0, "gradient_x_input").output


def strict(subject: Subject) -> Finding:
    """Strict mode passes, and relevance is finite and not zero."""
    values = subject.relevance.values
    if not values.isfinite().all():
        return False, "relevance is NaN or infinite"
    uncovered = any(entry.kind == "uncovered" for entry in subject.relevance.trace)
    some = bool((values != 0).any())
    return some and not uncovered, "" if some else "relevance is 0 everywhere"


def output_is_own(subject: Subject) -> Finding:
    """The logits that are explained are those of the model without any rule."""
    bound = SAME.get(subject.dtype)
    if bound is None:
        return None, unbounded(subject)
    found = gap(subject.relevance.output, subject.logits())
    return found < bound, magnitude(found)


def closes(subject: Subject) -> Finding:
    """The ledger closes."""
    closure, bound = float(subject.relevance.ledger.closure.max()), CLOSURE.get(subject.dtype)
    if bound is None:
        return None, f"{magnitude(closure)}; {unbounded(subject)}"
    return closure < bound, magnitude(closure)


def untouched(subject: Subject) -> Finding:
    """The model and the inputs are as before, bit by bit; flags that differ between modules too."""
    with uneven(subject.model):
        before = traces(subject.model, subject.inputs)
        attribute(subject.model, subject.inputs, subject.target, subject.composite)
        after = traces(subject.model, subject.inputs)
    return before == after, ", ".join(name for name, value in after.items() if value != before[name])


@contextmanager
def uneven(model: nn.Module) -> Iterator[None]:
    """A first child in training mode and a first parameter without gradient; flags as they were afterwards."""
    training = [(module, module.training) for module in model.modules()]
    trainable = [(parameter, parameter.requires_grad) for parameter in list(model.parameters())[:1]]
    try:
        for child in list(model.children())[:1]:
            child.train()
        for parameter, _ in trainable:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter, flag in trainable:
            parameter.requires_grad_(flag)
        for module, flag in training:
            module.training = flag


def traces(model: nn.Module, inputs: Inputs) -> dict[str, Any]:
    """Everything that an explanation could leave behind, as comparable values."""
    named = inputs.items() if isinstance(inputs, Mapping) else [("inputs", inputs)]
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return {
        "parameters and buffers": [(n, digest(t)) for n, t in [*model.named_parameters(), *model.named_buffers()]],
        "hooks": [len(getattr(m, hook)) for m in model.modules() for hook in hooks],
        "random state": [digest(state) for state in (torch.get_rng_state(), *torch.cuda.get_rng_state_all())],
        "training flags": [m.training for m in model.modules()],
        "gradients": [p.grad is None for p in model.parameters()],
        "requires_grad": [p.requires_grad for p in model.parameters()],
        "inputs": [(n, digest(t), t.requires_grad) for n, t in named if isinstance(t, Tensor)],
    }


def digest(tensor: Tensor) -> str:
    """Of the tensor's bytes."""
    return hashlib.sha256(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data).hexdigest()


def batch_is_single(subject: Subject) -> Finding:
    """Each example alone has the relevance and the logit that it has in the batch."""
    bound = SAME.get(subject.dtype)
    if bound is None:
        return None, unbounded(subject)
    whole, together, gaps = subject.relevance, subject.logits(), [0.0]
    for i in range(len(together)):
        row = subject.row(i)
        if gap(subject.logits(row)[0], together[i]) > bound:
            return None, "the model's own logits depend on the batch"
        alone = subject.alone(i, row)
        gaps.append(gap(alone.values[0], whole.values[i]))
        gaps.append(gap(alone.ledger.output, whole.ledger.output[i : i + 1]))
    return largest(gaps) < bound, magnitude(largest(gaps))


def padding_is_nothing(subject: Subject) -> Finding:
    """Padding has no relevance and changes none, for every padded example."""
    mask = subject.inputs.get("attention_mask") if isinstance(subject.inputs, Mapping) else None
    if mask is None or "input_ids" not in subject.inputs or mask.shape != subject.relevance.values.shape:
        return None, "no attention mask"
    bound, together, gaps = SAME.get(subject.dtype), subject.logits(), [0.0]
    padded = [i for i, row in enumerate(mask) if (row == 0).any()]
    if bound is None or not padded:
        return None, "no example is padded" if bound else unbounded(subject)
    for i in padded:
        real = mask[i] == 1
        cut = subject.row(i, real)
        try:
            logits = subject.logits(cut)[0]
        except (RuntimeError, ValueError) as error:
            return None, f"the model takes no text of this length: {first_line(error)}"
        if not gap(logits, together[i]) < bound:
            return None, "the model's own logits depend on padding"
        found = subject.relevance.values[i]
        if found[~real].any():
            return False, "padding has relevance"
        gaps.append(gap(found[real], subject.alone(i, cut).values[0]))
    return largest(gaps) < bound, magnitude(largest(gaps))


def unbounded(subject: Subject) -> str:
    """Why a figure cannot be judged."""
    return f"no bound in {subject.dtype}, check the model in float32"


MODEL_CHECKS: dict[str, Callable[[Subject], Finding]] = {
    "strict": strict,
    "ledger": closes,
    "untouched": untouched,
    "batch = single": batch_is_single,
    "padded = unpadded": padding_is_nothing,
    "output": output_is_own,
}


def check_rule(rule: WeightedRule, *, oracle: Oracle | None = None) -> tuple[Check, ...]:
    """Whether a rule for weighted operations is sound on linear layers and convolutions of every kind, in float64.

    `finite`: also at x = 0 and y = 0. `conserved`: R_in and the booked leaks add up to R_out. `float32`: close to float64.
    `batch = single` and `memory layout`: an example's relevance depends on its values alone. `formula`: relevance equals
    `oracle(x, w, b, relevance_out)`, the paper's formula on a dense layer y = w x + b with w `[outputs, inputs]`, to 1e-10.
    Inputs lie between -3 and 3. The other checks are judged where relevance is finite. A rule that raises, or returns something
    else than `Propagated`, fails the check `runs` alone.
    """
    try:
        every = tuple(trials(rule))
    except Exception as error:  # noqa: BLE001 - whatever a rule of someone else's raises is the finding
        said = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'}"
        return (
            Check(
                "runs",
                False,
                f"propagate fails with {said}; it takes (application, c) and returns lrp.propagation.Propagated",
            ),
        )
    sound = [trial for trial in every if _is_finite(trial)]
    broken = [trial.place for trial in every if not _is_finite(trial)]
    checks = dict(RULE_CHECKS)
    if oracle is not None:
        checks["formula"] = (partial(formula_gap, oracle=oracle), EXACT)
    note = f"NaN or infinite in {len(broken)} of {len(every)} trials: {broken[0]}" if broken else f"{len(every)} trials"
    found = (Check(name, *_worst(sound, *check)) for name, check in checks.items())
    return Check("finite", not broken, note), *found


def _worst(sound: list[Trial], measure: Callable[[Trial], float], bound: float) -> Finding:
    gaps = [measure(trial) for trial in sound]
    if not gaps:
        return None, "relevance is finite nowhere"
    worst = largest(gaps)
    if worst < bound:
        return True, magnitude(worst)
    place = next(trial.place for trial, gap in zip(sound, gaps, strict=True) if not gap < worst)
    return False, f"{worst:.2g} where rounding is at most {bound:.0e}: {place}"


def _is_finite(trial: Trial) -> bool:
    return bool(trial.relevance.values.isfinite().all())


RULE_CHECKS: dict[str, tuple[Callable[[Trial], float], float]] = {
    "conserved": (conservation_gap, EXACT),
    "float32": (float32_gap, SAME[torch.float32]),
    "batch = single": (batch_gap, EXACT),
    "memory layout": (layout_gap, EXACT),
}


def magnitude(value: float) -> str:
    """A bound that is a power of ten, so that a page does not change with every rounding."""
    return next((f"< 1e-{k}" for k in range(15, 0, -1) if value < 10.0**-k), f"{value:.2g}")


def first_line(error: BaseException) -> str:
    """The first line of an error's message, short."""
    return str(error).strip().split("\n")[0][:90]

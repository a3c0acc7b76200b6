"""The checks that every architecture of the zoo must pass: what docs/coverage.md promises, written once."""

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, final

import torch
import transformers
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

import lrp
from tests.lrp.specimens import Inputs, Specimen

TARGET = 0
CLOSURE = {torch.float32: 1e-4, torch.float64: 1e-9}
SAME = 1e-6  # largest difference in float64, relative to the largest value
COSINE = 0.95


@final
@dataclass(frozen=True, slots=True)
class Outcome:
    """Of one check: `passed` is None where the model itself does not allow it, and `note` says why or gives the figure."""

    passed: bool | None
    note: str


@final
class InDouble(TorchFunctionMode):
    """Casts to float32 inside a model become casts to float64, so that a model in float64 computes in float64 throughout."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func is Tensor.float:
            func = Tensor.double
        args = tuple(torch.float64 if a is torch.float32 else a for a in args)
        return func(*args, **{k: torch.float64 if v is torch.float32 else v for k, v in (kwargs or {}).items()})


@final
class Case:
    """A specimen with its models and the relevance that several checks share."""

    def __init__(self, specimen: Specimen) -> None:
        self.specimen, self.inputs = specimen, specimen.inputs(torch.float32)
        self.model = specimen.model(None)

    @cached_property
    def relevance(self) -> lrp.Relevance:
        """In float32, strictly."""
        return lrp.attribute(self.model, self.inputs, TARGET)

    @cached_property
    def precise(self) -> nn.Module:
        """The model in float64."""
        return double(self.specimen.model(None))

    @cached_property
    def exact(self) -> lrp.Relevance:
        """In float64."""
        return precisely(self.precise, self.specimen.inputs(torch.float64))


def double(model: nn.Module) -> nn.Module:
    """In float64; grouped matrix products know none, so experts run one by one."""
    if isinstance(model, transformers.PreTrainedModel):
        with quiet():
            model.set_experts_implementation("eager")
    return model.double()


def precisely(model: nn.Module, inputs: Inputs) -> lrp.Relevance:
    """Relevance with every cast to float32 replaced."""
    with InDouble():
        return lrp.attribute(model, inputs, TARGET)


def logits(model: nn.Module, inputs: Inputs) -> Tensor:
    """What the model itself returns, in float64 throughout."""
    with InDouble(), torch.no_grad():
        output = model(**inputs) if isinstance(inputs, Mapping) else model(inputs)
    return output if isinstance(output, Tensor) else output["logits"]


@contextmanager
def quiet() -> Iterator[None]:
    """Without the release's remarks on configurations."""
    level = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()
    try:
        yield
    finally:
        transformers.logging.set_verbosity(level)


def rows(inputs: Inputs, i: int, keep: Tensor | slice = slice(None)) -> Inputs:
    """Example `i` alone, cut to the tokens to keep."""
    if isinstance(inputs, Tensor):
        return inputs[i : i + 1]
    return {name: value[i : i + 1] if value.dim() == 1 else value[i : i + 1, keep] for name, value in inputs.items()}


def gap(found: Tensor, expected: Tensor) -> float:
    """Largest difference relative to the largest value."""
    return float((found - expected).abs().max() / expected.abs().max().clamp(min=1e-12))


def magnitude(value: float) -> str:
    """A bound that is a power of ten, so that the page does not change with every rounding."""
    return next((f"< 1e-{k}" for k in range(15, 0, -1) if value < 10.0**-k), f"{value:.2g}")


def strict(case: Case) -> Outcome:
    """Strict mode passes and no operation of the trace is uncovered."""
    kinds = {entry.kind for entry in case.relevance.trace}
    finite = bool(case.relevance.values.isfinite().all() and (case.relevance.values != 0).any())
    return Outcome("uncovered" not in kinds and finite, "" if finite else "relevance is zero or not finite")


def closes(case: Case) -> Outcome:
    """The ledger closes in float32."""
    closure = float(case.relevance.ledger.closure.max())
    return Outcome(closure < CLOSURE[torch.float32], magnitude(closure))


def closes_exactly(case: Case) -> Outcome:
    """The ledger closes in float64."""
    closure = float(case.exact.ledger.closure.max())
    return Outcome(closure < CLOSURE[torch.float64], magnitude(closure))


def untouched(case: Case) -> Outcome:
    """Parameters, buffers, hooks, random state, training flags, gradients, flags and inputs are as before."""
    model = copy.deepcopy(case.model)
    next(iter(model.children())).train()
    next(model.parameters()).requires_grad_(False)
    before, inputs = traces(model), copy.deepcopy(case.inputs)
    lrp.attribute(model, inputs, TARGET)
    left = [name for name, value in traces(model).items() if value != before[name]]
    for name, value in inputs.items() if isinstance(inputs, Mapping) else [("inputs", inputs)]:
        given = case.inputs[name] if isinstance(case.inputs, Mapping) else case.inputs
        left += [] if torch.equal(given, value) and not value.requires_grad else [name]
    return Outcome(not left, ", ".join(left))


def traces(model: nn.Module) -> dict[str, Any]:
    """Everything that an explanation could leave on a model, as comparable values."""
    tensors = [*model.named_parameters(), *model.named_buffers()]
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return {
        "parameters and buffers": [
            (name, t.contiguous().reshape(-1).view(torch.uint8).tolist()) for name, t in tensors
        ],
        "hooks": [len(getattr(m, hook)) for m in model.modules() for hook in hooks],
        "random state": torch.get_rng_state().tolist(),
        "training flags": [m.training for m in model.modules()],
        "gradients": [p.grad is None for p in model.parameters()],
        "requires_grad": [p.requires_grad for p in model.parameters()],
    }


def batch_is_single(case: Case) -> Outcome:
    """Each example alone has the relevance that it has in a batch."""
    inputs = case.specimen.inputs(torch.float64)
    together, worst = logits(case.precise, inputs), 0.0
    for i in range(len(together)):
        one = rows(inputs, i)
        if gap(logits(case.precise, one)[0], together[i]) > SAME:
            return Outcome(None, "the model's own logits depend on the batch")
        alone = precisely(case.precise, one)
        worst = max(worst, gap(alone.values[0], case.exact.values[i]))
        worst = max(worst, gap(alone.ledger.output, case.exact.ledger.output[i : i + 1]))
    return Outcome(worst < SAME, magnitude(worst))


def eager_is_fused(case: Case) -> Outcome:
    """Attention written out and torch's fused attention give the same relevance."""
    if not getattr(case.model, "_supports_sdpa", False):
        return Outcome(None, "one implementation of attention")
    inputs = case.specimen.inputs(torch.float64)
    eager, fused = (double(case.specimen.model(kind)) for kind in ("eager", "sdpa"))
    if gap(logits(eager, inputs), logits(fused, inputs)) > SAME:
        return Outcome(None, "the model's own logits depend on the implementation")
    found = gap(precisely(eager, inputs).values, precisely(fused, inputs).values)
    return Outcome(found < SAME, magnitude(found))


def padding_is_nothing(case: Case) -> Outcome:
    """Padding has no relevance and changes none."""
    inputs = case.specimen.inputs(torch.float64)
    if isinstance(inputs, Tensor) or "input_ids" not in inputs or "attention_mask" not in inputs:
        return Outcome(None, "no attention mask")
    real = inputs["attention_mask"][1] == 1
    cut = rows(inputs, 1, real)
    try:
        same = gap(logits(case.precise, cut)[0], logits(case.precise, inputs)[1]) < SAME
    except (RuntimeError, ValueError) as error:
        return Outcome(None, f"the model takes no text of this length: {first_line(error)}")
    if not same:
        return Outcome(None, "the model's own logits depend on padding")
    worst = gap(case.exact.values[1, real], precisely(case.precise, cut).values[0])
    return Outcome(worst < SAME and not case.exact.values[1, ~real].any(), magnitude(worst))


def bfloat16_is_close(case: Case) -> Outcome:
    """Relevance in bfloat16 points the same way as in float32, unless rounding the weights alone turns it, or turns the gradient."""
    model, inputs = case.specimen.model(None).bfloat16(), case.specimen.inputs(torch.bfloat16)
    try:
        plain = lrp.attribute(model, inputs, TARGET, "gradient_x_input").values
    except (RuntimeError, TypeError, NotImplementedError) as error:
        return Outcome(None, f"the model does not run in bfloat16: {first_line(error)}")
    found = cosine(lrp.attribute(model, inputs, TARGET).values, case.relevance.values)
    own = cosine(plain, lrp.attribute(case.model, case.inputs, TARGET, "gradient_x_input").values)
    rounded = cosine(lrp.attribute(model.float(), as_float(inputs), TARGET).values, case.relevance.values)
    if found <= COSINE and min(own, rounded) <= COSINE:
        what = "the model's own gradient" if own <= COSINE else "relevance in float32"
        return Outcome(None, f"rounding alone turns {what} (cosine {min(own, rounded):.2f})")
    return Outcome(found > COSINE, f"cosine {found:.2f}")


def as_float(inputs: Inputs) -> Inputs:
    """Numbers in float32, as they are."""
    if isinstance(inputs, Tensor):
        return inputs.float()
    return {name: value.float() if value.is_floating_point() else value for name, value in inputs.items()}


def cosine(found: Tensor, expected: Tensor) -> float:
    """Of two maps as vectors."""
    return float(torch.cosine_similarity(found.double().flatten(), expected.double().flatten(), dim=0))


def first_line(error: BaseException) -> str:
    """The first line of an error's message, short."""
    return str(error).strip().split("\n")[0][:90]


CHECKS: dict[str, Callable[[Case], Outcome]] = {
    "strict": strict,
    "ledger, float32": closes,
    "ledger, float64": closes_exactly,
    "untouched": untouched,
    "batch = single": batch_is_single,
    "eager = fused": eager_is_fused,
    "padded = unpadded": padding_is_nothing,
    "bfloat16": bfloat16_is_close,
}


def checked(specimen: Specimen) -> dict[str, Outcome]:
    """Every check of one specimen; an operation without a rule ends in one outcome, `uncovered`."""
    case = Case(specimen)
    try:
        return {name: check(case) for name, check in CHECKS.items()}
    except lrp.UncoveredOperation as error:
        return {"uncovered": Outcome(False, str(error))}

"""The checks that every architecture of the zoo must pass, those of `lrp.testing` and some for this release of transformers."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import Any, final

import torch
import transformers
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

import lrp
from lrp.testing import (
    SAME,
    Check,
    Finding,
    Subject,
    batch_is_single,
    closes,
    first_line,
    magnitude,
    output_is_own,
    padding_is_nothing,
    strict,
    untouched,
)
from lrp.trials import gap
from tests.lrp.specimens import Inputs, Specimen

TARGET = 0
COSINE = 0.95


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
        self.specimen = specimen
        self.single = Subject(specimen.model(None), specimen.inputs(torch.float32), TARGET)

    @cached_property
    def precise(self) -> Subject:
        """The same in float64; explain it inside `InDouble`."""
        return Subject(double(self.specimen.model(None)), self.specimen.inputs(torch.float64), TARGET)


def double(model: nn.Module) -> nn.Module:
    """In float64; grouped matrix products know none, so experts run one by one."""
    if isinstance(model, transformers.PreTrainedModel):
        with quiet():
            model.set_experts_implementation("eager")
    return model.double()


@contextmanager
def quiet() -> Iterator[None]:
    """Without the release's remarks on configurations."""
    level = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()
    try:
        yield
    finally:
        transformers.logging.set_verbosity(level)


def in_single(check: Callable[[Subject], Finding]) -> Callable[[Case], Finding]:
    """The check in float32."""
    return lambda case: check(case.single)


def in_double(check: Callable[[Subject], Finding]) -> Callable[[Case], Finding]:
    """The check in float64 throughout."""

    def checked_precisely(case: Case) -> Finding:
        subject = case.precise  # built outside, so that its random weights are those of the model in float32
        with InDouble():
            return check(subject)

    return checked_precisely


def eager_is_fused(case: Case) -> Finding:
    """Attention written out and torch's fused attention give the same relevance."""
    if not getattr(case.single.model, "_supports_sdpa", False):
        return None, "one implementation of attention"
    models, inputs = [double(case.specimen.model(kind)) for kind in ("eager", "sdpa")], case.precise.inputs
    eager, fused = (Subject(model, inputs, TARGET) for model in models)
    with InDouble():
        if gap(eager.logits(), fused.logits()) > SAME[torch.float64]:
            return None, "the model's own logits depend on the implementation"
        found = gap(eager.relevance.values, fused.relevance.values)
    return found < SAME[torch.float64], magnitude(found)


def bfloat16_is_close(case: Case) -> Finding:
    """Relevance in bfloat16 points the same way as in float32, unless rounding the weights alone turns it, or turns the gradient."""
    model, inputs = case.specimen.model(None).bfloat16(), case.specimen.inputs(torch.bfloat16)
    try:
        plain = lrp.attribute(model, inputs, TARGET, "gradient_x_input").values
    except (RuntimeError, TypeError, NotImplementedError) as error:
        return None, f"the model does not run in bfloat16: {first_line(error)}"
    found = cosine(lrp.attribute(model, inputs, TARGET).values, case.single.relevance.values)
    own = cosine(plain, lrp.attribute(case.single.model, case.single.inputs, TARGET, "gradient_x_input").values)
    rounded = cosine(lrp.attribute(model.float(), as_float(inputs), TARGET).values, case.single.relevance.values)
    if found <= COSINE and min(own, rounded) <= COSINE:
        what = "the model's own gradient" if own <= COSINE else "relevance in float32"
        return None, f"rounding alone turns {what} (cosine {min(own, rounded):.2f})"
    return found > COSINE, f"cosine {found:.2f}"


def as_float(inputs: Inputs) -> Inputs:
    """Numbers in float32, as they are."""
    if isinstance(inputs, Tensor):
        return inputs.float()
    return {name: value.float() if value.is_floating_point() else value for name, value in inputs.items()}


def cosine(found: Tensor, expected: Tensor) -> float:
    """Of two maps as vectors."""
    return float(torch.cosine_similarity(found.double().flatten(), expected.double().flatten(), dim=0))


CHECKS: dict[str, Callable[[Case], Finding]] = {
    "strict": in_single(strict),
    "output": in_double(output_is_own),
    "ledger, float32": in_single(closes),
    "ledger, float64": in_double(closes),
    "untouched": in_single(untouched),
    "batch = single": in_double(batch_is_single),
    "eager = fused": eager_is_fused,
    "padded = unpadded": in_double(padding_is_nothing),
    "bfloat16": bfloat16_is_close,
}


def checked(specimen: Specimen) -> dict[str, Check]:
    """Every check of one specimen; an operation without a rule ends in one check, `uncovered`."""
    case = Case(specimen)
    try:
        return {name: Check(name, *check(case)) for name, check in CHECKS.items()}
    except lrp.UncoveredOperation as error:
        return {"uncovered": Check("uncovered", False, str(error))}

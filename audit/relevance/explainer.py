"""What explains a classifier of any task: the model, what reads its inputs, the fixed contrast, and the composites."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar, final

import numpy as np

from audit.errors import AuditError, ConfigError, ModelError
from audit.relevance.features import Tokens
from audit.relevance.methods import Method
from audit.tables import FloatArray, IntArray

if TYPE_CHECKING:
    from torch import Tensor

R = TypeVar("R")
Condition = Mapping[str, Sequence[int]] | None  # channels through which relevance may flow, by module
Read = Callable[["Tensor"], FloatArray]  # what is kept of the logits of a forward pass


@final
@dataclass(frozen=True, slots=True)
class Explainer(Generic[R]):
    """A classifier with the contrast that is explained: logit `favour` minus logit `against` (None: the logit itself).

    `reader` makes its inputs. `composites`: what `lrp.attribute` takes, or a `Method`, by the name that a report shows; the first
    gives effect sizes.
    """

    model: Any
    reader: R
    favour: int
    against: int | None
    composites: Mapping[str, Any]
    witnesses: tuple[str, ...] = ()

    @property
    def device(self) -> str:
        """Where the model is."""
        return str(next(self.model.parameters()).device)

    @property
    def voting(self) -> tuple[str, ...]:
        """The composites that must all show a difference; `witnesses` are asked alone."""
        return tuple(name for name in self.composites if name not in self.witnesses)

    @property
    def has_methods(self) -> bool:
        """Whether something else than rules of LRP explains."""
        return any(isinstance(each, Method) for each in self.composites.values())

    @property
    def names(self) -> tuple[str, ...]:
        """Of the composites."""
        return tuple(self.composites)

    @property
    def first(self) -> Any:
        """The composite that gives effect sizes."""
        return next(iter(self.composites.values()))

    @property
    def target(self) -> Any:
        """What `lrp.attribute` takes as target."""
        return self.favour if self.against is None else (self.favour, self.against)


def make_composite(given: Any, where: str) -> Any:
    """The composite that an item of `relevance.composites` describes; raises `ConfigError` that starts with `where`."""
    from lrp.resolving import resolve

    with _refusals(ConfigError, f"{where}: "):
        return resolve(given)


def composite_name(given: Any) -> str:
    """How a report calls it.

    >>> composite_name("cp_lrp"), composite_name({"name": "attn_lrp", "gamma": 0.25})
    ('cp_lrp', 'attn_lrp(gamma=0.25)')
    """
    if isinstance(given, str):
        return given
    parameters = [f"{key}={value}" for key, value in given.items() if key != "name"]
    return given["name"] if "rules" in given or not parameters else f"{given['name']}({', '.join(parameters)})"


def attribute(
    model: Any, inputs: Any, target: Any, composites: Sequence[Any], tokens: Tokens | None = None, *,
    layers: Sequence[str] = (), condition: Condition = None,
) -> tuple[Any, ...]:  # fmt: skip
    """An `lrp.Relevance` for each composite, of the inputs that the engine takes; what it refuses is a ModelError.

    A `Method` stands where a composite does; of texts it needs the `tokens`. It knows no `layers` and no `condition`.
    """
    import lrp

    rules = [each for each in composites if not isinstance(each, Method)]
    with _refusals(ModelError):
        found = iter(
            lrp.attribute_each(model, inputs, target, rules, layers=layers, condition=condition) if rules else ()
        )
        return tuple(
            each.explain(model, inputs, target, tokens) if isinstance(each, Method) else next(found)
            for each in composites
        )


@contextmanager
def _refusals(kind: type[AuditError], where: str = "") -> Iterator[None]:
    """What the engine refuses, as an error of the audit."""
    import lrp

    try:
        yield
    except lrp.LrpError as error:
        raise kind(f"{where}{error}") from error


def contrast_logit(explainer: Explainer[Any], scores: FloatArray) -> FloatArray:
    """The explained value `[examples]` from logits `[examples, classes]`."""
    favour = scores[:, explainer.favour]
    return favour if explainer.against is None else favour - scores[:, explainer.against]


def targets_of(pairs: IntArray) -> Any:
    """What `lrp.attribute` takes for a pair of classes `[batch, 2]` of each example."""
    import torch

    return torch.from_numpy(np.ascontiguousarray(pairs, dtype=np.int64))


def logits(output: "Tensor") -> FloatArray:
    """`[batch, classes]` as numbers; a ModelError where they are none."""
    return check_finite(output.float().cpu().numpy())


def check_finite(logits: FloatArray) -> FloatArray:
    """The logits `[batch, classes]` themselves, or a ModelError."""
    if np.isfinite(logits).all():
        return logits
    bad = int((~np.isfinite(logits)).any(axis=1).sum())
    raise ModelError(
        f"the model returned NaN or infinite logits for {bad} of {len(logits)} examples; check the weights, or set model.dtype: float32"
    )

"""Methods of relevance beside LRP: a map of each stands where a composite does, so that everything behind it is the same.

All explain what LRP explains, the contrast logit, and give an `lrp.Relevance` whose ledger says what the inputs do not hold. Cost:
`METHODS` says it in words; none needs an operation to have a rule.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from importlib.util import find_spec
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, final

import numpy as np

from audit.errors import AuditError, ConfigError, ModelError
from audit.relevance.features import Features, Tokens, by_parts, features_of, mean_colour
from audit.relevance.games import Kept, Value, kernel_shap, lime, occlusion
from audit.tables import FloatArray

if TYPE_CHECKING:
    from torch import Tensor

INSTALL: Final = "pip install 'lrp-audit[baselines]'"
Own = Callable[
    [Any, Any, Any], Any
]  # model, inputs and target, as lrp.attribute takes them, to a tensor of the shape of the input


@final
@dataclass(frozen=True, slots=True)
class Question:
    """A batch and what is asked of it; `target` `[batch]` or `[batch, 2]`, `explained` `[batch]` is its value, float64."""

    model: Any
    inputs: Any
    tokens: Tokens | None
    target: "Tensor"
    explained: "Tensor"
    steps: int
    samples: int
    seed: int

    def logits(self, inputs: Any) -> "Tensor":
        """Of inputs as the engine takes them."""
        from lrp.boundary import logits_of

        return logits_of(self.model(**inputs) if isinstance(inputs, Mapping) else self.model(inputs))

    def value(self, features: Features, i: int) -> Value:
        """The explained value of example `i` by what is kept of its features."""
        import torch

        from lrp.boundary import explained_value, logits_of

        def read(kept: Kept) -> FloatArray:
            target = self.target[i : i + 1].expand(len(kept), *self.target.shape[1:])
            with torch.inference_mode():
                _, found = explained_value(logits_of(features.read(kept, self.model)).float(), target)
            return np.asarray(found.double().cpu().numpy())

        return lambda kept: by_parts(read, kept)


@final
@dataclass(frozen=True, slots=True)
class Answer:
    """Relevance in the shape of the input, and what the ledger counts beside it `[batch]`, by name.

    `rest`: the name of an entry that is what is left then; "" where nothing should be.
    """

    values: "Tensor"
    entries: Mapping[str, "Tensor"]
    rest: str = ""


@final
@dataclass(frozen=True, slots=True)
class Kind:
    """A method, what one explanation costs (with {steps} and {samples}), and the package that it needs, if any."""

    answer: Callable[[Question], Answer]
    cost: str
    package: str = ""


@final
@dataclass(frozen=True, slots=True)
class Method:
    """A method with its parameters, in the place of a composite; `used` is what a ledger calls it."""

    kind: Kind
    used: str
    steps: int = 0
    samples: int = 0
    seed: int = 0

    @property
    def cost(self) -> str:
        """Of one explanation, in words."""
        return self.kind.cost.format(steps=self.steps, samples=self.samples)

    def explain(self, model: Any, inputs: Any, target: Any, tokens: Tokens | None) -> Any:
        """The `lrp.Relevance` of a batch, of texts with their `tokens`."""
        import torch

        import lrp
        from lrp.boundary import explained_value, logits_of

        with torch.inference_mode():
            output = logits_of(model(**inputs) if isinstance(inputs, Mapping) else model(inputs))
        output = output.clone()
        chosen, value = explained_value(output.float(), target)
        explained = value.double().cpu()
        question = Question(model, inputs, tokens, chosen, explained, self.steps, self.samples, self.seed)
        found = self.kind.answer(question)
        entries = {"inputs": found.values.flatten(1).double().sum(1).cpu(), **found.entries}
        if found.rest:
            entries[found.rest] = explained - torch.stack(list(entries.values())).sum(0)
        return lrp.Relevance(found.values, output, chosen, lrp.Ledger(explained, entries), (), self.used)


def _integrated_gradients(question: Question) -> Answer:
    """Sundararajan et al. 2017, from blank words or the photograph's mean colour; what stays open is the error of the sum over steps."""
    import torch
    from captum.attr import IntegratedGradients, LayerIntegratedGradients

    from lrp.boundary import explained_value

    inputs, tokens = question.inputs, question.tokens
    first = inputs if tokens is None else inputs["input_ids"]
    others = {} if tokens is None else {name: value for name, value in inputs.items() if name != "input_ids"}

    def value(x: "Tensor", target: "Tensor", *more: "Tensor") -> "Tensor":
        named = x if tokens is None else {"input_ids": x, **dict(zip(others, more, strict=True))}
        return explained_value(question.logits(named), target)[1]

    blank = mean_colour(first).expand_as(first) if tokens is None else tokens.emptied(first)
    make: Any = IntegratedGradients(value)
    if tokens is not None:
        make = LayerIntegratedGradients(value, question.model.get_input_embeddings())
    values = make.attribute(
        first, blank, additional_forward_args=(question.target, *others.values()), n_steps=question.steps,
        internal_batch_size=len(first),
    )  # fmt: skip
    with torch.inference_mode():
        baseline = value(blank, question.target, *others.values()).double().cpu()
    return Answer((values if tokens is None else values.sum(-1)).detach().float(), {"baseline": baseline.clone()})


def _occlusion(question: Question) -> Answer:
    """The rest: what words or cells do only together, and what the model says without any."""
    answered, _ = _features(question, lambda value, n, rng: (occlusion(value, n), 0.0))
    return Answer(answered, {}, rest="interaction")


def _kernel_shap(question: Question) -> Answer:
    """Complete by construction: inputs and the value with everything hidden are the explained value."""
    samples = question.samples
    return Answer(
        *_features(question, lambda value, n, rng: kernel_shap(value, n, samples=samples, rng=rng), "baseline")
    )


def _lime(question: Question) -> Answer:
    """The rest: how far the regression misses the input itself."""
    samples = question.samples
    found = _features(question, lambda value, n, rng: lime(value, n, samples=samples, rng=rng), "intercept")
    return Answer(*found, rest="misfit")


def _features(
    question: Question, play: Callable[[Value, int, np.random.Generator], tuple[FloatArray, float]], entry: str = ""
) -> "tuple[Tensor, dict[str, Tensor]]":
    """Relevance of every example's features, spread over them, and what `play` finds beside it as an entry of the ledger."""
    import torch

    maps, beside = [], []
    for i, features in enumerate(features_of(question.inputs, question.tokens)):
        rng = np.random.default_rng([question.seed, *np.frombuffer(sha256(features.content).digest(), np.uint32)])
        relevance, other = play(question.value(features, i), features.n, rng)
        maps.append(features.spread(relevance))
        beside.append(other)
    return torch.from_numpy(np.stack(maps)), {entry: torch.tensor(beside, dtype=torch.float64)} if entry else {}


METHODS: Final[Mapping[str, Kind]] = MappingProxyType({
    "integrated_gradients": Kind(_integrated_gradients, "{steps} forward and backward passes", package="captum"),
    "occlusion": Kind(_occlusion, "a forward pass for each word or cell"),
    "kernel_shap": Kind(_kernel_shap, "about {samples} forward passes, at least two for each word or cell"),
    "lime": Kind(_lime, "{samples} forward passes, at least two for each word or cell"),
})  # fmt: skip


def make_method(name: str, where: str, *, steps: int | None, samples: int | None, seed: int) -> Method:
    """The method of this name; raises `ConfigError` that starts with `where` if the package it needs is not installed."""
    kind = METHODS[name]
    if kind.package and find_spec(kind.package) is None:
        raise ConfigError(f"{where}: {name} needs the package {kind.package}, which is not installed: {INSTALL}")
    return Method(kind, name, steps or 0, samples or 0, seed)


def own_method(source: str, function: Own, code: str) -> Method:
    """A map of one's own; `source` is module:function, `code` the sha256 of its code."""

    def answer(question: Question) -> Answer:
        import torch

        target: Any = question.target
        first = question.inputs["input_ids"] if question.tokens else question.inputs
        try:
            values = function(question.model, question.inputs, target)
        except AuditError:
            raise
        except Exception as error:
            raise ModelError(f"relevance.method: {source} fails with {type(error).__name__}: {error}") from error
        if not isinstance(values, torch.Tensor) or values.shape != first.shape or not bool(values.isfinite().all()):
            got = f"shape {list(values.shape)}" if isinstance(values, torch.Tensor) else type(values).__name__
            raise ModelError(f"relevance.method: {source} returns {got}; return finite numbers {list(first.shape)}")
        return Answer(values.detach(), {}, rest="not explained")

    return Method(Kind(answer, "what your function does"), f"{source}, sha256 of its code {code[:12]}")

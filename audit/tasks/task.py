"""What a kind of data adds to an audit: its own reading, relevance and pictures, in stages that are the same for all."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar, final

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from audit.data.examples import Examples
from audit.loading import LoadedConfig
from audit.parts import Advance, Engine
from audit.records import Exhibit, Explanation
from audit.relevance.explainer import Condition, Explainer
from audit.relevance.sums import Explained
from audit.stats.cases import Evidence
from audit.stats.signals import Signals
from audit.tables import ExampleTable, FloatArray, IntArray, ValidityTable
from audit.tasks.resolving import class_index


class Classifier(Protocol):
    """What every loaded model tells about itself; `classes[i]` names logit i."""

    @property
    def classes(self) -> tuple[str, ...]: ...
    @property
    def sha256(self) -> str: ...
    @property
    def architecture(self) -> str: ...
    @property
    def parameters(self) -> int: ...
    @property
    def notes(self) -> tuple[str, ...]: ...


class Common(Protocol):
    """What the relevance stage hands on; `common` is there for every task."""

    @property
    def common(self) -> Explained: ...


E = TypeVar("E", bound=Common)


@final
@dataclass(frozen=True, slots=True)
class Change:
    """What was done to an example before it is explained: its column in the table of examples, and what the task makes of it."""

    name: str
    given: Any


@final
@dataclass(frozen=True, slots=True)
class Shown:
    """An example that is shown, explained for class `target[0]` minus class `target[1]`, or for one class.

    `predicted` and `label` are names of classes. `condition`: channels through which alone relevance flows.
    """

    row: int
    id: str
    label: str
    predicted: str
    target: tuple[int, int] | int
    condition: Condition = None
    change: Change | None = None

    def explained(self, classes: Sequence[str]) -> str:
        """What is explained, by the names of its classes."""
        pair = (self.target,) if isinstance(self.target, int) else self.target
        return " - ".join(classes[i] for i in pair)


@final
@dataclass(frozen=True, slots=True)
class Gallery:
    """What is shown, each with its explanation; `scale` is that of all pictures, `maps` hold a map `[H, W]` or a value a token by id."""

    shown: tuple[Shown, ...] = ()
    explanations: tuple[Explanation, ...] = ()
    maps: Mapping[str, FloatArray] = field(default_factory=dict)
    scale: float | None = None

    @property
    def exhibits(self) -> tuple[Exhibit, ...]:
        """As a report shows them."""
        return tuple(
            Exhibit(
                id=each.id, label=each.label, predicted=each.predicted, margin=found.output, tokens=found.tokens, regions=found.regions,
                picture=b64encode(found.picture).decode(), scale=self.scale,
            )
            for each, found in zip(self.shown, self.explanations, strict=True)
        )  # fmt: skip


class Task(Protocol[E]):
    """An audit of texts or of images whose model and data are loaded; nothing is explained yet."""

    @property
    def noun(self) -> str:
        """What one example is called."""
        ...

    @property
    def loaded(self) -> LoadedConfig: ...
    @property
    def model(self) -> Classifier: ...
    @property
    def explainer(self) -> Explainer[Any]: ...
    @property
    def data(self) -> Examples[Any]: ...

    @property
    def seconds(self) -> dict[str, float]:
        """Of each step so far."""
        ...

    @property
    def explanations(self) -> int:
        """How many maps a run computes, one an example and composite."""
        ...

    @property
    def readings(self) -> int:
        """How many inputs those maps are of; the composites of one share a forward pass."""
        ...

    @property
    def sizes(self) -> IntArray:
        """How long each example is `[n]`, in a unit that its cost is proportional to."""
        ...

    @property
    def batch(self) -> int:
        """About how many examples share a pass through the model."""
        ...

    def load(self, rows: IntArray) -> object:
        """The inputs of some examples, which no model reads."""
        ...

    @property
    def interventions(self) -> int:
        """How many forward passes the interventions take, one an input."""
        ...

    @property
    def flips(self) -> int:
        """How many forward passes the validity of the explanation takes, one an input."""
        ...

    @property
    def contents(self) -> dict[str, Any]:
        """Columns that show an example to other tools: its `file` or its `text`, as far as the config lets them be shown."""
        ...

    @property
    def telling(self) -> NDArray[np.bool_]:
        """Examples `[n]` that are shown before others."""
        ...

    @property
    def columns(self) -> Mapping[str, NDArray[np.str_]]:
        """Group of each example by attribute, as the statistics will compare them."""
        ...

    @property
    def features(self) -> Mapping[str, tuple[str, NDArray[np.bool_]]]:
        """What relevance is compared on between groups: the attribute it belongs to ("": none), and which examples hold it."""
        ...

    @property
    def tests(self) -> Mapping[str, int]:
        """How many tests of what relevance is summed over the data allow, by question, at most."""
        ...

    @property
    def lexicons(self) -> Mapping[str, str]:
        """Hash of the file that declares the terms of each attribute."""
        ...

    def explain(self, engine: Engine | None = None, advance: Advance = ...) -> E:
        """Relevance of all examples, with what it is compared to; without an engine in this process."""
        ...

    def sample(self, chosen: Sequence[int]) -> Explained:
        """Relevance of the chosen examples alone."""
        ...

    def validity(self, scores: FloatArray, advance: Advance = ...) -> ValidityTable:
        """What asking the explanation itself gives on a sample; `scores` `[examples, classes]` are the logits of all."""
        ...

    def evidence(self, explained: E, examples: ExampleTable, engine: Engine | None = None) -> Evidence:
        """What the statistics are asked of, with this task's interventions and references."""
        ...

    def exhibits(self, shown: Sequence[Shown], scale: float | None = None, advance: Advance = ...) -> Gallery:
        """Some examples, each with the relevance of its pair of classes; none where the config hides them. `scale` of maps: a given one."""
        ...

    def changed(self, shown: Sequence[Shown]) -> list[Shown]:
        """The same examples with their terms swapped or a region hidden, as the interventions change them; none where nothing is there."""
        ...

    def represent(self, rows: IntArray) -> FloatArray:
        """The model's own vectors `[m, d]` of some examples, before it decides; a forward pass each."""
        ...

    def concepts(self, rows: IntArray, layers: Sequence[str]) -> dict[str, FloatArray]:
        """By layer, relevance of channels inside each declared feature over sum |R| of the layer, `[m, features, channels]`."""
        ...

    def maps(self, rows: IntArray) -> tuple[Any, FloatArray]:
        """Photographs as they are seen, uint8 `[m, H, W, channels]`, and their relevance for the contrast `[m, H, W]`."""
        ...

    def pairs(self, rows: IntArray, targets: IntArray, scale: float) -> Signals:
        """What features add to the logit of one class minus another, a pair `targets` `[m, 2]` for each of some examples."""
        ...

    def parts(self, explained: E, evidence: Evidence) -> dict[str, Any]:
        """Fields of the record that this task alone fills."""
        ...

    def plan(self) -> Table:
        """What the data hold of the declared groups or regions, and what will not be testable."""
        ...


def explanation(result: Any, explained: str, classes: Sequence[str], **shown: Any) -> Explanation:
    """From an `lrp.Relevance` of one input; `shown` are its tokens, or its regions and picture."""
    return Explanation(
        explained=explained,
        composite=result.composite,
        output=float(result.ledger.output[0]),
        predicted=classes[int(result.output[0].argmax())],
        ledger={name: float(value[0]) for name, value in result.ledger.entries.items()}
        | {"residual": float(result.ledger.residual[0])},
        **shown,
    )


def named(explainer: Explainer[Any], classes: Sequence[str], target: str | None) -> tuple[Any, str]:
    """What `lrp.attribute` takes as target, and how it is called: class `target`, or the contrast of the config."""
    if target is not None:
        return class_index(classes, "--target", target), target
    pair = (explainer.favour, explainer.against)
    return explainer.target, " - ".join(classes[i] for i in pair if i is not None)


def contrast_name(explainer: Explainer[Any], classes: Sequence[str]) -> str:
    """The contrast logit by the names of its classes: `fresh - rotten`, or `fresh` alone."""
    favour = classes[explainer.favour]
    return favour if explainer.against is None else f"{favour} - {classes[explainer.against]}"


def misclassified(examples: ExampleTable, first: NDArray[np.bool_]) -> list[int]:
    """Examples whose prediction is wrong: those of `first` `[n]` before the others, then the most confident first."""
    wrong = np.flatnonzero(examples.label != examples.predicted)
    lead = examples.scores.max(axis=1) - examples.scores[np.arange(len(examples.label)), examples.label]
    return sorted(wrong.tolist(), key=lambda i: (not first[i], -lead[i], i))

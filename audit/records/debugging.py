"""Why examples are misclassified: slices, contrasts, strategies, neighbours and doubtful labels. Description, and no verdict."""

from typing import Final, final

from audit.records.base import Entry, Estimate
from audit.records.described import Exhibit

ERRORS: Final = "misclassified"


@final
class Confusion(Entry):
    """Of one group, attribute and group "" for all: its error rate, and how many of a true class are predicted as which, if any."""

    attribute: str
    group: str
    rate: Estimate
    cells: dict[str, dict[str, int]]


@final
class Confidence(Entry):
    """Examples whose probability of the predicted class lies from `low` to `high`: its mean, and how often they are right."""

    low: float
    high: float
    mean: float
    accuracy: Estimate


@final
class Slice(Entry):
    """Examples under all `conditions`: their error rate, and the `gap` to all other examples.

    `p_adjusted` is corrected over all slices that were tested; `flagged`: they err more, at the declared alpha.
    """

    key: str
    conditions: tuple[str, ...]
    errors: int
    rate: Estimate
    gap: Estimate
    p: float
    p_adjusted: float
    flagged: bool


@final
class FeatureGap(Entry):
    """A word or a cell, and how much more it pushes one way on one side of a comparison than on the other.

    `holders` examples of the first side hold it; `p_adjusted` is None where it is described alone. Of a cell, `box` is left, top, right,
    bottom in pixels of the input.
    """

    name: str
    estimate: Estimate
    p_adjusted: float | None
    holders: int
    declared: bool
    box: tuple[int, int, int, int] | None = None


@final
class Contrast(Entry):
    """Why the examples of one side go to the wrong (or second) class: against right (or sure) examples of the same class.

    `argued` push for it, `missing` support the true (or first) class on the other side and not on this; m features were compared.
    `group` is the slice that the first side is of, "" for all; `declared`: net relevance towards the wrong class of groups and
    regions; `cells`: of a grid over photographs, row by row.
    """

    key: str
    name: str
    group: str
    n: int
    others: int
    m: int
    argued: tuple[FeatureGap, ...]
    missing: tuple[FeatureGap, ...]
    declared: tuple[FeatureGap, ...] = ()
    cells: tuple[tuple[float, ...], ...] = ()
    reason: str = ""


@final
class Share(Entry):
    """How many of a strategy are in some class or group, or are errors, against all others: flagged where shown to be more."""

    name: str
    rate: Estimate
    gap: Estimate
    p_adjusted: float
    flagged: bool


@final
class Strategy(Entry):
    """A cluster of explanations: what it looks at, less what all others do, who is in it, and examples in its middle.

    `looks` are shares of the relevance for the prediction, `cells` the same of a grid over photographs; `relies`: mean shares of |R|.
    """

    key: str
    n: int
    looks: tuple[FeatureGap, ...]
    shares: tuple[Share, ...]
    relies: dict[str, Estimate]
    prototypes: tuple[str, ...]
    exhibits: tuple[Exhibit, ...] = ()
    cells: tuple[tuple[float, ...], ...] = ()

    @property
    def flagged(self) -> tuple[str, ...]:
        """What it holds more of than the others do: errors, or a group."""
        return tuple(share.name for share in self.shares if share.flagged)


@final
class Neighbour(Entry):
    """For a shown error the nearest right example of its true class, in the model's last two layers.

    `similarity` is their cosine; `exhibit` explains it for the same two classes, as far as examples may be shown.
    """

    id: str
    neighbour: str
    similarity: float
    exhibit: Exhibit | None = None


@final
class LabelProblem(Entry):
    """An example whose label looks wrong: the probability that the model gives to it, and to the class that it suggests.

    `relies`: share of |R| of each declared feature that it holds, for the model may be taken in by one.
    """

    id: str
    label: str
    suggested: str
    probability: float
    probability_suggested: float
    relies: dict[str, float]


@final
class Concept(Entry):
    """A channel of a layer, and its mean share of the layer's |R| inside a feature, over examples that hold it; `size` is the mean
    share of places that the feature takes.

    `examples` are those in which it carries most there (relevance maximisation), `exhibits` explain them through this channel alone.
    """

    layer: str
    feature: str
    channel: int
    size: float
    share: Estimate
    examples: tuple[str, ...]
    exhibits: tuple[Exhibit, ...] = ()


@final
class Debugging(Entry):
    """`m` slices were tested, and `untested` others not, which had no room. `calibration` is the expected calibration error; of the unsure
    none has a larger probability of its predicted class than `unsure_below`. `problems` is how many labels look wrong, of which some
    are listed; None: a class has no example.
    """

    confusion: tuple[Confusion, ...]
    confidence: tuple[Confidence, ...]
    sure_errors: Estimate
    calibration: Estimate
    unsure_below: float | None
    slices: tuple[Slice, ...]
    m: int
    untested: int
    contrasts: tuple[Contrast, ...]
    hesitation: tuple[Contrast, ...]
    strategies: tuple[Strategy, ...]
    unclustered: int
    neighbours: tuple[Neighbour, ...]
    labels: tuple[LabelProblem, ...]
    problems: int | None
    concepts: tuple[Concept, ...] = ()

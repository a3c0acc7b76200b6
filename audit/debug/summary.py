"""The whole of debugging: from what an audit has in memory to its part of the record, and to the groups that are exported."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from audit.debug import labels, neighbours, slices, strategies
from audit.debug.concepts import ByChannel, concepts
from audit.debug.contrasts import Pushes, confused, confusion_name, contrasts, laid_out, of_errors, of_unsure
from audit.debug.differences import Sides, differences
from audit.debug.groups import LEVEL, PREDICTED, STRATEGY, Group, groups_of, strategy_key, told_features
from audit.records import Estimate
from audit.records.debugging import ERRORS, Debugging, Neighbour, Share, Strategy
from audit.stats.cases import Evidence
from audit.stats.intervals import BoolArray, mean_interval
from audit.stats.rates import rate_gap
from audit.stats.signals import Signals, signals
from audit.tables import FloatArray, IntArray

PROTOTYPES: Final = 5
LISTED: Final = 50  # doubtful labels in the record
SLICED: Final = 5  # flagged slices whose errors get contrasts of their own
SHARE: Final = "share of the relevance for the side of the contrast logit"  # with two classes, for the prediction


@final
@dataclass(frozen=True, slots=True)
class Debugged:
    """The record's part, every named group of examples, and columns `[n]` of the table of examples."""

    record: Debugging
    groups: tuple[Group, ...]
    clustered: strategies.Clustered
    entropy: FloatArray
    doubtful: BoolArray

    def listed(self, evidence: Evidence) -> dict[str, NDArray[Any]]:
        """What a worklist says of each example."""
        examples, names = evidence.examples, np.array(evidence.classes)
        probability = special.softmax(examples.scores.astype(float), axis=1).max(axis=1).round(4)
        return {
            "id": examples.id, "label": names[examples.label], "predicted": names[examples.predicted], "probability": probability,
            "strategy": self.columns["debug.strategy"],
        }  # fmt: skip

    @property
    def columns(self) -> dict[str, NDArray[Any]]:
        """Of the table of examples, `debug.NAME`."""
        number, place = self.clustered.number, np.full(len(self.entropy), None, dtype=object)
        place[self.clustered.rows] = self.clustered.principal.tolist()
        named = np.where(number >= 0, [strategy_key(int(k)) for k in number], "")
        return {
            "debug.strategy": named, "debug.entropy": self.entropy, "debug.label_looks_wrong": self.doubtful,
            "debug.embedding": place,
        }  # fmt: skip


def debugged(
    evidence: Evidence, shown: Sequence[int], represent: Callable[[IntArray], FloatArray], pushes: Pushes, by_channel: ByChannel
) -> Debugged:  # fmt: skip
    """`shown` are the misclassified examples that the report explains; `represent(rows)` gives the model's own vectors `[k, d]`."""
    examples, config = evidence.examples, evidence.config
    wrong = examples.predicted != examples.label
    probabilities = special.softmax(examples.scores.astype(float), axis=1)
    surest, entropy = probabilities.max(axis=1), special.entr(probabilities).sum(axis=1)
    found = _towards_prediction(evidence)
    points = strategies.vectors(evidence, found, found.values[SHARE])
    clustered = strategies.clusters(
        points, most=config.debug.clustered, smallest=config.statistics.min_group_size, seed=config.seed
    )
    strategy = clustered.number
    groups = groups_of(evidence, strategy)
    sliced, rows, m, untested = slices.slices(evidence, groups)
    bins = slices.confidence(evidence, surest)
    unsure = _highest(entropy, config.debug.unsure)
    others = np.where(np.arange(probabilities.shape[1]) == examples.predicted[:, None], -np.inf, examples.scores)
    second = others.argmax(axis=1)
    flagged = [
        Group("slice", " and ".join(each.conditions), of) for each, of in zip(sliced, rows, strict=True) if each.flagged
    ]
    asked = labels.doubtful(evidence, probabilities)
    doubtful = np.zeros(0, dtype=np.int64) if asked is None else asked
    nearest = neighbours.nearest(evidence, np.array(shown, dtype=np.int64), represent)
    record = Debugging(
        confusion=slices.confusion(evidence),
        confidence=bins,
        calibration=slices.calibration(bins),
        unsure_below=float(surest[unsure].max()) if unsure.any() else None,
        sure_errors=slices.sure_errors(evidence, surest),
        slices=sliced,
        m=m,
        untested=untested,
        contrasts=contrasts(evidence, of_errors(evidence, flagged[:SLICED]), pushes, "contrast"),
        hesitation=contrasts(evidence, of_unsure(evidence, unsure, second), pushes, "hesitation"),
        strategies=_strategies(evidence, found, strategy, groups, points),
        unclustered=int((strategy < 0).sum()),
        neighbours=tuple(
            Neighbour(id=str(examples.id[i]), neighbour=str(examples.id[j]), similarity=cosine)
            for i, (j, cosine) in nearest.items()
        ),
        labels=labels.listed(evidence, probabilities, doubtful[:LISTED]),
        problems=None if asked is None else len(asked),
        concepts=concepts(evidence, by_channel),
    )
    named = _named(evidence, flagged, strategy, unsure, doubtful, (surest, entropy))
    return Debugged(record, tuple(named), clustered, entropy, _mask(doubtful, len(wrong)))


def _towards_prediction(evidence: Evidence) -> Signals:
    """The signals with one more value: the share of the relevance for the side of the contrast on which the example lies."""
    found = signals(evidence)
    assert found is not None, "texts have words, photographs have cells"
    side = np.where(evidence.examples.margin < 0, -1.0, 1.0)
    share = strategies.shares(found, found.values[evidence.composites[0]] * side[found.example])
    return replace(found, values={SHARE: share}, unit=SHARE)


def _strategies(
    evidence: Evidence, found: Signals, strategy: IntArray, groups: Sequence[Group], points: FloatArray
) -> tuple[Strategy, ...]:
    """What each cluster looks at, and what it holds more of than the other examples do: errors, and every group but strategies."""
    examples, cluster = evidence.examples, evidence.examples.cluster
    wrong = examples.predicted != examples.label
    said = [group for group in groups if group.dimension not in (STRATEGY, PREDICTED) and not group.of_relevance]
    asked = [Group("", ERRORS, wrong), *said]
    members = [strategy == k for k in range(int(strategy.max(initial=-1)) + 1)]
    gaps = [[rate_gap(group.rows, rows, cluster=cluster) for group in asked] for rows in members]
    p = [gap.p if gap.p is not None else 1.0 for row in gaps for gap in row]
    corrected = iter(stats.false_discovery_control(p).tolist() if p else [])
    made, alpha = [], evidence.config.statistics.alpha
    for k, (rows, row) in enumerate(zip(members, gaps, strict=True)):
        tested = []
        for group, gap in zip(asked, row, strict=True):
            adjusted = next(corrected)
            tested.append(
                Share(
                    name=group.name, rate=gap.rate.estimate(LEVEL, unit="share of the strategy"),
                    gap=gap.estimate(LEVEL, unit="difference of shares"), p_adjusted=adjusted,
                    flagged=adjusted < alpha and gap.value > 0,
                )
            )  # fmt: skip
        told = differences(found, found.values[SHARE], Sides(rows, ~rows), cluster, fewest=0)
        looks = tuple(each.model_copy(update={"p_adjusted": None}) for each in told.argued)
        made.append(
            Strategy(
                key=strategy_key(k), n=int(rows.sum()), looks=looks, shares=tuple(tested), relies=_relies(evidence, rows),
                prototypes=tuple(str(examples.id[i]) for i in _prototypes(points, rows)),
                cells=() if found.worded else laid_out(found, told.values),
            )
        )  # fmt: skip
    return tuple(made)


def _relies(evidence: Evidence, rows: BoolArray) -> dict[str, Estimate]:
    """Mean share of |R| of every declared feature, over the examples of a strategy that hold it."""
    table, told, found = evidence.groups[evidence.composites[0]], told_features(evidence), {}
    for k, name in enumerate(table.names):
        known = rows & np.isfinite(table.share[:, k])
        if known.sum() > 1 and name in told:
            found[name] = mean_interval(
                table.share[known, k], cluster=evidence.examples.cluster[known], level=LEVEL, unit="share of |R|"
            )
    return found


def _prototypes(points: FloatArray, rows: BoolArray) -> list[int]:
    """The members nearest to the middle of a strategy."""
    places = np.flatnonzero(rows)
    order = np.argsort(-points[places] @ points[places].mean(axis=0), kind="stable")
    return [int(i) for i in places[order[:PROTOTYPES]]]


def _named(
    evidence: Evidence, flagged: Sequence[Group], strategy: IntArray, unsure: BoolArray, doubtful: IntArray,
    ranks: tuple[FloatArray, FloatArray],
) -> Iterator[Group]:  # fmt: skip
    """Every group that is shown: its dimension is the kind, as a worklist tells it; `ranks`: probability of the prediction, entropy."""
    surest, entropy = ranks
    examples = evidence.examples
    for c, p in confused(examples):
        yield Group(
            "errors",
            confusion_name(evidence.classes, c, p),
            (examples.label == c) & (examples.predicted == p),
            rank=surest,
        )
    yield from flagged
    yield from (Group(STRATEGY, strategy_key(k), strategy == k) for k in range(int(strategy.max(initial=-1)) + 1))
    yield Group("unsure", "highest entropy first", unsure, rank=entropy)
    yield Group("label", "label looks wrong", _mask(doubtful, len(unsure)), rank=surest)


def _highest(values: FloatArray, most: int) -> BoolArray:
    """At most a tenth of all."""
    return _mask(np.argsort(-values, kind="stable")[: min(most, len(values) // 10)], len(values))


def _mask(rows: IntArray, n: int) -> BoolArray:
    found = np.zeros(n, dtype=np.bool_)
    found[rows] = True
    return found

"""The change of Cliff's delta against DeLong's covariance, written out pair by pair, and against the bootstrap of clusters."""

import numpy as np
import pytest
from scipy import stats

from audit.config import Statistics
from audit.records import Finding, Verdict
from audit.stats.changes import Change
from audit.stats.matching import MATCHED
from audit.stats.paired_ranks import placed, ranked_change, ranks_changed
from audit.stats.resampling import cluster_bootstrap
from audit.stats.run_examples import Examples
from audit.stats.tests import rank_effect
from tests.audit.report.sample import sample_record


def delong(before: np.ndarray, after: np.ndarray, side: np.ndarray) -> tuple[float, float]:
    """Change of 2 AUC - 1 and its standard error: DeLong et al. 1988, equations 4 to 6."""
    placements, auc = [], []
    for x in (before, after):
        kernel = np.array([[1.0 if a > b else 0.5 if a == b else 0.0 for b in x[~side]] for a in x[side]])
        placements.append((kernel.mean(axis=1), kernel.mean(axis=0)))
        auc.append(kernel.mean())
    ten, one = (np.cov([placements[0][i], placements[1][i]]) for i in (0, 1))
    s = ten / side.sum() + one / (~side).sum()
    return 2 * (auc[1] - auc[0]), 2 * float(np.sqrt(s[0, 0] + s[1, 1] - 2 * s[0, 1]))


def runs(seed: int, n: int = 120, rows: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    cluster = np.arange(n) // rows
    common = rng.normal(size=n) + (rows > 1) * rng.normal(size=n)[cluster]
    side = (rng.random(n) < 0.4)[cluster]
    before, after = (np.round(common + rng.normal(size=n) + shift * side, 1) for shift in (0.2, 0.5))
    return before, after, side, cluster


def test_without_strata_the_change_is_delongs() -> None:
    before, after, side, cluster = runs(1)
    found = [placed(x, side, cluster=cluster, strata=np.zeros(120, dtype=int)) for x in (before, after)]
    change = ranks_changed(found[0], found[1], cluster)
    value, se = delong(before, after, side)
    df = min(each.df for each in found)
    half = stats.t.ppf(0.975, df) * se
    made = change.estimate(0.95)
    assert (made.value, made.low, made.high) == pytest.approx((value, value - half, value + half), abs=1e-12)
    assert made.n == made.clusters == 120
    assert change.p == pytest.approx(2 * stats.t.sf(abs(value) / se, df), rel=1e-4)


@pytest.mark.parametrize("rows", [1, 3])
def test_in_strata_and_clusters_the_change_agrees_with_the_bootstrap(rows: int) -> None:
    before, after, side, cluster = runs(2, 900, rows)
    strata = [cluster % 3, cluster % 2]  # each run has its own
    found = [placed(x, side, cluster=cluster, strata=s) for x, s in zip((before, after), strata, strict=True)]
    made = ranks_changed(found[0], found[1], cluster).estimate(0.95)

    def one(weights: np.ndarray) -> float:
        rows_ = np.repeat(np.arange(900), weights.astype(int))
        again = [
            rank_effect(x[rows_], side[rows_], cluster=np.arange(len(rows_)), strata=s[rows_]).delta
            for x, s in zip((before, after), strata, strict=True)
        ]
        return again[1] - again[0]

    drawn = cluster_bootstrap(
        lambda w: np.array([one(each) for each in w]), cluster, rng=np.random.default_rng(3), resamples=400
    )
    assert (made.low, made.high) == pytest.approx(drawn, abs=0.02)
    assert found[0].delta == rank_effect(before, side, cluster=cluster, strata=strata[0]).delta


def test_what_one_run_leaves_out_has_no_influence_there_and_the_same_in_both_is_no_change() -> None:
    before, after, side, cluster = runs(3)
    strata = np.zeros(120, dtype=int)
    before[:20] = np.nan
    one, two = (placed(x, side, cluster=cluster, strata=strata) for x in (before, after))
    assert np.isnan(one.influence[:20]).all() and np.isfinite(one.influence[20:]).all()
    assert ranks_changed(one, two, cluster).estimate(0.95).n == 120
    same = ranks_changed(two, two, cluster).estimate(0.95)
    assert (same.value, same.low, same.high, same.interval) == (0, 0, 0, "the same in every example")


def test_sides_that_do_not_overlap_or_have_no_counterpart_have_no_placements() -> None:
    x, side, cluster = np.arange(40.0), np.arange(40) >= 20, np.arange(40)
    assert placed(x, side, cluster=cluster, strata=np.zeros(40, dtype=int)) is None
    assert placed(x, side, cluster=cluster, strata=side.astype(int)) is None


def examples(seed: int) -> Examples:
    """Shares of a region by an attribute whose name ends as the ids of disparities among correct examples do."""
    values, _, side, cluster = runs(seed, 400)
    rng = np.random.default_rng(7)
    label, predicted = rng.integers(0, 2, 400), rng.integers(0, 2, 400)
    columns = {
        "id": cluster.astype(str), "label": label, "predicted": predicted, "correct": label == predicted, "cluster": cluster,
        "confidence": rng.random(400), "share.hat": values, "net.hat": values, "sex.correct": np.where(side, "f", "m"),
    }  # fmt: skip
    return Examples(columns, ("sex.correct",), "1", 1.0, Statistics())


def disparity(of: Examples, rows: np.ndarray, matched: str, name: str) -> Finding:
    column = {
        key: of.columns[key][rows]
        for key in ("label", "predicted", "confidence", "share.hat", "cluster", "sex.correct")
    }
    strata = MATCHED[matched](column["label"], column["predicted"], column["confidence"])
    side = column["sex.correct"] == "f"
    delta = rank_effect(column["share.hat"], side, cluster=column["cluster"], strata=strata).delta
    found = next(each for each in sample_record().findings if each.verdict is Verdict.DIFFERENT)
    return found.model_copy(
        update={
            "id": name, "question": "disparity", "attribute": "sex.correct", "groups": ("f", "m"),
            "details": {"matched on": matched, "region": "hat"}, "estimate": found.estimate.model_copy(update={"value": delta}),
        }
    )  # fmt: skip


@pytest.mark.parametrize("alone", [False, True])
def test_what_is_compared_among_correct_examples_is_told_by_the_finding_and_not_by_its_name(*, alone: bool) -> None:
    sides = examples(4), examples(5)
    matched = "confidence" if alone else "label, prediction and confidence"
    rows = sides[0].columns["correct"] if alone else np.full(400, True)
    name = "disparity.hat.sex.f-m" if alone else "disparity.hat.sex.correct.f-m"
    found = [disparity(each, rows, matched, name) for each in sides]
    change = ranked_change(found[0], found[1], *sides)
    assert isinstance(change, Change), change
    assert change.estimate(0.95).value == pytest.approx(found[1].estimate.value - found[0].estimate.value)

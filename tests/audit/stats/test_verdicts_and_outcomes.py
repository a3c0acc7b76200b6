"""Corrections, verdicts, gates, and outcome gaps against statsmodels and fairlearn."""

import doctest

import numpy as np
import pytest
from fairlearn.metrics import MetricFrame, false_negative_rate, false_positive_rate, selection_rate
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import zero_one_loss
from statsmodels.stats.multitest import multipletests

from audit.questions import QUESTIONS
from audit.records import Estimand, Estimate, Finding, Test, Verdict
from audit.stats import multiplicity, verdicts
from audit.stats.multiplicity import CORRECTIONS, adjusted
from audit.stats.performance import MEASURES, outcome_gaps
from audit.stats.verdicts import decide, detectable_effect, exit_code, gate_state, needed_n

METHODS = {"holm": "holm", "bh": "fdr_bh", "by": "fdr_by"}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.none() | st.floats(0, 1), max_size=12), st.sampled_from(list(METHODS)))
def test_corrections_equal_statsmodels_and_carry_untestable_rows(p: list[float | None], name: str) -> None:
    found, tested = adjusted(p, CORRECTIONS[name]), [value for value in p if value is not None]
    expected = multipletests(tested, method=METHODS[name])[1] if tested else []
    assert [value is None for value in found] == [value is None for value in p]
    assert [value for value in found if value is not None] == pytest.approx(list(expected))


def test_a_correction_refuses_a_nan() -> None:
    with pytest.raises(ValueError, match="use None for what could not be tested"):
        adjusted([0.1, float("nan")], CORRECTIONS["holm"])


def interval(low: float, high: float) -> Estimate:
    return Estimate(value=(low + high) / 2, low=low, high=high)


@pytest.mark.parametrize(
    ("low", "high", "p", "margin", "verdict", "words"),
    [
        (0.2, 0.4, 0.01, 0.1, Verdict.BREACH, "beyond the margin"),
        (-0.4, -0.2, 0.01, 0.1, Verdict.BREACH, "beyond the margin"),
        (0.01, 0.05, 0.01, 0.1, Verdict.DIFFERENT, "inside the margin"),
        (0.05, 0.4, 0.01, 0.1, Verdict.DIFFERENT, "does not settle"),
        (-0.05, 0.05, 0.6, 0.1, Verdict.EQUIVALENT, "one-sided"),
        (-0.05, 0.3, 0.2, 0.1, Verdict.INCONCLUSIVE, "neither"),
        (0.2, 0.4, 0.2, 0.1, Verdict.INCONCLUSIVE, "neither"),
        (0.2, 0.4, 0.01, None, Verdict.DIFFERENT, "no margin"),
        (0.2, 0.4, 0.2, None, Verdict.INCONCLUSIVE, "no margin"),
        (0.2, 0.4, None, 0.1, Verdict.NOT_TESTABLE, "no p value"),
    ],
)
def test_verdict_follows_the_table(
    low: float, high: float, p: float | None, margin: float | None, verdict: Verdict, words: str
) -> None:
    found, reason = decide(interval(low, high), interval(low, high), p, margin, 0.05)
    assert found is verdict and words in reason


def test_an_estimate_without_value_or_interval_is_not_testable() -> None:
    for empty in (Estimate(value=None, reason="too few"), Estimate(value=0.0, reason="no variation")):
        assert decide(empty, empty, 0.5, 0.1, 0.05) == (Verdict.NOT_TESTABLE, empty.reason)


def finding(verdict: Verdict, low: float = 0.0, high: float = 0.01, question: str = "outcome") -> Finding:
    return Finding(
        id=f"{verdict}{low}",
        question=question,
        attribute="a",
        groups=("x", "y"),
        estimand=Estimand(population="", unit="", measure="", contrast=""),
        estimate=interval(low, high),
        test=Test(name="t"),
        margin=0.1,
        verdict=verdict,
        reason="",
    )


@pytest.mark.parametrize(
    ("findings", "state", "code"),
    [
        ([finding(Verdict.EQUIVALENT)], "holds", 0),
        ([finding(Verdict.EQUIVALENT), finding(Verdict.NOT_TESTABLE)], "holds", 0),
        ([finding(Verdict.DIFFERENT)], "holds", 0),
        ([finding(Verdict.DIFFERENT, 0.05, 0.2)], "inconclusive", 5),
        ([finding(Verdict.EQUIVALENT), finding(Verdict.INCONCLUSIVE)], "inconclusive", 5),
        ([finding(Verdict.INCONCLUSIVE), finding(Verdict.BREACH)], "breached", 3),
        ([finding(Verdict.NOT_TESTABLE)], "not tested", 5),
        ([], "not tested", 5),
        ([finding(Verdict.BREACH, question="contrast")], "not tested", 5),
    ],
)
def test_gate_takes_the_worst_verdict_of_its_question(findings: list[Finding], state: str, code: int) -> None:
    gate = gate_state("outcome", findings)
    assert gate.state == state and exit_code([gate]) == code


def test_a_breach_outranks_an_inconclusive_gate() -> None:
    gates = [gate_state("outcome", []), gate_state("outcome", [finding(Verdict.BREACH)])]
    assert exit_code(gates) == 3 and exit_code([]) == 0


def test_detectable_effect_has_the_power_it_claims() -> None:
    effect, df = detectable_effect(1.0, 40, 0.05), 40
    power = stats.nct.sf(stats.t.ppf(0.975, df), df, effect)
    assert power == pytest.approx(0.8, abs=0.01)


def test_needed_n_gives_the_power_of_equivalence_it_claims() -> None:
    n = needed_n(0.1, 100, 0.15, 0.05)
    means = np.random.default_rng(0).normal(0, 1 / np.sqrt(n), 20_000)
    half = stats.norm.ppf(0.95) / np.sqrt(n)
    assert (np.abs(means) + half < 0.15).mean() == pytest.approx(0.8, abs=0.02)


def test_docstring_examples_run() -> None:
    for module in (multiplicity, verdicts):
        result = doctest.testmod(module)
        assert result.attempted > 0 and result.failed == 0


def test_intervals_of_a_gate_cover_jointly_and_those_of_discoveries_by_the_false_coverage_rate() -> None:
    holm, bh, by = (CORRECTIONS[name].level for name in METHODS)
    assert holm(0.05, 1, 0) == bh(0.05, 1, 0) == pytest.approx(0.95) and holm(0.05, 10, 10) == pytest.approx(0.995)
    assert (
        bh(0.05, 10, 1) == holm(0.05, 10, 1)
        and bh(0.05, 10, 10) == pytest.approx(0.95)
        and by(0.05, 10, 3) > bh(0.05, 10, 3)
    )


def test_intervals_of_what_discovery_selects_miss_the_truth_in_at_most_alpha_of_the_selected() -> None:
    """False coverage rate (Benjamini and Yekutieli 2005): plain 95 % intervals of selected effects miss more often."""
    rng, missed, plain = np.random.default_rng(8), [], []
    truth = np.repeat([0.0, 1.5, 4.0], [16, 3, 1])
    for _ in range(4000):
        z = truth + rng.normal(size=20)
        p = np.array(adjusted(list(2 * stats.norm.sf(np.abs(z))), CORRECTIONS["bh"]))
        chosen = p <= 0.05
        level = CORRECTIONS["bh"].level(0.05, 20, int(chosen.sum()))
        off = np.abs(z - truth)[chosen]
        missed.append((off > stats.norm.ppf((1 + level) / 2)).mean() if chosen.any() else 0.0)
        plain.append((off > 1.96).mean() if chosen.any() else 0.0)
    assert np.mean(missed) - 1.96 * np.std(missed) / np.sqrt(4000) <= 0.05 < np.mean(plain)


METRICS = {
    "selection rate": selection_rate,
    "error rate": zero_one_loss,
    "false positive rate": false_positive_rate,
    "false negative rate": false_negative_rate,
}


RESTS = [(name, "rest") for name in "abc"]


def outcomes() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    label = rng.integers(0, 2, 600)
    predicted = np.where(rng.random(600) < 0.8, label, 1 - label)
    return label, predicted, rng.choice(np.array(["a", "b", "c", ""]), 600)


def test_outcome_values_equal_fairlearn_and_intervals_hold_them() -> None:
    label, predicted, groups = outcomes()
    assert set(METRICS) == set(MEASURES)
    for gap in outcome_gaps(
        label, predicted, groups, RESTS, favourable=1, cluster=np.arange(600), among=("a", "b", "c")
    ):
        known = groups != ""
        frame = MetricFrame(
            metrics=METRICS[gap.measure],
            y_true=label[known],
            y_pred=predicted[known],
            sensitive_features=groups[known] == gap.group,
        )
        assert gap.rates[0].value == pytest.approx(frame.by_group[True])
        assert gap.difference().value == pytest.approx(frame.by_group[True] - frame.by_group[False])
        assert gap.difference().dropped == (~known).sum() and gap.p is not None
        low, value, high = gap.difference().low, gap.difference().value, gap.difference().high
        assert low is not None and value is not None and high is not None and low < value < high


def test_a_pair_among_more_groups_is_compared_alone() -> None:
    label, predicted, groups = outcomes()
    two = np.isin(groups, ["a", "b"])
    pair = [("a", "b")]
    among = outcome_gaps(label, predicted, groups, pair, favourable=1, cluster=np.arange(600), among=("a", "b", "c"))
    alone = outcome_gaps(label[two], predicted[two], groups[two], pair, favourable=1, cluster=np.arange(two.sum()))
    assert [(gap.measure, gap.group, gap.reference) for gap in among] == [(name, "a", "b") for name in MEASURES]
    assert [gap.p for gap in among] == [gap.p for gap in alone]
    assert [gap.difference().value for gap in among] == [gap.difference().value for gap in alone]


def test_a_small_side_is_not_tested_and_says_how_small() -> None:
    label, predicted, groups = outcomes()
    groups = np.where(np.arange(600) < 5, "rare", "a")
    for gap in outcome_gaps(label, predicted, groups, [("a", "rare")], favourable=1, cluster=np.arange(600)):
        assert gap.p is None and gap.difference().value is None and "and rare " in gap.difference().reason


def test_every_question_has_a_family_of_its_own_and_every_estimand_is_whole() -> None:
    assert len({question.family for question in QUESTIONS.values()}) == len(QUESTIONS)
    names = dict.fromkeys(("group", "other", "measure", "feature", "matched", "label"), "x")
    for question in QUESTIONS.values():
        for task, put in question.put.items():
            estimand = put.estimand("image" if task == "image" else "text", **names)
            assert estimand.measure and estimand.contrast and estimand.population and estimand.unit
            assert "{" not in estimand.words

"""The calibration that everything rests on, on the fine-tuned film review model and snippets of films it has never seen."""

import pytest

from audit.errors import AuditError
from bench import real_model
from bench.agreement import agreement, masked_effects
from tests.simulations.words import CASES, MOST, false_alarms, reviews

SNIPPETS, GROUPS = 2500, 80
OFFERED = [case for case in CASES if case.asked]


@pytest.fixture(scope="module")
def audited() -> real_model.Audited:
    try:
        return reviews(SNIPPETS).run
    except AuditError as error:
        pytest.skip(f"the film review packages are not installed: {error}")


def test_ledger_closes_on_real_text(audited: real_model.Audited) -> None:
    for summary in audited.explained.common.ledger():
        assert summary.closure_max < 1e-4


@pytest.mark.parametrize("test", dict.fromkeys(case.test for case in OFFERED))
def test_pretend_protected_groups_raise_few_false_alarms(audited: real_model.Audited, test: str) -> None:
    """The small profile of what `make simulate` asks of 1,000 groups of each kind: here the pooled share itself, not its upper bound."""
    rates = [false_alarms(case, GROUPS, snippets=SNIPPETS) for case in OFFERED if case.test == test]
    tested, hits = sum(rate.n for rate in rates), sum(rate.hits for rate in rates)
    assert tested >= 0.9 * GROUPS * len(rates)
    assert hits / tested <= MOST, [str(rate) for rate in rates]


def test_relevance_agrees_with_masking(audited: real_model.Audited) -> None:
    effects = masked_effects(audited.explainer, audited.texts, audited.margin)
    found = agreement(audited.explained.words, effects)
    print(found)
    assert found["terms"] >= 300
    assert found["cp_lrp"] >= 0.80

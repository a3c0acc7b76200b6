"""The calibration that everything rests on, on the fine-tuned film review model and snippets of films it has never seen."""

import numpy as np
import pytest

from audit.errors import AuditError
from bench import real_model
from bench.agreement import agreement, masked_effects
from bench.calibration import false_alarms

SNIPPETS = 2500


@pytest.fixture(scope="module")
def audited() -> real_model.Audited:
    try:
        return real_model.audited(SNIPPETS, ("cp_lrp", "attn_lrp"))
    except AuditError as error:
        pytest.skip(f"the film review packages are not installed: {error}")


def test_ledger_closes_on_real_text(audited: real_model.Audited) -> None:
    for summary in audited.explained.common.ledger():
        assert summary.closure_max < 1e-4


def test_pretend_protected_groups_raise_few_false_alarms(audited: real_model.Audited) -> None:
    scale = float(audited.margin.std(ddof=1))
    found = false_alarms(
        audited.explained.words, audited.cluster, scale, n=100, composites=("cp_lrp", "attn_lrp"), seed=4
    )
    for question in ("reliance", "contrast"):
        p = np.concatenate(
            [values for name, values in found.items() if name.startswith(question) and name.endswith("all")]
        )
        assert len(p) >= 150
        assert (p <= 0.05).mean() <= 0.08, f"{question}: {(p <= 0.05).mean():.3f} of {len(p)}"


def test_relevance_agrees_with_masking(audited: real_model.Audited) -> None:
    effects = masked_effects(audited.explainer, audited.texts, audited.margin)
    found = agreement(audited.explained.words, effects)
    print(found)
    assert found["terms"] >= 300
    assert found["cp_lrp"] >= 0.80

"""Every architecture of the zoo passes every check that docs/coverage.md lists, or raises `UncoveredOperation` for a stated reason."""

from pathlib import Path

import pytest
import torch
import transformers
from transformers.models.auto import modeling_auto

import lrp
from tests.lrp.checks import CHECKS, TARGET, Case, checked, quiet
from tests.lrp.coverage import CRITERIA
from tests.lrp.zoo import ABSENT, ZOO

PAGE = Path(__file__).parents[2] / "docs" / "coverage.md"
PASSING = [name for name, specimen in ZOO.items() if not specimen.lacks]
RAISING = [name for name, specimen in ZOO.items() if specimen.lacks]
MAPPINGS = ("SEQUENCE", "IMAGE", "AUDIO")


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")  # torch's, about speed
@pytest.mark.parametrize("name", PASSING)
def test_passes_every_check(name):
    with quiet():
        outcomes = checked(ZOO[name])
    assert set(outcomes) == set(CHECKS), outcomes
    assert {check: outcome for check, outcome in outcomes.items() if outcome.passed is False} == {}


@pytest.mark.parametrize("name", RAISING)
def test_raises_and_names_operation_module_and_cure(name):
    with quiet():
        case = Case(ZOO[name])
        with pytest.raises(lrp.UncoveredOperation, match=r"in (module|the model).* carries relevance[\s\S]*Cure: "):
            lrp.attribute(case.single.model, case.single.inputs, TARGET)


def test_at_least_sixty_architectures_of_the_release_pass():
    assert sum(ZOO[name].family != "plain" for name in PASSING) >= 60


def test_every_architecture_of_the_release_has_a_line_or_a_reason():
    mapped = {n for m in MAPPINGS for n in getattr(modeling_auto, f"MODEL_FOR_{m}_CLASSIFICATION_MAPPING_NAMES")}
    assert {name for name in mapped if not any(line.split()[0] == name for line in ZOO)} == set(ABSENT)


def test_every_check_states_its_criterion():
    assert list(CHECKS) == list(CRITERIA)


def test_the_page_has_a_line_for_every_architecture():
    page = PAGE.read_text(encoding="utf-8")
    assert [name for name in ZOO if f"| {name} |" not in page] == []
    assert f"transformers {transformers.__version__}" in page and f"torch {torch.__version__.split('+')[0]}" in page

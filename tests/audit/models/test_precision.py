"""Mixed precision moves relevance a little, and a copy of the model runs in it too."""

import copy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from audit.errors import ConfigError
from audit.loading import load_config
from audit.models.precision import autocast
from audit.preparation import prepare
from tests.conftest import classifier

Project = Callable[..., Path]


def test_relevance_is_nearly_the_same_and_not_the_same(project: Project) -> None:
    plain = prepare(load_config(project())).explain().common
    cast = prepare(load_config(project(), ["model.autocast=true"])).explain().common
    assert 0 < np.abs(plain.scores - cast.scores).max() < 0.05 * plain.scores.std() + 0.01
    for name, table in plain.groups.items():
        one, two = table.net.ravel(), cast.groups[name].net.ravel()
        known = np.isfinite(one) & np.isfinite(two)
        assert spearmanr(one[known], two[known]).statistic > 0.98


def test_a_copy_of_the_model_runs_its_own_weights_in_mixed_precision() -> None:
    model = classifier()
    name = type(model).__name__
    autocast(model)
    twin = copy.deepcopy(model)
    with torch.no_grad():
        twin.classifier.weight.mul_(2)
    ids = torch.tensor([[2, 60, 70, 3]])
    assert type(model).__name__ == name
    assert model(input_ids=ids).logits.dtype == torch.bfloat16 == twin(input_ids=ids).logits.dtype
    assert not torch.equal(model(input_ids=ids).logits, twin(input_ids=ids).logits)


def test_it_is_for_weights_in_float32(project: Project) -> None:
    with pytest.raises(ConfigError, match="autocast: is for weights in float32, not bfloat16"):
        load_config(project(), ["model.autocast=true", "model.dtype=bfloat16"])

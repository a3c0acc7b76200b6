"""Whether draws are enough for a family, against the smallest p that the correction leaves of them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.config import Config, Data, Groups, Model, Statistics, Target
from audit.stats.draws import needed_draws, short_of_draws
from audit.stats.multiplicity import CORRECTIONS, adjusted
from audit.stats.prospects import between


def config(**statistics: Any) -> Config:
    return Config(
        name="x", data=Data(path="x"), model=Model(path="x"), target=Target(favour="a"),
        groups=(Groups(attribute="gender", lexicon="gender"),), statistics=Statistics(**statistics),
    )  # fmt: skip


@given(m=st.integers(1, 300), alpha=st.sampled_from([0.05, 0.01, 0.05 / 26, 0.05 / 52]))
@pytest.mark.parametrize("correction", ["holm", "bh", "by"])
def test_a_lone_smallest_p_survives_with_as_many_draws_and_not_with_one_fewer(
    correction: str, m: int, alpha: float
) -> None:
    needed = needed_draws(m, alpha, CORRECTIONS[correction])
    for draws, survives in ((needed, True), (needed - 1, False)):
        p = [1 / (draws + 1), *[1.0] * (m - 1)]
        lone = adjusted(p, CORRECTIONS[correction])[0]
        assert lone is not None and (lone <= alpha * (1 + 1e-9)) is survives


def test_the_largest_family_of_each_kind_of_draw_decides() -> None:
    short = short_of_draws({"reliance": 60, "contrast": 4, "disparity": 250, "outcome": 9999}, config())
    assert list(short) == ["placebos"]
    assert "999 draws" in short["placebos"] and "60 tests of the family 'reliance'" in short["placebos"]
    assert "1,199 or more" in short["placebos"]
    assert not short_of_draws({"reliance": 60}, config(placebos=1199))
    assert "5,615 or more" in short_of_draws({"reliance": 60}, config(discovery="by"))["placebos"]
    assert "permutations" in short_of_draws({"disparity": 501}, config())


def test_looks_ask_for_more_draws() -> None:
    assert not short_of_draws({"contrast": 5}, config())
    assert "alpha 0.00032" in short_of_draws({"contrast": 5}, config(looks=52))["placebos"]
    assert not short_of_draws({"contrast": 5}, config(looks=52, placebos=15_599))


def test_comparisons_between_groups_are_counted_from_the_columns() -> None:
    column = np.repeat(["a", "b", "c", "few"], [100, 60, 30, 10])
    held = {"one": ("", np.full(200, True)), "two": ("", column != "c")}
    found = between({"x": column}, held, cluster=np.arange(200), statistics=Statistics())
    # a, b and c against the rest on one; a and b on two, which nobody of c holds; a and b are large enough to hold 20 errors and 20 others
    assert found == {"disparity": 5, "errors": 4}
    assert between({}, held, cluster=np.arange(200), statistics=Statistics()) == {"disparity": 0, "errors": 2}


def test_too_few_draws_and_a_reference_that_nobody_is_of_stop_a_run_before_anything_is_explained(
    project, monkeypatch: pytest.MonkeyPatch
) -> None:
    from audit import pipeline
    from audit.errors import ConfigError
    from audit.planning import plan

    path: Path = project(statistics={"placebos": 19, "permutations": 999, "reference": {"gender": "femal"}})
    monkeypatch.setattr(pipeline, "_explain", lambda task: pytest.fail("the relevance stage was reached"))
    for start in (pipeline.run, plan):
        with pytest.raises(
            ConfigError, match=r"small\.yaml:\d+:\d+: statistics\.placebos: 19 draws .* or more"
        ) as caught:
            start(path)
        assert "statistics.reference.gender: no example has the group 'femal'" in str(caught.value)
        assert "did you mean 'female'?" in str(caught.value) and len(str(caught.value).splitlines()) == 2

"""Whether draws are enough for a family, against the smallest p that the correction leaves of them."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.config import Config, Data, Groups, Model, Statistics, Target
from audit.stats.draws import needed_draws, short_of_draws
from audit.stats.multiplicity import CORRECTIONS, adjusted
from audit.stats.prospects import between


def config(**statistics: int | float) -> Config:
    return Config(
        name="x", data=Data(path="x"), model=Model(path="x"), target=Target(favour="a"),
        groups=(Groups(attribute="gender", lexicon="gender"),), statistics=Statistics(**statistics),
    )  # fmt: skip


@given(m=st.integers(1, 300), alpha=st.sampled_from([0.05, 0.01, 0.05 / 26, 0.05 / 52]))
@pytest.mark.parametrize("correction", ["holm", "bh"])
def test_a_lone_smallest_p_survives_with_as_many_draws_and_not_with_one_fewer(
    correction: str, m: int, alpha: float
) -> None:
    for draws, survives in ((needed_draws(m, alpha), True), (needed_draws(m, alpha) - 1, False)):
        p = [1 / (draws + 1), *[1.0] * (m - 1)]
        lone = adjusted(p, CORRECTIONS[correction])[0]
        assert lone is not None and (lone <= alpha * (1 + 1e-9)) is survives


def test_the_largest_family_of_each_kind_of_draw_decides() -> None:
    short = short_of_draws({"reliance": 4, "direction": 60, "disparity": 500, "outcome": 9999}, config())
    assert list(short) == ["placebos"]
    assert "999 draws" in short["placebos"] and "60 tests of the family 'direction by class'" in short["placebos"]
    assert "1,199 or more" in short["placebos"]
    assert not short_of_draws({"direction": 60}, config(placebos=1199))
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


def test_too_few_draws_stop_a_run_before_anything_is_explained(project, monkeypatch: pytest.MonkeyPatch) -> None:
    from audit import pipeline
    from audit.errors import ConfigError
    from audit.planning import plan

    path: Path = project(statistics={"placebos": 99, "permutations": 999})
    monkeypatch.setattr(pipeline, "_explain", lambda task: pytest.fail("the relevance stage was reached"))
    for start in (pipeline.run, plan):
        with pytest.raises(
            ConfigError, match=r"small\.yaml:\d+:\d+: statistics\.placebos: 99 draws .* or more, or ask"
        ):
            start(path)

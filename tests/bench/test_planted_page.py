"""What the page makes of rows: figures against definitions, audits without verdicts, rivals on the same models, what is not measured."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.geco import section
from bench.planted.claims import Claim, claims
from bench.planted.comparing import Evidence
from bench.planted.figures import agreement, area, paired, through_zero
from bench.planted.judging import Row
from bench.planted.page import committed, page
from bench.planted.protocol import Part, read_protocol
from bench.planted.results import ProtocolChanged, append, results_file
from bench.planted.units import CONTROLS, LRP, METHODS, RHOS, Unit, asked_of, enumerated

PROTOCOL = read_protocol()
BOTH = tuple(RHOS)
Known = Callable[[str, float], float]  # method, effect -> size of the estimate


def rows_of(part: Part, size: Known, **fields: object) -> Iterator[Row]:
    """A row for every unit of the part and every method that is asked; effects grow with rho, and all above .05 is named."""
    for unit in enumerated(PROTOCOL, part, BOTH):
        effect = 2 * unit.rho + 0.002 * (unit.seed % 10)
        for method in asked_of(unit, tuple(METHODS), PROTOCOL):
            yield {**made_row(unit, method, effect, size(method, effect)), **fields}


def made_row(unit: Unit, method: str, effect: float, size: float) -> dict[str, Any]:
    seconds = {LRP: 1.0, "integrated_gradients": 25.0, "kernel_shap": 30.0}.get(method, 2.0)
    found = {
        "value": size,
        "verdict": "BREACH" if size > 0.05 else "EQUIVALENT",
        "grade": "supported",
        "others": {"o": size},
    }
    return {
        "key": unit.key, "part": unit.part, "modality": unit.modality, "arm": unit.arm, "network": unit.network, "rho": unit.rho,
        "seed": unit.seed, "method": method, "truth": {"effect": effect, "flips": effect / 3, "accuracy": 0.8},
        "findings": {PROTOCOL["planted"][unit.modality]: found}, "unexplained": [], "naive": {"cue": 0.01}, "exit": 0,
        "examples": 400, "training": 3.25, "seconds": {"relevance": seconds, "audit": seconds + 5},
    }  # fmt: skip


def exact(method: str, effect: float) -> float:
    """LRP and its rivals know the effect, controls do not."""
    return 0.01 * (effect * 1e6 % 7) if method in CONTROLS else effect


def judged(evidence: Evidence, words: str) -> Claim:
    (claim,) = [claim for claim in claims(evidence) if claim.words.startswith(words)]
    return claim


@pytest.fixture(scope="module")
def full() -> Evidence:
    return Evidence([*rows_of("evaluation", exact)], [*rows_of("calibration", exact)], PROTOCOL)


def test_areas_are_shares_of_pairs_and_their_bounds_lie_196_standard_errors_off() -> None:
    found = area([0, 1, 0.3], [1, 2])
    assert found and found.value == pytest.approx((1 + 0.5 + 1 + 1 + 1 + 1) / 6)
    m, n = 3, 2
    for end in (found.low, found.high):
        more = (m + n) / 2 - 1
        square = end * (1 - end) + more * ((end / (2 - end) - end**2) + (2 * end**2 / (1 + end) - end**2))
        assert abs(found.value - end) == pytest.approx(1.96 * np.sqrt(square / (m * n)), rel=1e-3)
    perfect = area([0.0] * 10, [1.0] * 10)
    assert perfect and perfect.high == 1 and 0.6 < perfect.low < 0.95 and area([], [1.0]) is None


def test_the_interval_of_an_area_covers_it_in_about_95_of_100_samples() -> None:
    rng, truth, inside = np.random.default_rng(0), 0.7602499, 0  # Phi(1 / sqrt 2)
    for _ in range(400):
        found = area(rng.normal(size=12).tolist(), rng.normal(1, 1, size=16).tolist())
        inside += bool(found and found.low <= truth <= found.high)
    assert 0.92 <= inside / 400 <= 0.99


def test_a_paired_difference_is_that_of_shares_and_is_covered_in_about_95_of_100_samples() -> None:
    one, other = [True] * 48 + [False] * 2, [True] * 36 + [False] * 14
    found, swapped = paired(one, other), paired(other, one)
    assert found and swapped and (found.value, found.n) == (pytest.approx(0.24), 50)
    assert (swapped.low, swapped.high) == pytest.approx((-found.high, -found.low))
    assert paired([True], [True]) is None
    rng, inside = np.random.default_rng(0), 0
    for _ in range(500):  # shares .8 and .6, the second inside the first
        u = rng.random(30)
        sample = paired((u < 0.8).tolist(), (u < 0.6).tolist())
        inside += bool(sample and sample.low <= 0.2 <= sample.high)
    assert 0.92 <= inside / 500 <= 0.995


def test_slopes_and_correlations_are_found_and_draws_without_a_value_are_counted() -> None:
    rng = np.random.default_rng(0)
    effect = rng.normal(size=200)
    found = agreement(list(zip(effect, 1.5 * effect + 0.01 * rng.normal(size=200), strict=True)))
    assert found and found.slope.value == pytest.approx(1.5, abs=0.01) and found.slope.low < 1.5 < found.slope.high
    assert found.spearman.value > 0.99 and found.spearman.dropped == found.slope.dropped == 0
    few = agreement([(0.0, 0.1), (0.0, 0.2), (0.0, 0.3), (1.0, 1.0)])
    assert few and 0.2 * 999 < few.spearman.dropped < 0.45 * 999  # (3/4)^4 = .32 of draws lack the only effect
    assert few.slope.dropped and f"({few.slope.dropped} of 999 draws without a value)" in str(few.slope)
    assert np.isnan(through_zero([0.0, 0.0], [1.0, 2.0])) and agreement([(0.0, 1.0)] * 3) is None
    flat = agreement([(0.0, 0.1), (0.0, 0.2), (0.0, 0.3), (0.0, 0.4)])
    assert flat and str(flat.slope).startswith("no value of 4")


def test_no_claim_holds_before_a_model_speaks_of_it() -> None:
    made = list(claims(Evidence([], [], PROTOCOL)))
    assert len(made) > 30 and {claim.holds for claim in made} == {None}
    shown = page(Evidence([], [], PROTOCOL))
    assert "**Not measured yet.**" in shown and "0 of 0" not in shown and "nan" not in shown and "no model" not in shown


def test_nine_models_are_too_few_to_say_that_a_claim_holds(full: Evidence) -> None:
    trap = [row for row in full.rows if row["arm"] == "bright and irrelevant"]
    words = "image: false alarms of the trap “bright and irrelevant”"
    nine, ten = (judged(Evidence(trap[:n], [], PROTOCOL), words) for n in (9, 10))
    assert nine.holds is None and "of 9" in nine.found and ten.holds is True


def test_where_every_map_knows_the_effect_all_is_reached_but_what_rivals_cost(full: Evidence) -> None:
    missed = {claim.words for claim in claims(full) if claim.holds is False}
    assert {words for words in missed if "kernel_shap" in words} == {
        f"{modality}: seconds of LRP, witnesses included, by those of kernel_shap: at most 0.02" for modality in BOTH
    }
    assert judged(full, "text: seconds of LRP, witnesses included, by those of integrated").holds
    equal = judged(full, "image: power at equal false alarms, LRP minus kernel_shap")
    assert equal.holds and equal.found.startswith("0.000 [")
    assert judged(full, "text: area under the curve of the control random_map").found != ""
    shown = page(full)
    assert "nan" not in shown and all(f"| {method} |" in shown for method in METHODS)


def test_a_rival_that_finds_more_on_the_same_models_makes_the_claim_fail() -> None:
    def blunt(method: str, effect: float) -> float:
        return min(effect, 0.006) if method == LRP else effect

    evidence = Evidence([*rows_of("evaluation", blunt)], [*rows_of("calibration", blunt)], PROTOCOL)
    claim = judged(evidence, "text: power at equal false alarms, LRP minus integrated_gradients")
    assert claim.holds is False and claim.found.startswith("-1.000 [")
    without = judged(Evidence(evidence.rows, [], PROTOCOL), claim.words)
    assert without.holds is None and without.found.startswith("0 null models of the calibration")


def test_seconds_of_different_runs_are_not_compared(full: Evidence) -> None:
    rows = [{**row, "training": 4.5} if row["method"] == LRP else row for row in full.rows]
    apart = judged(Evidence(rows, [], PROTOCOL), "text: seconds of LRP, witnesses included, by those of integrated")
    assert apart.holds is None and apart.found == "no model explained by both in one go"


def test_audits_that_withhold_their_verdicts_are_no_evidence_against_false_alarms(full: Evidence) -> None:
    evidence = Evidence([{**row, "exit": 4} for row in full.rows], [], PROTOCOL)
    assert judged(evidence, "text: false alarms: at most").holds is None
    assert evidence.seen("image").withheld().value == 1 and evidence.seen("image").answered.rows == ()
    part = [
        {**row, "exit": 4, "findings": {}} if row["seed"] % 2 and row["method"] == LRP else row for row in full.rows
    ]
    found = judged(Evidence(part, [], PROTOCOL), "text: power at abs. TE from 0.25")
    assert found.holds is False and found.found.startswith("0.500 [") and "; answered: 1.000 [" in found.found
    assert "; answered: 0." in judged(Evidence(part, [], PROTOCOL), "text: false alarms: at most").found
    assert "| text | lrp | network: bert | 0.500 [" in page(Evidence(part, [], PROTOCOL))


@pytest.mark.parametrize("arm", ["proxy word", "bright and irrelevant", "suppressor"])
def test_a_trap_that_alarms_is_told_though_all_other_arms_are_silent(full: Evidence, arm: str) -> None:
    alarm = {
        name: {"value": 0.3, "verdict": "BREACH", "grade": None, "others": {}} for name in ("group", "cue", "decoy")
    }
    null = {"effect": 0.01, "flips": 0.0, "accuracy": 0.8}
    rows = [{**row, "findings": alarm, "truth": null} if row["arm"] == arm else row for row in full.rows]
    modality = "text" if arm == "proxy word" else "image"
    words = f"{modality}: false alarms of the trap “{arm}”"
    assert judged(Evidence(rows, [], PROTOCOL), words).holds is False
    others = [
        claim.holds
        for claim in claims(Evidence(rows, [], PROTOCOL))
        if "trap" in claim.words and arm not in claim.words
    ]
    assert False not in others


def test_a_page_of_failures_alone_says_so() -> None:
    failed = {"key": "k", "method": "lrp", "modality": "text", "error": "ModelError: broken", "arm": "protected pair"}
    assert "1 rows failed" in page(Evidence([failed], [], PROTOCOL))


@pytest.mark.parametrize("part", ["evaluation", "calibration"])
def test_a_page_is_not_written_from_rows_of_another_protocol(tmp_path: Path, part: Part) -> None:
    append(results_file(part, tmp_path), {"key": "a", "method": "lrp", "part": part, "protocol": "0ld"})
    with pytest.raises(ProtocolChanged, match="1 of 1 rows are of protocol 0ld"):
        committed(tmp_path)


def test_the_committed_page_is_what_the_committed_rows_give() -> None:
    written_page = Path(__file__).parents[2] / "docs" / "benchmark.md"
    assert written_page.read_text(encoding="utf-8") == committed()
    assert committed().endswith(section())

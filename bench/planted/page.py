"""`python -m bench.planted.page > docs/benchmark.md`: the page of the benchmark, from rows of results alone."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise, product
from pathlib import Path
from typing import Final

import numpy as np

from bench.planted.judging import DECISIONS, Row, area, named, rate, statistic
from bench.planted.protocol import Protocol, read_protocol
from bench.planted.results import FOLDER, results_file, rows
from bench.planted.summary import BINS, LIMITS, Agreement, Seen, claims, smallest_detectable
from bench.planted.units import METHODS, NETWORKS, RHOS

HEAD: Final = """# The planted-bias benchmark

Written by `python -m bench.planted.page` from the committed rows; do not edit. `make planted` measures them, and goes on where it
stopped. Protocol `{sha}`; {n} rows of evaluation seeds, of {units} models; {failed} failed; {floor} models of rho 0 are below the
accuracy floor of {least} and stay in. Intervals are Wilson's of 95 %, of correlations and slopes bootstrap over models.

A unit is a model, trained on the spot. **The truth is what the planted attribute does to that very model**: TE is the mean
change of the contrast logit when the attribute alone is toggled in the audited examples, in standard deviations of that logit; how
strongly it was planted (rho) does not count. Null: rho 0 and |TE| below {null}. What is under test is `audit.run` on a folder with
data, model and YAML. A text audit names a pair of groups by its *contrast*, an image audit a region by its *reliance*; a finding
counts when it is *{text}* (texts) and *{image}* (images), which was settled on calibration seeds and written to
`bench/planted/protocol.json` before an evaluation seed was drawn. How the models are made: [design 006](design/006-benchmark.md).
"""


FEWEST: Final = 20
WORDS: Final = {
    "False alarms": (
        "Null models in which any declared feature is named, by decision. Naive: Student's t test over examples, p at most .05.",
        ("models", *DECISIONS, "naive test"),
    ),
    "Power by effect": (
        "Models in which the planted feature is named, of all arms in which it is declared. The smallest detectable effect, at the end "
        "of the page, is the |TE| at which a logistic curve reaches .80.",
        ("models", "abs. TE", *DECISIONS),
    ),
    "By arm and strength": (
        "Models named, and the mean |TE| that the strength taught. In no claim, because they show where a question ends: "
        f"{', '.join(LIMITS)}.",
        ("arm", "rho", "mean abs. TE", "mean flips", "planted named", "else named", "gap not explained"),
    ),
    "Agreement with the truth": (
        "Estimate of the planted feature on its TE: of texts in the same unit, of images a share of |R|.",
        ("models", "composite", "network", "n", "Spearman", "slope through 0"),
    ),
    "Methods": (
        "The same models, explained by other methods. Cut: the size of the estimate that 5 % of the null models of the calibration exceed. "
        "Seconds are those of the relevance stage, in the same run.",
        ("method", "models", "area under the curve", "power at equal false alarms", "seconds per 1,000"),
    ),
}


def page(found: Sequence[Row], calibration: Sequence[Row], protocol: Protocol) -> str:
    """The whole page in Markdown; of the rows of the calibration, cuts alone."""
    answered = [row for row in found if "error" not in row]
    return "\n".join([_head(found, answered, protocol), *_sections(answered, cuts(calibration, protocol), protocol)])


def _head(found: Sequence[Row], answered: Sequence[Row], protocol: Protocol) -> str:
    least = protocol["accuracy_floor"]
    low = {row["key"] for row in answered if row["rho"] == 0 and row["truth"]["accuracy"] < least}
    return HEAD.format(
        sha=protocol.sha256[:16], n=len(found), units=len({row["key"] for row in found}), failed=len(found) - len(answered),
        floor=len(low), least=least, null=protocol["truth"]["null"], **protocol["decisions"],
    )  # fmt: skip


def _sections(answered: Sequence[Row], cut: Mapping[tuple[str, str], float], protocol: Protocol) -> Iterator[str]:
    both = tuple(_seen(answered, modality, "lrp", protocol) for modality in RHOS)
    made = list(claims(*both))
    missed, asked = sum(claim.holds is False for claim in made), sum(claim.holds is not None for claim in made)
    marks = {True: "yes", False: "**no**", None: ""}
    yield f"## What was to be reached\n\n{missed} of {asked} are not.\n"
    yield _table(("asked", "found", "holds"), [(claim.words, claim.found, marks[claim.holds]) for claim in made])
    lines = {
        "False alarms": _alarm_lines(both),
        "Power by effect": _power_lines(both),
        "By arm and strength": _arm_lines(both),
        "Agreement with the truth": _agreement_lines(both),
        "Methods": _method_lines(answered, cut, protocol),
    }
    for title, found in lines.items():
        words, columns = WORDS[title]
        yield f"## {title}\n\n{words}\n"
        yield _table(columns, list(found))
    for seen in both:
        least = smallest_detectable(seen)
        yield f"Smallest detectable effect, {seen.modality}: {'not reached' if least is None else f'{least:.2f} sd'}.\n"


def _seen(answered: Sequence[Row], modality: str, method: str, protocol: Protocol) -> Seen:
    chosen = (row for row in answered if row["modality"] == modality and row["method"] == method)
    return Seen(tuple(chosen), modality, protocol)


def _alarm_lines(both: Sequence[Seen]) -> Iterator[Sequence[str]]:
    for seen in both:
        yield (
            f"{seen.modality}: all",
            *(str(seen.false_alarms(each)) for each in DECISIONS.values()),
            str(seen.naive_alarms()),
        )
        for arm in dict.fromkeys(row["arm"] for row in seen.nulls):
            yield f"{seen.modality}: {arm}", *(str(seen.false_alarms(each, arm)) for each in DECISIONS.values()), ""


def _power_lines(both: Sequence[Seen]) -> Iterator[Sequence[str]]:
    for seen in both:
        edges = BINS[seen.modality]
        for low, high in pairwise(edges):
            span = f"{low} to {high}" if high < 9 else f"from {low}"
            yield seen.modality, span, *(str(seen.power(low, high, each)) for each in DECISIONS.values())


def _arm_lines(both: Sequence[Seen]) -> Iterator[Sequence[str]]:
    for seen in both:
        for arm, rhos in RHOS[seen.modality].items():  # type: ignore[index]
            for rho in rhos:
                cell = [row for row in seen.rows if (row["arm"], row["rho"]) == (arm, rho)]
                if cell:
                    yield arm, str(rho), *_arm_cells(seen, cell)


def _arm_cells(seen: Seen, cell: Sequence[Row]) -> Iterator[str]:
    names = [named(row, seen.decision) for row in cell]
    for key in ("effect", "flips"):
        yield f"{np.mean([abs(row['truth'][key]) for row in cell]):.2f}"
    yield str(rate(seen.planted in each for each in names))
    yield str(rate(bool(set(each) - {seen.planted}) for each in names))
    yield str(rate(bool(row["unexplained"]) for row in cell))


def _agreement_lines(both: Sequence[Seen]) -> Iterator[Sequence[str]]:
    for seen in both:
        others = dict.fromkeys(
            name for row in seen.rows for found in row["findings"].values() for name in found["others"]
        )
        for composite, network in product((None, *others), (None, *NETWORKS[seen.modality])):  # type: ignore[index]
            found = seen.agreement(network, composite)
            yield seen.modality, composite or "the first", network or "all", *_agreement_cells(found)


def _agreement_cells(found: Agreement) -> Iterator[str]:
    yield str(found.n)
    for value, low, high in (found.spearman, found.slope):
        yield f"{value:.3f} [{low:.3f}, {high:.3f}]" if found.n >= 4 else ""


def _method_lines(
    answered: Sequence[Row], cut: Mapping[tuple[str, str], float], protocol: Protocol
) -> Iterator[Sequence[str]]:
    for modality in RHOS:
        for method in METHODS:
            seen = _seen(answered, modality, method, protocol)
            if seen.rows:
                yield method, f"{modality}, {len(seen.rows)}", *_method_cells(seen, cut.get((modality, method)))


def _method_cells(seen: Seen, cut: float | None) -> Iterator[str]:
    sizes = [[statistic(row, seen.protocol) for row in side] for side in (seen.nulls, seen.positives)]
    curve = area(*sizes)
    yield "" if curve is None else f"{curve:.3f}"
    yield f"fewer than {FEWEST} null models to calibrate on" if cut is None else str(seen.powered_at(cut))
    yield f"{1000 * np.median([row['seconds']['relevance'] / row['examples'] for row in seen.rows]):.1f}"


def _table(columns: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    head = f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}\n"
    return head + "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def cuts(found: Sequence[Row], protocol: Protocol) -> dict[tuple[str, str], float]:
    """By modality and method, of enough null models: the size of the estimate that few of them exceed."""
    answered, made = [row for row in found if "error" not in row], {}
    for modality, method in dict.fromkeys((row["modality"], row["method"]) for row in answered):
        sizes = [statistic(row, protocol) for row in _seen(answered, modality, method, protocol).nulls]
        if len(sizes) >= FEWEST:
            made[modality, method] = float(np.quantile(sizes, protocol["cut"]["quantile"]))
    return made


def committed(folder: Path = FOLDER) -> str:
    """The page of the committed rows."""
    evaluation, calibration = (rows(results_file(part, folder)) for part in ("evaluation", "calibration"))
    return page(evaluation, calibration, read_protocol())


if __name__ == "__main__":
    print(committed(), end="")

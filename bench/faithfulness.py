"""Faithfulness of every composite on four real models: area between the flipping curves, beside the baselines.

The unit is the mean explained value of the unflipped examples. Random order is the floor (0 in expectation); a map of another
example shows what a mean map alone would gain. Two fills, because gradient x input and integrated gradients start from one of
them. Cost: 20 scores per example and map; the identical maps of two composites are scored once.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

import lrp
from audit.checks.flipping import Maps, areas, orders
from audit.errors import AuditError
from audit.relevance.methods import make_method
from bench.flippable import BATCH, Images, Texts, gender_case, imagenet_case, review_case, vit_case
from bench.intervals import mean_interval
from bench.photographs import FACES

Case = Images | Texts
Areas = Mapping[str, NDArray[np.float64]]
AUTO = "auto"


@final
@dataclass(frozen=True, slots=True)
class Row:
    """A composite with its parameters; `box`: it also takes the bounds of the pixels; `images_only`: its first layer is for pixels."""

    composite: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    box: bool = False
    images_only: bool = False

    @property
    def title(self) -> str:
        """The name and the parameters."""
        return " ".join([self.composite, *(f"{name}={value}" for name, value in self.parameters.items())])


ROWS = (
    Row("auto"),
    Row("lrp_z"),
    Row("epsilon"),
    Row("epsilon_plus"),
    Row("epsilon_plus_flat", images_only=True),
    Row("epsilon_gamma_box", box=True, images_only=True),
    Row("epsilon_alpha2_beta1"),
    Row("epsilon_alpha2_beta1_flat", images_only=True),
    Row("deep_taylor", box=True, images_only=True),
    Row("attn_lrp"),
    Row("attn_lrp", {"gamma": 0.25}),
    Row("cp_lrp"),
    Row("gradient_x_input"),
)

CASES: Mapping[str, tuple[Callable[[int], Case], int, int]] = {  # maker, examples, examples of the small profile
    "gender": (gender_case, 200, 40),
    "imagenet": (imagenet_case, 40, 4),
    "vit": (vit_case, 200, 40),
    "reviews": (review_case, 200, 24),
}


def composite_maps(case: Case, row: Row) -> tuple[str, Maps]:
    """What `lrp` calls the composite (with the choice of `auto`), and the relevance per region of each example."""
    bounds = case.box if row.box else {}
    composite = lrp.COMPOSITES[row.composite](**row.parameters, **bounds)
    values, name = [], composite.name
    for inputs, target in zip(case.inputs, case.target.split(BATCH), strict=True):
        found = lrp.attribute(case.model, inputs, target, composite)
        values.append(found.values)
        name = found.composite
    return name, case.regions(values)


def maps(case: Case, rows: tuple[Row, ...]) -> Iterator[tuple[str, Maps | str]]:
    """Title and maps of every row and baseline, or the reason why there are none."""
    for row in rows:
        if row.images_only and isinstance(case, Texts):
            continue
        if row.composite not in lrp.COMPOSITES:
            yield row.title, "this version of lrp does not have it"
            continue
        try:
            name, found = composite_maps(case, row)
        except lrp.LrpError as error:
            yield row.title, str(error).split(". ")[0]
            continue
        if row.composite == AUTO:
            print(f"  {name}")
        yield row.title, found
        if row.composite == AUTO and isinstance(case, Images):
            yield "auto, of another photograph", _another(found, case)
    method = make_method("integrated_gradients", "bench", steps=20, samples=None, seed=0)
    yield "integrated gradients", case.regions(case.explained_by(method))
    rng = np.random.default_rng(17)
    yield "random order", [rng.random(size) for size in case.sizes]


def measure(case: Case, rows: tuple[Row, ...], steps: int) -> dict[str, Areas]:
    """Per row and fill, the area of each example over the mean explained value; prints a line per row as it comes."""
    unflipped = case.values([np.zeros(size, dtype=np.bool_) for size in case.sizes], next(iter(case.fills)))
    unit = float(np.mean(unflipped))
    print(f"  mean explained value {unit:.3g}, {len(unflipped)} examples, {steps} steps")
    known: dict[bytes, Areas] = {}
    measured = {}
    for title, found in maps(case, rows):
        if isinstance(found, str):
            print(f"  {title}: not measured ({found})")
            continue
        start = time.perf_counter()
        order = orders(found, seed=1)
        key = b"".join(part.tobytes() for part in order)
        if key not in known:
            known[key] = _areas_by_fill(case, order, steps, unit)
        measured[title] = known[key]
        empty = sum(not example.any() for example in found)
        print(_line(title, measured[title], empty, time.perf_counter() - start), flush=True)
    return measured


def verdict(measured: Mapping[str, Areas], fill: str) -> str:
    """`auto` against the row of the largest mean: paired differences over examples, 95 % t interval.

    The best of many rows is best partly by luck, which makes this comparison hard on `auto`.
    """
    if AUTO not in measured:
        return "auto is not measured"
    best = max(measured, key=lambda title: float(np.mean(measured[title][fill])))
    difference = mean_interval(measured[AUTO][fill] - measured[best][fill])
    if difference.mean == 0:
        return "auto is the best"
    if difference.high >= 0:
        return f"auto is within the interval of the best, {best}: {difference}"
    return f"auto is worse than {best} by {difference}"


def main(*, small: bool, cases: tuple[str, ...] = tuple(CASES)) -> None:
    """Print the areas of every model, and how `auto` compares with the best."""
    absent = {row.composite for row in ROWS} ^ set(lrp.COMPOSITES)
    print("faithfulness: area between the flipping curves (random order 0), 95 % interval over examples")
    print(f"  rows without composite, or composites without row: {', '.join(sorted(absent)) or 'none'}")
    for name in cases:
        make, full, few = CASES[name]
        if not FACES.is_dir() and make is not review_case:
            print(f"{name}: skipped, no photographs in {FACES}")
            continue
        try:
            case = make(few if small else full)
        except AuditError as error:
            print(f"{name}: skipped, {error}")
            continue
        print(case.title)
        measured = measure(case, ROWS, 3 if small else 6)
        for fill in (*case.fills, "both"):
            print(f"  {fill}: {verdict(measured, fill)}")


def _areas_by_fill(case: Case, order: list[NDArray[np.int64]], steps: int, unit: float) -> Areas:
    found = {
        fill: areas(lambda flipped, fill=fill: case.values(flipped, fill), order, steps) / unit for fill in case.fills
    }
    return {**found, "both": np.mean(list(found.values()), axis=0)}


def _line(title: str, found: Areas, empty: int, seconds: float) -> str:
    cells = ", ".join(f"{fill} {mean_interval(values)}" for fill, values in found.items())
    return f"  {title}: {cells}" + (f", {empty} empty maps" if empty else "") + f" ({seconds:.0f} s)"


def _another(found: Maps, case: Images) -> Maps:
    """The map of the next photograph of the same explained class (of the next class, where it is the last)."""
    first = case.target if case.target.dim() == 1 else case.target[:, 0]
    order = np.argsort(first.numpy(), kind="stable")
    borrowed = np.empty(len(order), dtype=np.int64)
    borrowed[order] = np.roll(order, 1)
    return [found[i] for i in borrowed]

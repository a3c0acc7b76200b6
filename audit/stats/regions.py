"""Cases on image regions: does relevance follow a region's own mask more than the masks of comparable images?

Where masks overlap, relevance that lies in an image's own mask lies in the others too. If a share f of it lay evenly in the
own mask, own minus others would be f times the part that the others leave uncovered; so that is divided out, and an estimate
and its margin mean f whatever the overlap. The p value does not change.
"""

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any, Final

import numpy as np
from pydantic import JsonValue

from audit.questions import QUESTIONS
from audit.records import Estimand, Estimate, Opinion
from audit.stats.cases import Case, Evidence, Variant, by_reason, not_testable, untested
from audit.stats.effects import effects, mean_checks
from audit.stats.intervals import BoolArray, mean_interval
from audit.stats.mask_swap import MaskSwap, mask_swap
from audit.stats.multiplicity import every
from audit.stats.placebos import Pool
from audit.stats.twins import referenced, twin_details
from audit.tables import FloatArray, RegionTable

MOST_OVERLAP: Final = 0.95  # beyond it, 60 images miss 10 % of relevance on the region more often than they find it
DISAGREE: Final = "composites push in different directions, so this is no finding (p 1)"
SHOWN: Final = 999  # draws of the null that the record keeps


def region_reliance_cases(evidence: Evidence, pool: Pool | None) -> Sequence[Case]:
    """Each region's net relevance under its own mask against other images' masks, referenced to the twins."""
    regions, short = evidence.regions, {}
    if regions is None:
        return ()
    cases = []
    for r, name in enumerate(regions.names[:-1]):
        reason = _untestable(regions, r, evidence.config.statistics.min_group_size)
        if reason:
            short[name] = reason
        else:
            cases.append(_swap_case(evidence, regions, r))
    if short:
        cases.append(not_testable(evidence, "reliance", "regions", tuple(short), "; ".join(by_reason(short))))
    return cases


def _untestable(regions: RegionTable, r: int, smallest: int) -> str:
    """Why swapping masks of a region would say nothing, with advice; empty if it says something."""
    usable = np.isfinite(next(iter(regions.net.values()))[:, r])
    held, swapped = int(usable.sum()), int((usable & (regions.block[:, r] >= 0)).sum())
    advice = "set statistics.jitter, which shifts the crop and the mask with the photograph by known random pixels"
    if held < smallest:
        return f"{held} photographs hold it and have a map; {smallest} are needed"
    if regions.aligned[r] and not regions.jitter:
        return f"the same in every photograph, so that swapped masks are equal: {advice}"
    if swapped < smallest:
        return (
            f"{swapped} of the {held} photographs share their class with another that holds it; {smallest} are needed"
        )
    if regions.overlap[r] > MOST_OVERLAP:
        cure = f"raise it above {regions.jitter}" if regions.jitter else advice
        return f"masks of swapped photographs overlap by {regions.overlap[r]:.2f} (at most {MOST_OVERLAP}): {cure}"
    return ""


def region_direction_cases(evidence: Evidence, pool: Pool | None) -> Sequence[Case]:
    """The same among the photographs of one true class: directions that cancel over all classes show there."""
    regions, smallest = evidence.regions, evidence.config.statistics.min_group_size
    cases, short = [], dict[str, list[str]]()
    for r, name in enumerate(regions.names[:-1]) if regions else ():
        if regions is None or _untestable(regions, r, smallest):
            continue  # as reliance says
        for k, label in enumerate(evidence.classes):
            held = (regions.block[:, r] >= 0) & (evidence.examples.label == k)
            if held.sum() >= smallest:
                cases.append(_direction_case(evidence, regions, r, held, label))
            elif held.any():
                short.setdefault(label, []).append(f"{name} {int(held.sum())}")
    if short:
        listed = "; ".join(f"{label}: {', '.join(names)}" for label, names in short.items())
        reason = f"photographs of a class whose masks can be swapped, {smallest} are needed: {listed}"
        cases.append(not_testable(evidence, "direction", "regions", (), reason))
    return cases


def _swap_case(evidence: Evidence, regions: RegionTable, r: int) -> Case:
    put, name = QUESTIONS["reliance"].put["image"], regions.names[r]
    held, key = regions.block[:, r] >= 0, f"reliance.regions.{name}"
    tests = _swapped(evidence, regions, r, held, key)
    first = tests[evidence.composites[0]]
    note, twins = _twins(regions, r, first)
    return _case(
        evidence, regions, r, tests, "reliance", put.estimand("image", group=name), held,
        key=key,
        margin=evidence.config.margins.reliance,
        details={**twins, **_described(evidence, regions, r, first)},
        note=note,
    )  # fmt: skip


def _direction_case(evidence: Evidence, regions: RegionTable, r: int, held: BoolArray, label: str) -> Case:
    put, name = QUESTIONS["direction"].put["image"], regions.names[r]
    key = f"direction.regions.{name}.{label}"
    tests = _swapped(evidence, regions, r, held, key)
    return _case(
        evidence, regions, r, tests, "direction", put.estimand("image", feature=name, label=label), held,
        key=key, margin=None, details={"region": name, "true class": label},
    )  # fmt: skip


def _swapped(evidence: Evidence, regions: RegionTable, r: int, rows: BoolArray, key: str) -> dict[str, MaskSwap]:
    """The swap under every composite; blocks of photographs that are not of `rows` are left out."""
    rng, resamples = evidence.rng(key), evidence.config.statistics.permutations
    block = np.where(rows, regions.block[:, r], -1)
    return {
        name: mask_swap(
            regions.swapped[name][:, r] / regions.uncovered[r], block, regions.place[:, r],
            cluster=evidence.examples.cluster, rng=rng, resamples=resamples,
        )
        for name in evidence.composites
    }  # fmt: skip


def _case(
    evidence: Evidence, regions: RegionTable, r: int, tests: Mapping[str, MaskSwap], question: str, estimand: Estimand,
    held: BoolArray, key: str, note: str = "", **own: Any,
) -> Case:  # fmt: skip
    first, agreed = tests[evidence.composites[0]], _agreed(tests.values())
    return Case(
        id=key,
        question=question,
        attribute="regions",
        groups=(regions.names[r],),
        estimand=estimand,
        test=f"mask swap within class and region size, largest of {len(tests)} composites",
        p=agreed,
        estimate=lambda level: _mean(evidence, held, first, level),
        composite=evidence.composites[0],
        resamples=evidence.config.statistics.permutations,
        opinions=tuple(
            Opinion(composite=other, estimate=_mean(evidence, held, test, 0.95), p=test.p)
            for other, test in tests.items()
            if test is not first
        ),
        null=first.null[:SHOWN],
        checks=mean_checks(evidence, (regions.names[r],), effects(evidence, (regions.names[r],)), held),
        note="; ".join(filter(None, (DISAGREE if agreed == 1.0 and len(tests) > 1 else "", note))),
        variants=tuple(_redrawn(evidence, *other, r, held, key) for other in evidence.varied.items()),
        **own,
    )


def _redrawn(evidence: Evidence, changed: str, regions: RegionTable, r: int, held: BoolArray, key: str) -> Variant:
    """The same swap of other masks, in the same blocks; photographs that they leave without the region are dropped."""
    smallest, left = evidence.config.statistics.min_group_size, int((held & (regions.block[:, r] >= 0)).sum())
    reason = _untestable(regions, r, smallest)
    if reason or left < smallest:
        few = f"{left} of the {int(held.sum())} photographs can be swapped; {smallest} are needed"
        return untested(changed, reason or few, QUESTIONS["reliance"].put["image"].scale)
    tests = _swapped(evidence, regions, r, held, key)
    return Variant(changed, _agreed(tests.values()), partial(_mean, evidence, held, tests[evidence.composites[0]]))


def _agreed(tests: Collection[MaskSwap]) -> float | None:
    """p of the finding: every composite must show it."""
    return every(
        [test.p for test in tests], (float(np.sign(np.nanmean(t.difference))) for t in tests if t.p is not None)
    )


def _mean(evidence: Evidence, held: BoolArray, test: MaskSwap, level: float) -> Estimate:
    """Mean of own minus other masks; images without a map are `dropped`, those without the region no part of it."""
    unit = QUESTIONS["reliance"].put["image"].scale
    return mean_interval(test.influence[held], cluster=evidence.examples.cluster[held], level=level, unit=unit)


def _twins(regions: RegionTable, r: int, test: MaskSwap) -> tuple[str, dict[str, JsonValue]]:
    """What untrained copies show on the images that they explained, in words and as details.

    They do not decide: a network that has learned nothing does respond to what is conspicuous, so on a region like that even
    one that is known to rely on it lies within their range (t of 1.2 to 1.9 where the marker moves the logit by a whole sd).
    """
    if not len(regions.twin_swap):
        return "", {}
    values = np.array([_known_mean(swap[:, r]) for swap in regions.twin_swap]) / regions.uncovered[r]
    p, t = referenced(_known_mean(test.difference[regions.twin_rows]), values)
    known = values[np.isfinite(values)]
    if p is None or t is None:
        return "untrained copies of the network have no map that it could be compared to", {}
    said = "no more than" if p > 0.05 else "beyond what"
    note = f"{said} untrained copies of the network show ({known.min():+.2f} to {known.max():+.2f}, t {t:+.1f})"
    return note, twin_details(p, t, values)


def _known_mean(values: FloatArray) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")


def _described(evidence: Evidence, regions: RegionTable, r: int, test: MaskSwap) -> dict[str, JsonValue]:
    """Share, overlap and the means per class: directions that cancel over all classes show there."""
    examples, held = evidence.examples, regions.block[:, r] >= 0
    share = mean_interval(
        regions.share[evidence.composites[0]][held, r], cluster=examples.cluster[held], unit="share of |R|"
    )
    classes = np.unique(examples.label[held]).tolist()
    return {
        "share": share.model_dump(),
        "photographs alone in their class": int((np.isfinite(regions.net[evidence.composites[0]][:, r]) & ~held).sum()),
        "overlap of swapped masks (intersection over union)": float(regions.overlap[r]),
        "part of a mask that others leave uncovered": float(regions.uncovered[r]),
        "jitter in pixels": regions.jitter,
        "own minus other masks, by class": {
            evidence.classes[k]: None if np.isnan(mean) else mean
            for k in classes
            for mean in [_known_mean(test.difference[held & (examples.label == k)])]
        },
    }

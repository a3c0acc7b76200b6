"""Photographs that are shown: their maps, all drawn on one scale."""

from collections.abc import Sequence
from dataclasses import replace

from audit.config import People, Preprocessing
from audit.data.images import ImageRow, unchanged
from audit.data.masks import drawn
from audit.parts import Advance
from audit.relevance.explainer import Explainer
from audit.relevance.images import explain_map
from audit.report.heatmaps import common_scale, encoded, overlay
from audit.tables import MaskTable
from audit.tasks.image_explanation import covered, hidden_regions, look, normalised
from audit.tasks.region_records import region_shares
from audit.tasks.task import Change, Gallery, Shown, explanation


def exhibits(
    explainer: Explainer[Preprocessing], classes: Sequence[str], photographs: Sequence[ImageRow], masks: MaskTable, names: Sequence[str],
    shown: Sequence[Shown], *, people: People, scale: float | None, advance: Advance,
) -> Gallery:  # fmt: skip
    """Maps of the first class minus the second; `people` says how photographs are shown, `scale` what the strongest colour stands for."""
    if not shown:
        return Gallery()
    found = []
    for each in shown:
        with unchanged(photographs[each.row]):
            inputs, seen = look(photographs[each.row], explainer.reader)
        if each.change:
            inputs, seen = covered(inputs, seen, each.change.given)
        relevance, result = explain_map(
            explainer, inputs, target=each.target, composite=explainer.first, condition=each.condition
        )
        found.append((relevance, result, seen))
        advance(1)
    scale = scale or common_scale([normalised(relevance) for relevance, _, _ in found])
    made, maps = [], {}
    for each, (relevance, result, seen) in zip(shown, found, strict=True):
        own = drawn(masks, each.row)
        picture = encoded(overlay(seen, normalised(relevance), own[:-1], scale=scale, people=people), "JPEG")
        told = {"regions": region_shares(names, relevance, own), "picture": picture}
        made.append(explanation(result, each.explained(classes), classes, **told))
        maps[each.id] = relevance
    return Gallery(tuple(shown), tuple(made), maps, scale)


def hidden(masks: MaskTable, names: Sequence[str], shown: Sequence[Shown]) -> list[Shown]:
    """Each of the photographs once for every region that it holds, with that hidden by the mean of the rest."""
    return [
        replace(each, change=Change(name, mask))
        for each in shown
        for name, mask in hidden_regions(names, drawn(masks, each.row))
    ]

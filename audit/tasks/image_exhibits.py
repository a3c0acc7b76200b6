"""Photographs that are shown: their maps, all drawn on one scale."""

from base64 import b64encode
from collections.abc import Sequence

from audit.config import People, Preprocessing
from audit.data.images import ImageRow, unchanged
from audit.data.masks import drawn
from audit.records import Exhibit
from audit.relevance.explainer import Explainer
from audit.relevance.images import explain_map
from audit.report.heatmaps import common_scale, encoded, overlay
from audit.tables import MaskTable
from audit.tasks.image_explanation import look, normalised
from audit.tasks.region_records import region_shares
from audit.tasks.task import Gallery, Shown


def exhibits(
    explainer: Explainer[Preprocessing], photographs: Sequence[ImageRow], masks: MaskTable, names: Sequence[str], shown: Sequence[Shown],
    *, people: People, scale: float | None,
) -> Gallery:  # fmt: skip
    """Maps of the first class minus the second; `people` says how photographs are shown, `scale` what the strongest colour stands for."""
    found = []
    for each in shown:
        with unchanged(photographs[each.row]):
            inputs, seen = look(photographs[each.row], explainer.reader)
        relevance, result = explain_map(
            explainer, inputs, target=each.target, composite=explainer.first, condition=each.condition
        )
        found.append((relevance, float(result.ledger.output[0]), seen))
    scale = scale or common_scale([normalised(relevance) for relevance, _, _ in found])
    made = []
    for each, (relevance, margin, seen) in zip(shown, found, strict=True):
        own = drawn(masks, each.row)
        picture = overlay(seen, normalised(relevance), own[:-1], scale=scale, people=people)
        made.append(
            Exhibit(
                id=each.id, label=each.label, predicted=each.predicted, margin=margin,
                regions=region_shares(names, relevance, own), picture=b64encode(encoded(picture, "JPEG")).decode(), scale=scale,
            )
        )  # fmt: skip
    return Gallery(tuple(made), {each.id: relevance for each, (relevance, _, _) in zip(shown, found, strict=True)})

"""What the record keeps of image regions: provenance, means with intervals, descriptive ratios, mean maps."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audit.config import OUTSIDE, Region
from audit.records import Estimate, MeanMap, RegionRecord, RegionShare
from audit.relevance.images import ExplainedImages
from audit.relevance.surroundings import pooled
from audit.stats.intervals import mean_interval, ratio_interval
from audit.tables import FloatArray, IntArray, MaskTable

OUTSIDE_REGION = "what no declared region covers"


def region_records(
    declared: Iterable[tuple[Region, Sequence[str]]],
    unmatched: Mapping[str, int],
    masks: MaskTable,
    explained: ExplainedImages,
    cluster: IntArray,
) -> tuple[RegionRecord, ...]:
    """One for each region, "outside" last."""
    about = {
        name: {"source": region.source, "provenance": region.provenance, "error_rate": region.error_rate}
        for region, names in declared
        for name in names
    }
    about[OUTSIDE] = {"source": OUTSIDE_REGION, "provenance": "derived"}
    return tuple(
        RegionRecord(
            name=name,
            **about[name],
            unmatched=unmatched.get(name, 0),
            **_measured(explained, masks, r, cluster),
            sha256=masks_sha256(masks, r),
        )
        for r, name in enumerate(explained.regions.names)
    )


def masks_sha256(masks: MaskTable, r: int) -> str:
    """Of region `r` in every photograph in turn: how many runs of pixels, and where they start and end."""
    digest = hashlib.sha256(repr(masks.shape[1:]).encode())
    for number in masks.number(np.arange(len(masks.area)), r).tolist():
        runs = slice(masks.first[number], masks.first[number + 1])
        for values in ([runs.stop - runs.start], masks.start[runs], masks.end[runs]):
            digest.update(np.asarray(values, dtype="<i8").tobytes())
    return digest.hexdigest()


def _measured(explained: ExplainedImages, masks: MaskTable, r: int, cluster: IntArray) -> dict[str, Any]:
    regions, held = explained.regions, masks.area[:, r] > 0
    groups = explained.common.groups
    first = next(iter(groups.values()))
    overlap = float(regions.overlap[r])
    maps = explained.maps
    below = {"area": first.size[:, r], "mirrored": maps.mirrored[:, r], "random place": maps.displaced[:, r]}
    return {
        "present": int(held.sum()),
        "absent": int((~held).sum()),
        "aligned": bool(regions.aligned[r]),
        "overlap": None if np.isnan(overlap) else overlap,
        "size": mean_interval(first.size[held, r], cluster=cluster[held], unit="share of the pixels"),
        "share": {
            name: mean_interval(table.share[held, r], cluster=cluster[held], unit="share of |R|")
            for name, table in groups.items()
        },
        "net": {
            name: mean_interval(table.net[held, r], cluster=cluster[held], unit="net R over sum |R|")
            for name, table in groups.items()
        },
        "ratios": {
            name: ratio_interval(first.share[held, r], values[held], cluster=cluster[held], unit="ratio of means")
            for name, values in below.items()
        },
        "cells": _cells(masks, r) if regions.aligned[r] and explained.maps.counts else (),
    }


def _cells(masks: MaskTable, r: int) -> tuple[str, ...]:
    """Cells of a mean map that lie in the region by more than half."""
    mask = masks.mask(int(masks.number(0, r))).astype(float)
    inside = pooled(mask) > 0.5 * pooled(np.ones_like(mask))
    return tuple("".join("1" if cell else "0" for cell in row) for row in inside.tolist())


def region_shares(names: Sequence[str], relevance: FloatArray, masks: NDArray[np.bool_]) -> tuple[RegionShare, ...]:
    """Of one photograph: map `[H, W]` and masks `[r, H, W]`."""
    total = float(np.abs(relevance).sum())
    return tuple(
        RegionShare(
            name=name,
            share=float(np.abs(relevance[mask]).sum()) / total if total > 0 and mask.any() else None,
            net=float(relevance[mask].sum()) / total if total > 0 and mask.any() else None,
            size=float(mask.mean()) if mask.any() else None,
        )
        for name, mask in zip(names, masks, strict=True)
    )


def mean_maps(explained: ExplainedImages, composites: Sequence[str], cluster: IntArray) -> dict[str, Any]:
    """`concentration` by composite, and `maps` of the first composite where the photographs have a common frame."""
    maps = explained.maps
    concentration: dict[str, Estimate] = {
        name: mean_interval(values, cluster=cluster, unit="share of |R| in the top 5 % of the pixels")
        for name, values in maps.top.items()
    }
    return {
        "concentration": concentration,
        "maps": tuple(
            MeanMap(
                attribute=attribute,
                group=group,
                label=label,
                composite=composites[0],
                n=maps.counts[attribute, group, label],
                clusters=maps.clusters[attribute, group, label],
                mean=_rows(maps.mean[attribute, group, label]),
                error=_rows(maps.error[attribute, group, label]) if maps.clusters[attribute, group, label] > 1 else (),
            )
            for attribute, group, label in maps.mean
        ),
    }


def _rows(values: FloatArray) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(float(f"{value:.3g}") for value in row) for row in values.tolist())

"""Mean relevance maps of groups and classes, their differences, and the colour bar of the gallery."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from textwrap import fill
from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray

from audit.records import AuditRecord, MeanMap, RegionRecord
from audit.report.figures import WIDTH, Figure
from audit.report.heatmaps import CLIPPED, COLOURS
from audit.report.svg import INK, draw_svg
from audit.report.text import listed, number, shorten

LEVEL: Final = 0.95  # a cell whose interval at this level holds 0 is grey in a difference
MOST_COLUMNS, MOST_ROWS = 4, 6
PER_CELL: Final = "R over sum |R|, per cell"
LIGHT: Final = "#f0f0f0"
DIMMED: Final = "#7f7f7f"


@final
@dataclass(frozen=True, slots=True)
class _Panel:
    """One picture: `dimmed` cells are not distinguishable from 0."""

    title: str
    values: NDArray[Any]
    dimmed: NDArray[np.bool_]
    spoken: str


def mean_map_figures(record: AuditRecord) -> list[Figure]:
    """For all photographs and for each attribute: a row per true class, a column per group, and the difference of two groups."""
    regions = [region for region in record.regions if region.cells]
    attributes = [name for name in dict.fromkeys(each.attribute for each in record.maps) if _adds(record.maps, name)]
    return [
        _figure(f"maps-{i}", attribute, [each for each in record.maps if each.attribute == attribute], regions)
        for i, attribute in enumerate(attributes, 1)
    ]


def _adds(maps: Sequence[MeanMap], attribute: str) -> bool:
    """Whether an attribute shows more than the classes do: some class has photographs of two groups."""
    labels = [each.label for each in maps if each.attribute == attribute]
    return attribute == "" or len(set(labels)) < len(labels)


def _figure(name: str, attribute: str, maps: Sequence[MeanMap], regions: Sequence[RegionRecord]) -> Figure:
    groups, all_groups = _largest([(each.group, each.n) for each in maps], MOST_COLUMNS)
    labels, all_labels = _largest([(each.label, each.n) for each in maps], MOST_ROWS)
    known = {(each.label, each.group): each for each in maps}
    rows = [_row(known, label, groups, regions) for label in labels]
    if len(groups) == 1:
        rows = [
            [panel for row in rows[i : i + MOST_COLUMNS] for panel in row] for i in range(0, len(rows), MOST_COLUMNS)
        ]
        rows[-1] += [None] * (len(rows[0]) - len(rows[-1]))
    differs = len(groups) == 2 and any(panel is not None for row in rows for panel in row[2:])
    columns = len(rows[0]) if len(groups) == 1 else len(groups) + differs
    panels = [panel for row in rows for panel in row if panel is not None]
    scale = max(float(np.quantile(np.abs(panel.values), CLIPPED)) for panel in panels) or 1.0

    def draw(sheet: Any) -> None:
        grid = sheet.subplots(len(rows), columns, squeeze=False)
        for axes, panel in zip(grid.ravel(), [panel for row in rows for panel in row[:columns]], strict=True):
            _picture(axes, panel, scale, regions)
        _bar(sheet, grid.ravel().tolist(), scale)

    heading = attribute or "all photographs"
    cut = ((groups, all_groups, "groups"), (labels, all_labels, "classes"))
    left_out = [f"{len(shown)} of {n} {what}" for shown, n, what in cut if n > len(shown)]
    return Figure(
        name=name,
        svg=draw_svg(name, (min(WIDTH, 2.3 * columns + 1), 2.2 * len(rows)), draw),
        alt=f"Mean relevance maps, {heading}: " + "; ".join(f"{panel.title}: {panel.spoken}" for panel in panels),
        caption=f"{heading[0].upper()}{heading[1:]}: mean over photographs of R over sum |R| per cell, {maps[0].composite}, on the "
        "contrast logit. Orange speaks for the explained class, blue against it; one symmetric scale in all pictures of the figure; "
        f"lines: the declared regions, {_key(regions)}."
        + (" Right: first group minus second; grey cells: the 95 % interval of the difference (clusters as units, t) holds 0, not "
           "corrected for the number of cells, or there are fewer than two clusters." if differs else "")
        + (f" The largest {' and '.join(left_out)}; the others are in audit.json." if left_out else "")
        + " Photographs differ in what they show as well as in what the model uses: description, not a test.",
    )  # fmt: skip


def cell_maps(
    name: str, panels: Mapping[str, NDArray[Any]], regions: Sequence[RegionRecord], caption: str, *, unit: str = PER_CELL
) -> Figure:  # fmt: skip
    """Pictures of cells by their title, on one symmetric scale."""
    outlined = [region for region in regions if region.cells]
    shown = [
        _Panel(fill(shorten(title, 70), 28), values, np.zeros(values.shape, dtype=np.bool_), _spoken(values, ()))
        for title, values in panels.items()
    ]
    scale = max(float(np.quantile(np.abs(panel.values), CLIPPED)) for panel in shown) or 1.0
    columns = min(len(shown), 3)
    rows = -(-len(shown) // columns)

    def draw(sheet: Any) -> None:
        grid = sheet.subplots(rows, columns, squeeze=False).ravel().tolist()
        for axes, panel in zip(grid, shown, strict=False):
            _picture(axes, panel, scale, outlined)
        for axes in grid[len(shown) :]:
            axes.set_axis_off()
        _bar(sheet, grid, scale, unit)

    spoken = "; ".join(f"{panel.title}: {panel.spoken}" for panel in shown)
    lines = f" Lines: {_key(outlined)}." if outlined else ""
    svg = draw_svg(name, (min(WIDTH, 2.5 * columns + 1), 2.3 * rows), draw)
    return Figure(name, svg, f"Maps. {spoken}", caption + lines)


def _largest(counted: Sequence[tuple[str, int]], most: int) -> tuple[list[str], int]:
    """At most `most` names with the largest counts, in their order, and how many there are."""
    totals: dict[str, int] = {}
    for name, n in counted:
        totals[name] = totals.get(name, 0) + n
    kept = set(sorted(totals, key=lambda name: -totals[name])[:most])
    return [name for name in totals if name in kept], len(totals)


def _key(regions: Sequence[RegionRecord]) -> str:
    """Which number in the pictures stands for which region; "outside" has none."""
    return ", ".join(f"{i} {region.name}" for i, region in enumerate(_outlined(regions), 1))


def _outlined(regions: Sequence[RegionRecord]) -> Sequence[RegionRecord]:
    return regions[:-1] if len(regions) > 1 else regions


def _row(
    known: dict[tuple[str, str], MeanMap], label: str, groups: Sequence[str], regions: Sequence[RegionRecord]
) -> list[_Panel | None]:
    found = [known.get((label, group)) for group in groups]
    panels = [None if each is None else _mean(each, regions) for each in found]
    if len(found) == 2:
        one, two = found
        panels.append(None if one is None or two is None else _difference(one, two, regions))
    return panels


def _mean(each: MeanMap, regions: Sequence[RegionRecord]) -> _Panel:
    values = np.array(each.mean)
    group = f"{each.group}, " if each.attribute else ""
    title = shorten(f"{group}true {each.label}, n = {each.n:,}", 44)
    return _Panel(title, values, np.zeros(values.shape, dtype=np.bool_), _spoken(values, regions))


def _difference(one: MeanMap, two: MeanMap, regions: Sequence[RegionRecord]) -> _Panel:
    values = np.array(one.mean) - np.array(two.mean)
    title = shorten(f"{one.group} − {two.group}, true {one.label}", 44)
    return _Panel(title, values, _within_noise(values, one, two), _spoken(values, regions))


def _within_noise(values: NDArray[Any], one: MeanMap, two: MeanMap) -> NDArray[np.bool_]:
    """Cells whose interval holds 0 (Student's t with the clusters of the smaller side less 1); all of them without an error."""
    from scipy import stats

    if not one.error or not two.error:
        return np.ones(values.shape, dtype=np.bool_)
    half = stats.t.ppf((1 + LEVEL) / 2, min(one.clusters, two.clusters) - 1) * np.hypot(one.error, two.error)
    return np.asarray(np.abs(values) <= half)


def _spoken(values: NDArray[Any], regions: Sequence[RegionRecord]) -> str:
    """The regions that hold most of each sign."""
    sums = {region.name: float(values[_mask(region)].sum()) for region in regions}
    if not sums:
        return f"sum {number(float(values.sum()))}"
    high, low = max(sums, key=lambda name: sums[name]), min(sums, key=lambda name: sums[name])
    return listed([f"{name} {number(sums[name])}" for name in dict.fromkeys((high, low))])


def _mask(region: RegionRecord) -> NDArray[np.bool_]:
    return np.array([[cell == "1" for cell in row] for row in region.cells])


def _picture(axes: Any, panel: _Panel | None, scale: float, regions: Sequence[RegionRecord]) -> None:
    from matplotlib import colormaps

    axes.set_xticks([])
    axes.set_yticks([])
    if panel is None:
        axes.set_axis_off()
        axes.text(0.5, 0.5, "no photographs", ha="center", va="center", transform=axes.transAxes)
        return
    shown = np.where(panel.dimmed, np.nan, panel.values)
    axes.imshow(shown, cmap=colormaps[COLOURS].with_extremes(bad=DIMMED), vmin=-scale, vmax=scale, interpolation="none")
    for i, region in enumerate(_outlined(regions), 1):
        inside = _mask(region)
        if not inside.any():
            continue
        mask = np.pad(inside.astype(float), 1)
        down, right = (side / cells for side, cells in zip(panel.values.shape, inside.shape, strict=True))
        across, along = (np.arange(mask.shape[1]) - 0.5) * right - 0.5, (np.arange(mask.shape[0]) - 0.5) * down - 0.5
        axes.contour(across, along, mask, [0.5], colors=LIGHT, linewidths=0.7)
        top, left = (int(where[0]) for where in np.nonzero(inside))
        axes.text(left * right - 0.3, top * down - 0.3, str(i), color=LIGHT, fontsize=6, va="top", ha="left")
    axes.set_xlim(-0.5, panel.values.shape[1] - 0.5)
    axes.set_ylim(panel.values.shape[0] - 0.5, -0.5)
    axes.set_title(panel.title, fontsize=8)


def _bar(sheet: Any, axes: Any, scale: float, unit: str = PER_CELL) -> None:
    bar = sheet.colorbar(_colours(scale), ax=axes, shrink=0.8, aspect=30)
    bar.set_label(unit, fontsize=8)
    bar.ax.tick_params(labelsize=8)
    bar.outline.set_edgecolor(INK)


def _colours(scale: float) -> Any:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    return ScalarMappable(Normalize(-scale, scale), COLOURS)


def colour_bar(scale: float) -> Figure:
    """The scale of a gallery: relevance per pixel over sum |R|, from -scale to scale."""

    def draw(sheet: Any) -> None:
        bar = sheet.colorbar(_colours(scale), cax=sheet.add_subplot(), orientation="horizontal")
        bar.set_label("relevance of one pixel over the photograph's sum |R|, for the predicted minus the true class")

    return Figure(
        name="gallery-scale",
        svg=draw_svg("gallery-scale", (WIDTH, 0.75), draw),
        alt=f"Colour scale from {number(-scale)} (blue) over 0 (dark) to {number(scale)} (orange)",
        caption="One scale for all photographs below; the few pixels beyond it have its strongest colour.",
    )

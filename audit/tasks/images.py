"""Audits of images: regions instead of word groups, masks swapped between photographs, twins as a reference, drawn maps."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from audit.checks.hiding import Hidden, effect_table, generators
from audit.checks.validity import forward_passes, measure, sampled
from audit.config import Config, Preprocessing
from audit.data.examples import Examples
from audit.data.image_files import image_size
from audit.data.images import ImageRow, load_images, unchanged
from audit.data.masks import collect_masks, drawn, varied
from audit.data.regions import Regions, build_regions
from audit.loading import LoadedConfig
from audit.models.image_models import ImageModel
from audit.models.twins import reinitialised
from audit.parts import Advance, Engine, Here
from audit.progress import progress, timed
from audit.relevance import photographs as stage
from audit.relevance.concepts import by_channel
from audit.relevance.explainer import Explainer, contrast_logit
from audit.relevance.images import ExplainedImages, explain_images, explain_pairs, explain_sample, pixel_relevance
from audit.relevance.photographs import Batching, Photographs, batch_images, on_device
from audit.relevance.reference import Twins
from audit.relevance.representations import last_layers
from audit.relevance.scoring import score_images
from audit.relevance.sums import Explained
from audit.relevance.surroundings import Frame
from audit.stats.cases import NO_GROUP, Evidence
from audit.stats.groupings import joined_columns
from audit.stats.mask_swap import swap_blocks
from audit.stats.signals import Signals, of_cells
from audit.tables import EffectTable, ExampleTable, FloatArray, IntArray, MaskTable, ValidityTable
from audit.tasks.image_cells import located
from audit.tasks.image_effects import count_hidden, hidden_photographs
from audit.tasks.image_exhibits import exhibits, hidden
from audit.tasks.image_explanation import load_explainer, look
from audit.tasks.image_inputs import ModelInputs
from audit.tasks.image_specimens import FILLS, ImageSpecimens
from audit.tasks.region_records import mean_maps, region_records
from audit.tasks.resolving import data_block, resolve_data
from audit.tasks.task import Gallery, Shown

TWIN_SEED, SWAP_SEED, SHIFT_SEED = 1, 2, 3
MOST_GROUPS = 12  # values of an attribute that get mean maps of their own


@final
@dataclass(frozen=True, slots=True)
class ImageTask:
    """Model and data are loaded, and every region is drawn; `shifts` `[n, 2]` are those of the crop, `shifted` their masks."""

    noun: ClassVar[str] = "photograph"
    loaded: LoadedConfig
    model: ImageModel
    data: Examples[ImageRow]
    drawing: Regions
    masks: MaskTable
    shifts: IntArray | None
    shifted: MaskTable | None
    explainer: Explainer[Preprocessing]
    batch_images: int
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def config(self) -> Config:
        """The resolved config."""
        return self.loaded.config

    @property
    def explanations(self) -> int:
        """How many maps a run computes: of the photographs and the shifted ones; the twins' by one composite, of their sample."""
        passes, twins = 1 if self.shifts is None else 2, self.config.statistics.twins * self._sample_size
        return passes * (len(self.data) * len(self.explainer.names) + twins)

    @property
    def readings(self) -> int:
        """How many photographs those maps are of, the twins' included."""
        passes, twins = 1 if self.shifts is None else 2, self.config.statistics.twins * self._sample_size
        return passes * (len(self.data) + twins)

    @property
    def sizes(self) -> IntArray:
        """All alike."""
        return np.ones(len(self.data), dtype=np.int64)

    @property
    def _sample_size(self) -> int:
        return min(len(self.data), self.config.statistics.twin_examples)

    @property
    def interventions(self) -> int:
        """Forward passes with a region hidden."""
        most, draws = self.config.checks.examples, generators(self.config.seed)
        return count_hidden(self.masks, self.drawing.names[:-1], most=most, draws=draws) if most else 0

    @property
    def flips(self) -> int:
        """Forward passes that the validity of the explanation takes."""
        return forward_passes(len(sampled(len(self.data), self.config)), len(FILLS))

    @property
    def columns(self) -> dict[str, NDArray[np.str_]]:
        """The data's own columns."""
        return joined_columns({}, self.data.attributes)

    @property
    def features(self) -> dict[str, tuple[str, NDArray[np.bool_]]]:
        """The regions."""
        return {name: ("", self.masks.area[:, r] > 0) for r, name in enumerate(self.drawing.names)}

    @property
    def tests(self) -> dict[str, int]:
        """Regions, and regions among the photographs of one class, that enough of them hold and whose masks can be swapped."""
        smallest, movable = self.config.statistics.min_group_size, ~self.masks.aligned[:-1] | (self.shifts is not None)
        held = (self.masks.area[:, :-1] > 0) & movable
        each = [held[self.data.label == k].sum(axis=0) for k in range(len(self.model.classes))]
        return {
            "reliance": int((held.sum(axis=0) >= smallest).sum()),
            "direction": int((np.array(each) >= smallest).sum()),
        }

    @property
    def lexicons(self) -> dict[str, str]:
        """None: regions are declared in the config and drawn by the data."""
        return {}

    @property
    def photographs(self) -> Photographs:
        """Without shifts."""
        return Photographs(self.pixels, self.masks)

    @property
    def pixels(self) -> ModelInputs:
        """The model's inputs, without shifts."""
        return ModelInputs(self.data.payload, self.model.preprocessing)

    @property
    def batch(self) -> int:
        """All of a batch."""
        return self.batch_images

    def load(self, rows: IntArray) -> NDArray[np.float32]:
        """Without shifts."""
        return self.pixels(rows)

    def sample(self, chosen: Sequence[int]) -> Explained:
        """Relevance of the chosen photographs, without references."""
        size, none = self.batch_images, np.full(self.masks.area.shape, -1)
        regions = stage.Regions(self.drawing.names, self.masks.aligned, none, none)
        return explain_sample(Here(self.explainer), self.photographs, regions, np.array(chosen), batch_images=size)

    def explain(self, engine: Engine | None = None, advance: Advance = lambda n: None) -> ExplainedImages:
        """Relevance of all photographs with every reference."""
        plain, tolerance = self.photographs, self.config.statistics.mask_tolerance
        load = replace(self.pixels, shifts=self.shifts)
        shifted = None if self.shifted is None else Photographs(load, self.shifted, kind="shifted")
        rng = np.random.default_rng([self.config.seed, TWIN_SEED])
        rows = np.sort(rng.permutation(len(self.data))[: self._sample_size])
        return explain_images(
            engine or Here(self.explainer),
            replace(plain, varied=varied(plain.masks, tolerance)),
            shifted and replace(shifted, varied=varied(shifted.masks, tolerance)),
            self._regions(),
            Twins(reinitialised, self.config.statistics.twins, rows, self.config.seed),
            frame=self._frame(),
            jitter=self.config.statistics.jitter,
            how=Batching(self.batch_images, advance, self.pixels.names),
        )

    def _regions(self) -> stage.Regions:
        """Whose masks are swapped: those of one class and about one size; of equal masks none."""
        masks = self.masks if self.shifted is None else self.shifted
        rng, jitter = np.random.default_rng([self.config.seed, SWAP_SEED]), self.config.statistics.jitter
        block, place = np.full(masks.area.shape, -1), np.full(masks.area.shape, -1)
        aligned = self.masks.aligned
        for r in range(masks.shape[0] - 1):
            if jitter or not aligned[r]:
                area = masks.area[:, r]
                block[:, r], place[:, r] = swap_blocks(self.data.label, area.astype(float), area > 0, rng)
        return stage.Regions(self.drawing.names, aligned, block, place)

    def _frame(self) -> Frame:
        """Photographs whose maps are averaged: of each class, and of each group in it; none without a common frame."""
        if not self.masks.aligned.all():
            return Frame({}, self.data.cluster)
        columns = {"": np.full(len(self.data), ""), **self.data.attributes}
        groups = {
            (attribute, group, name): (column == group) & (self.data.label == k)
            for attribute, column in columns.items()
            for group in _largest(column)
            for k, name in enumerate(self.model.classes)
        }
        return Frame(groups, self.data.cluster)

    def evidence(self, explained: ExplainedImages, examples: ExampleTable, engine: Engine | None = None) -> Evidence:
        """Regions with their references, and what hiding them does."""
        with timed(self.seconds, "interventions"):
            effects = self._effects(explained.common.scores)
        return Evidence(
            config=self.config,
            examples=examples,
            words=None,
            groups=explained.common.groups,
            mentions={},
            swaps={},
            composites=self.explainer.voting,
            witnesses=self.explainer.witnesses,
            favourable=self.explainer.favour,
            classes=self.model.classes,
            regions=explained.regions,
            varied=explained.varied,
            effects=effects,
            cells=located(
                explained.cells, self.masks, kinds=self._kinds, steps=self.model.preprocessing, size=self._size
            ),
        )

    @property
    def _kinds(self) -> list[str]:
        """How each region is found, without the rest."""
        return [region.kind for region, names in self.drawing.declared(self.config.regions) for _ in names]

    @property
    def _size(self) -> tuple[int, int] | None:
        """Width and height that all photographs have, None where they differ."""
        first: tuple[int, int] | None = None
        for row in self.data.payload:
            with unchanged(row):
                size = image_size(row.path)
            first = first or size
            if size != first:
                return None
        return first

    def _effects(self, scores: FloatArray) -> EffectTable | None:
        most, size, names = self.config.checks.examples, self.batch_images, self.drawing.names[:-1]
        if not most:
            return None
        hidden: list[Hidden] = []
        draws = generators(self.config.seed)

        def inputs() -> Iterator[NDArray[np.float32]]:
            for each, pixels in hidden_photographs(self.pixels, self.masks, names, most=most, draws=draws):
                hidden.append(each)
                yield pixels

        with progress("regions hidden", self.interventions) as advance:
            after = score_images(self.explainer, inputs(), size=size, advance=advance)
        contrast = partial(contrast_logit, self.explainer)
        return effect_table([(name,) for name in names], hidden, after, scores, contrast=contrast)

    def validity(self, scores: FloatArray, advance: Advance = lambda n: None) -> ValidityTable:
        """What asking the explanation itself gives on a sample of photographs."""
        rows = sampled(len(self.data), self.config)
        specimens = ImageSpecimens(self.explainer, rows, self.pixels(rows), self.batch_images)
        margin = contrast_logit(self.explainer, scores[rows])
        return measure(specimens, margin, seed=self.config.seed, advance=advance)

    @property
    def contents(self) -> dict[str, Any]:
        """The files, relative to the data's folder."""
        data = resolve_data(self.loaded)
        folder = data if data.is_dir() else data.parent
        return {"file": [row.path.relative_to(folder).as_posix() for row in self.data.payload]}

    @property
    def telling(self) -> NDArray[np.bool_]:
        """None of the photographs before the others."""
        return np.zeros(len(self.data), dtype=np.bool_)

    def exhibits(
        self, shown: Sequence[Shown], scale: float | None = None, advance: Advance = lambda n: None
    ) -> Gallery:
        """Photographs with their maps, drawn on one scale."""
        people, names = self.config.report.images, self.drawing.names
        classes, rows = self.model.classes, self.data.payload
        return exhibits(
            self.explainer, classes, rows, self.masks, names, shown, people=people, scale=scale, advance=advance
        )

    def changed(self, shown: Sequence[Shown]) -> list[Shown]:
        """With one region hidden."""
        return hidden(self.masks, self.drawing.names, shown)

    def represent(self, rows: IntArray) -> FloatArray:
        """Of the network's last two linear layers."""
        with last_layers(self.explainer.model) as read:
            inputs = (self.pixels(np.array([i]))[0] for i in rows.tolist())
            return score_images(self.explainer, inputs, size=self.batch_images, read=read)

    def concepts(self, rows: IntArray, layers: Sequence[str]) -> dict[str, FloatArray]:
        """Of each region."""
        size = self.batch_images
        parts = [rows[start : start + size] for start in range(0, len(rows), size)]
        batches = (
            (on_device(self.explainer, self.pixels(part)), np.stack([drawn(self.masks, i) for i in part.tolist()]))
            for part in parts
        )
        return by_channel(self.explainer, batches, layers)

    def maps(self, rows: IntArray) -> tuple[Any, FloatArray]:
        """By the first composite."""
        seen, found, size = [], [], self.batch_images
        for start in range(0, len(rows), size):
            part = rows[start : start + size]
            seen += [look(self.data.payload[i], self.model.preprocessing)[1] for i in part.tolist()]
            found.append(pixel_relevance(self.explainer, self.pixels(part), [self.explainer.first])[0])
        return np.stack(seen), np.concatenate(found)

    def pairs(self, rows: IntArray, targets: IntArray, scale: float) -> Signals:
        """By cells, each over sum |R|, which needs no scale."""
        first = replace(self.explainer, composites=dict(list(self.explainer.composites.items())[:1]))
        size = self.batch_images
        signals = of_cells(explain_pairs(first, self.photographs, rows, targets, batch_images=size))
        usable = np.zeros(len(self.data), dtype=np.bool_)
        usable[rows] = signals.usable
        return replace(signals, example=rows[signals.example], usable=usable)

    def parts(self, explained: ExplainedImages, evidence: Evidence) -> dict[str, Any]:
        """Regions, concentration and mean maps."""
        cluster = evidence.examples.cluster
        return {
            "regions": region_records(
                self.drawing.declared(self.config.regions), self.drawing.unmatched, self.masks, explained, cluster
            ),
            **mean_maps(explained, self.explainer.names, cluster),
        }

    def plan(self) -> Table:
        """How often each region is there, and which tests of reliance it allows."""
        smallest, jitter = self.config.statistics.min_group_size, self.config.statistics.jitter
        table = Table("region", "source", "photographs", "mean size", "enough for reliance")
        present = (self.masks.area > 0).sum(axis=0)
        pixels, aligned = self.masks.shape[1] * self.masks.shape[2], self.masks.aligned
        kinds = [region.source for region, names in self.drawing.declared(self.config.regions) for _ in names]
        for r, (name, kind) in enumerate(zip(self.drawing.names, [*kinds, "the rest"], strict=True)):
            verdict = "yes" if present[r] >= smallest else f"no: NOT TESTABLE below {smallest}"
            if kind == "the rest":
                verdict = "not asked"
            elif aligned[r] and not jitter:
                verdict = "no: the same in every photograph; set statistics.jitter"
            size = self.masks.area[:, r].sum() / max(1, present[r]) / pixels
            table.add_row(name, kind, f"{present[r]} of {len(self.data)}", f"{size:.3f}", verdict)
        return table


def load_image_task(loaded: LoadedConfig) -> ImageTask:
    """Load model and photographs and draw every region."""
    config, seconds = loaded.config, dict[str, float]()
    with timed(seconds, "model"):
        model, explainer = load_explainer(loaded)
    with timed(seconds, "data"):
        jitter, drawing = config.statistics.jitter, build_regions(config.regions, loaded.folder)
        data = load_images(
            data_block(loaded), resolve_data(loaded), drawing, model.preprocessing, classes=model.classes,
            labels=config.model.labels, seed=config.seed, jitter=jitter,
        )  # fmt: skip
        masks = collect_masks(data, drawing, model.preprocessing)
        rng = np.random.default_rng([config.seed, SHIFT_SEED])
        shifts = rng.integers(-jitter, jitter + 1, (len(data), 2)) if jitter else None
        shifted = None if shifts is None else collect_masks(data, drawing, model.preprocessing, shifts)
    asked, load = config.engine.batch_size, ModelInputs(data.payload, model.preprocessing)
    size = batch_images(explainer, load(np.zeros(1, dtype=np.int64))) if asked == "auto" else asked
    return ImageTask(loaded, model, data, drawing, masks, shifts, shifted, explainer, size, seconds)


def _largest(column: NDArray[np.str_]) -> list[str]:
    """The groups that get mean maps of their own, by name: unknown values are none."""
    names, counts = np.unique(column[~np.isin(column, NO_GROUP)], return_counts=True)
    return sorted(names[np.argsort(-counts, kind="stable")[:MOST_GROUPS]].tolist())

"""One photograph explained and drawn, and what a whole audit needs for it too: the model with its composites, and what it sees."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray

from audit.config import Preprocessing
from audit.data.examples import BadRow
from audit.data.geometry import map_pixels, normalise
from audit.data.images import ImageRow, load_images, read_image, read_masks
from audit.data.infill import hiding
from audit.data.regions import Regions, build_regions
from audit.errors import DataError
from audit.loading import LoadedConfig
from audit.models.image_models import ImageModel, load_image_model
from audit.records import Explanation
from audit.relevance.explainer import Explainer
from audit.relevance.images import explain_map
from audit.report.heatmaps import common_scale, encoded, overlay, with_colour_bar
from audit.tables import FloatArray
from audit.tasks.region_records import region_shares
from audit.tasks.resolving import composites, contrast, resolve_data, resolve_model, witnesses
from audit.tasks.task import explanation, named

FILL: Final = "mean"  # hides what is shown hidden


@final
@dataclass(frozen=True, slots=True)
class OnePhotograph:
    """A config's model, loaded once to explain one photograph after the other."""

    loaded: LoadedConfig
    drawing: Regions
    model: ImageModel
    explainer: Explainer[Preprocessing]

    def __call__(self, given: str, target: str | None = None, composite: Any = None) -> Explanation:
        """By its id or path in the data or any other file, as a text; in a file that the data do not name only regions without columns
        are drawn."""
        return self.explain(self.row(given), target, composite)

    def row(self, given: str) -> ImageRow:
        """Of an id or path in the data, or of any other file; the data are looked through."""
        file, config = Path(given), self.loaded.config
        here = file.is_file()
        if not here or not config.requires or (self.loaded.folder / config.data.path).exists():
            for name, row in self.rows().items():
                if name == given or (here and row.path.resolve() == file.resolve()):
                    return row
        if not here:
            raise DataError(
                f"{given}: is no file, and no id in {config.data.path}; give the id or the path of a photograph"
            )
        return ImageRow(file, tuple(None for _ in self.drawing.columns))

    def rows(self) -> dict[str, ImageRow]:
        """Of the data, by id."""
        loaded = self.loaded
        data = load_images(
            loaded.config.data.model_copy(update={"limit": None, "ids": None}), resolve_data(loaded), self.drawing,
            self.model.preprocessing, classes=self.model.classes, labels=loaded.config.model.labels, seed=loaded.config.seed,
            inspect=False,
        )  # fmt: skip
        return dict(zip(data.id.tolist(), data.payload, strict=True))

    def explain(self, row: ImageRow, target: str | None = None, composite: Any = None) -> Explanation:
        """One that was found already."""
        return self._explained(*self._seen(row), row.path.stem, target, composite)

    def changed(self, row: ImageRow) -> dict[str, Explanation]:
        """The contrast with each region hidden that is there, by the name of its column in the table of examples."""
        inputs, seen, masks = self._seen(row)
        return {
            name: self._explained(*covered(inputs, seen, mask), masks, row.path.stem)
            for name, mask in hidden_regions(self.drawing.names, masks)
        }

    def _seen(self, row: ImageRow) -> tuple[NDArray[np.float32], NDArray[np.uint8], NDArray[np.bool_]]:
        """As the model and people see it, and its regions."""
        steps = self.model.preprocessing
        try:
            return *look(row, steps), read_masks(row, self.drawing, steps)
        except BadRow as problem:
            raise DataError(f"{row.path}: {problem.reason}: {problem.detail}") from None

    def _explained(
        self, inputs: NDArray[np.float32], seen: NDArray[np.uint8], masks: NDArray[np.bool_], name: str, target: str | None = None,
        composite: Any = None,
    ) -> Explanation:  # fmt: skip
        chosen, explained = named(self.explainer, self.model.classes, target)
        rules = composite or self.explainer.first
        relevance, result = explain_map(self.explainer, inputs, target=chosen, composite=rules)
        shown = normalised(relevance)
        scale, people = common_scale([shown]), self.loaded.config.report.images
        picture = with_colour_bar(overlay(seen, shown, masks[:-1], scale=scale, people=people), scale)
        sums = region_shares(self.drawing.names, relevance, masks)
        told = {"regions": sums, "picture": encoded(picture, "PNG"), "name": name}
        return explanation(result, explained, self.model.classes, **told)


def one_photograph(loaded: LoadedConfig) -> OnePhotograph:
    """The model and the regions: no data."""
    return OnePhotograph(loaded, build_regions(loaded.config.regions, loaded.folder), *load_explainer(loaded))


def load_explainer(loaded: LoadedConfig) -> tuple[ImageModel, Explainer[Preprocessing]]:
    """The model and what explains it; a z-box without bounds gets those of the preprocessing."""
    config = loaded.config
    model = load_image_model(
        config.model, resolve_model(loaded), loaded.folder, config.target.favour, device=config.engine.device
    )
    favour, against = contrast(loaded, model.classes)
    low, high = model.preprocessing.bounds
    chosen = composites(loaded, {"epsilon_gamma_box": {"low": list(low), "high": list(high)}})
    return model, Explainer(model.model, model.preprocessing, favour, against, chosen, witnesses(loaded))


def load_image_explainer(loaded: LoadedConfig) -> Explainer[Preprocessing]:
    """What explains, for a worker."""
    return load_explainer(loaded)[1]


def look(row: ImageRow, steps: Preprocessing) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """A photograph as the model's input `[1, channels, H, W]`, and as the model sees it `[H, W, C]`, grey or RGB; may raise BadRow."""
    photograph = read_image(row.path)
    pixels = map_pixels(photograph, steps)
    seen = pixels[:, :, ::-1] if steps.channels == "bgr" else pixels
    return normalise(pixels[np.newaxis], steps), seen


def hidden_regions(names: Sequence[str], masks: NDArray[np.bool_]) -> list[tuple[str, NDArray[np.bool_]]]:
    """The regions that are there, the last one left out, by the column of what hiding each does."""
    held = zip(names[:-1], masks[:-1], strict=True)
    return [(f"hidden.{name}@{FILL}", mask) for name, mask in held if mask.any()]


def covered(
    inputs: NDArray[np.float32], seen: NDArray[np.uint8], mask: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """The model's input `[1, channels, H, W]` and what is seen `[H, W, C]` with a region hidden by the mean of the rest."""
    grey = hiding(seen.transpose(2, 0, 1).astype(float), FILL)(mask).round().astype(np.uint8)
    return hiding(inputs[0], FILL)(mask)[np.newaxis], grey.transpose(1, 2, 0)


def normalised(relevance: FloatArray) -> FloatArray:
    """R over sum |R|."""
    total = float(np.abs(relevance).sum())
    return relevance / total if total > 0 else relevance

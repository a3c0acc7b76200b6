"""Translates the image processor of a Hugging Face folder into the preprocessing of a config, or says what it cannot."""

from collections.abc import Mapping
from typing import Any, Final, NoReturn

from audit.config import Preprocessing
from audit.errors import ModelError
from audit.models.pretrained import as_model_error

FILE: Final = "preprocessor_config.json"
FILTERS: Final = ("nearest", "lanczos", "bilinear", "bicubic", "box", "hamming")  # Pillow's numbers
EXPRESSED: Final = frozenset(
    "do_resize do_center_crop do_rescale do_normalize do_convert_rgb do_flip_channel_order".split()
)
CONVNEXT_WARP: Final = 384  # from this side on ConvNext resizes to a square and crops nothing


def folder_preprocessing(path: str, source: Mapping[str, Any]) -> Preprocessing:
    """What the image processor of the folder or hub name does; raises ModelError for what cannot be expressed.

    transformers fills in what the file leaves to its class, in its Pillow variant (the other needs torchvision).
    """
    from transformers import AutoImageProcessor

    with as_model_error(path, f"{FILE} (declare model.preprocessing instead)"):
        processor = AutoImageProcessor.from_pretrained(path, backend="pil", revision=source["revision"])
    return translated(processor.to_dict(), path)


def translated(settings: Mapping[str, Any], path: str) -> Preprocessing:
    """The same steps in the words of a config; what `settings` do not mention is not done."""
    unknown = sorted(key for key, on in settings.items() if key.startswith("do_") and on and key not in EXPRESSED)
    unknown += [key for key in ("rescale_offset", "include_top") if settings.get(key)]
    if unknown:
        _refuse(path, unknown[0], settings[unknown[0]])
    try:
        return Preprocessing.model_validate({**_sizes(settings, path), **_values(settings, path)})
    except (ValueError, TypeError, KeyError, IndexError, ZeroDivisionError) as error:
        raise ModelError(f"{path}: {FILE} cannot be used ({error}); declare model.preprocessing") from error


def _sizes(settings: Mapping[str, Any], path: str) -> dict[str, Any]:
    steps: dict[str, Any] = {}
    if settings.get("do_resize"):
        steps["resize"] = _size(settings, "size", path)
        number = settings.get("resample")
        if not isinstance(number, int) or isinstance(number, bool) or number not in range(len(FILTERS)):
            _refuse(path, "resample", number)
        steps["filter"] = FILTERS[number]
    if settings.get("crop_pct") and isinstance(steps.get("resize"), int):
        side = steps["resize"]
        if side >= CONVNEXT_WARP:
            return {**steps, "resize": (side, side)}
        return {**steps, "resize": int(side / settings["crop_pct"]), "center_crop": (side, side)}
    if settings.get("do_center_crop"):
        crop = _size(settings, "crop_size", path)
        steps["center_crop"] = (crop, crop) if isinstance(crop, int) else crop
    return steps


def _size(settings: Mapping[str, Any], key: str, path: str) -> int | tuple[int, int]:
    """The shorter side, or (width, height)."""
    size = settings.get(key)
    if isinstance(size, dict) and set(size) == {"height", "width"}:
        return size["width"], size["height"]
    if isinstance(size, dict) and set(size) == {"shortest_edge"}:
        return int(size["shortest_edge"])
    return _refuse(path, key, size)


def _values(settings: Mapping[str, Any], path: str) -> dict[str, Any]:
    values: dict[str, Any] = {"channels": "bgr" if settings.get("do_flip_channel_order") else "rgb"}
    factor = settings["rescale_factor"] if settings.get("do_rescale") else 1.0
    values["scale"] = 1 / factor
    if settings.get("do_normalize"):
        for key, name in (("image_mean", "mean"), ("image_std", "std")):
            given = settings.get(key)
            if given is None:
                _refuse(path, key, given)
            values[name] = tuple(given) if isinstance(given, list | tuple) else (given,)
    return values


def _refuse(path: str, key: str, value: object) -> NoReturn:
    raise ModelError(f"{path}: {FILE} has {key}: {value!r}, which a config cannot say; declare model.preprocessing")

"""Loads an image classifier, from a Hugging Face folder or a module of the user's own, as a map from pixels to logits.

Heads of one logit and of many labels are rewritten to two classes, and said so. Two forward passes of a grey image check it.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, final

import numpy as np

from audit.config import Model, Preprocessing
from audit.errors import ModelError, did_you_mean
from audit.models.builtin import DESCRIPTION
from audit.models.image_settings import folder_preprocessing
from audit.models.own_module import own_module
from audit.models.precision import autocast
from audit.models.pretrained import (
    check_files,
    chosen_device,
    first_line,
    pretrained_settings,
    pretrained_source,
    pretrained_weights,
    weights_fingerprint,
)
from audit.models.quiet import quiet_transformers

if TYPE_CHECKING:
    from torch import Tensor, nn


@final
@dataclass(frozen=True, slots=True)
class ImageModel:
    """A classifier ready to audit: float32 `[batch, channels, height, width]` to logits `[batch, classes]`.

    In evaluation mode, without gradients of parameters, on its device. `notes` says what was changed to make it so.
    """

    model: "nn.Module"
    classes: tuple[str, ...]
    preprocessing: Preprocessing
    sha256: str
    architecture: str
    parameters: int
    path: str
    notes: tuple[str, ...]


@final
@dataclass(frozen=True, slots=True)
class _Raw:
    """A model before its head is looked at; `classes` as its folder names them."""

    model: "nn.Module"
    classes: tuple[str, ...]
    preprocessing: Preprocessing
    sha256: str
    architecture: str
    multi_label: bool
    notes: tuple[str, ...] = ()


def load_image_model(config: Model, path: str, folder: Path, favour: str, *, device: str = "cpu") -> ImageModel:
    """The classifier in the folder or of the hub name `path`, or of `config.module` beside the config in `folder`.

    `favour` is the class that is explained: of many labels the one that is audited; `device` is torch's. Raises ModelError with the cure.
    """
    if config.dtype != "float32":
        raise ModelError(f"model.dtype: {config.dtype!r} is for texts; images are audited in 'float32'")
    placed = chosen_device(device)
    raw = _own(*_described(config, path, folder)) if config.module or config.is_builtin else _pretrained(config, path)
    raw.model.eval().requires_grad_(False).to(device=placed)
    outputs = _outputs(raw.model, raw.preprocessing, path or config.source)
    model, classes, notes = _with_classes(raw, outputs, favour, path or config.source)
    parameters = sum(parameter.numel() for parameter in raw.model.parameters())
    if config.autocast:
        autocast(model)
    told = (*raw.notes, *notes, f"input: {_said(raw.preprocessing)}")
    return ImageModel(model.eval(), classes, raw.preprocessing, raw.sha256, raw.architecture, parameters, path, told)


def _said(preprocessing: Preprocessing) -> str:
    """Every step with its values."""
    steps = preprocessing.model_dump(mode="json", exclude_none=True)
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in steps.items() if value is not False)


def _described(config: Model, path: str, folder: Path) -> tuple[Model, Path, tuple[str, ...]]:
    """The config itself, or what a built-in says about itself with the config's own preprocessing keys over it."""
    if not config.is_builtin:
        return config, folder, ()
    said = json.loads(Path(path, DESCRIPTION).read_text(encoding="utf-8"))
    own = config.preprocessing.model_dump(exclude_unset=True) if config.preprocessing else {}
    said["preprocessing"] = {**said["preprocessing"], **own}
    notes = (f"preprocessing: {', '.join(sorted(own))} from the config, the rest from {config.path}",) if own else ()
    return Model.model_validate(said), Path(path), notes


def _own(config: Model, folder: Path, notes: tuple[str, ...]) -> _Raw:
    assert config.module and config.weights and config.preprocessing
    model, sha256 = own_module(config.module, folder / config.weights, folder)
    return _Raw(model, config.classes, config.preprocessing, sha256, type(model).__name__, config.multi_label, notes)


def _pretrained(config: Model, path: str) -> _Raw:
    from transformers import AutoModelForImageClassification

    from audit.models.heads import Logits

    check_files(config, path)
    with quiet_transformers():
        source = pretrained_source(config, path)
        settings = pretrained_settings(path, source)
        made_for = (settings.architectures or ["ForImageClassification"])[0]
        if "ForImageClassification" not in made_for and not config.allow_remote_code:
            raise ModelError(f"{path}: is a {made_for}, not a ...ForImageClassification; fine-tune it as one first")
        preprocessing = config.preprocessing or folder_preprocessing(path, source)
        model = pretrained_weights(AutoModelForImageClassification, config, path, settings, source)
    labels = sorted((int(index), str(name)) for index, name in (settings.id2label or {}).items())
    names = config.classes or tuple(name for _, name in labels)
    local = Path(path).is_dir()
    return _Raw(
        Logits(model),
        names,
        preprocessing,
        weights_fingerprint(Path(path)) if local else str(source["revision"]),
        type(model).__name__,
        config.multi_label or settings.problem_type == "multi_label_classification",
        ("preprocessing: declared in the config, not read from the folder",) if config.preprocessing else (),
    )


def _outputs(model: "nn.Module", preprocessing: Preprocessing, path: str) -> int:
    """How many outputs two grey images and one give; raises ModelError unless they are finite and `[batch, outputs]`."""
    import torch

    grey = _grey(preprocessing).to(next(model.parameters()).device)
    shape = list(grey.shape)
    for batch in (grey, grey[:1]):
        try:
            with torch.inference_mode():
                found = model(batch)
        except Exception as error:
            raise ModelError(
                f"{path}: cannot read float32 {shape}, as model.preprocessing makes them "
                f"({type(error).__name__}: {first_line(error)}); declare the size and channels that it was trained with"
            ) from error
        got = list(found.shape) if isinstance(found, torch.Tensor) else type(found).__name__
        if not isinstance(got, list) or len(got) != 2 or got[0] != len(batch):
            raise ModelError(f"{path}: output must be a tensor [{len(batch)}, classes], got {got}; return the logits")
        if not bool(torch.isfinite(found).all()):
            raise ModelError(f"{path}: a grey image gives NaN or infinity; check weights and model.preprocessing")
    return int(got[1])


def _grey(preprocessing: Preprocessing) -> "Tensor":
    """Two equal images, float32 `[2, channels, height, width]`."""
    import torch

    size = preprocessing.size
    if size is None:
        raise ModelError("model.preprocessing: gives no fixed size; declare resize: [width, height] or center_crop")
    width, height = size
    channels = 1 if preprocessing.channels == "grey" else 3
    level = (127.5 / preprocessing.scale - np.array(preprocessing.mean)) / np.array(preprocessing.std)
    values = torch.from_numpy(np.broadcast_to(level, (channels,)).astype(np.float32))
    return values.reshape(1, channels, 1, 1).repeat(2, 1, height, width)


def _with_classes(
    raw: _Raw, outputs: int, favour: str, path: str
) -> "tuple[nn.Module, tuple[str, ...], tuple[str, ...]]":
    """The model with one logit a class, the names of the classes, and what was changed."""
    from audit.models.heads import OneLabel

    names = raw.classes
    single = outputs == 1 and len(names) == 2 and not raw.multi_label
    if (
        (outputs != len(names) and not single)
        or len(set(names)) < len(names)
        or (len(names) < 2 and not raw.multi_label)
    ):
        raise ModelError(f"{path}: {outputs} outputs, but classes are {list(names)}; name each output once, in order")
    if single:
        return OneLabel(raw.model, 0), names, (f"one output z: the logits are [0, z], z speaks for {names[1]!r}",)
    if not raw.multi_label:
        return raw.model, names, ()
    if favour not in names:
        raise ModelError(
            f"target.favour: {favour!r} is no label of {path}{did_you_mean(favour, names)}; has {list(names)}"
        )
    note = f"one of {outputs} labels is audited, present or not: the logits are [0, z] with z of {favour!r}"
    return OneLabel(raw.model, names.index(favour)), (f"not {favour}", favour), (note,)

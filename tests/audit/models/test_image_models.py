"""Image models: what is right loads, and every way not to fit is named."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from transformers import (
    AutoImageProcessor,
    ResNetConfig,
    ResNetForImageClassification,
    ViTConfig,
    ViTForImageClassification,
)

from audit.config import Model, Preprocessing
from audit.data.geometry import map_pixels, normalise
from audit.errors import ModelError
from audit.models.face_gender import GENDER, network
from audit.models.heads import Logits
from audit.models.image_models import load_image_model
from audit.models.image_settings import folder_preprocessing, translated
from audit.models.own_module import own_module
from audit.models.sources import find
from audit.models.twins import reinitialised

CODE = """
from torch import nn
def make(): return nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 2))
def one(): return nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 1))
def flat(): return nn.Sequential(nn.Linear(8, 2))
def broken(): raise ValueError("no luck")
def number(): return 3
"""
SQUARE = Preprocessing(resize=(8, 8))


def block(folder: Path, function: str = "make", outputs: int = 2, **changes: Any) -> Model:
    (folder / "own.py").write_text(CODE)
    state = {"1.weight": torch.randn(outputs, 192), "1.bias": torch.zeros(outputs), **changes.pop("state", {})}
    save_file(state, folder / "w.safetensors")
    given = {"weights": "w.safetensors", "classes": ("a", "b"), "preprocessing": SQUARE, **changes}
    return Model(module=f"own:{function}", **given)


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "size": ({"preprocessing": Preprocessing(resize=(9, 8))}, r"cannot read float32 \[2, 3, 8, 9\]"),
    "channels": ({"preprocessing": Preprocessing(resize=(8, 8), channels="grey")}, "cannot read float32"),
    "no size": ({"preprocessing": Preprocessing()}, "gives no fixed size"),
    "classes": ({"classes": ("a", "b", "c")}, "2 outputs, but classes are"),
    "extra key": ({"state": {"2.weight": torch.zeros(1)}}, "1 weights are not in the module, such as '2.weight'"),
    "missing keys": ({"function": "flat"}, "weights are missing, such as '0.bias'"),
    "shape": ({"function": "one"}, "of another shape"),
    "NaN": ({"state": {"1.bias": torch.full((2,), torch.nan)}}, "holds NaN or infinity"),
    "no function": ({"function": "nothing"}, "has no function 'nothing'"),
    "raises": ({"function": "broken"}, "fails with ValueError: no luck"),
    "no module": ({"function": "number"}, "returns a int"),
    "no weights": ({"weights": "other.pt"}, "no such file"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_does_not_fit_is_named(name: str, tmp_path: Path) -> None:
    changes, message = BAD[name]
    with pytest.raises(ModelError, match=message):
        load_image_model(block(tmp_path, **changes), "", tmp_path, "b")


def test_one_output_becomes_two_logits(tmp_path: Path) -> None:
    loaded = load_image_model(block(tmp_path, "one", 1), "", tmp_path, "b")
    logits = loaded.model(torch.randn(3, 3, 8, 8))
    assert logits.shape == (3, 2) and not logits[:, 0].any() and logits[:, 1].all()


def test_of_many_labels_the_favoured_one_is_audited(tmp_path: Path) -> None:
    loaded = load_image_model(block(tmp_path, multi_label=True), "", tmp_path, "b")
    assert loaded.classes == ("not b", "b") and "one of 2 labels" in loaded.notes[0]


def test_hugging_face_folder_loads_as_a_function_to_logits(tmp_path: Path) -> None:
    small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    ViTForImageClassification(ViTConfig(image_size=8, patch_size=4, **small)).save_pretrained(tmp_path)
    config = Model(path="x", preprocessing=SQUARE)
    loaded = load_image_model(config, str(tmp_path), tmp_path, "LABEL_1")
    assert loaded.model(torch.zeros(2, 3, 8, 8)).shape == (2, 2)
    with pytest.raises(ModelError, match=r"declare model\.preprocessing"):
        load_image_model(Model(path="x"), str(tmp_path), tmp_path, "LABEL_1")


def test_padding_cannot_be_expressed() -> None:
    with pytest.raises(ModelError, match="do_pad: True, which a config cannot say"):
        translated({"do_pad": True}, "x")


PHOTOGRAPH = np.random.default_rng(2).integers(0, 256, (40, 60, 3), dtype=np.uint8)
PROCESSORS: dict[str, dict[str, Any]] = {
    "ConvNext, a number": {"size": 24, "crop_pct": 0.75},
    "ConvNext, shortest edge": {"size": {"shortest_edge": 24}, "crop_pct": 0.875},
    "ConvNext, warped": {"size": 384, "crop_pct": 0.875},
    "ViT": {"size": {"height": 16, "width": 20}, "resample": 3},
    "ViT, levels": {"size": {"height": 16, "width": 20}, "do_rescale": False, "do_normalize": False},
    "MobileNetV2": {"size": {"shortest_edge": 24}, "crop_size": {"height": 16, "width": 16}},
    "MobileViT, bgr": {
        "size": {"shortest_edge": 24},
        "crop_size": {"height": 16, "width": 16},
        "do_flip_channel_order": True,
    },
}


@pytest.mark.parametrize("name", PROCESSORS)
def test_processors_of_transformers_are_translated_to_the_pixel(name: str, tmp_path: Path) -> None:
    settings = {"image_processor_type": f"{name.split(',')[0]}ImageProcessor", **PROCESSORS[name]}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(settings))
    steps = folder_preprocessing(str(tmp_path), {"revision": None})
    ours = normalise(map_pixels(PHOTOGRAPH, steps)[np.newaxis], steps)
    theirs = AutoImageProcessor.from_pretrained(tmp_path, backend="pil")(
        Image.fromarray(PHOTOGRAPH), return_tensors="np"
    )
    expected = np.asarray(theirs["pixel_values"])
    np.testing.assert_allclose(ours, expected, atol=2e-6 * max(1.0, float(np.abs(expected).max())))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"image_processor_type": "EfficientNetImageProcessor", "rescale_offset": True}, "rescale_offset: True, which"),
        ({"image_processor_type": "NobodyImageProcessor"}, "declare model.preprocessing instead"),
        ([], "declare model.preprocessing instead"),
    ],
)
def test_processors_that_a_config_cannot_say_are_refused(settings: object, message: str, tmp_path: Path) -> None:
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(settings))
    with pytest.raises(ModelError, match=message):
        folder_preprocessing(str(tmp_path), {"revision": None})


@pytest.mark.parametrize("resample", [-1, 6, True, "bicubic"])
def test_filters_that_pillow_does_not_have_are_refused(resample: object) -> None:
    with pytest.raises(ModelError, match=r"resample: .*, which a config cannot say"):
        translated({"do_resize": True, "size": {"height": 8, "width": 8}, "resample": resample}, "x")


def test_the_hash_of_a_module_holds_what_it_imports_from_beside_it(tmp_path: Path) -> None:
    hashes = []
    for slope in (0.1, 0.2):
        (tmp_path / "parts.py").write_text(f"from torch import nn\nact = nn.LeakyReLU({slope})\n")
        given = block(tmp_path)
        (tmp_path / "own.py").write_text(
            CODE.replace("from torch import nn", "from torch import nn\nfrom parts import act")
        )
        hashes.append(load_image_model(given, "", tmp_path, "b").sha256)
    assert hashes[0] != hashes[1]


def test_twin_is_seeded_and_leaves_model_and_random_state_alone() -> None:
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.ReLU()).eval()
    batch, before = torch.randn(8, 3, 8, 8), model[0].weight.clone()
    state = torch.get_rng_state()
    first, again, other = (reinitialised(model, seed, [batch])(batch) for seed in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert 0.3 < first.std() < 3
    assert torch.equal(torch.get_rng_state(), state) and torch.equal(model[0].weight, before)


def test_a_module_of_the_config_leads_one_of_its_name_that_is_imported(tmp_path: Path) -> None:
    import types

    given = block(tmp_path)
    other = types.ModuleType("own")
    sys.modules["own"] = other
    try:
        loaded = load_image_model(given, "", tmp_path, "b")
        assert loaded.classes == ("a", "b") and sys.modules["own"] is other
    finally:
        del sys.modules["own"]


def test_a_module_is_found_from_its_own_folder_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There `torch.classes`, whose file is told as a relative path, seems to lie beside it."""
    (tmp_path / "mine.py").write_text("from torch import nn\ndef make():\n    return nn.Linear(4, 2)\n")
    save_file(torch.nn.Linear(4, 2).state_dict(), tmp_path / "w.safetensors")
    _, elsewhere = own_module("mine:make", tmp_path / "w.safetensors", tmp_path)
    monkeypatch.chdir(tmp_path)
    for folder in (tmp_path, Path()):
        assert own_module("mine:make", tmp_path / "w.safetensors", folder)[1] == elsewhere


def test_pickled_weights_run_nothing(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "sprung",)

    given = block(tmp_path, weights="w.pt")
    torch.save({"1.weight": Trap()}, tmp_path / "w.pt")
    with pytest.raises(ModelError, match=r"w\.pt"):
        load_image_model(given, "", tmp_path, "b")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("kind", ["resnet", "vit"])
def test_twins_of_known_architectures_are_finite_and_differ_by_seed(kind: str) -> None:
    torch.manual_seed(0)
    small = {
        "resnet": lambda: ResNetForImageClassification(
            ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic", num_labels=2)
        ),
        "vit": lambda: ViTForImageClassification(
            ViTConfig(hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, image_size=32,
                      patch_size=8, num_labels=2)
        ),
    }  # fmt: skip
    model, batch = Logits(small[kind]().eval()), torch.randn(6, 3, 32, 32)
    before = model(batch)
    logits = [reinitialised(model, seed, [batch])(batch) for seed in (0, 0, 1)]
    assert all(torch.isfinite(each).all() and each.std() > 1e-4 for each in logits)
    assert torch.equal(logits[0], logits[1]) and not torch.allclose(logits[0], logits[2])
    assert torch.equal(model(batch), before)


def test_the_gender_network_gives_what_onnxruntime_gives() -> None:
    session = onnxruntime.InferenceSession(str(find(GENDER)), providers=["CPUExecutionProvider"])
    images = np.random.default_rng(0).uniform(-0.5, 0.5, (8, 3, 32, 32)).astype(np.float32)
    (wanted,) = session.run(["probabilities"], {session.get_inputs()[0].name: images})
    with torch.inference_mode():
        found = network()(torch.from_numpy(images)).softmax(1).numpy()
    np.testing.assert_allclose(found, wanted, atol=5e-7)

"""What the loading of any Hugging Face model shares: its files, its settings, its weights, and errors that can be acted on.

Weights are read as safetensors unless pickles are allowed (then still weights-only), and no code of the model is run
unless that is allowed. Cost: one read of the weights to load them, one to hash them.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audit.config import Model
from audit.errors import ModelError
from audit.files import file_sha256

if TYPE_CHECKING:
    import torch
    from torch import nn
    from transformers import PreTrainedConfig, PreTrainedModel

PICKLES = ("pytorch_model*.bin",)
DECIDING = (".safetensors", ".bin", ".json", ".txt", ".model", ".py", ".jinja")
HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?")
SAVE_TOKENIZER = "save a fast tokenizer (tokenizer.json) beside the model: tokenizer.save_pretrained(FOLDER)"


def weights_fingerprint(folder: Path) -> str:
    """Hex sha256 over names and contents of weight, configuration, vocabulary and code files directly in `folder`."""
    total = hashlib.sha256()
    for file in sorted(file for file in folder.iterdir() if file.is_file() and file.suffix in DECIDING):
        total.update(f"{file.name}\0{file_sha256(file)}\n".encode())
    return total.hexdigest()


def chosen_device(name: str) -> "torch.device":
    """The torch device `name`, of "auto" the fastest there is; raises ModelError if it cannot be used here."""
    import torch

    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ModelError(
            f"engine.device: {name!r} cannot be used ({first_line(error)}); use 'cpu'{_others()}"
        ) from error
    if device.type == "meta":
        raise ModelError(f"engine.device: 'meta' holds no numbers; use 'cpu'{_others()}")
    return device


def _others() -> str:
    import torch

    return f" or one of 'cuda:0' to 'cuda:{torch.cuda.device_count() - 1}'" if torch.cuda.is_available() else ""


def check_files(config: Model, path: str) -> None:
    """Refuse a local folder that misses something, before anything is read; a hub name is left to the hub."""
    folder = Path(path)
    if not folder.is_dir():
        if folder.exists() or not HUB_NAME.fullmatch(path):
            raise ModelError(
                f"{path}: no such model folder; give a folder saved by save_pretrained, or a hub name OWNER/NAME"
            )
        return
    if not (folder / "config.json").is_file():
        raise ModelError(f"{path}: holds no config.json; give a folder saved by save_pretrained")
    if not any(folder.glob("model*.safetensors")):
        if not any(file for pattern in PICKLES for file in folder.glob(pattern)):
            raise ModelError(f"{path}: holds no weights (model.safetensors); save the model again with save_pretrained")
        if not config.allow_pickle:
            raise ModelError(
                f"{path}: the weights are pickled (pytorch_model.bin), which can run code when read; convert them to "
                "model.safetensors, or set model.allow_pickle: true if you trust who made them"
            )


@contextmanager
def as_model_error(path: str, what: str) -> Iterator[None]:
    """Whatever the loading libraries raise (OSError, KeyError, SafetensorError, ...) becomes a ModelError."""
    try:
        yield
    except ModelError:
        raise
    except Exception as error:
        raise ModelError(
            f"{path}: {what} cannot be loaded: {type(error).__name__}: {first_line(error)}{_cure(error)}"
        ) from error


def first_line(error: BaseException) -> str:
    """Of its message, at most 300 characters."""
    return (str(error).strip().splitlines() or ["no message"])[0][:300]


def _cure(error: BaseException) -> str:
    if "trust_remote_code" in str(error) or "execute" in str(error):
        return "; it brings its own Python code: set model.allow_remote_code: true if you trust who made it"
    if "Weights only load failed" in str(error) or "weights_only" in str(error):
        return "; the pickle holds more than tensors and was not run: convert the weights to safetensors"
    if "backend tokenizer" in str(error):
        return f"; {SAVE_TOKENIZER}"
    return ""


def pretrained_source(config: Model, path: str) -> dict[str, Any]:
    """Arguments of every from_pretrained call: for the hub, the one commit that the branch or tag stands for now."""
    from transformers.utils.hub import cached_file, extract_commit_hash

    revision = config.revision or "main"
    if not Path(path).is_dir():
        with as_model_error(path, "no folder of this name here, and from the hub the model's config"):
            revision = extract_commit_hash(cached_file(path, "config.json", revision=revision), None) or revision
    return {
        "local_files_only": Path(path).is_dir(),
        "revision": revision,
        "trust_remote_code": config.allow_remote_code,
    }


def pretrained_settings(path: str, source: Mapping[str, Any]) -> "PreTrainedConfig":
    """config.json of the folder or hub name."""
    from transformers import AutoConfig

    with as_model_error(path, "the model's config"):
        settings: PreTrainedConfig = AutoConfig.from_pretrained(path, **source)
    return settings


def pretrained_weights(
    auto: Any, config: Model, path: str, settings: "PreTrainedConfig", source: Mapping[str, Any]
) -> "PreTrainedModel":
    """The model of the Auto class `auto` in its dtype, with every weight found in the files and finite."""
    import torch

    dtypes = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16, "float64": torch.float64}
    pickled = config.allow_pickle and not any(Path(path).glob("model*.safetensors"))
    with as_model_error(path, "the model"):
        model, found = auto.from_pretrained(
            path,
            config=settings,
            dtype=dtypes[config.dtype],
            use_safetensors=None if pickled else True,
            weights_only=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # listed in `found`, and refused below with a better message
            **source,
        )
    made_up = sorted({*found["missing_keys"], *(str(entry[0]) for entry in found["mismatched_keys"])})
    if made_up:
        raise ModelError(
            f"{path}: {len(made_up)} weights of {type(model).__name__} are missing or of another shape, such as "
            f"{made_up[0]!r}; an untrained head cannot be audited. Save the fine-tuned classifier with save_pretrained"
        )
    check_finite(model, path)
    loaded: PreTrainedModel = model
    return loaded


def check_finite(model: "nn.Module", path: str) -> None:
    """Raise ModelError if a weight or a running statistic holds NaN or infinity."""
    import torch

    tensors = (*model.named_parameters(), *model.named_buffers())
    broken = next((name for name, weight in tensors if not bool(torch.isfinite(weight).all())), None)
    if broken:
        kind = str(model.get_parameter(broken).dtype if broken in dict(model.named_parameters()) else "buffer")
        raise ModelError(
            f"{path}: weight {broken!r} holds NaN or infinity in {kind.removeprefix('torch.')}; "
            "train or save the model again"
        )

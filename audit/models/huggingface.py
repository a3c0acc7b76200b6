"""Loads a text classifier and its tokenizer from a folder or the hub, and refuses what could not be audited honestly.

Weights are read as safetensors unless pickles are allowed (then still weights-only), and no code of the model is run
unless that is allowed. Cost: one read of the weights to load them, one to hash them.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from audit.config import Model
from audit.errors import ModelError
from audit.files import file_sha256
from audit.models.quiet import quiet_transformers

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerFast

PICKLES = ("pytorch_model*.bin",)
DECIDING = (".safetensors", ".bin", ".json", ".txt", ".model", ".py", ".jinja")
TOKENIZER_FILES = ("tokenizer.json", "vocab*", "*.model", "spiece*", "tokenizer_config.json")
NO_LIMIT_LENGTH = 512
PADDED_POSITIONS = frozenset(  # model types whose positions start after the padding's index
    "camembert data2vec-text ibert longformer luke mpnet roberta roberta-prelayernorm".split()
    + "xlm-roberta xlm-roberta-xl xmod".split()
)
SAVE_TOKENIZER = "save a fast tokenizer (tokenizer.json) beside the model: tokenizer.save_pretrained(FOLDER)"
HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?")


@final
@dataclass(frozen=True, slots=True)
class TextModel:
    """A classifier ready to audit: evaluation mode, no gradients of parameters, on its device and in its dtype.

    `classes[i]` names logit i. `max_length` counts tokens, special ones included. `sha256` covers the files of the
    folder that decide its outputs (a commit for a hub name). `notes` says what was changed to make the model usable.
    """

    model: "PreTrainedModel"
    tokenizer: "PreTrainedTokenizerFast"
    classes: tuple[str, ...]
    max_length: int
    sha256: str
    architecture: str
    parameters: int
    path: str
    notes: tuple[str, ...] = ()


def load_text_model(config: Model, path: str) -> TextModel:
    """The classifier in the folder `path`, or of that name on the hub; raises ModelError with the cure."""
    device = _device(config.device)
    _check_files(config, path)
    with quiet_transformers():
        source = _source(config, path)
        settings = _settings(path, source)
        classes = _classes(settings, config, path)
        tokenizer = _tokenizer(path, source)
        model = _weights(config, path, settings, source)
    model.eval().requires_grad_(False).to(device=device)
    notes = _padding(model, tokenizer, path)
    _check_fit(model, tokenizer, path)
    return TextModel(
        model=model,
        tokenizer=tokenizer,
        classes=classes,
        max_length=_max_length(model, tokenizer, config, path),
        sha256=weights_fingerprint(Path(path)) if Path(path).is_dir() else source["revision"],
        architecture=type(model).__name__,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        path=path,
        notes=notes,
    )


def weights_fingerprint(folder: Path) -> str:
    """Hex sha256 over names and contents of weight, configuration, vocabulary and code files directly in `folder`."""
    total = hashlib.sha256()
    for file in sorted(file for file in folder.iterdir() if file.is_file() and file.suffix in DECIDING):
        total.update(f"{file.name}\0{file_sha256(file)}\n".encode())
    return total.hexdigest()


def _device(name: str) -> "torch.device":
    import torch

    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ModelError(
            f"model.device: {name!r} cannot be used ({_first_line(error)}); use 'cpu'{_others()}"
        ) from error
    if device.type == "meta":
        raise ModelError(f"model.device: 'meta' holds no numbers; use 'cpu'{_others()}")
    return device


def _others() -> str:
    import torch

    return f" or one of 'cuda:0' to 'cuda:{torch.cuda.device_count() - 1}'" if torch.cuda.is_available() else ""


def _check_files(config: Model, path: str) -> None:
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
    if not any(file for pattern in TOKENIZER_FILES for file in folder.glob(pattern)):
        raise ModelError(f"{path}: holds no tokenizer; save it beside the model: tokenizer.save_pretrained({path!r})")


@contextmanager
def _as_model_error(path: str, what: str) -> Iterator[None]:
    """Whatever the loading libraries raise (OSError, KeyError, SafetensorError, ...) becomes a ModelError."""
    try:
        yield
    except ModelError:
        raise
    except Exception as error:
        raise ModelError(
            f"{path}: {what} cannot be loaded: {type(error).__name__}: {_first_line(error)}{_cure(error)}"
        ) from error


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or ["no message"])[0][:300]


def _cure(error: BaseException) -> str:
    if "trust_remote_code" in str(error) or "execute" in str(error):
        return "; it brings its own Python code: set model.allow_remote_code: true if you trust who made it"
    if "Weights only load failed" in str(error) or "weights_only" in str(error):
        return "; the pickle holds more than tensors and was not run: convert the weights to safetensors"
    if "backend tokenizer" in str(error):
        return f"; {SAVE_TOKENIZER}"
    return ""


def _source(config: Model, path: str) -> dict[str, Any]:
    """Arguments of every from_pretrained call: for the hub, the one commit that the branch or tag stands for now."""
    from transformers.utils.hub import cached_file, extract_commit_hash

    revision = config.revision or "main"
    if not Path(path).is_dir():
        with _as_model_error(path, "no folder of this name here, and from the hub the model's config"):
            revision = extract_commit_hash(cached_file(path, "config.json", revision=revision), None) or revision
    return {
        "local_files_only": Path(path).is_dir(),
        "revision": revision,
        "trust_remote_code": config.allow_remote_code,
    }


def _settings(path: str, source: Mapping[str, Any]) -> "PreTrainedConfig":
    from transformers import AutoConfig

    with _as_model_error(path, "the model's config"):
        settings: PreTrainedConfig = AutoConfig.from_pretrained(path, **source)
    return settings


def _classes(settings: "PreTrainedConfig", config: Model, path: str) -> tuple[str, ...]:
    """Names of the logits in order, once the config shows a single-label classifier with two or more of them."""
    made_for = settings.architectures or []
    if (
        made_for
        and not config.allow_remote_code
        and not any(name.endswith("ForSequenceClassification") for name in made_for)
    ):
        raise ModelError(
            f"{path}: is a {made_for[0]}, not a ...ForSequenceClassification; fine-tune it as a classifier first"
        )
    if settings.problem_type in ("regression", "multi_label_classification"):
        raise ModelError(
            f"{path}: problem_type is {settings.problem_type!r}; only 'single_label_classification' can be audited: "
            "train it to give one class per text"
        )
    names: dict[Any, str] = settings.id2label or {}
    if len(names) < 2:
        raise ModelError(
            f"{path}: has {len(names)} logit; a contrast needs two or more. Train the same head with num_labels=2"
        )
    if sorted(names) != list(range(len(names))) or len(set(names.values())) != len(names):
        raise ModelError(
            f"{path}: id2label in config.json must name logits 0 to {len(names) - 1}, each by another name: {names}"
        )
    return tuple(str(names[index]) for index in range(len(names)))


def _tokenizer(path: str, source: Mapping[str, Any]) -> "PreTrainedTokenizerFast":
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    with _as_model_error(path, "the tokenizer"):
        tokenizer = AutoTokenizer.from_pretrained(path, **source)
    if not isinstance(tokenizer, PreTrainedTokenizerFast) or not tokenizer.is_fast:
        raise ModelError(
            f"{path}: {type(tokenizer).__name__} does not say which characters a token covers; {SAVE_TOKENIZER}"
        )
    if len(tokenizer) <= len(tokenizer.all_special_tokens):
        raise ModelError(f"{path}: the tokenizer knows no words; {SAVE_TOKENIZER}")
    return tokenizer


def _weights(config: Model, path: str, settings: "PreTrainedConfig", source: Mapping[str, Any]) -> "PreTrainedModel":
    """The model in its dtype, with every weight found in the files and finite."""
    import torch
    from transformers import AutoModelForSequenceClassification

    dtypes = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16, "float64": torch.float64}
    pickled = config.allow_pickle and not any(Path(path).glob("model*.safetensors"))
    with _as_model_error(path, "the model"):
        model, found = AutoModelForSequenceClassification.from_pretrained(
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
    broken = next((name for name, weight in model.named_parameters() if not bool(torch.isfinite(weight).all())), None)
    if broken:
        raise ModelError(
            f"{path}: weight {broken!r} holds NaN or infinity in {config.dtype}; train or save the model again"
        )
    loaded: PreTrainedModel = model
    return loaded


def _padding(model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerFast", path: str) -> tuple[str, ...]:
    """Make sure that tokenizer and model agree on a padding token; returns what had to be changed."""
    notes = []
    if tokenizer.pad_token is None:
        if tokenizer.eos_token is None:
            raise ModelError(
                f"{path}: the tokenizer has neither a padding nor an end token; "
                "set tokenizer.pad_token and save it again"
            )
        tokenizer.pad_token = tokenizer.eos_token
        notes.append(f"the tokenizer has no padding token: its end token {tokenizer.eos_token!r} pads")
    if model.config.pad_token_id != tokenizer.pad_token_id:
        was = model.config.pad_token_id
        notes.append(f"pad_token_id of the model was {was}; set to the tokenizer's {tokenizer.pad_token_id}")
        model.config.pad_token_id = tokenizer.pad_token_id
    return tuple(notes)


def _check_fit(model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerFast", path: str) -> None:
    rows = len(next(model.get_input_embeddings().parameters()))
    largest = max(tokenizer.get_vocab().values())
    if largest >= rows:
        raise ModelError(
            f"{path}: the tokenizer has ids up to {largest}, the model has {rows} embeddings; "
            "save the tokenizer that it was trained with"
        )


def _max_length(model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerFast", config: Model, path: str) -> int:
    """Most tokens of one text: the smaller limit of model and tokenizer, or fewer if the config asks for fewer."""
    settings = model.config.to_dict()
    offset = settings["pad_token_id"] + 1 if settings["model_type"] in PADDED_POSITIONS else 0
    positions = settings.get("max_position_embeddings") or settings.get("n_positions")
    limits = [
        limit for limit in (positions and positions - offset, tokenizer.model_max_length) if limit and limit < 10**7
    ]
    limit = min(limits, default=NO_LIMIT_LENGTH)
    if config.max_length is not None and config.max_length > limit:
        raise ModelError(
            f"model.max_length: {config.max_length} is more than the {limit} tokens that {path} can read; lower it"
        )
    return config.max_length or limit

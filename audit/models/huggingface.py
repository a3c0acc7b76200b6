"""Loads a text classifier and its tokenizer from a folder or the hub, and refuses what could not be audited honestly."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from audit.config import Model
from audit.errors import ModelError
from audit.models.precision import autocast
from audit.models.pretrained import (
    SAVE_TOKENIZER,
    as_model_error,
    check_files,
    chosen_device,
    pretrained_settings,
    pretrained_source,
    pretrained_weights,
    weights_fingerprint,
)
from audit.models.quiet import quiet_transformers

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerFast

TOKENIZER_FILES = ("tokenizer.json", "vocab*", "*.model", "spiece*", "tokenizer_config.json")
NO_LIMIT_LENGTH = 512
PADDED_POSITIONS = frozenset(  # model types whose positions start after the padding's index
    "camembert data2vec-text ibert longformer luke mpnet roberta roberta-prelayernorm".split()
    + "xlm-roberta xlm-roberta-xl xmod".split()
)


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


def load_text_model(config: Model, path: str, *, device: str = "cpu") -> TextModel:
    """The classifier in the folder `path`, or of that name on the hub, on a torch device; raises ModelError with the cure."""
    from transformers import AutoModelForSequenceClassification

    placed = chosen_device(device)
    check_files(config, path)
    _check_tokenizer(path)
    with quiet_transformers():
        source = pretrained_source(config, path)
        settings = pretrained_settings(path, source)
        classes = _classes(settings, config, path)
        tokenizer = _tokenizer(path, source)
        model = pretrained_weights(AutoModelForSequenceClassification, config, path, settings, source)
    model.eval().requires_grad_(False).to(device=placed)
    notes = _padding(model, tokenizer, path)
    _check_fit(model, tokenizer, path)
    if config.autocast:
        autocast(model)
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


def _check_tokenizer(path: str) -> None:
    """Refuse a local folder without one; a hub name is left to the hub."""
    folder = Path(path)
    if folder.is_dir() and not any(file for pattern in TOKENIZER_FILES for file in folder.glob(pattern)):
        raise ModelError(f"{path}: holds no tokenizer; save it beside the model: tokenizer.save_pretrained({path!r})")


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

    with as_model_error(path, "the tokenizer"):
        tokenizer = AutoTokenizer.from_pretrained(path, **source)
    if not isinstance(tokenizer, PreTrainedTokenizerFast) or not tokenizer.is_fast:
        raise ModelError(
            f"{path}: {type(tokenizer).__name__} does not say which characters a token covers; {SAVE_TOKENIZER}"
        )
    if len(tokenizer) <= len(tokenizer.all_special_tokens):
        raise ModelError(f"{path}: the tokenizer knows no words; {SAVE_TOKENIZER}")
    return tokenizer


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

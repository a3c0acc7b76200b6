"""A project for ViRelAy (Anders et al. 2021), which shows photographs, their maps and clusters: HDF5 files and a YAML file beside them.

Layout as ViRelAy 0.6 reads it. Pixels are written as they are seen, 0 to 255, as ViRelAy guesses the range of other numbers.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

import numpy as np
import yaml

from audit.errors import ConfigError
from audit.files import write_atomically
from audit.store.manifest import CURE
from audit.tables import FloatArray, IntArray

FOLDER: Final = "virelay"
INSTALL: Final = "pip install 'lrp-audit[virelay]'"


@final
@dataclass(frozen=True, slots=True)
class Portfolio:
    """`m` photographs as they are seen, uint8 `[m, H, W, channels]`, their maps `[m, H, W]`, logits `[m, classes]`, true classes `[m]`.

    `embedding` `[m, d]` has `eigenvalues` `[d]`; `colours` are whole numbers `[m]` by name: clusters, groups, errors.
    """

    seen: Any
    maps: FloatArray
    scores: FloatArray
    label: IntArray
    embedding: FloatArray
    eigenvalues: FloatArray
    colours: Mapping[str, IntArray]


def require_h5py(where: str) -> None:
    """ConfigError that starts with `where` if h5py is not installed."""
    from importlib.util import find_spec

    if find_spec("h5py") is None:
        raise ConfigError(f"{where}: needs the package h5py, which is not installed: {INSTALL}")


def write_virelay(folder: Path, name: str, classes: tuple[str, ...], given: Portfolio, composite: str) -> None:
    """`virelay/project.yaml` and what it names; `virelay FOLDER/virelay/project.yaml` opens it."""
    import h5py

    out, n = folder / FOLDER, len(given.label)
    out.mkdir(exist_ok=True)
    label, every = given.label.astype(np.uint16), np.arange(n, dtype=np.uint32)
    with h5py.File(out / "dataset.h5", "w") as file:
        file["data"] = np.moveaxis(np.broadcast_to(given.seen, (*given.seen.shape[:3], 3)), 3, 1).astype(np.uint8)
        file["label"] = label
    with h5py.File(out / "attribution.h5", "w") as file:
        file["attribution"], file["label"], file["index"] = given.maps[:, None].astype(np.float32), label, every
        file["prediction"] = given.scores.astype(np.float32)
    with h5py.File(out / "analysis.h5", "w") as file:
        for k, rows in _categories(given.label, len(classes)).items():
            group = file.create_group(f"{k:08d}")
            group["index"] = every[rows]
            embedding = group.create_dataset("embedding/spectral", data=given.embedding[rows].astype(np.float32))
            embedding.attrs["eigenvalue"] = given.eigenvalues.astype(np.float32)
            embedding.attrs["embedding"], embedding.attrs["index"] = "spectral", np.array([0, 1])
            for title, values in given.colours.items():
                cluster = group.create_dataset(f"cluster/{title}", data=values[rows].astype(np.int32))
                cluster.attrs["embedding"], cluster.attrs["k"] = "spectral", int(values.max()) + 1
                cluster.attrs["index"] = np.array([0, 1])
    labels = [{"index": k, "word_net_id": f"{k:08d}", "name": title} for k, title in enumerate(classes)]
    _write(out / "labels.json", json.dumps(labels, ensure_ascii=False))
    _write(out / "project.yaml", yaml.safe_dump(_project(name, given, composite), sort_keys=False, allow_unicode=True))


def _categories(label: IntArray, classes: int) -> dict[int, IntArray]:
    """The rows of each class that has some."""
    found = {k: np.flatnonzero(label == k) for k in range(classes)}
    return {k: rows for k, rows in found.items() if len(rows)}


def _project(name: str, given: Portfolio, composite: str) -> dict[str, Any]:
    height, width = given.maps.shape[1:]
    return {
        "project": {
            "name": name,
            "model": "the audited model",
            "label_map": "labels.json",
            "dataset": {
                "name": name, "type": "hdf5", "path": "dataset.h5", "input_width": width, "input_height": height,
                "up_sampling_method": "none", "down_sampling_method": "none",
            },
            "attributions": {
                "attribution_method": composite, "attribution_strategy": "predicted_label", "sources": ["attribution.h5"],
            },
            "analyses": [{"analysis_method": "Spectral", "sources": ["analysis.h5"]}],
        }
    }  # fmt: skip


def _write(path: Path, text: str) -> None:
    write_atomically(path, f"{text}\n".encode(), cure=CURE)

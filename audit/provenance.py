"""What is needed to run an audit again: revision, Python, platform, versions of packages, device and seed."""

import platform
import subprocess
from importlib import metadata
from pathlib import Path

from audit.records import Provenance

PACKAGES = (
    "lrp-audit",
    "torch",
    "transformers",
    "tokenizers",
    "numpy",
    "scipy",
    "pandas",
    "statsmodels",
    "safetensors",
)


def release() -> str:
    """The version of lrp-audit, which decides what is tested how."""
    return metadata.version("lrp-audit")


def provenance(folder: Path, *, device: str, seed: int) -> Provenance:
    """Provenance of a run whose config lies in `folder`."""
    revision, dirty = _git(folder)
    return Provenance(
        git_revision=revision,
        git_dirty=dirty,
        python=platform.python_version(),
        platform=platform.platform(),
        packages={name: metadata.version(name) for name in PACKAGES},
        device=device,
        seed=seed,
    )


def _git(folder: Path) -> tuple[str | None, bool | None]:
    """Revision and dirty flag of the checkout that holds the config, if there is one."""

    def ask(*words: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", "-C", str(folder), *words], capture_output=True, text=True, timeout=10, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    revision = ask("rev-parse", "HEAD")
    return revision, None if revision is None else bool(ask("status", "--porcelain"))

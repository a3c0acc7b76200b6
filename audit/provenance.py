"""What is needed to run an audit again: revisions, config, command, Python, platform, hardware, packages, device and seed."""

import hashlib
import os
import platform
import subprocess
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import Final

from audit.files import file_sha256
from audit.records import Provenance

PACKAGES: Final = (
    "lrp-audit",
    "torch",
    "transformers",
    "tokenizers",
    "numpy",
    "scipy",
    "pandas",
    "pyarrow",
    "statsmodels",
    "scikit-learn",
    "cleanlab",
    "pillow",
    "pydantic",
    "safetensors",
    "jinja2",
    "matplotlib",
    "typst",
)
OPTIONAL: Final = ("captum",)  # named where they are installed
HERE: Final = Path(__file__)
CPU_INFO: Final = Path("/proc/cpuinfo")


def release() -> str:
    """The version of lrp-audit, which decides what is tested how."""
    return metadata.version("lrp-audit")


def provenance(
    config: Path, *, device: str, seed: int, written: str = "", overrides: Sequence[str] = (), command: Sequence[str] = ()
) -> Provenance:  # fmt: skip
    """Provenance of a run of the config file `config`, whose text is `written`; `command` is empty when called from Python."""
    revision, dirty = _git(config.parent)
    code, changed = code_revision(HERE)
    return Provenance(
        git_revision=revision,
        git_dirty=dirty,
        python=platform.python_version(),
        platform=platform.platform(),
        packages=dict(versions()),
        device=device,
        seed=seed,
        code_revision=code,
        code_dirty=changed,
        command=tuple(command),
        config_path=_relative(config),
        config_written=written,
        overrides=tuple(overrides),
        hardware=hardware(device),
    )


def code_revision(module: Path) -> tuple[str | None, bool | None]:
    """Revision of the checkout that tracks `module` of a package, and whether that package or `lrp` beside it was changed since.

    (None, None) for an installed package, also where it is installed below some other checkout.
    """
    package = module.parent
    if _ask(package, "ls-files", "--error-unmatch", module.name) is None:
        return None, None
    return _git(package.parent, package.name, "lrp")


def code_sha256() -> str:
    """Hash of the source of both packages, as they are on this disk."""
    total = hashlib.sha256()
    for package in (HERE.parent, HERE.parent.parent / "lrp"):
        for file in sorted(package.rglob("*.py")):
            total.update(f"{file.relative_to(package.parent).as_posix()}\0{file_sha256(file)}\n".encode())
    return total.hexdigest()


def hardware(device: str) -> dict[str, str]:
    """Processor, cores, memory in GiB, and the name of the accelerator where `device` is one; what is not known is left out."""
    found = {
        "processor": _processor(),
        "cores": str(os.cpu_count() or ""),
        "memory GiB": _memory(),
        "accelerator": _accelerator(device),
    }
    return {name: value for name, value in found.items() if value}


def versions() -> Iterator[tuple[str, str]]:
    """Of the packages that may decide a result, and of optional ones that are installed."""
    for name in PACKAGES:
        yield name, metadata.version(name)
    for name in OPTIONAL:
        try:
            yield name, metadata.version(name)
        except metadata.PackageNotFoundError:
            continue


def _relative(config: Path) -> str:
    try:
        return Path(os.path.relpath(config)).as_posix()
    except ValueError:  # another drive
        return config.name


def _processor() -> str:
    try:
        lines = CPU_INFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or platform.processor() or platform.machine()


def _memory() -> str:
    try:
        return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.1f}"
    except (AttributeError, OSError, ValueError):  # not told on this platform
        return ""


def _accelerator(device: str) -> str:
    kind = device.partition(":")[0]
    if kind == "cuda":
        import torch

        return torch.cuda.get_device_name(device)
    return f"{platform.machine()} {kind}" if kind == "mps" else ""


def _git(folder: Path, *paths: str) -> tuple[str | None, bool | None]:
    """Revision of the checkout that holds a folder, if there is one, and whether it, or `paths` in it, were changed since."""
    revision = _ask(folder, "rev-parse", "HEAD")
    if revision is None:
        return None, None
    changes = _ask(folder, "status", "--porcelain", "--", *paths)
    return revision, None if changes is None else bool(changes)


def _ask(folder: Path, *words: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *words], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None

"""Imports a torch module of the user's own and fills it with a state dict, read without running any pickled code."""

import hashlib
import importlib
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audit.errors import ModelError
from audit.files import file_sha256
from audit.models.pretrained import as_model_error, check_finite, first_line

if TYPE_CHECKING:
    from torch import Tensor, nn


def own_module(source: str, weights: Path, folder: Path) -> "tuple[nn.Module, str]":
    """What `source` (module:function) returns, with `weights`, and the sha256 over its code and weights.

    The module is found in `folder` first; the modules beside it that it imports are part of its code. Raises ModelError with the cure.
    """
    import torch

    with _imported("model.module", source, folder, "return a torch.nn.Module when called without arguments") as (
        make,
        code,
    ):
        model = make()
    if not isinstance(model, torch.nn.Module):
        raise ModelError(f"model.module: {source} returns a {type(model).__name__}; return a torch.nn.Module")
    _fill(model, _state(weights), weights)
    check_finite(model, str(weights))
    return model, hashlib.sha256(f"{code}\0{source}\0{file_sha256(weights)}".encode()).hexdigest()


def own_function(source: str, folder: Path, key: str) -> tuple[Callable[..., Any], str]:
    """The function `source` (module:function) that the config names at `key`, and the sha256 over its code.

    The module is found in `folder` first, as that of a model is. Raises ModelError with the cure.
    """
    with _imported(key, source, folder, "hold that function") as (function, code):
        return function, hashlib.sha256(f"{code}\0{source}".encode()).hexdigest()


@contextmanager
def _imported(key: str, source: str, folder: Path, must: str) -> Iterator[tuple[Callable[..., Any], str]]:
    """The function and the code of `source`; what fails here or in the block is a ModelError that says what the module `must` do."""
    name, function = source.split(":")
    with _first_on_path(folder, name.partition(".")[0]):
        try:
            found = getattr(importlib.import_module(name), function, None)
            if not callable(found):
                raise ModelError(f"{key}: {name} has no function {function!r}; name one that it has")
            yield found, _code(name, folder)
        except ModelError:
            raise
        except (Exception, SystemExit) as error:
            raise ModelError(
                f"{key}: {source} fails with {type(error).__name__}: {first_line(error)}; it must be found in "
                f"{folder.absolute()} or be installed, and {must}"
            ) from error


@contextmanager
def _first_on_path(folder: Path, top: str) -> Iterator[None]:
    """`folder` leads sys.path inside the block, over what was imported before by the name `top`, which is there again after it."""
    path, known = list(sys.path), dict(sys.modules)
    if any((folder / place).exists() for place in (f"{top}.py", f"{top}/__init__.py")):
        for name in known:
            if name.partition(".")[0] == top and not _lies_in(name, folder):
                del sys.modules[name]
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path[:] = path
        for name in [name for name in sys.modules if name not in known and _lies_in(name, folder)]:
            del sys.modules[name]
        sys.modules.update(known)


def _code(entry: str, folder: Path) -> str:
    """Source of the entry module and of every module beside it that is imported."""
    beside = {name for name in sys.modules if _lies_in(name, folder)}
    return "\0".join(f"{name}\0{inspect.getsource(sys.modules[name])}" for name in sorted(beside | {entry}))


def _lies_in(name: str, folder: Path) -> bool:
    file = getattr(sys.modules[name], "__file__", None)
    path = Path(str(file))  # torch.classes claims one that is relative and not there
    return bool(file) and path.is_file() and path.resolve().is_relative_to(folder.resolve())


def _state(weights: Path) -> "Mapping[str, Tensor]":
    import torch
    from safetensors.torch import load_file

    if not weights.is_file():
        raise ModelError(f"model.weights: {weights}: no such file; give the state dict, relative to the config")
    with as_model_error(str(weights), "the state dict"):
        safe = weights.suffix == ".safetensors"
        state = load_file(weights) if safe else torch.load(weights, weights_only=True, map_location="cpu")
    if not isinstance(state, Mapping) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise ModelError(f"{weights}: holds no state dict of tensors; save model.state_dict() alone")
    return state


def _fill(model: "nn.Module", state: "Mapping[str, Tensor]", weights: Path) -> None:
    wanted = model.state_dict()
    missing, unknown = wanted.keys() - state.keys(), state.keys() - wanted.keys()
    shapes = {key for key in wanted.keys() & state.keys() if wanted[key].shape != state[key].shape}
    cure = "give the state dict that was saved from this module"
    if missing and unknown:
        held = f"the file has {min(unknown)!r} instead"
        raise ModelError(f"{weights}: {len(missing)} weights are missing, such as {min(missing)!r}; {held}; {cure}")
    if missing or unknown:
        what, keys = ("missing", missing) if missing else ("not in the module", unknown)
        raise ModelError(f"{weights}: {len(keys)} weights are {what}, such as {min(keys)!r}; {cure}")
    for key in sorted(shapes):
        was, needed = list(state[key].shape), list(wanted[key].shape)
        raise ModelError(f"{weights}: {key!r} is of another shape, {was} where the module has {needed}; {cure}")
    model.load_state_dict(dict(state))

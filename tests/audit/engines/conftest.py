"""Folders for parts and notes, and what stands for a model."""

from pathlib import Path
from typing import Any

import pytest

from audit.loading import LoadedConfig


def explained(loaded: LoadedConfig) -> Any:
    """In the place of a model that takes long to load."""
    return loaded.config.name


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """For parts, and for notes of who did what."""
    places = tmp_path / "parts", tmp_path / "notes"
    for place in places:
        place.mkdir()
    return places

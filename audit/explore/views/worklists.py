"""What was selected and saved."""

from typing import Any

from audit.explore.query import Pairs
from audit.explore.selections import selections
from audit.explore.shelf import Shelf


def worklists(shelf: Shelf, pairs: Pairs) -> dict[str, Any]:
    """All of them, by name."""
    return {"saved": selections(shelf.folder)}

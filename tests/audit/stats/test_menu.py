"""docs/statistics.md is what the tables say, and every test of the menu exists; tests/simulations says where each is simulated."""

import importlib
from pathlib import Path

from audit.stats.menu import MENU, page

PAGE = Path(__file__).parents[3] / "docs" / "statistics.md"
MODULES = ("tests", "counts", "stratified", "resampling", "fractional")


def test_the_page_is_generated() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python -m audit.stats.menu > docs/statistics.md"
    assert "{" not in page()


def test_every_function_of_the_menu_exists() -> None:
    known = {name for module in MODULES for name in dir(importlib.import_module(f"audit.stats.{module}"))}
    assert {name for name in MENU if " " not in name} <= known

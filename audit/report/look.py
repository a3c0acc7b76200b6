"""How every page looks, designed once: colours and type sizes that style sheet, charts and PDF share.

Colours are seaborn's `colorblind` palette, darkened where text or thin lines are drawn in them: 4.5 : 1 against the page for text,
3 : 1 for marks (WCAG 2.2, 1.4.3 and 1.4.11). Meaning never rests on colour alone.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

COLOURS: Final[Mapping[str, tuple[str, str, str]]] = MappingProxyType({  # on a light page, a dark page, on paper
    "ink": ("#1b1f24", "#e7eaee", "#000000"),
    "soft": ("#57606a", "#a5aeb9", "#3d434a"),
    "paper": ("#ffffff", "#14171b", "#ffffff"),
    "fill": ("#ffffff", "#14171b", "#ffffff"),
    "panel": ("#f6f7f9", "#1d2127", "#f4f5f7"),
    "line": ("#c9ced6", "#464e59", "#a9b0ba"),
    "band": ("#e4e8ee", "#2a313a", "#e4e8ee"),
    "link": ("#0a5c91", "#74b9ea", "#0a4a75"),
    "blue": ("#0173b2", "#56b4e9", "#0173b2"),
    "orange": ("#b36a00", "#efac47", "#b36a00"),
    "green": ("#017a59", "#3cc49b", "#017a59"),
    "vermillion": ("#b84a00", "#ff8a4c", "#b84a00"),
    "purple": ("#a3529b", "#dd9bd2", "#a3529b"),
    "grey": ("#6e7681", "#9aa3ae", "#6e7681"),
    "breach": ("#9a3b00", "#ff9a5c", "#9a3b00"),
    "on-breach": ("#ffffff", "#1b0d02", "#ffffff"),
    "different": ("#ffd89a", "#6b4708", "#ffd89a"),
    "equivalent": ("#cfe6f7", "#164a6e", "#cfe6f7"),
    "inconclusive": ("#e6e8ec", "#363d47", "#e6e8ec"),
})  # fmt: skip
SIZES: Final[Mapping[str, float]] = MappingProxyType({  # times the size of body text: 16 px on a screen, 9.5 pt on paper
    "tiny": 0.78, "small": 0.86, "table": 0.9, "body": 1.0, "h4": 1.0, "h3": 1.15, "h2": 1.5, "h1": 2.0,
})  # fmt: skip
BODY_POINTS: Final = 9.5
PAPER: Final = 2


def variables() -> str:
    """The tokens as custom properties of CSS: for light pages, dark pages and paper."""
    sizes = " ".join(f"--{name}: {size}rem;" for name, size in SIZES.items())
    light, dark, paper = (
        " ".join(f"--{name}: {shades[i]};" for name, shades in COLOURS.items()) for i in range(len(COLOURS["ink"]))
    )
    return (
        f":root {{ color-scheme: light dark; {sizes} {light} }}\n"
        f"@media (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}\n"
        f"@media print {{ :root {{ color-scheme: light; {paper} }} }}\n"
    )


def on_paper(svg: str) -> str:
    """A chart whose colours are those of paper, where no style sheet is at hand."""
    for name, shades in COLOURS.items():
        svg = svg.replace(f"var(--{name})", shades[PAPER])
    return svg

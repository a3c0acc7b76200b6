"""Charts as SVG text for inlining: no style attributes (strict CSP), no ids that clash, colours from the page's CSS.

Drawn with matplotlib alone, because seaborn imports pandas and a report must render where pandas is not installed; the
palette is seaborn's `colorblind`. Cost: about 0.2 s a figure.
"""

import io
import re
import threading
import warnings
from collections.abc import Callable
from typing import Any, Final
from xml.etree import ElementTree

from matplotlib import rc_context, rcdefaults, rcParams
from matplotlib.figure import Figure as Sheet

SVG, XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
LONG = re.compile(r"-?\d+\.\d{3,}")
INK, LINE, BAND, FILL = "#010101", "#020202", "#030303", "#040404"
BLUE, ORANGE, GREEN, VERMILLION, PURPLE, GREY = "#0173b2", "#de8f05", "#029e73", "#d55e00", "#cc78bc", "#949494"
# What the page's style sheet colours, so that charts follow light, dark and print.
VARIABLES: Final = {
    INK: "var(--ink)", LINE: "var(--line)", BAND: "var(--band)", FILL: "var(--fill)", BLUE: "var(--blue)",
    ORANGE: "var(--orange)", GREEN: "var(--green)", VERMILLION: "var(--vermillion)", PURPLE: "var(--purple)", GREY: "var(--grey)",
}  # fmt: skip
STYLE: Final[dict[str, Any]] = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "axes.formatter.use_mathtext": False,
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.labelsize": 9,
    "axes.edgecolor": LINE,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "text.color": INK,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "path.simplify": True,
}

_ONE: Final = threading.Lock()  # matplotlib's settings are those of the whole process


def draw_svg(name: str, size: tuple[float, float], draw: Callable[[Sheet], None]) -> str:
    """What `draw` puts on a sheet of `size` inches, as one `<svg>` element; the same bytes for the same input."""
    with _ONE, rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        rcdefaults()
        settings: Any = {**STYLE, "svg.hashsalt": name}  # matplotlib types each key as a literal
        rcParams.update(settings)
        sheet = Sheet(figsize=size, layout="constrained")
        draw(sheet)
        buffer = io.BytesIO()
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        sheet.savefig(buffer, format="svg", metadata=nothing, transparent=True)
    return _inline(buffer.getvalue(), name)


def _inline(document: bytes, name: str) -> str:
    """The root element alone: ids prefixed, styles as attributes, page colours, no size."""
    ElementTree.register_namespace("", SVG)
    ElementTree.register_namespace("xlink", XLINK)
    root = ElementTree.fromstring(document)
    for definitions in root.findall(f"{{{SVG}}}defs"):
        for style in definitions.findall(f"{{{SVG}}}style"):
            definitions.remove(style)
    for element in root.iter():
        _clean_attributes(element, name)
        element.tail = None
        element.text = element.text if element.text and element.text.strip() else None
    for key in ("width", "height", "version"):
        root.attrib.pop(key, None)
    root.set("aria-hidden", "true")
    root.set("focusable", "false")
    return ElementTree.tostring(root, encoding="unicode")


def _clean_attributes(element: ElementTree.Element, name: str) -> None:
    styles = [part.partition(":") for part in element.attrib.pop("style", "").split(";") if part.strip()]
    for key, _, value in styles:
        if key.strip() != "font-family":
            element.set(key.strip(), value.strip())
    identifier = element.attrib.pop("id", None)
    if identifier and element.tag.rpartition("}")[2] in {"path", "clipPath", "pattern"}:
        element.set("id", f"{name}-{identifier}")
    for key, value in list(element.attrib.items()):
        if key == f"{{{XLINK}}}href":
            element.set("href", value.replace("#", f"#{name}-", 1))
            del element.attrib[key]
        elif value.startswith("url(#"):
            element.set(key, value.replace("#", f"#{name}-", 1))
        elif value in VARIABLES:
            element.set(key, VARIABLES[value])
        elif key in {"d", "x", "y", "width", "height", "transform"}:
            element.set(key, LONG.sub(lambda m: f"{float(m[0]):.2f}", " ".join(value.split())))

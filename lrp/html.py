"""How a relevance looks in a notebook: coloured tokens, or a map of at most 64 x 64 cells as SVG; no package is needed."""

from collections.abc import Sequence
from html import escape
from typing import Final

from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

MOST: Final = 8  # examples of a batch
CELLS: Final = 64  # a side
TOKENS: Final = 2  # dimensions of the relevance of token ids
PLUS, MINUS = (222, 143, 5), (1, 115, 178)  # orange speaks for the target, blue against it


def tokens_html(values: Tensor, tokens: Sequence[str] | None) -> str:
    """Relevance `[tokens]` of one text, behind each token; their places where no tokens are given."""
    shown, most = values.double().cpu(), float(values.abs().max()) or 1.0
    names = [str(i) for i in range(len(shown))] if tokens is None else tokens
    return " ".join(
        f'<span style="background:{_colour(value / most)}" title="{value:.4g}">{escape(name)}</span>'
        for name, value in zip(names, shown.tolist(), strict=True)
    )


def map_html(values: Tensor) -> str:
    """Relevance `[channels, H, W]` of one image, summed over channels."""
    summed = values.double().cpu().sum(0)
    height, width = (min(CELLS, side) for side in summed.shape)
    cells = adaptive_avg_pool2d(summed[None], (height, width))[0]
    most = float(cells.abs().max()) or 1.0
    drawn = "".join(
        f'<rect x="{x}" y="{y}" width="1" height="1" fill="{_colour(value / most)}"/>'
        for y, row in enumerate(cells.tolist())
        for x, value in enumerate(row)
    )
    box = f'viewBox="0 0 {width} {height}" width="{4 * width}" shape-rendering="crispEdges"'
    return f'<svg {box} role="img" aria-label="relevance map">{drawn}</svg>'


def relevance_html(values: Tensor, tokens: Sequence[Sequence[str]] | None, said: str) -> str:
    """The first examples of a batch under what its `repr` says."""
    parts = []
    for i, each in enumerate(values.nan_to_num()[:MOST] if values.numel() else ()):
        if values.dim() == TOKENS:
            parts.append(f"<p>{tokens_html(each, None if tokens is None else tokens[i])}</p>")
        elif each.dim() > TOKENS:
            parts.append(map_html(each.reshape(-1, *each.shape[-2:])))
    return f"<p><code>{escape(said)}</code></p>{''.join(parts)}"


def _colour(part: float) -> str:
    red, green, blue = PLUS if part > 0 else MINUS
    return f"rgba({red},{green},{blue},{min(1.0, abs(part)):.2f})"

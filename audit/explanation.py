"""`lrp-audit explain`: one text with its tokens coloured by relevance, or one image drawn; the top of the list and the ledger."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from audit.files import write_atomically
from audit.loading import LoadedConfig, load_config
from audit.records import Explanation, RegionShare, Token
from audit.report.text import clean
from audit.tasks.image_explanation import one_photograph
from audit.tasks.texts import one_text

ONE: Final[Mapping[str, Callable[[LoadedConfig], Callable[..., Explanation]]]] = MappingProxyType(
    {"text": one_text, "image": one_photograph}
)


def explain(
    config: Path, given: str, overrides: Sequence[str] = (), *, composite: str | None = None, target: str | None = None
) -> Explanation:
    """Explain one text, or one image (its path, or its id in the data), by the config's model; the image is drawn too."""
    loaded = load_config(config, [*overrides, *([f"relevance.composites=[{composite}]"] if composite else [])])
    return ONE[loaded.config.task](loaded)(given, target)


def print_explanation(explanation: Explanation, console: Console | None = None) -> None:
    """Orange speaks for the explained logit, blue (underlined) against it; the strength is the share of the largest token."""
    console = console or Console(highlight=False)
    console.print(
        Text(
            f"predicted {explanation.predicted}; {explanation.explained} = {explanation.output:+.3f} ({explanation.composite})"
        )
    )
    if explanation.tokens:
        largest = max(abs(token.relevance) for token in explanation.tokens) or 1.0
        line = Text()
        for token in explanation.tokens:
            line.append(clean(token.text), _style(token.relevance / largest))
        console.print(line)
        console.print(_top(explanation.tokens))
    if explanation.regions:
        console.print(_regions(explanation.regions))
    console.print(_ledger(explanation))


def write_picture(explanation: Explanation, path: Path | None) -> Path | None:
    """Write the PNG of an image, by default `NAME.relevance.png` in the working directory; None for a text."""
    if not explanation.picture:
        return None
    file = path or Path(f"{explanation.name}.relevance.png")
    write_atomically(file, explanation.picture, cure="name a file that you may write with --output")
    return file


def _style(strength: float) -> str:
    if abs(strength) < 0.05:
        return ""
    fade = round(255 * (1 - min(1.0, abs(strength))))
    return (
        f"black on rgb(255,{(fade + 170) // 2},{fade})"
        if strength > 0
        else f"black underline on rgb({fade},{(fade + 255) // 2},255)"
    )


def _top(tokens: Sequence[Token], most: int = 8) -> Table:
    table = Table("token", "relevance", "groups", title="most relevant tokens", title_justify="left")
    for token in sorted(tokens, key=lambda token: -abs(token.relevance))[:most]:
        table.add_row(Text(clean(token.text.strip()) or "(blank)"), f"{token.relevance:+.3f}", ", ".join(token.groups))
    return table


def _regions(regions: Sequence[RegionShare]) -> Table:
    table = Table("region", "share of |R|", "net R / |R|", "share of pixels", title="regions", title_justify="left")
    for region in sorted(regions, key=lambda region: -(region.share or 0.0)):
        values = [
            "-" if value is None else form.format(value)
            for form, value in (("{:.3f}", region.share), ("{:+.3f}", region.net), ("{:.3f}", region.size))
        ]
        table.add_row(Text(clean(region.name)), *(values if region.size is not None else ["absent", "-", "-"]))
    return table


def _ledger(explanation: Explanation) -> Table:
    table = Table("entry", "part of the logit", title="ledger: where the logit went", title_justify="left")
    for name, value in explanation.ledger.items():
        table.add_row(name, f"{value:+.4f}")
    table.add_row("= output", f"{explanation.output:+.4f}")
    return table

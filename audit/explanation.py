"""`lrp-audit explain`: one text, its tokens coloured by relevance, the top tokens and the ledger."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from audit.errors import ConfigError
from audit.loading import load_config
from audit.preparation import class_index, prepare_model
from audit.records import Token
from audit.relevance import explain_tokens
from audit.report.text import clean


@final
@dataclass(frozen=True, slots=True)
class Explanation:
    """One explained text; `ledger` maps an entry to its part of the explained logit."""

    explained: str
    composite: str
    output: float
    predicted: str
    tokens: tuple[Token, ...]
    ledger: dict[str, float]


def explain_text(
    config: Path, text: str, overrides: Sequence[str] = (), *, composite: str | None = None, target: str | None = None
) -> Explanation:
    """Explain one text by the config's model, on its contrast logit or on the logit of class `target`."""
    if not text.strip():
        raise ConfigError("the text to explain is empty; give at least one word")
    loaded = load_config(config, [*overrides, *([f"relevance.composites=[{composite}]"] if composite else [])])
    model, explainer, matcher = prepare_model(loaded)
    chosen: Any = explainer.target if target is None else class_index(model, "--target", target)
    named = target or " - ".join(model.classes[i] for i in (explainer.favour, explainer.against) if i is not None)
    tokens, result = explain_tokens(explainer, text, matcher.find(text), target=chosen, composite=explainer.first)
    return Explanation(
        explained=named,
        composite=result.composite,
        output=float(result.ledger.output[0]),
        predicted=model.classes[int(result.output[0].argmax())],
        tokens=tokens,
        ledger={name: float(value[0]) for name, value in result.ledger.entries.items()}
        | {"residual": float(result.ledger.residual[0])},
    )


def print_explanation(explanation: Explanation, console: Console | None = None) -> None:
    """Blue speaks for the explained logit, orange (underlined) against it; the strength is the share of the largest token."""
    console = console or Console(highlight=False)
    console.print(
        Text(
            f"predicted {explanation.predicted}; {explanation.explained} = {explanation.output:+.3f} ({explanation.composite})"
        )
    )
    largest = max((abs(token.relevance) for token in explanation.tokens), default=0.0) or 1.0
    line = Text()
    for token in explanation.tokens:
        line.append(clean(token.text), _style(token.relevance / largest))
    console.print(line)
    console.print(_top(explanation.tokens))
    console.print(_ledger(explanation))


def _style(strength: float) -> str:
    if abs(strength) < 0.05:
        return ""
    fade = round(255 * (1 - min(1.0, abs(strength))))
    return (
        f"black on rgb({fade},{(fade + 255) // 2},255)"
        if strength > 0
        else f"black underline on rgb(255,{(fade + 170) // 2},{fade})"
    )


def _top(tokens: Sequence[Token], most: int = 8) -> Table:
    table = Table("token", "relevance", "groups", title="most relevant tokens", title_justify="left")
    for token in sorted(tokens, key=lambda token: -abs(token.relevance))[:most]:
        table.add_row(Text(clean(token.text.strip()) or "(blank)"), f"{token.relevance:+.3f}", ", ".join(token.groups))
    return table


def _ledger(explanation: Explanation) -> Table:
    table = Table("entry", "part of the logit", title="ledger: where the logit went", title_justify="left")
    for name, value in explanation.ledger.items():
        table.add_row(name, f"{value:+.4f}")
    table.add_row("= output", f"{explanation.output:+.4f}")
    return table

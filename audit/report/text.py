"""Dataset text is hostile: what may be shown, and numbers as people read them."""

import re
from datetime import UTC, datetime
from typing import Final

from audit.records import Estimate

UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufffe\uffff\ud800-\udfff]")
NONE = "–"
WITHHELD = "not shown"
LONGEST: Final = 4_000  # characters of a sentence, a message or a declaration


def clean(text: str) -> str:
    """Text without control characters, bidirectional overrides and lone surrogates, each replaced by U+FFFD.

    >>> clean("a\\x00b\\u202ec")
    'a\ufffdb\ufffdc'
    """
    return UNSAFE.sub("\ufffd", text.replace("\r\n", "\n"))


def shorten(text: str, length: int = 36) -> str:
    """Clean text of at most `length` characters, with an ellipsis where it was cut."""
    safe = " ".join(clean(text).split())
    return safe if len(safe) <= length else safe[: length - 1] + "…"


def number(value: float | None, digits: int = 3) -> str:
    """A number with a true minus sign.

    >>> number(-0.04217), number(None), number(0.00004)
    ('−0.042', '–', '0.000')
    """
    if value is None:
        return NONE
    rounded = f"{value:.{digits}f}"
    return rounded.replace("-", "" if float(rounded) == 0 else "−")


def p_value(p: float | None) -> str:
    """Three decimals, and never 0.

    >>> p_value(0.0002), p_value(0.0412)
    ('< 0.001', '0.041')
    """
    return NONE if p is None else "< 0.001" if p < 0.001 else number(p)


def percent(level: float) -> str:
    """A confidence level or a share in per cent, without needless decimals; what is not all is never rounded to it.

    >>> percent(0.95), percent(0.99583), percent(0.9999714), percent(1.0)
    ('95\\xa0%', '99.58\\xa0%', '99.997\\xa0%', '100\\xa0%')
    """
    digits = 2
    while level < 1 and round(100 * level, digits) == 100 and digits < 12:
        digits += 1
    return f"{100 * level:.{digits}f}".rstrip("0").rstrip(".") + "\u00a0%"


def interval(estimate: Estimate, digits: int = 3) -> str:
    """`value [low, high]`, the value alone where there is no interval, or the interval alone where the value is withheld."""
    if estimate.low is None or estimate.high is None:
        return number(estimate.value, digits)
    value = "" if estimate.value is None else f"{number(estimate.value, digits)} "
    return f"{value}[{number(estimate.low, digits)}, {number(estimate.high, digits)}]"


def measured(estimate: Estimate, *facts: str) -> str:
    """`value [low, high] unit (95 % interval, facts)`; no level where there is no interval, and no brackets around nothing."""
    level = () if estimate.low is None or estimate.high is None else (f"{percent(estimate.level)} interval",)
    about, value = ", ".join((*level, *facts)), f"{interval(estimate)} {estimate.unit}".strip()
    return f"{value} ({about})" if about else value


def count(n: int | None) -> str:
    """A count with thousands separators; None is one too small to publish.

    >>> count(1200), count(None)
    ('1,200', 'not shown')
    """
    return WITHHELD if n is None else f"{n:,}"


def plural(n: int | None, noun: str) -> str:
    """A count and its noun.

    >>> plural(1, "film"), plural(1200, "film")
    ('1 film', '1,200 films')
    """
    return f"{count(n)} {noun}" + ("" if n == 1 else "s")


def listed(names: tuple[str, ...] | list[str], most: int = 6) -> str:
    """Names joined by commas, those beyond `most` counted."""
    extra = len(names) - most
    return ", ".join(names[:most]) + (f" and {extra} more" if extra > 0 else "")


def moment(text: str) -> datetime | None:
    """A time of ISO 8601 in UTC, as which one without an offset is taken on every machine; None where it is none, or no such year.

    >>> moment("2026-05-01T12:15:00+02:00"), moment("yesterday"), moment("0001-01-01T00:00:00+10:00")
    (datetime.datetime(2026, 5, 1, 10, 15, tzinfo=datetime.timezone.utc), None, None)
    """
    try:
        read = datetime.fromisoformat(text)
        return read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def to_second(time: datetime) -> str:
    """A time to the second, without its offset; years before 1000 keep four digits, which `%Y` does not give them.

    >>> to_second(datetime(26, 5, 1, 10, 15, tzinfo=UTC))
    '0026-05-01T10:15:00'
    """
    return time.replace(tzinfo=None).isoformat(timespec="seconds")


def when(text: str) -> str:
    """A time as people read it, in UTC; the text itself where it is no time.

    >>> when("2026-05-01T10:15:00+00:00")
    '2026-05-01 10:15:00 UTC'
    """
    time = moment(text)
    return text if time is None else f"{to_second(time).replace('T', ' ')} UTC"

"""Errors of the engine; each names the cause and the cure."""

from typing import Any


class LrpError(Exception):
    """Base of every error that the engine raises on purpose."""


class InputError(LrpError, ValueError):
    """The inputs, the target or the composite cannot be used with this model."""


class UncoveredOperation(LrpError, NotImplementedError):
    """An operation carries relevance and no rule covers it, so its plain gradient would be silently wrong."""


class BrokenRelevance(LrpError):
    """The ledger is NaN or infinite; `relevance` is what was found."""

    def __init__(self, message: str, relevance: Any) -> None:
        super().__init__(message)
        self.relevance = relevance

"""Errors of the engine; each names the cause and the cure."""


class LrpError(Exception):
    """Base of every error that the engine raises on purpose."""


class InputError(LrpError, ValueError):
    """The inputs, the target or the composite cannot be used with this model."""


class UncoveredOperation(LrpError, NotImplementedError):
    """An operation carries relevance and no rule covers it, so its plain gradient would be silently wrong."""

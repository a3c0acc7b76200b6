"""Errors that a user can act on: each says what was wrong, the value, what is allowed and the cure."""

import difflib
from collections.abc import Sequence


class AuditError(Exception):
    """Something the user can mend; the command line prints the message and exits with `exit_code`."""

    exit_code = 2


class ConfigError(AuditError):
    """The configuration cannot be used; the message starts with `file:line:column: path:`."""


class DataError(AuditError):
    """The dataset as a whole cannot be used (single bad rows are quarantined instead)."""


class ModelError(AuditError):
    """The model folder cannot be loaded, or does not fit the task, the labels or the data."""


class OutputError(AuditError):
    """The run folder cannot be written or read."""


class StoppedError(OutputError):
    """A run was stopped by what passes, such as a full disk: what is done is kept, and the same command goes on later."""

    exit_code = 1


class AtWorkError(StoppedError):
    """Another run of the same audit is at work: no failure of the audit, whose result is on its way."""


class SignatureError(AuditError):
    """A run cannot be signed, or a key cannot be used."""


class PassphraseNeeded(SignatureError):
    """The key is encrypted, and no passphrase was given."""


def did_you_mean(given: str, allowed: Sequence[str]) -> str:
    """The end of an error message, empty if nothing allowed is close.

    >>> did_you_mean("femal", ["female", "male"])
    "; did you mean 'female'?"
    """
    close = difflib.get_close_matches(given, allowed, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""

"""The block `notify`: who is told how a run ended; no verdict depends on it, and no secret stands in it."""

import re
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field

from audit.config.base import Block

DELIVERY: Final = frozenset({"notify", "tracking"})  # blocks that a record leaves out: a run is told of once
SECRET: Final = re.compile(r"env:([A-Za-z_][A-Za-z0-9_]*)")


def _named(value: str) -> str:
    if SECRET.fullmatch(value):
        return value
    raise ValueError(  # it never tells the value, which may be a secret
        "write env:NAME and put the value into the environment variable NAME: the config is kept in every record, and addresses and "
        "headers hold secrets"
    )


def _plain(name: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name):
        return name
    raise ValueError(f"{name!r:.80} is no name of a header; letters, digits and '-'")


Secret = Annotated[str, AfterValidator(_named)]


class Notify(Block):
    """A command or an address that is given the summary of each run as JSON."""

    command: tuple[str, ...] = Field(
        (),
        description="program and arguments, run without a shell: the summary on standard input, LRP_AUDIT_RUN (the run folder) and "
        "LRP_AUDIT_EXIT_CODE in its environment; it stands in the record as it is written, so let it read secrets from its environment",
    )
    url: Secret | None = Field(
        None,
        description="env:NAME, the environment variable that holds an http or https address; the summary is posted",
    )
    headers: dict[Annotated[str, AfterValidator(_plain)], Secret] = Field(
        default_factory=dict,
        description="header: env:NAME, the variable that holds its value: {Authorization: env:AUDIT_TOKEN}",
    )
    when: Literal["always", "changed", "failed"] = Field(
        "always",
        description="changed: the exit code is not the one that was told last of this name; failed: it is not 0, or there is no "
        "result at all",
    )
    timeout: Annotated[float, Field(gt=0, le=3600)] = Field(
        30.0, description="seconds after which the command is killed, or the address given up"
    )

"""The block `engine`: where the work is done; no answer depends on it beyond the last bits of floats."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from audit.config.base import Block

Kind = Literal["local", "ray"]


class Engine(Block):
    """Who explains, with what."""

    kind: Kind = Field("local", description="processes of this machine, or actors of a Ray cluster (extra: ray)")
    workers: Annotated[int, Field(ge=1, le=10_000)] = Field(
        1, description="processes or actors that each hold the model; 1 of kind local is this process itself"
    )
    threads: Annotated[int, Field(ge=1, le=1024)] | None = Field(
        None,
        description="of the processor for each worker; default: those of this machine in equal parts, of a Ray actor 1. "
        "Another number may change the last bits of floats",
    )
    device: str = Field(
        "auto", description="torch device; auto: the first CUDA device, else Apple's MPS, else the processor"
    )
    batch_size: Annotated[int, Field(ge=1)] | Literal["auto"] = Field(
        "auto",
        description="most tokens, with padding, or photographs in one batch; auto: by a rule on device and model",
    )
    address: str | None = Field(None, description="of a running Ray cluster; default: one is started on this machine")
    gpus: Annotated[float, Field(ge=0, le=64)] = Field(
        0.0, description="share of a GPU that each Ray actor takes; 0: none, on the processor"
    )

    @model_validator(mode="after")
    def _of_ray_alone(self) -> "Engine":
        if self.kind != "ray" and (self.address is not None or self.gpus):
            raise ValueError("address, gpus: only of kind ray; leave them out, or write kind: ray")
        return self

"""`python -m bench.planted`: measure units until all have their rows, or the time is over; what has rows is skipped."""

import time
from pathlib import Path

import click

from audit.models.quiet import quiet_transformers
from audit.progress import progress
from bench.planted.measuring import measured
from bench.planted.protocol import Part, read_protocol
from bench.planted.results import FOLDER, append, check_protocol, results_file, rows, unfinished
from bench.planted.units import METHODS, RHOS, Modality, enumerated, small


@click.command()
@click.option(
    "--small", "is_small", is_flag=True, help="20 models without and 10 with reliance of each modality, LRP only."
)
@click.option("--part", type=click.Choice(["calibration", "evaluation"]), default="evaluation")
@click.option("--modality", type=click.Choice([*RHOS]), help="Default: both in turn.")
@click.option("--method", "methods", type=click.Choice([*METHODS]), multiple=True, help="Default: all.")
@click.option("--minutes", type=float, help="Stop after this time; the next run goes on.")
@click.option("--results", type=click.Path(path_type=Path), default=FOLDER, help="Folder of the rows.")
def main(
    *, is_small: bool, part: Part, modality: Modality | None, methods: tuple[str, ...], minutes: float | None, results: Path
) -> None:  # fmt: skip
    """Measure the planted-bias benchmark."""
    import torch

    torch.set_num_threads(1)
    protocol, asked = read_protocol(), (modality,) if modality else tuple(RHOS)
    methods = ("lrp",) if is_small else methods or tuple(METHODS)
    units = list(small(protocol, asked) if is_small else enumerated(protocol, part, asked))
    path = results / "small.jsonl" if is_small else results_file(part, results)
    found = rows(path)
    check_protocol(found, protocol, path)
    left = unfinished(((unit.key, method) for unit in units for method in methods), found)
    wanted, end = set(left), time.monotonic() + 60 * (minutes or 1e9)
    with progress(f"planted, {part}", len(left)) as advance, quiet_transformers():
        for unit in units:
            missing = [method for method in methods if (unit.key, method) in wanted]
            for row in measured(unit, missing, protocol) if missing else ():
                append(path, row)
                advance(1)
            if time.monotonic() > end:
                break


if __name__ == "__main__":
    main()

"""`python -m bench.planted`: measure units until all have their rows, or the time is over; what has rows is skipped."""

import time
from collections.abc import Iterator, Sequence
from multiprocessing import get_context
from pathlib import Path

import click

from audit.progress import progress
from bench.planted.judging import contradictions
from bench.planted.measuring import Job, Row, rows_of
from bench.planted.protocol import Part, read_protocol
from bench.planted.results import FOLDER, append, check_protocol, results_file, rows, unfinished
from bench.planted.units import METHODS, RHOS, Modality, asked_of, enumerated, small


@click.command()
@click.option(
    "--small", "is_small", is_flag=True, help="20 models without and 10 with reliance of each modality, by LRP."
)
@click.option("--part", type=click.Choice(["calibration", "evaluation"]), default="evaluation")
@click.option("--modality", type=click.Choice([*RHOS]), help="Default: both.")
@click.option("--method", "methods", type=click.Choice([*METHODS]), multiple=True, help="Default: all.")
@click.option("--minutes", type=float, help="Stop after this time; the next run goes on.")
@click.option("--limit", type=int, help="The first units only.")
@click.option("--workers", type=int, default=1, help="Processes of one core each.")
@click.option("--results", type=click.Path(path_type=Path), default=FOLDER, help="Folder of the rows.")
def main(
    *, is_small: bool, part: Part, modality: Modality | None, methods: tuple[str, ...], minutes: float | None, limit: int | None,
    workers: int, results: Path,
) -> None:  # fmt: skip
    """Measure the planted-bias benchmark; of the small profile, end with 1 where its models contradict the audits."""
    protocol, asked = read_protocol(), (modality,) if modality else tuple(RHOS)
    methods = ("lrp",) if is_small else methods or tuple(METHODS)
    units = list(small(protocol, asked) if is_small else enumerated(protocol, part, asked))[:limit]
    path = results / "small.jsonl" if is_small else results_file(part, results)
    found = rows(path)
    check_protocol(found, protocol, path)
    asked_for = {unit: asked_of(unit, methods, protocol) for unit in units}
    left = set(unfinished(((unit.key, method) for unit, each in asked_for.items() for method in each), found))
    missing = [
        (unit, tuple(method for method in each if (unit.key, method) in left), protocol)
        for unit, each in asked_for.items()
    ]
    end = time.monotonic() + 60 * (1e9 if minutes is None else minutes)
    with progress(f"planted, {path.stem}", len(left)) as advance:
        for made in _measured([job for job in missing if job[1]], workers):
            for row in made:
                append(path, row)
                advance(1)
            if time.monotonic() > end:
                break
    problems = contradictions(rows(path), protocol) if is_small else []
    if problems:
        raise click.ClickException("; ".join(problems))


def _measured(jobs: Sequence[Job], workers: int) -> Iterator[list[Row]]:
    """The rows of each unit, in the order of the units."""
    if workers == 1:
        yield from map(rows_of, jobs)
        return
    with get_context("spawn").Pool(workers) as pool:
        yield from pool.imap(rows_of, jobs)


if __name__ == "__main__":
    main()

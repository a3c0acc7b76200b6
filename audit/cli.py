"""The command line: thin, one command per public function; heavy imports happen inside the commands."""

import signal
import sys
from logging import ERROR
from pathlib import Path
from typing import Any, Literal

import click

from audit.errors import AuditError
from audit.log import Event, logged, structured, tell

Overrides = tuple[str, ...]


class _Group(click.Group):
    """Prints an `AuditError` as its message alone, and turns it into its exit code."""

    def make_context(self, info_name: str | None, args: list[str], *rest: Any, **extra: Any) -> click.Context:
        """Keep what was given, before parsing takes it apart."""
        given = ("lrp-audit", *args)
        context = super().make_context(info_name, args, *rest, **extra)
        context.obj = given
        return context

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        ctx.with_resource(logged("text"))
        try:
            return super().invoke(ctx)
        except AuditError as error:
            tell(Event.RUN_FAILED, str(error), level=ERROR, exit_code=error.exit_code)
            ctx.exit(error.exit_code)
        except KeyboardInterrupt:
            interrupted = "interrupted: what is done of a run is kept; give the same command again to go on"
            tell(Event.RUN_FAILED, interrupted, level=ERROR, exit_code=1)
            ctx.exit(1)
        except Exception as error:
            if not structured() or isinstance(error, click.exceptions.Exit | click.ClickException | click.Abort):
                raise
            tell(Event.RUN_FAILED, f"{type(error).__name__}: {error}", level=ERROR, error=error, exit_code=1)
            ctx.exit(1)


config_argument = click.argument("config", type=click.Path(path_type=Path))
override_option = click.option("--set", "overrides", multiple=True, metavar="A.B=C", help="Override a config value.")


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="lrp-audit")
def main() -> None:
    """Assess what a trained classifier relies on, and whether that concerns a protected attribute.

    Exit codes: 0 every gate holds, 1 stopped before its end, 2 unusable config, data or model, 3 a gate is breached,
    4 the explanation is not valid, 5 a gate is inconclusive.
    """


@main.command()
@config_argument
@override_option
@click.option("--output", type=click.Path(path_type=Path), help="Folder for the runs (default: the config's).")
@click.option("--again", is_flag=True, help="Run also where a finished run has the same inputs.")
@click.option(
    "--folder-file", type=click.Path(path_type=Path), help="Write the run folder's path to this file, for scripts."
)
@click.option(
    "--log",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    envvar="LRP_AUDIT_LOG",
    show_envvar=True,
    help="Standard error as lines to read, or as JSON lines.",
)
@click.pass_context
def run(  # click passes flags by name
    context: click.Context, config: Path, overrides: Overrides, output: Path | None, folder_file: Path | None, *, again: bool,
    form: Literal["text", "json"]
) -> None:  # fmt: skip
    """Run the audit that CONFIG describes and write its report.

    An interrupted run is gone on with. Where nothing changed since a finished run, that one is given back.
    """
    context.find_root().with_resource(logged(form))
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a scheduler's stop ends workers too
    from audit.files import write_atomically
    from audit.pipeline import run as run_audit
    from audit.summary import print_summary

    finished = run_audit(config, overrides, output, command=context.obj, again=again)
    if folder_file is not None:
        write_atomically(
            folder_file, f"{finished.folder}\n".encode(), cure="name a file that you may write with --folder-file"
        )
    print_summary(finished.record, finished.folder)
    if not finished.made:
        click.echo("Nothing changed since that run, so it was not run again (--again does).")
    sys.exit(finished.record.exit_code)


@main.command()
@config_argument
@override_option
def check(config: Path, overrides: Overrides) -> None:
    """Validate CONFIG, load model and data, prove that every operation has a rule, and print the plan."""
    from audit.planning import plan, print_plan

    print_plan(plan(config, overrides))


@main.command()
@click.argument("run_dir", type=click.Path(path_type=Path))
@click.option("--format", "formats", default="html", show_default=True, help="Comma-separated formats.")
@click.option("--output", type=click.Path(path_type=Path), help="Folder to write to; the run folder stays as it is.")
@click.option("--public", is_flag=True, help="For everybody: no examples, quotations, ids, folders or machine.")
@click.option("--smallest-cell", "least", type=click.IntRange(min=1), help="Show counts from N on; 1 shows all.")
def report(run_dir: Path, formats: str, output: Path | None, public: bool, least: int | None) -> None:  # noqa: FBT001 - click passes flags by name
    """Render the report of RUN_DIR again, from its record alone; of a signed run, --public or --smallest-cell with --output."""
    if (public or least) and output is None:
        raise click.UsageError(
            "--public and --smallest-cell need --output DIR: the run folder keeps what its config asks for"
        )

    from audit.report.render import rendered
    from audit.store.runs import load_record, output_folder, place_reports

    record = load_record(run_dir)
    output_folder(run_dir, output)
    files = rendered(record, tuple(formats.split(",")), public=public, least=least)
    for path in place_reports(run_dir, output, files):
        click.echo(path)


@main.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--last",
    type=click.IntRange(min=1),
    help="The newest N runs of each name (default: 30; with --json or --html all).",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--html", "page", metavar="PATH", type=click.Path(path_type=Path), help="Write a page with charts.")
def history(folder: Path, last: int | None, as_json: bool, page: Path | None) -> None:  # noqa: FBT001 - click passes flags by name
    """Show the runs in DIR (reports/NAME, or reports for all names): gates, the worst gated finding, and what changed."""
    from audit import history as runs

    found = runs.history(folder, last or (None if as_json or page else runs.LISTED))
    runs.print_broken(found)
    if page is not None:
        runs.write_page(found, page)
    if as_json:
        for line in runs.json_lines(found):
            click.echo(line)
    elif page is not None:
        click.echo(page)
    else:
        runs.print_history(found)


@main.command()
@config_argument
@click.argument("given", metavar="TEXT|IMAGE")
@override_option
@click.option("--composite", default=None, help="Rule set (default: the config's first).")
@click.option("--target", default=None, help="Class to explain (default: the config's contrast).")
@click.option("--output", type=click.Path(path_type=Path), help="PNG of an image (default: NAME.relevance.png here).")
def explain(
    config: Path, given: str, overrides: Overrides, composite: str | None, target: str | None, output: Path | None
) -> None:
    """Explain CONFIG's model for one TEXT (coloured tokens) or IMAGE (path or id; its map is drawn), with the ledger."""
    from audit import explanation

    explained = explanation.explain(config, given, overrides, composite=composite, target=target)
    explanation.print_explanation(explained)
    if drawn := explanation.write_picture(explained, output):
        click.echo(f"drawn: {drawn}")


@main.command()
@click.argument("run_dir", type=click.Path(path_type=Path))
@click.option("--key", required=True, type=click.Path(path_type=Path), help="Private ed25519 key: PEM or OpenSSH.")
@click.option("--name", required=True, help="Who signs.")
@click.option("--role", required=True, help="As what, such as: independent auditor.")
@click.option("--replace", is_flag=True, help="Put this signature in the place of another.")
def sign(run_dir: Path, key: Path, name: str, role: str, replace: bool) -> None:  # noqa: FBT001 - click passes flags by name
    """Sign RUN_DIR: its manifest, which speaks for every file; the passphrase of a key is asked for."""
    from audit.errors import PassphraseNeeded
    from audit.store.signatures import sign as sign_run

    try:
        path = sign_run(run_dir, key, name=name, role=role, replace=replace)
    except PassphraseNeeded as needed:
        try:
            passphrase = click.prompt(f"Passphrase of {key}", hide_input=True, err=True)
        except click.Abort:
            raise needed from None
        path = sign_run(run_dir, key, name=name, role=role, passphrase=passphrase, replace=replace)
    click.echo(path)


@main.command()
@click.argument("run_dir", type=click.Path(path_type=Path))
@click.option("--key", type=click.Path(path_type=Path), help="Public key of who must have signed: PEM or OpenSSH.")
def verify(run_dir: Path, key: Path | None) -> None:
    """Recompute every hash of RUN_DIR's manifest, and check its signature, if it has one."""
    from audit.report.text import clean
    from audit.store.runs import verify as verify_run

    problems = verify_run(run_dir, key)
    for problem in problems:
        click.echo(" ".join(clean(problem).splitlines()), err=True)
    if problems:
        sys.exit(2)
    click.echo(f"{run_dir}: every file is as the run wrote it")
    _print_signature(run_dir, key)


def _print_signature(run_dir: Path, key: Path | None) -> None:
    """Who signed a run that verifies, and what that shows."""
    from audit.store.signatures import read_signature

    signed = read_signature(run_dir)
    if signed is None:
        click.echo("not signed: that shows that nothing was damaged, not that nobody rewrote files and manifest")
        return
    click.echo(f"signed by {signed.name} ({signed.role}) on {signed.date}, key {signed.key_fingerprint}")
    click.echo(
        f"by the key in {key}"
        if key
        else "without --key that shows that nothing was changed since, not who signed: anybody can make a key"
    )


@main.command()
@click.argument("run_dir", type=click.Path(path_type=Path))
@click.option("--folder", type=click.Path(path_type=Path), help="Folder of the config (default: as recorded).")
@click.option("--output", type=click.Path(path_type=Path), help="Keep the new run below this folder.")
@click.option("--json", "as_json", is_flag=True, help="Print the comparison as JSON.")
@click.pass_obj
def reproduce(command: tuple[str, ...], run_dir: Path, folder: Path | None, output: Path | None, as_json: bool) -> None:  # noqa: FBT001
    """Run the recorded config of RUN_DIR again and compare estimate by estimate; exit code 2 if one differs."""
    from audit.reproduction import print_reproduction
    from audit.reproduction import reproduce as run_again

    made = run_again(run_dir, folder=folder, output=output, command=command)
    if as_json:
        click.echo(made.as_json())
    else:
        print_reproduction(made)
    sys.exit(0 if made.holds else 2)


@main.command()
@click.argument("before", type=click.Path(path_type=Path))
@click.argument("after", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON, with the ids of flipped examples.")
def compare(before: Path, after: Path, as_json: bool) -> None:  # noqa: FBT001 - click passes flags by name
    """Compare two run folders: what went in, verdicts, every estimate with the interval of its change, predictions."""
    from audit.comparison import compare as compare_runs
    from audit.comparison_tables import print_comparison

    made = compare_runs(before, after)
    if as_json:
        click.echo(made.as_json())
    else:
        print_comparison(made)


@main.command()
@click.argument("run_dir", type=click.Path(path_type=Path))
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port on this computer (default: any free one).")
@click.option("--root-path", "root", default="", metavar="/PATH", help="Path under which a proxy serves it.")
@click.option("--host-name", "hosts", multiple=True, metavar="NAME[:PORT]", help="Name under which a proxy is asked.")
@click.option("--browser/--no-browser", default=True, help="Open it in the browser.")
@click.option("--model", is_flag=True, help="Load the run's model too, to explain new inputs.")
@click.option(
    "--folder", type=click.Path(path_type=Path), help="Folder of the config, for --model (default: as recorded)."
)
def explore(
    run_dir: Path, port: int, root: str, hosts: tuple[str, ...], folder: Path | None, *, browser: bool, model: bool
) -> None:
    """Explore RUN_DIR in the browser, from a verdict to the examples behind it; only this computer can reach it."""
    from audit.explore.server import explore as serve

    serve(run_dir, port=port, root=root.rstrip("/"), hosts=hosts, browser=browser, model=model, config_folder=folder)


@main.command()
@click.option("--record", is_flag=True, help="The schema of audit.json instead of the config's.")
def schema(record: bool) -> None:  # noqa: FBT001 - click passes flags by name
    """Print the JSON Schema of the config, for editors."""
    import json

    if record:
        from audit.store.runs import record_schema as wanted
    else:
        from audit.loading import config_schema as wanted
    click.echo(json.dumps(wanted(), indent=2))

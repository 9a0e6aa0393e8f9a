"""Command-line interface: arguments and exit status only.

Heavy libraries are imported inside the command that needs them, so that ``--help`` is fast.
"""

from __future__ import annotations

from typing import Annotated

import typer

from benchmark.cli import audit, catalog, score, serving, study

app = typer.Typer(
    name="python -m benchmark",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Benchmark of speech emotion recognition models: speaker-dependent, speaker-independent "
    "and cross-corpus. Start with `run-study`: it needs no download and takes about a minute.",
)


def _print_version(requested: bool) -> None:
    if requested:
        from benchmark.engine.environment import __version__

        typer.echo(f"ser-benchmark {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    _: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None: ...


app.command("run-study")(study.run_study)
app.command()(study.new)
app.command()(study.extract)
app.command()(study.explore)
app.command()(study.leakage)
app.command("text-ablation")(study.text_ablation)
app.command()(study.scale_curve)
app.command()(study.unseen_corpora)
app.command()(study.report)
app.command()(audit.audit)
app.command("published-audits")(audit.published_audits)
app.command()(score.score)
app.command()(score.splits)
app.command()(score.degrade)
app.command("list")(catalog.list_entries)
app.command()(catalog.fetch)
app.command()(serving.ui)
app.command()(serving.promote)
app.command()(serving.predict)
app.command()(serving.serve)
app.command(
    hidden=True, context_settings={"allow_extra_args": True, "ignore_unknown_options": True}
)(study.anatomy)

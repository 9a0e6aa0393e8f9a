"""Command-line interface: arguments and exit status only.

Heavy libraries are imported inside the command that needs them, so that ``--help`` is fast.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from benchmark.cli import audit, catalog, score, serving, study
from benchmark.cli.status import with_verbosity
from benchmark.hints import SCRIPT, program

COMMANDS: dict[str, Callable[..., None]] = {
    "run-study": study.run_study,
    "new": study.new,
    "extract": study.extract,
    "explore": study.explore,
    "leakage": study.leakage,
    "text-ablation": study.text_ablation,
    "scale-curve": study.scale_curve,
    "unseen-corpora": study.unseen_corpora,
    "report": study.report,
    "audit": audit.audit,
    "published-audits": audit.published_audits,
    "score": score.score,
    "splits": score.splits,
    "degrade": score.degrade,
    "list": catalog.list_entries,
    "fetch": catalog.fetch,
    "ui": serving.ui,
    "promote": serving.promote,
    "predict": serving.predict,
    "serve": serving.serve,
}

app = typer.Typer(
    name=program(),
    no_args_is_help=True,
    add_completion=program() == SCRIPT,  # a shell completes names of programs, not of modules
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Benchmark of speech emotion recognition models: speaker-dependent, speaker-independent "
    "and cross-corpus. Start with `run-study`: it needs no download and takes one to two minutes.",
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


for name, function in COMMANDS.items():
    app.command(name)(with_verbosity(function))
app.command(
    hidden=True, context_settings={"allow_extra_args": True, "ignore_unknown_options": True}
)(study.anatomy)

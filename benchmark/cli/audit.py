"""The command audit: is a data set, a split or a study leaking?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.cli.options import (
    CURRENT_FOLDER,
    ColumnOption,
    CorporaOption,
    CorpusOption,
    IncompleteOption,
    JsonOption,
    ProjectOption,
    WorkersOption,
    columns_of,
    made_by,
    make_job,
    make_sources,
    page_name,
    read_study,
)
from benchmark.cli.status import command_console
from benchmark.errors import BenchmarkError

if TYPE_CHECKING:
    from benchmark.console import Console
    from benchmark.report.pages.audit import AuditPage


LEAKS = 1
"""Exit status if a leak was found."""

STYLES = {"leak": "bold red", "doubt": "yellow", "note": "dim"}


def audit(
    study: Annotated[
        str | None,
        typer.Argument(
            help="A study file, or the name of a study in studies/; it need not have run.",
            show_default=False,
        ),
    ] = None,
    corpora: CorporaOption = None,
    corpus: CorpusOption = None,
    train: Annotated[
        Path | None,
        typer.Option(metavar="CSV", help="Your own training table, of features or of clips only."),
    ] = None,
    test: Annotated[
        Path | None, typer.Option(metavar="CSV", help="Your own test table; requires --train.")
    ] = None,
    predictions: Annotated[
        Path | None,
        typer.Option(
            metavar="TABLE",
            help="Predictions as `score` takes them; a column fold tells in which fold a clip was "
            "tested.",
        ),
    ] = None,
    column: ColumnOption = None,
    protocol: Annotated[
        str | None,
        typer.Option(
            help="Protocol that the given sides claim to follow, for example speaker-independent: "
            "--train and --test, or a column split or fold. A finding that contradicts it is a "
            "leak."
        ),
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the page.")] = None,
    allow_incomplete: IncompleteOption = False,
    as_json: JsonOption = False,
    workers: WorkersOption = None,
    project: ProjectOption = CURRENT_FOLDER,
) -> None:
    """Audit a study, recordings, tables or predictions for leaks. Status 1 if there is one.

    The checks find duplicates and near-duplicates of recordings, and segments that overlap;
    speakers on both sides or under two names; sentences and single numbers that tell the emotion;
    features made from the label; labels that contradict each other. The page is
    reports/audit/NAME.md.

    - `audit capstone --corpora ~/corpora`: the splits of a study
    - `audit --corpus csv=table.csv`: your own recordings
    - `audit --train train.csv --test test.csv`: your own features
    - `audit --predictions predictions.csv --protocol speaker-independent`
    """
    with command_console() as console:
        from dataclasses import replace

        from benchmark.audit import gather, run_audit
        from benchmark.data.protocols import PROTOCOLS
        from benchmark.report.pages.audit import AuditPage, write_audit

        if protocol is not None and protocol not in PROTOCOLS:
            raise PROTOCOLS.unknown(protocol, "--protocol")
        if study is not None and protocol is not None:
            raise BenchmarkError("--protocol: a study states its protocols itself.")
        if column and train is None and predictions is None:
            raise BenchmarkError(
                "--column names columns of --train and --test, or of --predictions; a table of "
                "recordings needs the columns path, speaker and emotion."
            )
        sources = make_sources(project, corpora, corpus, allow_incomplete)
        job = make_job(project, sources, None, workers)
        match (study, corpus, train, test, predictions):
            case (str(), _, None, None, None):
                evidence = gather.of_study(read_study(study, None, project), job, console)
            case (None, list(), None, None, None):
                evidence = gather.of_corpora(list(job.sources.given), job, console, protocol or "")
            case (None, None, Path(), Path(), None):
                evidence = gather.of_tables(train, test, columns_of(column), protocol or "")
            case (None, None, None, None, Path()):
                evidence = gather.of_predictions(predictions, columns_of(column), protocol or "")
            case _:
                raise BenchmarkError(
                    "audit takes one thing: a study, --corpus NAME=DIR, --train and --test, or "
                    "--predictions."
                )
        evidence = replace(evidence, name=page_name(name or evidence.name))
        page = AuditPage(run_audit(evidence), made_by())
        path = write_audit(page, job.project.reports)
        _show(page, path, console, as_json=as_json)
        if page.audit.leaks:
            raise typer.Exit(LEAKS)


def published_audits(
    corpora: CorporaOption = None,
    corpus: CorpusOption = None,
    workers: WorkersOption = None,
    project: ProjectOption = CURRENT_FOLDER,
) -> None:
    """Audit published protocols on RAVDESS, SAVEE and TESS, and the audit itself: some minutes.

    The page reports/audits.md compares protocols that share speakers with the same protocols with
    speakers apart, and tells how many changed copies of recordings the audit finds. No score of
    this command enters a leaderboard.

    - `published-audits --corpora ~/corpora`
    """
    with command_console() as console:
        from benchmark.audit.published import measure_audits, write_audits
        from benchmark.report.pages.audits import write_page

        job = make_job(project, make_sources(project, corpora, corpus), None, workers)
        write_audits(measure_audits(job, console), job.project.reports)
        console.print(str(write_page(job.project.reports)))


def _show(page: AuditPage, path: Path, console: Console, *, as_json: bool) -> None:
    from benchmark.audit import CHECKS
    from benchmark.report.markdown import counted, listed
    from benchmark.report.pages.audit import audit_record

    if as_json:
        console.json(audit_record(page, path))
        return
    for finding in page.audit.findings:
        place = f", {finding.where}" if finding.where else ""
        added = f" Effect on UAR: {finding.effect.added:+.3f}." if finding.effect else ""
        text = f"{CHECKS[finding.check].title}{place}: {finding.problem}{added}"
        console.item(finding.severity, STYLES[finding.severity], text)
    counts = [counted(len(page.of(name)), name) for name in STYLES]
    passed = counted(len(page.audit.passed), "check")
    console.print(f"{', '.join(counts)}; {passed} found nothing")
    if page.audit.skipped:
        lacking = dict.fromkeys(lack for _, lack in page.audit.skipped)
        skipped = counted(len(page.audit.skipped), "check")
        console.print(f"{skipped} not possible; needed: {listed(list(lacking))}")
    console.print(str(path))

"""Commands on anybody's predictions: score, and the splits to make them on."""

from __future__ import annotations

import json
import re
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.cli.options import CURRENT_FOLDER, ProjectOption
from benchmark.cli.status import command_console
from benchmark.errors import BenchmarkError, unknown

if TYPE_CHECKING:
    import pandas as pd

    from benchmark.console import Console
    from benchmark.evaluation.results import Result
    from benchmark.project import Project
    from benchmark.report.pages.score import ScorePage


def score(
    predictions: Annotated[
        Path,
        typer.Argument(
            help="A table with a row for each clip: clip, speaker, emotion, and prediction or "
            "p_EMOTION; CSV, Parquet or JSON lines.",
            show_default=False,
        ),
    ],
    against: Annotated[
        str | None,
        typer.Option(
            metavar="TABLE|STUDY",
            help="Compare with other predictions, or with the selected model of a study that was "
            "run, on the clips that both have.",
        ),
    ] = None,
    clips: Annotated[
        str | None,
        typer.Option(
            metavar="TABLE|STUDY",
            help="What the predictions do not tell of their clips: a table with a column clip, or "
            "a study that was run. A file stands for the clip of its name.",
        ),
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=COLUMN",
            help="Your name of a column: --column emotion=gold. file, truth and predicted are "
            "known. Can be repeated.",
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Name of the system and its page. Default: the file's.")
    ] = None,
    protocol: Annotated[
        str | None,
        typer.Option(
            help="How training and test clips were split, for example speaker-independent. The "
            "page states it; a study given with --against is taken under it."
        ),
    ] = None,
    store: Annotated[
        bool,
        typer.Option(
            "--store",
            help="Store the predictions in reports/external/NAME; `report` then lists them, marked "
            "as external, beside the studies of the same clips. Needs --protocol.",
        ),
    ] = False,
    latex: Annotated[
        bool, typer.Option("--latex", help="Write the table of scores as LaTeX, too.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print all figures as JSON, in place of the summary.")
    ] = False,
    project: ProjectOption = CURRENT_FOLDER,
) -> None:
    """Score the predictions of any system: what a study's page has, without fitting anything.

    UAR and other metrics by corpus, with intervals by speaker; speakers and subgroups, confusion,
    calibration, significance. The page is reports/scores/NAME.md. No recording is needed.

    - `score predictions.csv`: columns clip, speaker, emotion, prediction
    - `score predictions.csv --against ravdess_inductive`: beside a study's selected model
    - `score nkululeko.csv --clips ravdess_inductive`: speakers and sentences from a study's clips
    """
    with command_console() as console:
        from benchmark.data.protocols import stream
        from benchmark.engine.table_file import read_table
        from benchmark.evaluation.external import FOLDER as EXTERNAL
        from benchmark.evaluation.external import External, write_external
        from benchmark.evaluation.intervals import bootstrap_seed
        from benchmark.evaluation.predictions import check_predictions
        from benchmark.evaluation.scoring import (
            compare_with,
            score_predictions,
            selected_predictions,
        )
        from benchmark.project import Project
        from benchmark.report.pages.score import ScorePage, write_score
        from benchmark.study import derive_seed

        where, called = Project(project), _checked_name(predictions.stem if name is None else name)
        facts = None if clips is None else _clips(clips, where)
        names = _columns(column)
        rows = check_predictions(
            read_table(predictions), str(predictions), columns=names, clips=facts
        )
        study = None if against is None else _study(against, where)
        drawn_by = stream(protocol or "speaker-independent")
        base = 0 if study is None else study.study.seed  # so both have the figures of its page
        seed = bootstrap_seed(base, drawn_by)
        scored = score_predictions(rows, seed)
        if against is not None:
            if study is not None:
                others = selected_predictions(study, protocol or "")
            else:
                table = read_table(Path(against))
                same = {ours: theirs for ours, theirs in names.items() if theirs in table}
                others = check_predictions(table, against, columns=same, clips=facts)
            seeds = (seed, derive_seed(base, "swaps", drawn_by))
            shown = (
                against if study is not None or Path(against).stem == called else Path(against).stem
            )
            compared = compare_with(rows, others, shown, seeds)
            scored = replace(scored, comparison=compared)
        if store:
            stored = External(called, _known_protocol(protocol), rows.rows)
            write_external(stored, where.reports / EXTERNAL)
        page = ScorePage(called, protocol or "", scored, _command())
        written = write_score(page, where.reports, latex=latex)
        _show(page, written, console, as_json=as_json)


def _columns(given: list[str] | None) -> dict[str, str]:
    columns: dict[str, str] = {}
    for text in given or []:
        ours, _, theirs = text.partition("=")
        if not theirs:
            raise BenchmarkError(
                f"--column {text}: expected NAME=COLUMN, for example emotion=gold."
            )
        if ours in columns:
            raise BenchmarkError(f"--column {text}: {ours} is {columns[ours]!r} already.")
        columns[ours] = theirs
    return columns


def _checked_name(name: str) -> str:
    """Return the name of a page, which is that of its file."""
    if not re.fullmatch(r"\w[\w .+-]{0,99}", name):
        raise BenchmarkError(
            f"--name: {name!r} can't be the name of a page. Allowed: letters, digits, blanks and "
            ". + - _, at most 100, a letter or digit first."
        )
    return name


def _known_protocol(protocol: str | None) -> str:
    """Return a protocol under which predictions can stand beside studies."""
    from benchmark.data.protocols import PROTOCOLS

    if protocol is None:
        raise BenchmarkError(
            "--store needs --protocol: it says beside which scores the predictions stand. Allowed: "
            f"{', '.join(PROTOCOLS)}."
        )
    if protocol not in PROTOCOLS:
        raise unknown("protocol", protocol, PROTOCOLS, "--protocol")
    return protocol


def _study(name: str, project: Project) -> Result | None:
    """Return the stored result of a study; None if the name is that of a table."""
    from benchmark.evaluation.results import read_result

    if (project.results / name / "study.json").is_file():
        return read_result(project.results / name)
    if Path(name).exists():
        return None
    raise BenchmarkError(
        f"{name}: neither a table nor a study that was run; a study's result lies in "
        f"{project.results}."
    )


def _clips(given: str, project: Project) -> pd.DataFrame:
    from benchmark.engine.table_file import read_table
    from benchmark.evaluation.scoring import known_clips

    study = _study(given, project)
    if study is not None:
        return known_clips(study)
    table = read_table(Path(given))
    if "clip" not in table:
        raise BenchmarkError(f"{given}: no column 'clip'. Columns: {', '.join(table)}.")
    return table


def _command() -> str:
    return " ".join(["python -m benchmark", *map(shlex.quote, sys.argv[1:])])


def _show(page: ScorePage, written: list[Path], console: Console, *, as_json: bool) -> None:
    from benchmark.report.pages.score import score_record

    if as_json:
        console.print(json.dumps(score_record(page), ensure_ascii=False))
        return
    rows = [[cell.replace("**", "") for cell in row] for row in page.rows]
    console.table(f"{page.name}: 95 % confidence intervals", page.header, rows)
    console.print(f"{page.side.intervals}")
    comparison = page.scored.comparison
    if comparison is not None:
        from benchmark.report.markdown import figure, probability

        p = (
            "too few speakers for a test"
            if comparison.test.p is None
            else (f"p {probability(comparison.test.p)}")
        )
        console.print(
            f"minus {comparison.name}, on {comparison.own.clips:,} common clips: "
            f"{figure(comparison.test.difference)}, {p}"
        )
    for warning in page.warnings:
        console.warning(warning)
    for path in written:
        console.print(str(path))


def splits(
    study: Annotated[str, typer.Argument(help="Name of a study that was run.", show_default=False)],
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder for the tables.", show_default=False)
    ],
    project: ProjectOption = CURRENT_FOLDER,
) -> None:
    """Write the splits of a study as tables, so that any system can be run on them.

    One table for each split: clip, corpus, speaker, emotion and what else is known, side (train or
    test), and the inner fold of training clips. Put the predictions of all test sides of a protocol
    into one table, and `score` it against the study.

    - `splits ravdess_inductive --out folds`
    """
    with command_console() as console:
        from benchmark.evaluation.scoring import split_tables
        from benchmark.project import Project

        result = _study(study, Project(project))
        if result is None:
            raise BenchmarkError(f"{study}: expected the name of a study that was run, not a file.")
        for name, table in split_tables(result).items():
            path = out / f"{name}.csv"
            path.parent.mkdir(parents=True, exist_ok=True)
            table.to_csv(path, index=False, lineterminator="\n")
            console.print(str(path))

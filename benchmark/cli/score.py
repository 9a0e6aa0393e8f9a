"""Commands on anybody's predictions: score, and the splits and recordings to make them on."""

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
    make_sources,
    page_name,
    read_study,
)
from benchmark.cli.status import command_console
from benchmark.errors import BenchmarkError
from benchmark.hints import command

if TYPE_CHECKING:
    from benchmark.console import Console
    from benchmark.report.pages.score import ScorePage


def score(
    predictions: Annotated[
        str,
        typer.Argument(
            metavar="TABLE|STUDY",
            help="A table with a row for each clip: clip, speaker, emotion, and prediction or "
            "p_EMOTION; CSV, Parquet or JSON lines. With a column condition, a row for each clip "
            "and condition; it is empty for the clips as recorded. Or a study that was run: its "
            "selected model.",
            show_default=False,
        ),
    ],
    against: Annotated[
        str | None,
        typer.Option(
            metavar="TABLE|STUDY",
            help="Compare with other predictions, or with the selected model of a study that was "
            "run, on the clips that both have. What the study knows of its clips need not be in "
            "the table.",
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
    column: ColumnOption = None,
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
    as_json: JsonOption = False,
    project: ProjectOption = CURRENT_FOLDER,
) -> None:
    """Score the predictions of any system: what a study's page has, without fitting anything.

    UAR and other metrics by corpus, with intervals by speaker; speakers and subgroups, confusion,
    calibration, significance. The page is reports/scores/NAME.md. No recording is needed.

    - `score predictions.csv`: columns clip, speaker, emotion, prediction
    - `score predictions.csv --against ravdess_inductive`: beside a study's selected model
    - `score my_study --against my_other_study`: two studies on the same clips
    - `score nkululeko.csv --clips ravdess_inductive`: speakers and sentences from a study's clips
    """
    with command_console() as console:
        from benchmark.evaluation.external import FOLDER, External, write_external
        from benchmark.evaluation.scoring import Inputs, score_inputs
        from benchmark.project import Project
        from benchmark.report.pages.score import ScorePage, write_score

        where, stated = Project(project), _known_protocol(protocol, needed=store)
        fitted_here = not Path(predictions).is_file()
        if fitted_here and store:
            raise BenchmarkError(f"--store: {predictions} is no table of predictions.")
        default = predictions.replace("@", "_") if fitted_here else Path(predictions).stem
        called = page_name(default if name is None else name)
        inputs = Inputs(predictions, columns_of(column), clips or "", against or "", stated)
        scored = score_inputs(inputs, where.results)
        kept = where.reports / FOLDER / called
        replaced = kept.exists()
        if store:
            write_external(External(called, stated, scored.predictions.rows), kept.parent)
        page = ScorePage(called, scored.protocol, scored, made_by(), fitted_here)
        written = write_score(page, where.reports, latex=latex)
        _show(page, written, console, as_json=as_json)
        if store and not as_json:
            listed = f"{command('report')} lists it beside studies of the same clips"
            instead = f" It replaces earlier predictions of {called}." if replaced else ""
            console.print(f"{kept}: {listed}.{instead}")


def _known_protocol(protocol: str | None, *, needed: bool) -> str:
    """Return the protocol that the user states; empty without one, where none is needed."""
    from benchmark.data.protocols import PROTOCOLS

    if protocol is None and not needed:
        return ""
    if protocol is None:
        raise BenchmarkError(
            "--store needs --protocol: it says beside which scores the predictions stand. Allowed: "
            f"{', '.join(PROTOCOLS)}."
        )
    if protocol not in PROTOCOLS:
        raise PROTOCOLS.unknown(protocol, "--protocol")
    return protocol


def _show(page: ScorePage, written: list[Path], console: Console, *, as_json: bool) -> None:
    from benchmark.report.pages.score import score_record

    if as_json:
        console.json(score_record(page, written[0]))
        return
    rows = [[cell.replace("**", "") for cell in row] for row in page.rows]
    console.table(f"{page.name}: 95 % confidence intervals", page.header, rows)
    console.print(f"{page.side.intervals}")
    if page.conditioned is not None:
        rows = [[cell.replace("`", "") for cell in row] for row in page.condition_rows]
        console.table(f"{page.name}: UAR by condition", page.condition_header, rows)
    comparison = page.scored.comparison
    if comparison is not None:
        from benchmark.report.markdown import figure, probability

        p = (
            "too few speakers for a test"
            if comparison.test.p is None
            else (f"p {probability(comparison.test.p)}")
        )
        n_left_out = comparison.only_here + comparison.only_there
        left_out = f" ({n_left_out:,} others left out)" if n_left_out else ""
        console.print(
            f"minus {page.other}, on {comparison.own.clips:,} common clips{left_out}: "
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
        from benchmark.engine.files import write_text
        from benchmark.engine.table_file import table_csv
        from benchmark.evaluation.scoring import finished_study, split_tables
        from benchmark.project import Project

        result = finished_study(study, Project(project).results)
        for name, table in split_tables(result).items():
            path = out / f"{name}.csv"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_text(path, table_csv(table))
            console.print(str(path))


def degrade(
    out: Annotated[
        Path,
        typer.Option(
            metavar="DIR", help="Folder for the recordings and clips.csv.", show_default=False
        ),
    ],
    study: Annotated[
        str | None,
        typer.Argument(
            help="A study file, or the name of a study in studies/; it need not have run.",
            show_default=False,
        ),
    ] = None,
    corpora: CorporaOption = None,
    corpus: CorpusOption = None,
    condition: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CHAIN",
            help="A condition, such as telephone, snr=10 or telephone+snr=10; see `list "
            "augmentations`. Default: those of the study. Can be repeated.",
        ),
    ] = None,
    allow_incomplete: IncompleteOption = False,
    workers: WorkersOption = None,
    project: ProjectOption = CURRENT_FOLDER,
) -> None:
    """Write recordings under conditions, a telephone line or noise, to run any system on them.

    clips.csv has a row for each clip and condition, with the path of its WAV file, and the clips as
    recorded. Add your predictions as a column, and `score` the table. The clips of a study get the
    sample rate of its features: its models are measured on the same samples. Recordings of a
    corpus or table keep their rate.

    - `degrade --corpus csv=table.csv --condition telephone --condition snr=10 --out degraded`
    - `degrade ravdess_telephone --corpora ~/corpora --out degraded`: the conditions of a study
    """
    with command_console() as console:
        from benchmark.data.degraded import write_degraded
        from benchmark.data.prepare import read_corpora, read_named, study_clips
        from benchmark.engine.files import write_text
        from benchmark.engine.processes import Workers, available_cores
        from benchmark.engine.table_file import table_csv
        from benchmark.features import chain_problems, feature_set

        sources = make_sources(project, corpora, corpus, allow_incomplete)
        conditions, seed, rate_hz = condition or [], 0, None
        if study is not None:
            read = read_study(study, None, project)
            conditions, seed = condition or list(read.conditions), read.seed
            rate_hz = feature_set(read.features, read.sample_rate_hz).sample_rate_hz
        for problem in chain_problems(conditions):
            raise BenchmarkError(f"--condition: {problem}")
        if not conditions:
            raise BenchmarkError(
                "no condition. Give --condition telephone, for example; `list augmentations` has "
                "all."
            )
        if study is not None:
            clips = study_clips(read, read_corpora(read, sources, console))
        elif sources.given:
            found = read_named(list(sources.given), sources, console)
            clips = [clip for one in found.values() for clip in one.clips]
        else:
            raise BenchmarkError("degrade needs a study, or --corpus NAME=DIR.")
        with Workers(workers or available_cores()) as pool, console.bars() as bars:
            written = write_degraded(
                clips,
                conditions,
                out,
                seed=seed,
                sample_rate_hz=rate_hz,
                workers=pool,
                progress=bars.add(f"{1 + len(conditions)} files per clip", len(clips)).update,
            )
        for clip, reason in written.unusable:
            console.warning(f"left out: {clip}: {reason}")
        if written.table.empty:
            raise BenchmarkError(f"none of the {len(clips):,} recordings can be used.")
        path = out / "clips.csv"
        write_text(path, table_csv(written.table))
        console.print(f"{path}: {len(written.table):,} files")

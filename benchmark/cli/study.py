"""Commands on studies: run, new, extract, explore, leakage, report."""

from __future__ import annotations

import shlex
import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli.options import (
    CURRENT_FOLDER,
    AllowOption,
    ClusterOption,
    CorporaOption,
    CorpusOption,
    FinishedStudyArgument,
    IncompleteOption,
    JsonOption,
    MissingOption,
    ProjectOption,
    SetOption,
    StudyArgument,
    WorkersOption,
    make_job,
    make_sources,
    read_study,
    source_options,
)
from benchmark.cli.status import command_console
from benchmark.errors import BenchmarkError
from benchmark.hints import command


def run_study(
    study: StudyArgument = None,
    corpora: CorporaOption = None,
    corpus: CorpusOption = None,
    changes: SetOption = None,
    train: Annotated[
        Path | None,
        typer.Option(
            metavar="CSV", help="Your own training table, instead of corpora and features."
        ),
    ] = None,
    test: Annotated[
        Path | None, typer.Option(metavar="CSV", help="Your own test table; requires --train.")
    ] = None,
    allow_incomplete: IncompleteOption = False,
    allow_missing: MissingOption = None,
    allow: AllowOption = None,
    workers: WorkersOption = None,
    cluster: ClusterOption = None,
    minutes: Annotated[
        float | None,
        typer.Option(
            min=0.25,
            help="Time budget, shared by the models; only the extraction of new features may "
            "exceed it. The result is stored apart. The report lists searches that were not "
            "finished; a later run resumes them.",
        ),
    ] = None,
    storage: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Optuna storage of the trials. Default: optuna.db in the project's folder.",
        ),
    ] = None,
    as_json: JsonOption = False,
    project: ProjectOption = CURRENT_FOLDER,
) -> None:
    """Run a study: features, hyperparameter search, ensembles, evaluation, report.

    An interrupted run is resumed by the same command. Every trial is an MLflow run
    (command `ui`) in the store of MLFLOW_TRACKING_URI, by default mlflow.db.

    - `run-study`: the quickstart on generated speech, one to two minutes
    - `run-study capstone --corpora ~/corpora`: a study on recordings
    - `run-study capstone --set search.trials=10`: the study with one key changed
    """
    began = time.monotonic()
    with command_console() as console:
        tables = _own_tables(train, test)
        sources = make_sources(
            project, corpora, corpus, allow_incomplete, allow_missing, tables, allow
        )
        from benchmark.engine.processes import import_beside

        import_beside()
        checked = read_study(study, changes, project, console)
        from benchmark import pipeline
        from benchmark.report.summary import print_summary, result_record

        job = make_job(project, sources, changes, workers, cluster)
        job = replace(job, storage=storage, minutes=minutes, began=began)
        result = pipeline.run_study(checked, job, console)
        if as_json:
            console.json(result_record(result, job.project))
        else:
            print_summary(result, job.project, console)


def _own_tables(train: Path | None, test: Path | None) -> tuple[Path, Path] | None:
    if train is None and test is None:
        return None
    if train is None or test is None:
        raise BenchmarkError("--train and --test go together: give both tables, or neither.")
    return train, test


def new(
    name: Annotated[str, typer.Argument(help="Name of the study.", show_default=False)],
    corpora: CorporaOption = None,
    corpus: CorpusOption = None,
    use: Annotated[
        list[str] | None,
        typer.Option(
            "--use",
            metavar="CORPUS",
            help="Corpus of the study. Default: those given by --corpus. Can be repeated.",
        ),
    ] = None,
    allow_incomplete: IncompleteOption = False,
    allow: AllowOption = None,
    project: ProjectOption = CURRENT_FOLDER,
) -> None:
    """Propose a study of your recordings: studies/NAME.toml, with the reason of each choice.

    Emotions, protocols and folds follow from the clips, speakers and sentences. Nothing is trained,
    and no file is overwritten.

    - `new mine --corpus csv=table.csv`: a table of your own recordings
    - `new ours --corpora ~/corpora --use ravdess --use savee`: corpora of a folder
    """
    with command_console() as console:
        from benchmark.project import Project
        from benchmark.proposal import new_path, propose, write_study

        sources = make_sources(project, corpora, corpus, allow_incomplete, allow=allow)
        new_path(name, Project(project))  # a wrong name is refused before any work
        proposal = propose(name, use or (), sources, console)
        for warning in proposal.warnings:
            console.warning(warning)
        path = write_study(proposal, Project(project))
        console.print(str(path))
        there = [] if project == CURRENT_FOLDER else ["--project", str(project)]
        study = path.stem if project == CURRENT_FOLDER else str(path)
        options = [*source_options(sources), *there]
        run = command(shlex.join(["run-study", study, *options]))
        console.info(f"Read it, change what you like, and run it: {run}")


def extract(
    study: StudyArgument = None,
    corpora: CorporaOption = None,
    corpus: CorpusOption = None,
    changes: SetOption = None,
    allow_incomplete: IncompleteOption = False,
    allow_missing: MissingOption = None,
    allow: AllowOption = None,
    workers: WorkersOption = None,
    cluster: ClusterOption = None,
    project: ProjectOption = CURRENT_FOLDER,
) -> None:
    """Extract the features of a study: train.csv and test.csv of each protocol, no training.

    - `extract capstone --corpora ~/corpora`
    """
    with command_console() as console:
        sources = make_sources(
            project, corpora, corpus, allow_incomplete, allow_missing, allow=allow
        )
        checked = read_study(study, changes, project)
        from benchmark import pipeline

        job = make_job(project, sources, changes, workers, cluster)
        prepared = pipeline.extract_study(checked, job, console)
        for tables in prepared.splits:
            for side, table in (("train", tables.train), ("test", tables.test)):
                path = tables.folder / f"{side}.csv"
                console.print(f"{path}: {len(table.rows)} rows, {len(table.columns)} features")


def explore(
    study: StudyArgument = None,
    corpora: CorporaOption = None,
    corpus: CorpusOption = None,
    changes: SetOption = None,
    allow_incomplete: IncompleteOption = False,
    allow_missing: MissingOption = None,
    workers: WorkersOption = None,
    project: ProjectOption = CURRENT_FOLDER,
) -> None:
    """Explore the recordings of a study, without training: reports/NAME_data.md with figures.

    - `explore capstone --corpora ~/corpora`
    """
    with command_console() as console:
        sources = make_sources(project, corpora, corpus, allow_incomplete, allow_missing)
        checked = read_study(study, changes, project)
        from benchmark import pipeline

        job = make_job(project, sources, changes, workers)
        console.print(str(pipeline.explore_study(checked, job, console)))


def leakage(
    study: FinishedStudyArgument,
    corpora: CorporaOption = None,
    corpus: CorpusOption = None,
    draws: Annotated[
        int, typer.Option(min=1, max=100, help="Random splits; scores are means over them.")
    ] = 5,
    seeds: Annotated[
        int,
        typer.Option(min=2, max=1000, help="Seeds for the leak that reports the best of them."),
    ] = 20,
    settings: Annotated[
        int,
        typer.Option(
            min=2, max=1000, help="Trials of the study for the leak that selects on the test set."
        ),
    ] = 10,
    published_only: Annotated[
        bool,
        typer.Option(
            "--published-only",
            help="Run the ablation of the reported figure only, not of the selected model.",
        ),
    ] = False,
    workers: WorkersOption = None,
    project: ProjectOption = CURRENT_FOLDER,
) -> None:
    """Run a study's selected model again with the leaks that papers have (leakage ablation).

    The leaks: shared speakers; augmentation, oversampling, scaling or feature selection before the
    split; hyperparameters, epoch or seed selected on the test set. Each leak is measured alone,
    then the leaks are added one by one. If `[claims.leaks]` lists the leaks of a reported figure,
    that figure is reproduced as well. No score of this command enters a leaderboard. An
    interrupted run is resumed by the same command.

    - `leakage quickstart --draws 2 --seeds 5`: on generated speech, a minute or two
    - `leakage capstone --corpora ~/corpora`: on recordings; long, each draw takes many fits
    - `leakage prediction_api_later --published-only`: the reported figure alone, minutes
    """
    with command_console() as console:
        sources = make_sources(project, corpora, corpus)
        checked = read_study(study, None, project)
        from benchmark.leakage.ablation import Extent, run_ablation
        from benchmark.leakage.stored import FOLDER, write_ablation
        from benchmark.report.pages.leakage import write_page

        job = make_job(project, sources, None, workers)
        extent = Extent(draws, seeds, settings, published_only)
        ablation = run_ablation(checked, extent, job, console)
        write_ablation(ablation, job.project.reports / FOLDER)
        console.print(str(write_page(job.project.reports)))


def scale_curve(
    study: StudyArgument = "studies/scale/ravdess.toml",
    corpora: CorporaOption = None,
    corpus: CorpusOption = None,
    workers: WorkersOption = None,
    project: ProjectOption = CURRENT_FOLDER,
) -> None:
    """Measure UAR by the clips that set the scale of a test speaker (transductive, scale curve).

    The study is normalised by speaker, speaker-independent with outer folds, and has fixed
    hyperparameters. Its models are fitted once per fold; the test rows are scaled by all clips of
    the speaker, all others, 20, 10, 5 or 3 random others, the first 20, 10, 5 or 3 with and without
    the training statistics, the neutral ones, or ten clips that are mostly of one emotion. No score
    of this command enters a leaderboard.

    - `scale-curve studies/scale/ravdess.toml --corpora ~/corpora`: a few minutes
    """
    with command_console() as console:
        sources = make_sources(project, corpora, corpus)
        checked = read_study(study, None, project)
        from benchmark.report.pages.speaker_scale import write_page
        from benchmark.speaker_scale.curve import measure_curve
        from benchmark.speaker_scale.stored import FOLDER, write_curve

        job = make_job(project, sources, None, workers)
        write_curve(measure_curve(checked, job, console), job.project.reports / FOLDER)
        console.print(str(write_page(job.project.reports)))


def unseen_corpora(
    study: StudyArgument = "studies/unseen_corpora/seven_emotions.toml",
    corpora: CorporaOption = None,
    corpus: CorpusOption = None,
    workers: WorkersOption = None,
    project: ProjectOption = CURRENT_FOLDER,
) -> None:
    """Measure calibration and distance on corpora that are not in training.

    Each corpus of the study is left out once. Models with fixed hyperparameters are trained on the
    others, and calibrated on held-out speakers and corpora of these. The page shows the expected
    calibration error on the corpus left out, with and without the calibrator. No score of this
    command enters a leaderboard.

    - `unseen-corpora studies/unseen_corpora/seven_emotions.toml --corpora ~/corpora`: minutes
    """
    with command_console() as console:
        sources = make_sources(project, corpora, corpus)
        checked = read_study(study, None, project)
        from benchmark.report.pages.unseen_corpora import write_page
        from benchmark.unseen_corpora.measure import measure_unseen_corpora
        from benchmark.unseen_corpora.stored import FOLDER, write_measurement

        job = make_job(project, sources, None, workers)
        measured = measure_unseen_corpora(checked, job, console)
        write_measurement(measured, job.project.reports / FOLDER)
        console.print(str(write_page(job.project.reports)))


def text_ablation(
    study: Annotated[
        str,
        typer.Argument(help="A study file, or the name of a study in studies/."),
    ] = "savee_text",
    features: Annotated[
        list[str] | None,
        typer.Option(
            "--features",
            metavar="SET",
            help="A further feature set beside the study's own; may be repeated.",
        ),
    ] = None,
    corpora: CorporaOption = None,
    corpus: CorpusOption = None,
    workers: WorkersOption = None,
    project: ProjectOption = CURRENT_FOLDER,
) -> None:
    """Measure what a score owes to test sentences that other speakers spoke in training.

    The study names corpus, emotions, features, folds and seed; it need not have run. The model is
    fixed, LDA with shrinkage 0.3, and nothing is searched. The result stands on the page of the
    leakage ablation and enters no leaderboard.

    - `text-ablation savee_text --corpora ~/corpora`: seconds, once features are extracted
    - `text-ablation savee_text --features egemaps --features embedding:whisper-base@layers=6`: the
      same clips and arms with further feature sets, compared on the page
    """
    with command_console() as console:
        sources = make_sources(project, corpora, corpus)
        studies = [read_study(study, None, project)]
        studies += [read_study(study, [f"features={name}"], project) for name in features or ()]
        from benchmark.leakage.stored import FOLDER
        from benchmark.leakage.text import run_text_ablation, write_text_ablation
        from benchmark.report.pages.leakage import write_page

        job = make_job(project, sources, None, workers)
        ablation = run_text_ablation(studies, job, console)
        write_text_ablation(ablation, job.project.reports / FOLDER)
        console.print(str(write_page(job.project.reports)))


def anatomy() -> None:
    """Refuse the former name of `leakage`."""
    with command_console():
        raise BenchmarkError(
            f"the command `anatomy` is now called `leakage`: {command('leakage STUDY')}."
        )


def report(
    latex: Annotated[
        bool,
        typer.Option(
            "--latex", help="Write each leaderboard as a LaTeX table, too: reports/latex/."
        ),
    ] = False,
    project: ProjectOption = CURRENT_FOLDER,
) -> None:
    """Write all pages of reports/ from the stored results, without training.

    - `report --latex`: also reports/latex/NAME.tex, a table of each leaderboard with booktabs
    """
    with command_console() as console:
        from benchmark import pipeline
        from benchmark.project import Project
        from benchmark.report.pages import audits, leakage, speaker_scale, unseen_corpora

        for page in pipeline.write_reports(Project(project), console, latex=latex):
            console.print(str(page))
        for one in (leakage, speaker_scale, unseen_corpora, audits):
            written = one.write_page(Project(project).reports)
            if written is not None:
                console.print(str(written))

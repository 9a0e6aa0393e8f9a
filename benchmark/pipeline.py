"""A study from its file to its pages, top to bottom: the one module that knows all rooms."""

from __future__ import annotations

import time
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from benchmark.console import Console
from benchmark.data.guards import check_encoders
from benchmark.data.prepare import prepare, read_corpora
from benchmark.data.prepared import Prepared
from benchmark.data.record import Change
from benchmark.engine.databases import check_intact, sqlite_file, without_user
from benchmark.engine.environment import __version__
from benchmark.engine.processes import WorkerLostError, Workers
from benchmark.errors import BenchmarkError
from benchmark.evaluation import looks
from benchmark.evaluation.leaderboard import METRIC, Leaderboard, leaderboard
from benchmark.evaluation.results import Result, by_split, read_results, write_result
from benchmark.evaluation.summaries import write_summary
from benchmark.features.contamination import tuned_encoders
from benchmark.hints import command
from benchmark.models import MODELS
from benchmark.project import Job, Project
from benchmark.rehearsal import Rehearsal
from benchmark.search.budget import Budget
from benchmark.search.ensemble import VOTES
from benchmark.search.fitting import warm_up
from benchmark.search.outcome import Outcome, evaluate
from benchmark.search.progress import search
from benchmark.search.refit import Refits, store_ensemble
from benchmark.search.search import ModelSearch, open_searches
from benchmark.search.storage import TrialStorage
from benchmark.search.trial import Trial
from benchmark.study import Study
from benchmark.tracking.cards import write_cards
from benchmark.tracking.log import log_models, log_outcomes, study_record
from benchmark.tracking.store import (
    ARTIFACTS,
    check_server,
    check_store,
    tracking_uri,
)
from benchmark.tracking.tracker import Tracker


def run_study(study: Study, job: Job, console: Console) -> Result:
    """Run a validated study to its result and pages.

    Finished work of an interrupted run is reused; the same study on the same recordings gives the
    same bytes.
    """
    _check_encoders(study, job)
    project = job.project
    uri, artifacts = tracking_uri(project.folder), project.folder / ARTIFACTS
    check_server(uri)
    looks.read_looks(project.reports / looks.NAME)  # a damaged table is refused before any work
    recordings = read_corpora(study, job.sources, console)
    with ExitStack() as held:
        held.enter_context(project.exclusive(study.name))
        workers = held.enter_context(make_workers(job, console))
        # Tasks that need files of this project run in processes of this machine.
        local = held.enter_context(Workers(job.workers)) if job.cluster else workers
        workers.warm_up(
            partial(warm_up, [MODELS[name] for name in study.models], study.search.engine)
        )
        check_databases(job.storage or project.storage_url, uri)
        storage = TrialStorage(job.storage or project.storage_url)
        storage.open()
        held.enter_context(storage.lock(study.name))
        with ThreadPoolExecutor(1) as beside:  # MLflow takes seconds to open its store
            store_checked = beside.submit(check_store, uri)
            prepared = prepare(study, job.sources, recordings, _changes(job), workers, console)
            store_checked.result()
        folder = project.features_cache / prepared.name
        tracker = Tracker(uri, prepared.name, artifacts=artifacts)
        searches = open_searches(study, prepared, storage, project.features_cache / "searches")
        tracker.begin(study_record(study, prepared, searches, project))
        try:
            refits = Refits(folder)
            rehearsal = Rehearsal(study, prepared, held.enter_context(Workers(1)))
            budget = _budget(study, job, rehearsal, refits)

            def on_trial(one: ModelSearch, trial: Trial) -> None:
                tracker.log_trial(one.plan.split, one.plan.model, trial)
                if one.done and one.best and budget is None:  # a budget's time is for searches
                    refits.begin(one, workers)

            searched = search(searches, workers, budget, on_trial, console)
            rehearsal.apart.close()
            outcome = evaluate(study, prepared, searched, workers, project, console)
            _store(outcome, prepared, tracker, local, project, console)
        except BaseException as error:
            tracker.finish("KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED")
            raise
        tracker.finish()
        console.step(f"MLflow: experiment {prepared.name} at {without_user(uri)}")
    if job.minutes is not None:
        seconds = time.monotonic() - job.began
        console.info(f"time budget of {60 * job.minutes:.0f} s: ended after {seconds:.0f} s")
    if tracker.lost:
        console.warning(
            f"MLflow: {tracker.lost} records could not be logged ({tracker.reason}) They are "
            "stored; run the same command again to log them."
        )
    return outcome.result


def _store(
    outcome: Outcome,
    prepared: Prepared,
    tracker: Tracker,
    local: Workers,
    project: Project,
    console: Console,
) -> None:
    """Store the result of a run, its pages, its models and their cards."""
    result, files = outcome.result, outcome.files
    write_result(result, project.results)
    console.step(f"result in {project.results / result.name}")
    _submit_artifacts(outcome, local)
    board = leaderboard(result)
    for page in publish(result, board, project, console):
        console.step(f"page {page}")
    boards = {split: leaderboard(part) for split, part in by_split(result).items()}
    log_models(tracker, result, boards, files, _confusion_matrices(local))
    log_outcomes(tracker, board, boards, project)
    write_cards(result, board, prepared, files, outcome.calibrators)


def extract_study(study: Study, job: Job, console: Console) -> Prepared:
    """Run the feature stage of a validated study: its tables are written, nothing is fitted."""
    _check_encoders(study, job)
    recordings = read_corpora(study, job.sources, console)
    with job.project.exclusive(study.name), make_workers(job, console) as workers:
        return prepare(study, job.sources, recordings, _changes(job), workers, console)


def _check_encoders(study: Study, job: Job) -> None:
    """Refuse a study that tests what its encoder was tuned on, before any recording is read."""
    if job.sources.tables is None:
        tested = [name for name in study.corpora if name not in job.sources.allow_missing]
        check_encoders(tuned_encoders(study.features), tested, job.sources.allow)


def explore_study(study: Study, job: Job, console: Console) -> Path:
    """Return the page on a validated study's recordings, written with its figures.

    Raises
    ------
    BenchmarkError
        If recordings are missing without permission, or too few are usable.
    """
    from benchmark.data.exploration import explore
    from benchmark.report.pages.data import write_data_page

    return write_data_page(explore(study, job, console), job.project.reports)


def publish(result: Result, board: Leaderboard, project: Project, console: Console) -> list[Path]:
    """Record a stored result's looks at its test clips, and write the pages that it changes.

    They are its own page, those of results on the same test clips, whose looks are counted on
    them, and the pages over all results.
    """
    return write_reports(project, console, only=_record_looks(result, board, project))


def write_reports(
    project: Project,
    console: Console,
    only: Collection[str] | None = None,
    *,
    latex: bool = False,
) -> list[Path]:
    """Write the pages of all stored results, or of some and those over all; return their paths.

    Only if all pages are written, everything on them is computed anew from the predictions, and the
    table of results in the project's README follows.

    With `latex`, each leaderboard is also written as a LaTeX table.

    Raises
    ------
    BenchmarkError
        If there are no results.
    """
    from benchmark.report import read_boards, update_readme, write_pages
    from benchmark.report.figures import without_glyph
    from benchmark.report.markdown import shortened

    results, refusals = read_results(project.results)
    if refusals and not results:
        raise BenchmarkError(refusals[0])
    for refusal in refusals:
        console.warning(f"left out of the pages: {refusal}")
    if not results:
        from benchmark.evaluation.external import FOLDER, read_externals

        external = [one.name for one in read_externals(project.reports / FOLDER)]
        beside = f" {', '.join(external)} will stand beside it." if external else ""
        raise BenchmarkError(
            f"{project.results}: no study was run yet. {command('run-study')} "
            f"runs the quickstart study.{beside}"
        )
    recorded = {look.study for look in looks.read_looks(project.reports / looks.NAME)}
    lacking = [result.name for result in results if result.name not in recorded]
    if lacking and only is None:
        console.warning(
            f"{project.reports / looks.NAME} has no look of {shortened(lacking, 5)}, whose pages "
            "lack their count. Restore it from version control; a study that is run again records "
            "its own."
        )
    boards = read_boards(results, project.reports, only)
    pages = write_pages(boards, project.reports, only, latex=latex)
    boxes = without_glyph(
        text
        for board in boards
        if only is None or board.result.name in only
        for text in (*board.result.emotions, *board.result.predictions["speaker"].unique())
    )
    if boxes:
        console.warning(boxes)
    readme = project.folder / "README.md"
    if readme.is_file() and only is None:
        update_readme(readme, boards)
    return pages


def _record_looks(result: Result, board: Leaderboard, project: Project) -> set[str]:
    """Record a result's looks at its test clips; return the studies whose pages tell of them."""
    file = project.reports / looks.NAME
    write_summary(board, project.results / result.name)
    own = [
        looks.Look(
            task=looks.task_digest(result, protocol),
            protocol=protocol,
            study=result.name,
            digest=looks.study_digest(result),
            model=selection.model,
            score=round(board.selected_evaluation(protocol).scores[METRIC].value, 4),
            predictions=looks.predictions_digest(result, protocol),
            version=__version__,
        )
        for protocol, selection in board.selected.items()
    ]
    with project.lock(looks.NAME):
        looks.append_looks(file, own)
        return looks.sharing(result.name, looks.read_looks(file))


def make_workers(job: Job, console: Console) -> Workers:
    """Return the processes of this machine, or the workers of a Dask cluster."""
    if job.cluster is None:
        return Workers(job.workers)
    from benchmark.engine.dask import Cluster

    return Cluster(job.cluster, console.info)


def check_databases(storage: str, tracking: str) -> None:
    """Refuse damaged SQLite files before any work.

    Raises
    ------
    BenchmarkError
        For the first of them.
    """
    remedies = {
        storage: "finished folds are stored in features_cache, and trials are restored from them.",
        tracking: "it logs the study's runs again. Other studies log theirs when they are run "
        "again, and models can be promoted again.",
    }
    for address, remedy in remedies.items():
        file = sqlite_file(address)
        if file is not None:
            check_intact(file, f"Move it away and run the same command again: {remedy}")


def _changes(job: Job) -> tuple[Change, ...]:
    """Return what the command line changes of the study."""
    overrides = tuple(Change(kind="override", value=text) for text in job.overrides)
    if job.minutes is None:
        return overrides
    return (*overrides, Change(kind="budget", value=f"{job.minutes:g}"))


def _budget(study: Study, job: Job, closing: Rehearsal, refits: Refits) -> Budget | None:
    if job.minutes is None:
        return None
    fractions = study.learning_curves.fractions if study.learning_curves else ()
    ensembles = study.all_ensembles
    greedy = sum(how == "greedy" for how in ensembles.values())
    return Budget(
        job.minutes, job.began, closing, refits, fractions, len(ensembles), voters=greedy * VOTES
    )


def _submit_artifacts(outcome: Outcome, workers: Workers) -> None:
    """Store the ensembles and draw the winners' confusion matrices while pages are written."""
    from benchmark.report.sections.selected_model import confusion_png

    for arguments in outcome.unstored:
        workers.submit(store_ensemble, *arguments)
    parts = by_split(outcome.result)
    for winner in outcome.result.winners:
        arguments = (parts[winner.split], winner.protocol, winner.model)
        workers.submit(confusion_png, *arguments, label=(winner.split, winner.model))


def _confusion_matrices(workers: Workers) -> dict[tuple[str, str], bytes]:
    """Return the winners' confusion matrices by split and model, once all artifacts are made."""
    pictures = {}
    for task in workers.drain():
        if isinstance(task.error, MemoryError | WorkerLostError):
            raise task.failure("an ensemble or a figure could not be made") from task.error
        if task.error is not None and task.label is None:
            raise task.error
        if task.label is not None and task.error is None:  # a page names what can't be drawn
            pictures[task.label] = task.result
    return pictures

"""A study from its file to its pages: the one module that knows all the parts."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmark import __version__
from benchmark.console import Bar, Console
from benchmark.data.prepare import prepare, read_corpora
from benchmark.data.prepared import Prepared
from benchmark.data.record import Change
from benchmark.data.split_tables import SplitTables
from benchmark.engine.databases import check_intact
from benchmark.engine.environment import code_digest
from benchmark.engine.processes import WorkerLostError, Workers
from benchmark.errors import BenchmarkError
from benchmark.evaluation.metrics import METRICS
from benchmark.evaluation.results import (
    Result,
    UnfinishedSearch,
    Versions,
    Winner,
    by_split,
    read_results,
    selected,
    write_result,
)
from benchmark.models import MODELS
from benchmark.models.stored import load
from benchmark.project import Job, Project
from benchmark.search.budget import Budget, unfinished_searches
from benchmark.search.ensemble import VOTES
from benchmark.search.fitting import warm_up
from benchmark.search.learning_curves import learning_curves
from benchmark.search.plan import Plan
from benchmark.search.refit import (
    Ensemble,
    Refits,
    best_out_of_fold,
    fit_members,
    fit_winners,
    make_ensemble,
    out_of_fold_predictions,
    predict,
    store_ensemble,
    winners_of,
)
from benchmark.search.search import ModelSearch, run_searches
from benchmark.search.storage import TrialStorage
from benchmark.search.trial import Trial
from benchmark.study import BASELINE, Study, digest_of
from benchmark.tracking.cards import write_cards
from benchmark.tracking.records import ModelRecord, StudyRecord, TableRecord
from benchmark.tracking.store import (
    ARTIFACTS,
    check_server,
    check_store,
    sqlite_file,
    tracking_uri,
)
from benchmark.tracking.tracker import Tracker
from benchmark.validation import ensembles

RECENT = 100
"""Trials from whose seconds the time left is told: all of thousands took longer than a fit."""


@contextmanager
def _alone(study: Study, project: Project) -> Iterator[None]:
    """Hold the study for this process; the lock goes with the process, however that ends."""
    from filelock import FileLock, Timeout

    lock = FileLock(project.features_cache / f".{study.name}.lock")
    try:
        project.features_cache.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout as error:
        raise BenchmarkError(
            f"study {study.name} is already running in {project.folder}. Wait for it, or run this "
            "one in another folder."
        ) from error
    except OSError as error:
        raise BenchmarkError(
            f"{project.features_cache}: can't be written ({error.strerror}). Run in a folder of "
            "your own."
        ) from error
    try:
        yield
    finally:
        lock.release()


def hire(job: Job, console: Console) -> Workers:
    """Return who extracts and fits: processes of this machine, or the workers of a cluster."""
    if job.cluster is None:
        return Workers(job.workers)
    from benchmark.engine.dask import Cluster

    return Cluster(job.cluster, console.info)


def extract_study(study: Study, job: Job, console: Console) -> Prepared:
    """Run the feature stage of a checked study alone: its tables are written, nothing is fitted."""
    recordings = read_corpora(study, job.sources, console)
    with _alone(study, job.project), hire(job, console) as workers:
        return prepare(study, job.sources, recordings, _changes(job), workers, console)


def run_study(study: Study, job: Job, console: Console) -> Result:
    """Run a checked study to its result and pages.

    Finished work of an earlier, interrupted run is taken up; the same study on the same recordings
    gives the same bytes.
    """
    project = job.project
    uri, artifacts = tracking_uri(project.folder), project.folder / ARTIFACTS
    check_server(uri)
    recordings = read_corpora(study, job.sources, console)
    with ExitStack() as held:
        held.enter_context(_alone(study, project))
        workers = held.enter_context(hire(job, console))
        # What needs files of this project is done by processes of this machine.
        here = held.enter_context(Workers(job.workers)) if job.cluster else workers
        workers.warm_up(
            partial(warm_up, [MODELS[name] for name in study.models], study.search.engine)
        )
        check_databases(job.storage or project.storage_url, uri)
        storage = TrialStorage(job.storage or project.storage_url)
        storage.open()
        held.enter_context(storage.lock(study.name))
        with _in_background(partial(check_store, uri, artifacts)):
            prepared = prepare(study, job.sources, recordings, _changes(job), workers, console)
        tracker = Tracker(uri, prepared.name, artifacts=artifacts)
        searches = _plan_searches(study, prepared, storage, project)
        tracker.begin(_study_record(study, prepared, searches, project))
        try:
            refits = Refits(project.features_cache / prepared.name)
            budget = _budget(study, job, workers)
            found = _search(searches, workers, tracker, budget, refits, console)
            done = _evaluate(study, prepared, found, workers, project, console)
            result, files = done.result, done.files
            write_result(result, project.results)
            _submit_artifacts(done, here)
            write_reports(project, console, only=result.name)
            _log_winners(tracker, result, files, _pictures(here))
            write_cards(result, prepared.recipe, prepared.clips_digests, files)
        except BaseException as error:
            tracker.finish("KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED")
            raise
        tracker.finish()
    if tracker.lost:
        console.warning(
            f"MLflow: {tracker.lost} records could not be logged ({tracker.reason}) They are safe; "
            "run the same command again to log them."
        )
    return result


def _changes(job: Job) -> tuple[Change, ...]:
    """Return what the command line changes of the study."""
    overrides = tuple(Change(kind="override", value=text) for text in job.overrides)
    if job.minutes is None:
        return overrides
    return (*overrides, Change(kind="budget", value=f"{job.minutes:g}"))


def check_databases(storage: str, tracking: str) -> None:
    """Refuse damaged SQLite files, before a study is stopped by one in the middle.

    Raises
    ------
    BenchmarkError
        For the first of them.
    """
    remedies = {
        storage: "its folds are kept in features_cache, and its trials are made of them anew.",
        tracking: "it logs the study's runs anew. Other studies log theirs when they are run "
        "again, and models can be promoted again.",
    }
    for address, remedy in remedies.items():
        file = sqlite_file(address)
        if file is not None:
            check_intact(file, f"Move it away and run the same command again: {remedy}")


@contextmanager
def _in_background(function: Callable[[], None]) -> Iterator[None]:
    """Run a function in a thread beside the block, and raise its error once the block is done."""
    errors: list[BaseException] = []

    def call() -> None:
        try:
            function()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    yield
    thread.join()
    if errors:
        raise errors[0]


def _plan_searches(
    study: Study, prepared: Prepared, storage: TrialStorage, project: Project
) -> list[ModelSearch]:
    """Return the opened searches of every model on every split."""
    searches = []
    for tables in prepared.splits:
        for name, spec in study.models.items():
            plan = Plan(
                study=study.name,
                split=tables.name,
                stream=tables.stream,
                model=name,
                spec=spec,
                search=study.search,
                seed=study.seed,
                emotions=tuple(tables.emotions),
                n_folds=tables.n_folds,
                arrays=tables.arrays,
                origin=prepared.origin,
            )
            search = ModelSearch(plan, storage, project.features_cache / "searches")
            search.open()
            searches.append(search)
    return searches


def _study_record(
    study: Study, prepared: Prepared, searches: Sequence[ModelSearch], project: Project
) -> StudyRecord:
    """Return what MLflow's runs of this study share."""
    tables = {
        split.name: tuple(
            TableRecord(
                name=f"{prepared.name}/{split.name}/{side}",
                digest=facts.digest,
                side=side,
                source=str((split.folder / f"{side}.csv").relative_to(project.folder)),
                rows=facts.rows,
            )
            for side, facts in (("train", split.record.train), ("test", split.record.test))
        )
        for split in prepared.splits
    }
    keys = [search.plan.key for search in searches]
    return StudyRecord(
        name=prepared.name,
        digest=digest_of([prepared.name, keys])[:16],
        metric=study.search.metric,
        question=study.question,
        settings=study.settings(),
        parameters={
            name: {key: getattr(entry, "log", False) for key, entry in spec.space.items()}
            for name, spec in study.models.items()
        },
        tags={
            "seed": str(study.seed),
            "data_digest": digest_of([split.digest for split in prepared.splits]),
            "code_digest": code_digest(),
            "benchmark_version": __version__,
            **(
                {"changes": "; ".join(change.text for change in prepared.changes)}
                if prepared.changes
                else {}
            ),
        },
        tables=tables,
    )


@dataclass(frozen=True)
class Found:
    """What the searches have found.

    Attributes
    ----------
    searches : sequence of ModelSearch
        Each with a winner.
    unfinished : tuple of UnfinishedSearch, or None
        Of a run with a time budget.
    """

    searches: Sequence[ModelSearch]
    unfinished: tuple[UnfinishedSearch, ...] | None = None


@dataclass(frozen=True)
class Evaluated:
    """What has become of finished searches.

    Attributes
    ----------
    result : Result
    files : dict of (str, str) to Path
        Fitted models by split and model; those of ensembles are still to be stored.
    unstored : list of tuple
        For each ensemble the arguments of `store_ensemble`.
    """

    result: Result
    files: dict[tuple[str, str], Path]
    unstored: list[tuple[Any, ...]]


def _evaluate(
    study: Study,
    prepared: Prepared,
    found: Found,
    workers: Workers,
    project: Project,
    console: Console,
) -> Evaluated:
    """Return the result of finished searches, with all that it shows fitted."""
    searches = found.searches
    winners: list[Winner] = []
    folder = project.features_cache / prepared.name
    files = fit_winners(searches, workers, folder, console)
    curves = _learning_curves(study, searches, workers, project, console)
    predictions, out_of_fold, unstored = [], [], []
    for tables in prepared.splits:
        here = {s.plan.model: s for s in searches if s.plan.split == tables.name}
        read = cache(load)  # whoever is in several ensembles is read once
        fitted = {name: read(files[tables.name, name]) for name in here}
        made = _ensembles(study, tables, list(here.values()), workers)
        for one in made:
            name = one.entry.model
            members = fit_members(one.members, workers, folder, console)
            target = folder / tables.name / "models" / f"{name}.skops"
            fitted[name] = one.assembly.of([read(path) for path in members], tables.emotions)
            files[tables.name, name] = target
            unstored.append((one.assembly, members, tables.emotions, target))
        own = [*winners_of(tables, list(here.values())), *(one.entry for one in made)]
        best = selected(own)
        known = {one.entry.model: one.out_of_fold for one in made}
        answers = known.get(best.model) or best_out_of_fold(here[best.model], workers)
        out_of_fold.append(out_of_fold_predictions(best, tables, answers, study.emotions))
        predictions += [
            predict(model, name, tables, study.emotions) for name, model in fitted.items()
        ]
        winners += own
    return Evaluated(
        Result(
            name=prepared.name,
            study=study,
            changes=prepared.changes,
            data=prepared.data,
            versions=_versions(study),
            winners=tuple(winners),
            trials=_trials(prepared, searches),
            predictions=_joined(predictions),
            curves=curves,
            clips=prepared.clips,
            out_of_fold=_joined(out_of_fold),
            unfinished=found.unfinished,
        ),
        files,
        unstored,
    )


def _ensembles(
    study: Study, tables: SplitTables, searches: Sequence[ModelSearch], workers: Workers
) -> list[Ensemble]:
    """Return a split's ensembles, but those for whose members the time was too short."""
    there = {search.plan.model for search in searches} - {BASELINE}
    return [
        make_ensemble(name, how, tables, searches, workers)
        for name, how in ensembles(study).items()
        if there and (isinstance(how, str) or there.issuperset(how))
    ]


def _learning_curves(
    study: Study,
    searches: Sequence[ModelSearch],
    workers: Workers,
    project: Project,
    console: Console,
) -> pd.DataFrame | None:
    """Return the learning curves of all winners but the floor, if the study asks for them."""
    if study.learning_curves is None:
        return None
    learners = [search for search in searches if search.plan.model != BASELINE]
    with console.bars() as bars:
        progress = bars.add("learning curves", 0).update
        cache = project.features_cache / "curves"
        return learning_curves(learners, study.learning_curves.fractions, cache, workers, progress)


def _budget(study: Study, job: Job, workers: Workers) -> Budget | None:
    if job.minutes is None:
        return None
    fractions = study.learning_curves.fractions if study.learning_curves else ()
    greedy = sum(how == "greedy" for how in ensembles(study).values())
    return Budget(job.minutes, job.began, workers.count, fractions, refits=greedy * VOTES)


def _search(
    searches: Sequence[ModelSearch],
    workers: Workers,
    tracker: Tracker,
    budget: Budget | None,
    refits: Refits,
    console: Console,
) -> Found:
    """Run all searches, showing and logging each trial as it is told.

    Winners of those that are done are fitted beside the others; not where the time is short, which
    searches need.
    """
    for difference in dict.fromkeys(search.difference for search in searches if search.difference):
        names = [f"{s.plan.split} {s.plan.model}" for s in searches if s.difference == difference]
        console.info(
            f"new searches ({', '.join(names)}), because of: {difference}. Earlier trials are kept."
        )
    resumed = sum(search.resumed for search in searches)
    if resumed:
        console.info(f"{resumed} finished trials of an earlier run are taken up")
    with console.bars(timed=False) as bars:
        everything = bars.add("all searches", sum(search.total for search in searches))
        shown: dict[int, Bar] = {
            id(search): bars.add(f"{search.plan.split} {search.plan.model}", search.total)
            for search in searches
        }

        def on_trial(search: ModelSearch, trial: Trial) -> None:
            best = search.best
            metric = METRICS[search.plan.search.metric].title
            note = f"best {metric} {best.score:.3f}" if best else f"failed: {trial.reason}"
            shown[id(search)].update(len(search.trials), search.total, note)
            done = sum(len(search.trials) for search in searches)
            total = sum(search.total for search in searches)
            left_s = _seconds_left(searches, workers.count)
            if budget is not None:
                left_s = min(left_s, budget.search_until(searches) - time.monotonic())
            left = _in_words(left_s) if done < total else "fitting the winners"
            everything.update(done, total, left)
            tracker.log_trial(search.plan.split, search.plan.model, trial)
            if search.done and best and budget is None:
                refits.begin(search, workers)

        until = budget.search_until if budget else lambda _: float("inf")
        run_searches(searches, workers, on_trial, partial(until, searches))
    for search in searches:
        if search.best is None and search.done:
            plan = search.plan
            raise BenchmarkError(
                f"{plan.split} {plan.model}: all {search.total} trials failed, the first with: "
                f"{search.trials[0].reason}. Change [models.{plan.model}] or the recordings."
            )
    return _found(searches, budget, console)


def _found(searches: Sequence[ModelSearch], budget: Budget | None, console: Console) -> Found:
    """Leave out the models for which the time was too short, and say what else it has cut."""
    if budget is None:
        return Found(searches)
    unfinished = unfinished_searches(searches)
    for one in unfinished:
        console.warning(
            f"not finished in time: {one.protocol} {one.model}, {one.completed} of {one.requested} "
            "trials"
        )
    lacking = {search.plan.model for search in searches if search.best is None}
    for model in sorted(lacking):
        console.warning(f"left out, as no trial of it is complete: {model}")
    return Found([search for search in searches if search.plan.model not in lacking], unfinished)


def _seconds_left(searches: Sequence[ModelSearch], workers: int) -> float:
    """Return how long searches will take, from what their trials took; infinity if unknown."""
    seconds = 0.0
    for search in searches:
        remaining = search.total - len(search.trials)
        alike = [s for s in searches if s.plan.model == search.plan.model and s.trials]
        told = [search] if search.trials else alike
        took = [trial.seconds for s in told for trial in s.trials[-RECENT:]]
        if remaining and not took:
            return float("inf")
        seconds += remaining * float(np.median(took)) / workers if remaining else 0.0
    return seconds


def _in_words(seconds: float) -> str:
    """Return a time left in words; "" for none, or one that is not known."""
    if seconds == float("inf"):
        return ""
    if seconds < 90:
        return f"about {seconds:.0f} s left" if seconds > 0 else ""
    return f"about {seconds / 60:.0f} min left"


def _submit_artifacts(done: Evaluated, workers: Workers) -> None:
    """Let workers store the ensembles and draw the winners' pictures while pages are written."""
    from benchmark.report.sections.selected_model import confusion_png

    for arguments in done.unstored:
        workers.submit(store_ensemble, *arguments)
    parts = by_split(done.result)
    for winner in done.result.winners:
        split, model = winner.split, winner.model
        picture = (parts[split], winner.protocol, model)
        workers.submit(confusion_png, *picture, label=(split, model))


def _pictures(workers: Workers) -> dict[tuple[str, str], bytes]:
    """Return the winners' pictures by split and model, once all artifacts are made."""
    pictures = {}
    for task in workers.drain():
        if isinstance(task.error, MemoryError | WorkerLostError):
            raise task.failure("a vote or a picture could not be made") from task.error
        if task.error is not None:
            raise task.error
        if task.label is not None:
            pictures[task.label] = task.result
    return pictures


def _trials(prepared: Prepared, searches: Sequence[ModelSearch]) -> pd.DataFrame:
    """Return all trials as a result holds them."""
    identities = {tables.name: tables.identity for tables in prepared.splits}
    n_folds = max(tables.n_folds for tables in prepared.splits)
    rows = pd.DataFrame(
        [
            {
                **identities[search.plan.split],
                "model": search.plan.model,
                **trial.row(n_folds),
            }
            for search in searches
            for trial in search.trials
        ]
    )
    return _joined([rows])


def _joined(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return tables below one another; a protocol of one split has no part beside others' parts."""
    joined = pd.concat(tables, ignore_index=True)
    if "part" in joined:
        joined.insert(1, "part", joined.pop("part").fillna(""))
    return joined


def _versions(study: Study) -> Versions:
    """Return the versions that decide scores, and what fitted each model in the search."""
    libraries = ["librosa", "numpy", "optuna", "scikit-learn", "scipy", "soundfile", "soxr"]
    if any(MODELS[name].by_epochs for name in study.models):
        libraries += ["skorch", "torch"]
    return Versions(
        libraries={
            "ser-benchmark": __version__,
            **{name: version(name).partition("+")[0] for name in libraries},
        },
        engines={name: MODELS[name].engine_version(study.search.engine) for name in study.models},
    )


def _log_winners(
    tracker: Tracker,
    result: Result,
    files: Mapping[tuple[str, str], Path],
    pictures: Mapping[tuple[str, str], bytes],
) -> None:
    """Log each winner with its test figures, its picture and its fitted model."""
    from benchmark.evaluation.leaderboard import leaderboard

    boards = {split: leaderboard(part) for split, part in by_split(result).items()}
    metric = result.study.search.metric
    for winner in result.winners:
        split, model = winner.split, winner.model
        voters = _voters(winner)
        found = boards[split].evaluation(winner.protocol, model)
        assert found is not None
        metrics: dict[str, float] = {f"cv_{metric}": winner.score, "cv_std": winner.std or 0.0}
        for name, score in found.scores.items():
            metrics[f"test_{name}"] = score.value
            metrics[f"test_{name}_low"] = score.low
            metrics[f"test_{name}_high"] = score.high
        for corpus, part in found.corpora.items():
            metrics |= {f"test_{corpus}_{name}": s.value for name, s in part.scores.items()}
        for name, score in found.mean_over_corpora.items():
            metrics[f"test_{name}_mean_over_corpora"] = score.value
        params = winner.params | ({"members": voters} if voters else {})
        stored = files[split, model]
        tracker.log_model(
            ModelRecord(
                split=split,
                model=model,
                params=params,
                metrics=metrics,
                files={
                    "model/model.skops": stored,
                    "figures/confusion.png": pictures[split, model],
                },
                trial=winner.trial,
                tags={"model_sha256": hashlib.sha256(stored.read_bytes()).hexdigest()},
            )
        )


def _voters(winner: Winner) -> str:
    """Return an ensemble's members in a line, of a greedy one with trials and weights."""
    members: Sequence[str] = winner.members
    if winner.weights:
        rows = zip(winner.weights, members, winner.trials, strict=True)
        members = [f"{weight} x {model} {trial}" for weight, model, trial in rows]
    return ", ".join(members)


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


def write_reports(project: Project, console: Console, only: str | None = None) -> list[Path]:
    """Write the pages of all stored results, or of one and the leaderboard, and return their paths.

    Raises
    ------
    BenchmarkError
        If nothing has been measured yet.
    """
    from benchmark.report import update_readme, write_pages

    results, refusals = read_results(project.results)
    if refusals and not results:
        raise BenchmarkError(refusals[0])
    for refusal in refusals:
        console.warning(f"left out of the pages: {refusal}")
    if not results:
        raise BenchmarkError(
            f"{project.results}: nothing has been measured yet. `python -m benchmark run-study` "
            "runs the quickstart study."
        )
    pages = write_pages(results, project.reports, only=only)
    readme = project.folder / "README.md"
    if readme.is_file():
        update_readme(readme, results)
    return pages

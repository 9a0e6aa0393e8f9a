"""Refit: the best trials fitted on all training rows, their ensembles, and test predictions.

The CV score of an ensemble comes from its members' out-of-fold predictions. The test rows are
predicted once, here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmark.console import Console
from benchmark.data.split_tables import SplitTables
from benchmark.engine.arrays import StoredArrays, TrainingArrays, load_arrays
from benchmark.engine.files import write_bytes
from benchmark.engine.processes import Task, TaskQueue, Workers
from benchmark.errors import BenchmarkError
from benchmark.evaluation.results import CLIP, Winner
from benchmark.models import Model, probabilities
from benchmark.models.stored import dump, is_whole, load, packed
from benchmark.search.ensemble import (
    LEARNERS,
    Assembly,
    Inner,
    Stacked,
    mean_by_fold,
    nested_predictions,
)
from benchmark.search.fitting import Probabilities, fit_rows
from benchmark.search.search import ModelSearch
from benchmark.search.trial import Trial
from benchmark.study import BASELINE, derive_seed

LIBRARY = 100
"""The best trials of each model among which a greedy ensemble selects."""

REFITTED_LIBRARY = 3
"""The same for a model that is searched by labels, whose folds are fitted again."""


@dataclass(frozen=True)
class Member:
    """A trial that is refitted on the whole training table."""

    search: ModelSearch
    trial: Trial

    @property
    def name(self) -> str:
        """A name that is unique on the split."""
        return f"{self.search.plan.model}_{self.trial.number}"

    @property
    def params(self) -> dict[str, Any]:
        """Parameters of a fit without early stopping."""
        trial = self.trial
        return trial.params | ({"max_epochs": trial.mean_epochs} if trial.epochs else {})

    def file(self, folder: Path) -> Path:
        """Return the file of the refitted model, below a study's folder."""
        plan = self.search.plan
        name = f"{plan.model}_{plan.key[:12]}_{self.trial.number:04d}.skops"
        return folder / plan.split / "models" / name


@dataclass(frozen=True)
class Ensemble:
    """An ensemble of refitted trials.

    Attributes
    ----------
    entry : Winner
    members : tuple of Member
    assembly : Assembly
        How they become one model.
    out_of_fold : list of ndarray, shape (n_validation_clips, n_emotions)
        Its probabilities on each inner fold, learned on the other folds.
    """

    entry: Winner
    members: tuple[Member, ...]
    assembly: Assembly
    out_of_fold: list[Probabilities]


def winners_of(tables: SplitTables, searches: Sequence[ModelSearch]) -> list[Winner]:
    """Return the best trial of each search on a split."""
    return [
        Winner(
            protocol=tables.split.protocol,
            part=tables.split.part,
            model=search.plan.model,
            trial=best.number,
            params=best.params,
            score=best.score,
            std=best.std,
            fold_scores=best.scores,
            epochs=best.mean_epochs if best.epochs else None,
        )
        for search in searches
        for best in [best_trial(search)]
    ]


def best_trial(search: ModelSearch) -> Trial:
    """Return the selected trial of a finished search."""
    best = search.best
    assert best is not None
    return best


def refit(
    arrays: StoredArrays | TrainingArrays, model: Model, params: dict[str, Any], seed: int
) -> bytes:
    """Fit a model on a whole training table and return its file; a task of workers."""
    data = load_arrays(arrays)
    everything = np.ones(len(data.fold), dtype=np.bool_)
    return packed(fit_rows(data, model, params, seed, everything))


class Refits:
    """Refits while searches go on: of finished ones, so that no core is idle at the end.

    With a time budget, of the first trial of each model, so that the duration of a refit is known.

    A refit that fails here is repeated by `fit_winners`, which raises the error.

    Parameters
    ----------
    folder : Path
        The study's, in the features cache.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def begin(self, search: ModelSearch, workers: TaskQueue) -> None:
        """Submit the refit of a search's best trial, with a lower priority than all folds."""
        winner = Member(search, best_trial(search))
        target = winner.file(self._folder)
        if not is_whole(target):
            label = (self, target, search.plan.model)
            _submit(winner, workers, label, priority=(float("inf"),))

    def accept(self, task: Task, _workers: TaskQueue) -> None:
        """Write a refitted model."""
        if task.error is None:
            _write(task.label[1], task.result)

    def advance(self, _workers: TaskQueue) -> Iterator[Trial]:
        """Yield nothing, since a refit completes no trial."""
        return iter(())


def _submit(
    member: Member, workers: TaskQueue, label: Any, priority: tuple[float, ...] = (0.0,)
) -> None:
    plan, trial = member.search.plan, member.trial
    seed = derive_seed(trial.seed, "refit")
    workers.submit(
        refit, plan.arrays, plan.entry, member.params, seed, label=label, priority=priority
    )


def _write(target: Path, fitted: bytes) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(target, fitted)


def fit_winners(
    searches: Sequence[ModelSearch], workers: Workers, folder: Path, console: Console
) -> dict[tuple[str, str], Path]:
    """Refit the best trial of each search, and return the files by split and model."""
    winners = [Member(search, best_trial(search)) for search in searches]
    paths = fit_members(winners, workers, folder, console, always_shown=True)
    names = [(member.search.plan.split, member.search.plan.model) for member in winners]
    return dict(zip(names, paths, strict=True))


def fit_members(
    members: Sequence[Member],
    workers: Workers,
    folder: Path,
    console: Console,
    *,
    always_shown: bool = False,
) -> list[Path]:
    """Refit trials whose files are missing or damaged, and return the files of all.

    With `always_shown` the progress is shown even if all files exist.
    """
    files = [member.file(folder) for member in members]
    for member, target in zip(members, files, strict=True):
        if not is_whole(target):
            plan = member.search.plan
            _submit(member, workers, (plan.split, plan.model, target))
    with console.bars() as bars:
        bar = bars.add("fitting the selected models", len(members))
        done = len(members) - workers.pending
        if always_shown:
            bar.update(done, len(members))
        for task in workers.drain():
            split, model, target = task.label
            if task.error is not None:
                raise task.failure(
                    f"{split} {model}: the selected model could not be fitted on the whole "
                    "training table"
                ) from task.error
            _write(target, task.result)
            done += 1
            bar.update(done, len(members))
    return files


def make_ensemble(
    name: str,
    how: str | Sequence[str],
    tables: SplitTables,
    searches: Sequence[ModelSearch],
    workers: Workers,
) -> Ensemble:
    """Return an ensemble with its CV score.

    Parameters
    ----------
    name : str
    how : str or sequence of str
        A key of `LEARNERS`, or the models whose best trials vote.
    tables : SplitTables
    searches : sequence of ModelSearch
        Finished, of that split.
    workers : Workers
        Fit missing out-of-fold predictions again.
    """
    if isinstance(how, str):
        return _learned(name, how, tables, searches, workers)
    by_model = {search.plan.model: search for search in searches}
    voting = [by_model[model] for model in how]
    out_of_fold = mean_by_fold([best_out_of_fold(search, workers) for search in voting])
    members = tuple(Member(search, best_trial(search)) for search in voting)
    entry = _entry(name, tables, members, voting[0].fold_scores(out_of_fold))
    return Ensemble(entry, members, Assembly(tuple(how)), out_of_fold)


def _entry(
    name: str,
    tables: SplitTables,
    members: Sequence[Member],
    scores: Sequence[float],
    weights: Sequence[int] = (),
) -> Winner:
    return Winner(
        protocol=tables.split.protocol,
        part=tables.split.part,
        model=name,
        trial=None,
        params={},
        members=tuple(member.search.plan.model for member in members),
        score=float(np.mean(scores)),
        std=float(np.std(scores)),
        fold_scores=tuple(scores),
        trials=tuple(member.trial.number for member in members) if weights else (),
        weights=tuple(weights),
    )


def _learned(
    name: str,
    how: str,
    tables: SplitTables,
    searches: Sequence[ModelSearch],
    workers: Workers,
) -> Ensemble:
    """Return an ensemble that learns its members or their weights from out-of-fold predictions."""
    members, library = [], []
    for search in searches:
        if search.plan.model == BASELINE:
            continue
        greedy = REFITTED_LIBRARY if search.plan.entry.labels_only else LIBRARY
        trials = search.best_trials(1 if how == "stacking" else greedy)
        members += [Member(search, trial) for trial in trials]
        predictions = search.out_of_fold([trial.number for trial in trials], workers)
        library += [np.concatenate(folds) for folds in predictions]
    stacked, inner = np.stack(library), _inner(members[0].search)
    out_of_fold = nested_predictions(LEARNERS[how], stacked, inner)
    scores = members[0].search.fold_scores(out_of_fold)
    rule = LEARNERS[how](stacked, inner)
    if isinstance(rule, Stacked):
        names = tuple(member.name for member in members)
        assembly = Assembly(names, final=rule.final)
        entry = _entry(name, tables, members, scores)
        return Ensemble(entry, tuple(members), assembly, out_of_fold)
    order = sorted(np.flatnonzero(rule.weights), key=lambda index: -rule.weights[index])
    voters = tuple(members[index] for index in order)
    weights = tuple(int(rule.weights[index]) for index in order)
    entry = _entry(name, tables, voters, scores, weights)
    assembly = Assembly(tuple(voter.name for voter in voters), weights)
    return Ensemble(entry, voters, assembly, out_of_fold)


def _inner(search: ModelSearch) -> Inner:
    """Return the validation clips of a search, in the order of its out-of-fold predictions."""
    data, plan = load_arrays(search.plan.arrays), search.plan
    rows = [np.flatnonzero(data.validation_rows(fold)) for fold in range(plan.n_folds)]
    order = np.concatenate(rows)
    return Inner(
        data.fold[order],
        data.emotions[order],
        plan.emotions,
        plan.search.metric,
        data.corpora[order],
    )


def out_of_fold_predictions(
    winner: Winner,
    tables: SplitTables,
    out_of_fold: Sequence[Probabilities],
    emotions: Sequence[str],
) -> pd.DataFrame:
    """Return a model's out-of-fold predictions of the training clips, with their folds."""
    data = load_arrays(tables.arrays)
    parts = []
    for fold, predicted in enumerate(out_of_fold):
        rows = tables.train.rows[data.validation_rows(fold)]
        part = prediction_rows(winner.model, tables, rows, predicted, emotions)
        part.insert(part.columns.get_loc("emotion") + 1, "fold", fold)
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def best_out_of_fold(search: ModelSearch, workers: Workers) -> list[Probabilities]:
    """Return the out-of-fold probabilities of a search's best trial, by fold."""
    return search.out_of_fold([best_trial(search).number], workers)[0]


def predict_under_conditions(
    model: Any, name: str, tables: SplitTables, emotions: Sequence[str]
) -> list[pd.DataFrame]:
    """Return a model's predictions of the test clips under each condition, named in a column."""
    predictions = []
    for condition, table in tables.conditions.items():
        rows = predict(model, name, replace(tables, test=table), emotions)
        rows.insert(rows.columns.get_loc("model"), "condition", condition)
        predictions.append(rows)
    return predictions


def predict(model: Any, name: str, tables: SplitTables, emotions: Sequence[str]) -> pd.DataFrame:
    """Return a model's predictions of the test clips, with a probability for each emotion.

    Raises
    ------
    BenchmarkError
        If a probability is not finite.
    """
    predicted = probabilities(model, tables.test.values)
    if not np.isfinite(predicted).all():
        raise BenchmarkError(
            f"{tables.name} {name}: its probabilities for the test clips are not finite, since "
            "its fit on the whole training table diverged. Narrow its space in the study."
        )
    return prediction_rows(name, tables, tables.test.rows, predicted, emotions)


def prediction_rows(
    model: str,
    tables: SplitTables,
    rows: pd.DataFrame,
    probabilities: Probabilities,
    emotions: Sequence[str],
) -> pd.DataFrame:
    """Return clips with their probabilities, 0 for an emotion that the split lacks."""
    clips = rows[list(CLIP)].reset_index(drop=True)
    columns = pd.DataFrame(probabilities, columns=tables.emotions)
    columns = columns.reindex(columns=sorted(emotions), fill_value=np.float32(0)).add_prefix("p_")
    names = pd.DataFrame({**tables.identity, "model": model}, index=clips.index)
    return pd.concat([names, clips, columns], axis=1)


def store_ensemble(
    assembly: Assembly, members: Sequence[Path], emotions: Sequence[str], target: Path
) -> None:
    """Write the ensemble of stored members to `target`; a task of workers."""
    dump(assembly.of([load(path) for path in members], emotions), target)

"""Winners: each model's best settings fitted on all training clips, and what they say of the test.

An ensemble's score on the inner folds comes of its members' kept answers; the test rows are looked
at once, here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmark import models
from benchmark.console import Console
from benchmark.data.split_tables import SplitTables
from benchmark.engine.arrays import StoredArrays, TrainingArrays, load_arrays
from benchmark.engine.files import write_bytes
from benchmark.engine.processes import Task, Workers
from benchmark.errors import BenchmarkError
from benchmark.evaluation.results import CLIP, Winner
from benchmark.models.stored import dump, is_whole, load, packed
from benchmark.search.ensemble import (
    LEARNERS,
    Assembly,
    Inner,
    Stacked,
    mean_by_fold,
    nested_answers,
)
from benchmark.search.fitting import Probabilities, fit_rows
from benchmark.search.search import ModelSearch
from benchmark.search.storage import Trial
from benchmark.study import BASELINE, derive_seed

LIBRARY = 100
"""So many trials of a model, the best of it, a greedy ensemble chooses from: all of most searches,
and of the longest what fits into memory."""

FITTED_FOR_IT = 3
"""So many of a model that is searched without probabilities, and fitted once more to have some."""


@dataclass(frozen=True)
class Member:
    """A trial of a search, to be fitted on the whole training table."""

    search: ModelSearch
    trial: Trial

    @property
    def name(self) -> str:
        """A name that no other trial of the split has."""
        return f"{self.search.plan.model}_{self.trial.number}"

    def file(self, folder: Path) -> Path:
        """Return where it lies once it is fitted, below a study's folder."""
        plan = self.search.plan
        name = f"{plan.model}_{plan.key[:12]}_{self.trial.number:04d}.skops"
        return folder / plan.split / "models" / name


@dataclass(frozen=True)
class Ensemble:
    """Models that answer together.

    Attributes
    ----------
    entry : Winner
    members : tuple of Member
    assembly : Assembly
        How they become one model.
    out_of_fold : list of ndarray, shape (n_validation_clips, n_emotions)
        Its probabilities on each inner fold, by what it learns on the others.
    """

    entry: Winner
    members: tuple[Member, ...]
    assembly: Assembly
    out_of_fold: list[Probabilities]


def winners_of(tables: SplitTables, searches: Sequence[ModelSearch]) -> list[Winner]:
    """Return the best trial of each search on a split."""
    return [
        Winner(
            protocol=tables.protocol,
            part=tables.part,
            model=search.plan.model,
            trial=best.number,
            params=best.params,
            score=best.score,
            std=best.std,
            fold_scores=best.scores,
            epochs=_epochs(best) if best.epochs else None,
        )
        for search in searches
        for best in [_best(search)]
    ]


def _epochs(trial: Trial) -> int:
    """Return for how many epochs a winner learns on the whole table: the mean of the folds' best.

    There are then no rows left that could tell when to stop.
    """
    return max(1, round(float(np.mean(trial.epochs))))


def _best(search: ModelSearch) -> Trial:
    best = search.best
    assert best is not None
    return best


def fit_winner(
    arrays: StoredArrays | TrainingArrays, model: str, params: dict[str, Any], seed: int
) -> bytes:
    """Fit a model on a whole training table and return its file; runs in a worker."""
    data = load_arrays(arrays)
    everything = np.ones(len(data.fold), dtype=np.bool_)
    return packed(fit_rows(data, model, params, seed, everything))


class Refits:
    """Winners that are fitted on whole training tables while other searches go on.

    So that less is left for the end, when a slow fit keeps one core busy and the others idle. What
    can't be fitted now is left to `fit_winners`, which says why.

    Parameters
    ----------
    folder : Path
        The study's, in the features cache.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def begin(self, search: ModelSearch, workers: Workers) -> None:
        """Ask for the winner of a search that is done, after all that searches wait for."""
        winner = Member(search, _best(search))
        target = winner.file(self._folder)
        if not is_whole(target):
            _submit(winner, workers, (self, target), priority=(float("inf"),))

    def accept(self, task: Task, _workers: Workers) -> None:
        """Keep a fitted winner."""
        if task.error is None:
            _keep(task.label[1], task.result)

    def advance(self, _workers: Workers) -> Iterator[Trial]:
        """Yield nothing: a winner is no trial."""
        return iter(())


def _submit(
    member: Member, workers: Workers, label: Any, priority: tuple[float, ...] = (0.0,)
) -> None:
    plan, trial = member.search.plan, member.trial
    seed = derive_seed(trial.seed, "refit")
    params = trial.params | ({"max_epochs": _epochs(trial)} if trial.epochs else {})
    arguments = (plan.arrays, plan.model, params, seed)
    workers.submit(fit_winner, *arguments, label=label, priority=priority)


def _keep(target: Path, fitted: bytes) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(target, fitted)


def fit_winners(
    searches: Sequence[ModelSearch], workers: Workers, folder: Path, console: Console
) -> dict[tuple[str, str], Path]:
    """Fit every winner on its whole training table, and return the files by split and model."""
    winners = [Member(search, _best(search)) for search in searches]
    paths = fit_members(winners, workers, folder, console, always_told=True)
    names = [(member.search.plan.split, member.search.plan.model) for member in winners]
    return dict(zip(names, paths, strict=True))


def fit_members(
    members: Sequence[Member],
    workers: Workers,
    folder: Path,
    console: Console,
    *,
    always_told: bool = False,
) -> list[Path]:
    """Fit trials on their whole training tables, those that are not yet, and return their files.

    How many are fitted is told as they are; with `always_told` where all were before, too.
    """
    files = [member.file(folder) for member in members]
    for member, target in zip(members, files, strict=True):
        if not is_whole(target):
            plan = member.search.plan
            _submit(member, workers, (plan.split, plan.model, target))
    with console.bars() as bars:
        bar = bars.add("fitting the winners", len(members))
        done = len(members) - workers.pending
        if always_told:
            bar.update(done, len(members))
        for task in workers.drain():
            split, model, target = task.label
            if task.error is not None:
                raise task.failure(
                    f"{split} {model}: the winner could not be fitted on the whole training table"
                ) from task.error
            _keep(target, task.result)
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
    """Return an ensemble and its score on the inner folds.

    Parameters
    ----------
    name : str
        Its own.
    how : str or sequence of str
        A key of `LEARNERS`, which learns from all models, or the models whose winners vote.
    tables : SplitTables
    searches : sequence of ModelSearch
        Finished, of that split.
    workers : Workers
        Fit again what is lost of the trials' answers.
    """
    if isinstance(how, str):
        return _learned(name, how, tables, searches, workers)
    by_model = {search.plan.model: search for search in searches}
    voting = [by_model[model] for model in how]
    answers = [search.out_of_fold(_best(search).number, workers) for search in voting]
    out_of_fold = mean_by_fold(answers)
    members = tuple(Member(search, _best(search)) for search in voting)
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
        protocol=tables.protocol,
        part=tables.part,
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
    """Return an ensemble that learns from out-of-fold answers which members to take, or how."""
    members, library = [], []
    for search in searches:
        if search.plan.model == BASELINE:
            continue
        decides = models.MODELS[search.plan.model].decides
        count = 1 if how == "stacking" else FITTED_FOR_IT if decides else LIBRARY
        trials = search.best_trials(count)
        members += [Member(search, trial) for trial in trials]
        answers = search.all_out_of_fold([trial.number for trial in trials], workers)
        library += [np.concatenate(folds) for folds in answers]
    answered, inner = np.stack(library), _inner(members[0].search)
    out_of_fold = nested_answers(LEARNERS[how], answered, inner)
    scores = members[0].search.fold_scores(out_of_fold)
    rule = LEARNERS[how](answered, inner)
    if isinstance(rule, Stacked):
        names = tuple(member.name for member in members)
        assembly = Assembly(names, final=rule.final)
        entry = _entry(name, tables, members, scores)
        return Ensemble(entry, tuple(members), assembly, out_of_fold)
    chosen = sorted(np.flatnonzero(rule.weights), key=lambda place: -rule.weights[place])
    voters = tuple(members[place] for place in chosen)
    weights = tuple(int(rule.weights[place]) for place in chosen)
    entry = _entry(name, tables, voters, scores, weights)
    assembly = Assembly(tuple(voter.name for voter in voters), weights)
    return Ensemble(entry, voters, assembly, out_of_fold)


def _inner(search: ModelSearch) -> Inner:
    """Return the validation clips of a search, in the order of its out-of-fold answers."""
    data, plan = load_arrays(search.plan.arrays), search.plan
    rows = [np.flatnonzero(data.validation_rows(fold)) for fold in range(plan.n_folds)]
    order = np.concatenate(rows)
    return Inner(data.fold[order], data.emotions[order], plan.emotions, plan.search.metric)


def answers_on_folds(
    winner: Winner,
    tables: SplitTables,
    answers: Sequence[Probabilities],
    emotions: Sequence[str],
) -> pd.DataFrame:
    """Return a winner's probabilities for the training clips, by the fold that validated them."""
    data = load_arrays(tables.arrays)
    parts = []
    for fold, probabilities in enumerate(answers):
        rows = tables.train.rows[data.validation_rows(fold)]
        part = _answers(winner.model, tables, rows, probabilities, emotions)
        part.insert(part.columns.get_loc("emotion") + 1, "fold", fold)
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def best_out_of_fold(search: ModelSearch, workers: Workers) -> list[Probabilities]:
    """Return the probabilities of a search's winner on each inner fold."""
    return search.out_of_fold(_best(search).number, workers)


def predict(model: Any, name: str, tables: SplitTables, emotions: Sequence[str]) -> pd.DataFrame:
    """Return a model's row of probabilities for each test clip: the one look at the test rows."""
    probabilities = models.probabilities(model, tables.test.values)
    if not np.isfinite(probabilities).all():
        raise BenchmarkError(
            f"{tables.name} {name}: its probabilities for the test clips are not finite: what it "
            "learned on the whole training table has run away. Narrow its space in the study."
        )
    return _answers(name, tables, tables.test.rows, probabilities, emotions)


def _answers(
    model: str,
    tables: SplitTables,
    rows: pd.DataFrame,
    probabilities: Probabilities,
    emotions: Sequence[str],
) -> pd.DataFrame:
    """Return identities and probabilities of rows; of an emotion that a split lacks, 0."""
    clips = rows[list(CLIP)].reset_index(drop=True)
    told = pd.DataFrame(probabilities, columns=tables.emotions)
    told = told.reindex(columns=sorted(emotions), fill_value=np.float32(0)).add_prefix("p_")
    whose = pd.DataFrame({**tables.identity, "model": model}, index=clips.index)
    return pd.concat([whose, clips, told], axis=1)


def store_ensemble(
    assembly: Assembly, members: Sequence[Path], emotions: Sequence[str], target: Path
) -> None:
    """Write the ensemble of stored members to `target`; runs in a worker."""
    dump(assembly.of([load(path) for path in members], emotions), target)

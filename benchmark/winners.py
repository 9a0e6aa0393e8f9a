"""Winners: each model's best settings fitted on all training clips, and what they say of the test.

A vote's score on the inner folds is that of its members' kept answers; the test rows are looked at
once, here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmark import models
from benchmark.ensemble import mean_by_fold, soft_vote
from benchmark.errors import BenchmarkError
from benchmark.fitting import Probabilities, fit_rows
from benchmark.models.storage import dump, is_whole, load, packed
from benchmark.prepare import SplitTables
from benchmark.results import CLIP, write_bytes
from benchmark.screen import Screen
from benchmark.search import ModelSearch
from benchmark.study import derive_seed
from benchmark.tables import StoredArrays, TrainingArrays, load_arrays
from benchmark.trials import Trial
from benchmark.workers import Workers


def winners_of(tables: SplitTables, searches: Sequence[ModelSearch]) -> list[dict[str, Any]]:
    """Return each search's winner on a split as a result holds it."""
    return [
        {
            **tables.identity,
            "model": search.plan.model,
            "trial": best.number,
            "params": best.params,
            "score": best.score,
            "spread": best.spread,
            "fold_scores": list(best.scores),
            **({"epochs": _epochs(best)} if best.epochs else {}),
        }
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


def fit_winners(
    searches: Sequence[ModelSearch], workers: Workers, folder: Path, screen: Screen
) -> dict[tuple[str, str], Path]:
    """Fit every winner on its whole training table, and return the files by split and model."""
    files: dict[tuple[str, str], Path] = {}
    for search in searches:
        plan, best = search.plan, _best(search)
        name = f"{plan.model}_{plan.key[:12]}_{best.number:04d}.skops"
        target = folder / plan.split / "models" / name
        files[plan.split, plan.model] = target
        if not is_whole(target):
            seed = derive_seed(best.seed, "refit")
            params = best.params | ({"max_epochs": _epochs(best)} if best.epochs else {})
            arguments = (plan.arrays, plan.model, params, seed)
            workers.submit(fit_winner, *arguments, label=(plan.split, plan.model))
    with screen.bars() as bars:
        bar = bars.add("fitting the winners", len(searches))
        done = len(searches) - workers.pending
        for task in workers.drain():
            if task.error is not None:
                raise task.failure(
                    f"{' '.join(task.label)}: the winner could not be fitted on the whole training "
                    "table"
                ) from task.error
            files[task.label].parent.mkdir(parents=True, exist_ok=True)
            write_bytes(files[task.label], task.result)
            done += 1
            bar.update(done, len(searches))
    return files


def vote_on_folds(
    vote: str,
    tables: SplitTables,
    searches: Mapping[str, ModelSearch],
    members: Sequence[str],
    workers: Workers,
) -> dict[str, Any]:
    """Return a vote's entry among the winners: its score on the inner folds."""
    out_of_fold = _vote_out_of_fold(searches, members, workers)
    scores = searches[members[0]].fold_scores(out_of_fold)
    return {
        **tables.identity,
        "model": vote,
        "trial": None,
        "params": {},
        "members": list(members),
        "score": float(np.mean(scores)),
        "spread": float(np.std(scores)),
        "fold_scores": list(scores),
    }


def _vote_out_of_fold(
    searches: Mapping[str, ModelSearch], members: Sequence[str], workers: Workers
) -> list[Probabilities]:
    """Return the mean probabilities of winners for each fold's validation rows."""
    voting = [searches[name] for name in members]
    return mean_by_fold([one.out_of_fold(_best(one).number, workers) for one in voting])


def answers_on_folds(
    winner: Mapping[str, Any],
    tables: SplitTables,
    searches: Mapping[str, ModelSearch],
    emotions: Sequence[str],
    workers: Workers,
) -> pd.DataFrame:
    """Return a winner's probabilities for the training clips, by the fold that validated them."""
    members = winner.get("members", [winner["model"]])
    answers = _vote_out_of_fold(searches, members, workers)
    data = load_arrays(tables.arrays)
    parts = []
    for fold, probabilities in enumerate(answers):
        rows = tables.train.rows[data.validation_rows(fold)]
        part = _answers(winner["model"], tables, rows, probabilities, emotions)
        part.insert(part.columns.get_loc("emotion") + 1, "fold", fold)
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


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


def store_vote(members: Mapping[str, Path], target: Path) -> None:
    """Write the vote of stored members to `target`; runs in a worker."""
    fitted = {name: load(path) for name, path in members.items()}
    any_member = next(iter(fitted.values()))
    dump(soft_vote(fitted, list(any_member.classes_), any_member.n_features_in_), target)

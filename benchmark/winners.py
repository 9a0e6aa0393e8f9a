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
from benchmark.fitting import fit_rows
from benchmark.models.storage import dump, is_whole, load, packed
from benchmark.prepare import SplitTables
from benchmark.results import Result, write_bytes
from benchmark.screen import Screen
from benchmark.search import ModelSearch
from benchmark.study import derive_seed
from benchmark.tables import StoredArrays, TrainingArrays, load_arrays
from benchmark.trials import Trial
from benchmark.workers import Workers


def winners_of(searches: Sequence[ModelSearch]) -> list[dict[str, Any]]:
    """Return each search's winner as a result holds it."""
    return [
        {
            "protocol": search.plan.protocol,
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
    """Fit every winner on its whole training table, and return the files by protocol and model."""
    files: dict[tuple[str, str], Path] = {}
    for search in searches:
        plan, best = search.plan, _best(search)
        name = f"{plan.model}_{plan.key[:12]}_{best.number:04d}.skops"
        target = folder / plan.protocol / "models" / name
        files[plan.protocol, plan.model] = target
        if not is_whole(target):
            seed = derive_seed(best.seed, "refit")
            params = best.params | ({"max_epochs": _epochs(best)} if best.epochs else {})
            arguments = (plan.arrays, plan.model, params, seed)
            workers.submit(fit_winner, *arguments, label=(plan.protocol, plan.model))
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
    vote: str, searches: Sequence[ModelSearch], members: Sequence[str], workers: Workers
) -> dict[str, Any]:
    """Return a vote's entry among the winners: its score on the inner folds."""
    voting = {s.plan.model: s for s in searches if s.plan.model in members}
    out_of_fold = [
        voting[name].out_of_fold(_best(voting[name]).number, workers) for name in members
    ]
    any_search = voting[members[0]]
    scores = any_search.fold_scores(mean_by_fold(out_of_fold))
    return {
        "protocol": any_search.plan.protocol,
        "model": vote,
        "trial": None,
        "params": {},
        "members": list(members),
        "score": float(np.mean(scores)),
        "spread": float(np.std(scores)),
        "fold_scores": list(scores),
    }


def predict(model: Any, name: str, tables: SplitTables, emotions: list[str]) -> pd.DataFrame:
    """Return a model's row of probabilities for each test clip: the one look at the test rows."""
    probabilities = models.probabilities(model, tables.test.values)
    if not np.isfinite(probabilities).all():
        raise BenchmarkError(
            f"{tables.protocol} {name}: its probabilities for the test clips are not finite: what "
            "it learned on the whole training table has run away. Narrow its space in the study."
        )
    rows = tables.test.rows[["clip", "corpus", "speaker", "gender", "emotion"]]
    columns = pd.DataFrame(probabilities, columns=[f"p_{emotion}" for emotion in emotions])
    return pd.concat(
        [
            pd.DataFrame({"protocol": tables.protocol, "model": name}, index=rows.index),
            rows,
            columns,
        ],
        axis=1,
    )


def store_vote(members: Mapping[str, Path], result: Result, target: Path) -> None:
    """Write the vote of stored members to `target`; runs in a worker."""
    fitted = {name: load(path) for name, path in members.items()}
    n_features = next(iter(fitted.values())).n_features_in_
    dump(soft_vote(fitted, result.emotions, n_features), target)

"""From finished searches to a result: refits, ensembles, and the predictions of the test clips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmark.console import Console
from benchmark.data.prepared import Prepared
from benchmark.data.split_tables import SplitTables
from benchmark.engine.environment import __version__
from benchmark.engine.processes import Workers
from benchmark.evaluation.metrics import METRICS
from benchmark.evaluation.results import Result, Versions, Winner, selected
from benchmark.models import MODELS
from benchmark.models.calibrator import FittedCalibrator
from benchmark.models.stored import load
from benchmark.project import Project
from benchmark.search.budget import unfinished_searches
from benchmark.search.calibrate import calibrate
from benchmark.search.learning_curves import learning_curves
from benchmark.search.plan import VERSION
from benchmark.search.plugins import plugins_of
from benchmark.search.progress import Searched
from benchmark.search.refit import (
    Ensemble,
    best_out_of_fold,
    fit_members,
    fit_winners,
    make_ensemble,
    out_of_fold_predictions,
    predict,
    predict_under_conditions,
    prediction_rows,
    winners_of,
)
from benchmark.search.search import ModelSearch
from benchmark.study import BASELINE, Study


@dataclass(frozen=True)
class Outcome:
    """The result of a study, with the files of its fitted models.

    Attributes
    ----------
    result : Result
    files : dict of (str, str) to Path
        Fitted models by split and model; those of ensembles are not stored yet.
    unstored : list of tuple
        Arguments of `store_ensemble` for each ensemble.
    calibrators : dict of (str, str) to FittedCalibrator
        By split and model.
    """

    result: Result
    files: dict[tuple[str, str], Path]
    unstored: list[tuple[Any, ...]]
    calibrators: dict[tuple[str, str], FittedCalibrator]


def evaluate(
    study: Study,
    prepared: Prepared,
    searched: Searched,
    workers: Workers,
    project: Project,
    console: Console,
) -> Outcome:
    """Return the result of finished searches: refits, ensembles and test predictions."""
    searches = searched.searches
    winners: list[Winner] = []
    folder = project.features_cache / prepared.name
    files = fit_winners(searches, workers, folder, console)
    curves = _learning_curves(study, searches, workers, project, console)
    predictions, out_of_fold, under_conditions, unstored = [], [], [], []
    calibrators: dict[tuple[str, str], FittedCalibrator] = {}
    for tables in prepared.splits:
        by_model = {s.plan.model: s for s in searches if s.plan.split == tables.name}
        read = cache(load)  # a member of several ensembles is read once
        fitted = {name: read(files[tables.name, name]) for name in by_model}
        made = _ensembles(study, tables, list(by_model.values()), workers)
        for one in made:
            name = one.entry.model
            members = fit_members(one.members, workers, folder, console)
            target = folder / tables.name / "models" / f"{name}.skops"
            fitted[name] = one.assembly.of([read(path) for path in members], tables.emotions)
            files[tables.name, name] = target
            unstored.append((one.assembly, members, tables.emotions, target))
        # A time budget leaves no time for the fits without a corpus.
        leave_out = searched.unfinished is None
        calibrated = calibrate(tables, by_model, made, workers, leave_out=leave_out)
        calibrators |= {(tables.name, name): one for name, one in calibrated.items()}
        own = [*winners_of(tables, list(by_model.values())), *(one.entry for one in made)]
        best = selected(own)
        ensembled = {one.entry.model: one.out_of_fold for one in made}
        probabilities = ensembled.get(best.model) or best_out_of_fold(by_model[best.model], workers)
        out_of_fold.append(out_of_fold_predictions(best, tables, probabilities, study.emotions))
        predictions += [
            predict(model, name, tables, study.emotions) for name, model in fitted.items()
        ]
        under_conditions += predict_under_conditions(
            fitted[best.model], best.model, tables, study.emotions
        )
        winners += own
    return Outcome(
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
            conditions=_joined(under_conditions) if under_conditions else None,
            unfinished=searched.unfinished,
        ),
        files,
        unstored,
        calibrators,
    )


def _ensembles(
    study: Study, tables: SplitTables, searches: Sequence[ModelSearch], workers: Workers
) -> list[Ensemble]:
    """Return the ensembles of a split whose members all have a complete trial."""
    available = {search.plan.model for search in searches} - {BASELINE}
    return [
        make_ensemble(name, how, tables, searches, workers)
        for name, how in study.all_ensembles.items()
        if available and (isinstance(how, str) or available.issuperset(how))
    ]


def provisional_result(study: Study, prepared: Prepared, searches: Sequence[ModelSearch]) -> Result:
    """Return a result as it would be now, for a rehearsal: its test predictions are drawn.

    No model is fitted, and no test clip is looked at.
    """
    rng = np.random.default_rng(study.seed)
    winners, predictions = [], []
    for tables in prepared.splits:
        own = winners_of(tables, [one for one in searches if one.plan.split == tables.name])
        winners += own
        for winner in own:
            drawn = rng.dirichlet(np.ones(len(tables.emotions)), len(tables.test.rows))
            rows = tables.test.rows
            predictions.append(
                prediction_rows(
                    winner.model, tables, rows, drawn.astype(np.float32), study.emotions
                )
            )
    return Result(
        name=prepared.name,
        study=study,
        changes=prepared.changes,
        data=prepared.data,
        versions=_versions(study),
        winners=tuple(winners),
        trials=_trials(prepared, searches),
        predictions=_joined(predictions),
        clips=prepared.clips,
        unfinished=unfinished_searches(searches),
    )


def _learning_curves(
    study: Study,
    searches: Sequence[ModelSearch],
    workers: Workers,
    project: Project,
    console: Console,
) -> pd.DataFrame | None:
    """Return the learning curves of all models but the baseline; None if not requested."""
    if study.learning_curves is None:
        return None
    learners = [search for search in searches if search.plan.model != BASELINE]
    with console.bars() as bars:
        progress = bars.add("learning curves", 0).update
        cache = project.features_cache / "curves"
        return learning_curves(learners, study.learning_curves.fractions, cache, workers, progress)


def _trials(prepared: Prepared, searches: Sequence[ModelSearch]) -> pd.DataFrame:
    """Return all trials as `Result.trials`."""
    identities = {tables.name: tables.identity for tables in prepared.splits}
    n_folds = max(tables.split.n_folds for tables in prepared.splits)
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
    """Return concatenated tables; the column `part` is empty for a protocol with one split."""
    joined = pd.concat(tables, ignore_index=True)
    if "part" in joined:
        joined.insert(1, "part", joined.pop("part").fillna(""))
    return joined


def _versions(study: Study) -> Versions:
    """Return the versions that decide scores, and the engine of each model in the search."""
    libraries = ["numpy", "optuna", "scikit-learn", "scipy", "soundfile", "soxr"]
    if any(MODELS[name].by_epochs for name in study.models):
        libraries += ["skorch", "torch"]
    claimed = METRICS.versions([study.claims.metric] if study.claims else [])
    return Versions(
        libraries={
            "ser-benchmark": __version__,
            **{name: version(name).partition("+")[0] for name in libraries},
        },
        engines={name: MODELS[name].engine_version(study.search.engine) for name in study.models},
        search_code=VERSION,
        plugins=plugins_of(study, study.split.protocols, study.models) | claimed,
    )

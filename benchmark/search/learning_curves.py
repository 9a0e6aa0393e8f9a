"""Learning curves: each selected model fitted on growing fractions of the training clips.

A curve that still rises at its end shows that more recordings would help. A training score far
above the validation score shows overfitting.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.engine import npz_cache
from benchmark.engine.arrays import StoredArrays, TrainingArrays, load_arrays
from benchmark.engine.processes import Workers
from benchmark.evaluation.metrics import CorpusWeights, equal_weights, score
from benchmark.models import Model
from benchmark.search.fitting import fit_rows, validated_corpora
from benchmark.search.search import ModelSearch
from benchmark.study import derive_seed

COLUMNS = ("protocol", "model", "fraction", "fold", "rows", "training", "validation")

Point = tuple[int, float, float]


def draw_clips(
    data: TrainingArrays, rows: NDArray[np.bool_], fraction: float, seed: int
) -> NDArray[np.bool_]:
    """Return a mask of the rows of a fraction of each emotion's clips among `rows`.

    Augmented copies go with their clips. With the same seed, a larger fraction contains the smaller
    ones.
    """
    rng = np.random.default_rng(seed)
    chosen: list[NDArray[Any]] = []
    for emotion in np.unique(data.emotions):
        clips = np.unique(data.clips[rows & (data.emotions == emotion)])
        chosen.append(rng.permutation(clips)[: max(1, round(fraction * len(clips)))])
    drawn: NDArray[np.bool_] = rows & np.isin(data.clips, np.concatenate(chosen))
    return drawn


def fit_fraction(  # noqa: PLR0913 - the arguments of a task
    arrays: StoredArrays | TrainingArrays,
    model: Model,
    params: Mapping[str, Any],
    seed: int,
    fold: int,
    fraction: float,
    metric: str,
    engine: str,
) -> Point:
    """Return the number of rows, the score on the drawn training clips and on the fold."""
    data = load_arrays(arrays)
    stop = data.stop_fold(fold) if model.by_epochs else None
    rows = data.training_rows(fold, stop)
    stopping = rows & (data.fold == stop) if stop is not None else np.zeros_like(rows)
    drawn = draw_clips(data, rows & ~stopping, fraction, derive_seed(seed, "clips"))
    fitted = fit_rows(data, model, params, seed, drawn | stopping, stop=stop, engine=engine)
    order = list(np.unique(data.emotions))

    def scored(part: NDArray[np.bool_], weights: CorpusWeights) -> float:
        predicted = fitted.predict(data.values[part])
        return score(metric, data.emotions[part], predicted, order, weights)

    learned, validated = drawn & data.originals, data.validation_rows(fold)
    return (
        int(drawn.sum()),
        scored(learned, equal_weights(data.corpora[learned])),
        scored(validated, validated_corpora(data, fold)),
    )


def learning_curves(
    searches: Sequence[ModelSearch],
    fractions: Sequence[float],
    cache: Path,
    workers: Workers,
    progress: Callable[[int, int], None],
) -> pd.DataFrame:
    """Return the learning curves of the selected models of finished searches.

    Parameters
    ----------
    searches : sequence of ModelSearch
    fractions : sequence of float
        Of the training clips of each inner fold.
    cache : Path
        A folder for finished points, which an interrupted run reuses.
    workers : Workers
    progress : callable
        Called with the number of finished points and of all points.

    Returns
    -------
    DataFrame
        The columns of `COLUMNS`.
    """
    rows: dict[tuple[Any, ...], Point] = {}
    names: list[tuple[Any, ...]] = []
    for search in searches:
        plan, best = search.plan, search.best
        assert best is not None
        folder = cache / f"{plan.key}_{best.number:04d}"
        for fold in range(plan.n_folds):
            seed = derive_seed(best.seed, "curve", fold)
            for fraction in fractions:
                name = (plan.split, plan.model, fraction, fold)
                path = folder / f"{fold}_{fraction}.npz"
                names.append(name)
                known = _known(path)
                if known is not None:
                    rows[name] = known
                    continue
                workers.submit(
                    fit_fraction, plan.arrays, plan.entry, best.params, seed, fold, fraction,
                    plan.search.metric, plan.search.engine, label=(name, path),
                )  # fmt: skip
    progress(len(rows), len(names))
    for task in workers.drain():
        name, path = task.label
        if task.error is not None:
            raise task.failure(
                f"{name[0]} {name[1]}: the learning curve could not be fitted at the "
                f"fraction {name[2]:g}",
                "Raise the fractions of [learning_curves], or remove it.",
            ) from task.error
        rows[name] = task.result
        npz_cache.save(
            path, **dict(zip(("rows", "training", "validation"), task.result, strict=True))
        )
        progress(len(rows), len(names))
    return pd.DataFrame([(*name, *rows[name]) for name in names], columns=list(COLUMNS))


def _known(path: Path) -> Point | None:
    """Return a point of an earlier run; None if its file is missing or damaged."""
    point = npz_cache.load(path)
    if point is None:
        return None
    return int(point["rows"]), float(point["training"]), float(point["validation"])

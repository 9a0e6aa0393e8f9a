"""Fits of a model on some rows of a training table: the tasks of workers.

Pure functions of their arguments: the same arguments give the same model in any process. A model is
sent as its entry, so that a worker needs no registry.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.engine.arrays import StoredArrays, TrainingArrays, load_arrays
from benchmark.evaluation.metrics import CorpusWeights, fold_weights
from benchmark.features.recipe import Block
from benchmark.models import FitContext, Model
from benchmark.search.pruning import RUNGS

OUT_OF_MEMORY = ("can't allocate memory", "not enough memory", "out of memory")
"""Messages of torch, which raises RuntimeError where other libraries raise MemoryError."""

Probabilities = NDArray[np.float32]


@dataclass(frozen=True)
class FoldResult:
    """The result of one fold.

    Attributes
    ----------
    probabilities : ndarray of float32, shape (n_validation_rows, n_emotions)
        In the order of the validation rows and of the sorted emotions.
    seconds : float
        Fitting and predicting.
    epochs : int
        The best one; 0 for a model that does not learn by epochs.
    history : tuple of float
        The early-stopping score after each epoch.
    pruned : bool
        Whether training was stopped below a threshold.
    """

    probabilities: Probabilities
    seconds: float
    epochs: int = 0
    history: tuple[float, ...] = ()
    pruned: bool = False

    @property
    def rungs(self) -> dict[int, float]:
        """The best score by each of `RUNGS`; of a pruned fold only for the rungs it reached.

        A fold that stopped early by itself has its best score at every later rung.
        """
        reached = [rung for rung in RUNGS if rung <= len(self.history) or not self.pruned]
        return {rung: max(self.history[:rung]) for rung in reached}


def fit_rows(  # noqa: PLR0913 - what, with what, on what
    data: TrainingArrays,
    model: Model,
    params: Mapping[str, Any],
    seed: int,
    rows: NDArray[np.bool_],
    *,
    stop: int | None = None,
    thresholds: Mapping[int, float] | None = None,
    engine: str | None = None,
) -> Any:
    """Return a model fitted on some rows of a training table.

    Parameters
    ----------
    data : TrainingArrays
    model : Model
    params, seed, engine
        See `Model.build`.
    rows : ndarray of bool, shape (n_rows,)
    stop : int or None
        The fold among the rows that is used for early stopping.
    thresholds : mapping of int to float, optional
        By epoch, the score below which training is pruned.
    """
    blocks = tuple(map(Block, data.block_names.tolist(), data.block_widths.tolist()))
    pipeline = model.build(params, seed, engine=engine, shape=data.shape, blocks=blocks)
    stopping = np.zeros(rows.sum(), dtype=np.bool_) if stop is None else data.fold[rows] == stop
    context = FitContext(data.fold[rows], data.genders[rows], stopping, thresholds or {})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some parameters do not converge; their scores show it
        try:
            return model.fit(pipeline, data.values[rows], data.emotions[rows], context)
        except RuntimeError as error:
            if any(words in str(error) for words in OUT_OF_MEMORY):
                raise MemoryError(str(error).splitlines()[0]) from error
            raise


def fit_fold(  # noqa: PLR0913 - the arguments of a task
    arrays: StoredArrays | TrainingArrays,
    model: Model,
    params: dict[str, Any],
    seed: int,
    fold: int,
    thresholds: Mapping[int, float] | None = None,
    engine: str | None = None,
) -> FoldResult:
    """Fit a model on all folds but one and return its probabilities on that one.

    A model that predicts labels only has probability 1 for the predicted emotion. With engine None
    it is fitted as the selected model is, with probabilities.
    """
    data = load_arrays(arrays)
    stop = data.stop_fold(fold) if model.by_epochs else None
    rows = data.training_rows(fold, stop)
    began = time.perf_counter()
    fitted = fit_rows(
        data, model, params, seed, rows, stop=stop, thresholds=thresholds, engine=engine
    )
    probabilities = _probabilities(fitted, data.values[data.validation_rows(fold)])
    seconds = time.perf_counter() - began
    if stop is None:
        return FoldResult(probabilities, seconds)
    network = fitted[-1]
    return FoldResult(probabilities, seconds, network.n_epochs_, network.history_, network.pruned_)


def fit_without_corpus(
    arrays: StoredArrays | TrainingArrays,
    model: Model,
    params: dict[str, Any],
    seed: int,
    corpus: int,
    engine: str | None = None,
) -> Probabilities:
    """Fit a model on all corpora but one and return its probabilities on that one.

    Epochs are those of `params`, as in a refit: no clip stops the training early.
    """
    data = load_arrays(arrays)
    fitted = fit_rows(data, model, params, seed, data.corpora != corpus, engine=engine)
    return _probabilities(fitted, data.values[data.corpus_rows(corpus)])


def validated_corpora(data: TrainingArrays, fold: int) -> CorpusWeights:
    """Return the corpora of a fold's validation rows, with their `fold_weights`."""
    validated = (data.fold >= 0) & data.originals
    weights = fold_weights(data.corpora[validated], data.fold[validated], data.n_folds)
    return CorpusWeights(data.corpora[data.validation_rows(fold)], weights[:, fold])


def _probabilities(fitted: Any, values: NDArray[np.float32]) -> Probabilities:
    """Return a model's probabilities, or its labels as 1 and 0."""
    if hasattr(fitted, "predict_proba"):
        probabilities = fitted.predict_proba(values).astype(np.float32)
    else:
        labels = fitted.predict(values)
        probabilities = (labels[:, None] == fitted.classes_[None, :]).astype(np.float32)
    if not np.isfinite(probabilities).all():
        raise FloatingPointError("its probabilities are not finite")
    return np.asarray(probabilities, dtype=np.float32)


def warm_up(models: Sequence[Model], engine: str | None = None) -> None:
    """Import what fits need, while the main process reads recordings."""
    for model in models:
        model.build({}, 0, engine=engine)
        if model.by_epochs:
            import benchmark.models.networks  # noqa: F401

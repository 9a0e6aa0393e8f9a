"""Fits: a model on some rows of a training table; what workers do in a search.

Pure functions of their arguments: the same arguments give the same model in any process.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark import models
from benchmark.engine.arrays import StoredArrays, TrainingArrays, load_arrays
from benchmark.search.pruning import RUNGS

OUT_OF_MEMORY = ("can't allocate memory", "not enough memory", "out of memory")
"""How torch says it, in an error like any other; the other libraries raise `MemoryError`."""

Probabilities = NDArray[np.float32]


@dataclass(frozen=True)
class FoldOutcome:
    """What a worker brings back from one fold.

    Attributes
    ----------
    probabilities : ndarray of float32, shape (n_validation_rows, n_emotions)
        In the order of the validation rows and of the sorted emotions.
    seconds : float
        Fitting and predicting.
    epochs : int
        The best one; 0 for a model that does not learn by epochs.
    history : tuple of float
        The score that decides when to stop, after each epoch.
    cut : bool
        Whether learning was stopped as it fell behind earlier trials.
    """

    probabilities: Probabilities
    seconds: float
    epochs: int = 0
    history: tuple[float, ...] = ()
    cut: bool = False

    @property
    def rungs(self) -> dict[int, float]:
        """The best score by each of the epochs of `RUNGS`; a cut fold has those it has reached.

        A fold that ended by itself has learned all it can: later rungs know its best.
        """
        reached = [rung for rung in RUNGS if rung <= len(self.history) or not self.cut]
        return {rung: max(self.history[:rung]) for rung in reached}


def fit_rows(  # noqa: PLR0913 - what, with what, on what
    data: TrainingArrays,
    model: str,
    params: Mapping[str, Any],
    seed: int,
    rows: NDArray[np.bool_],
    *,
    stop: int | None = None,
    thresholds: Mapping[int, float] | None = None,
    searching: bool = False,
) -> Any:
    """Return a model fitted on some rows of a training table.

    Parameters
    ----------
    data : TrainingArrays
    model, params, seed
        As `models.build` takes them.
    rows : ndarray of bool, shape (n_rows,)
    stop : int or None
        The fold among the rows that decides when to stop, for a model that learns by epochs.
    thresholds : mapping of int to float, optional
        By epoch, the score without which learning ends there.
    searching : bool
        Whether to fit what the search fits.
    """
    pipeline = models.build(model, params, seed, searching=searching, shape=data.shape)
    stopping = np.zeros(rows.sum(), dtype=np.bool_) if stop is None else data.fold[rows] == stop
    facts = models.Facts(data.fold[rows], data.genders[rows], stopping, thresholds or {})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a search visits settings that don't converge; scores tell
        try:
            return models.learn(model, pipeline, data.values[rows], data.emotions[rows], facts)
        except RuntimeError as error:
            if any(words in str(error) for words in OUT_OF_MEMORY):
                raise MemoryError(str(error).splitlines()[0]) from error
            raise


def fit_fold(  # noqa: PLR0913 - a task's arguments stand in a row
    arrays: StoredArrays | TrainingArrays,
    model: str,
    params: dict[str, Any],
    seed: int,
    fold: int,
    thresholds: Mapping[int, float] | None = None,
    searching: bool = True,
) -> FoldOutcome:
    """Fit a model on all folds but one and return its probabilities for that one; pure.

    A model that is searched without probabilities has 1 for the emotion that it decides on and 0
    for the others; without `searching` it is fitted as a winner is, and has its probabilities.
    """
    data = load_arrays(arrays)
    stop = data.stop_fold(fold) if models.MODELS[model].by_epochs else None
    rows = data.training_rows(fold, stop)
    began = time.perf_counter()
    fitted = fit_rows(
        data, model, params, seed, rows, stop=stop, thresholds=thresholds, searching=searching
    )
    probabilities = _answers(fitted, data.values[data.validation_rows(fold)])
    seconds = time.perf_counter() - began
    if stop is None:
        return FoldOutcome(probabilities, seconds)
    network = fitted[-1]
    return FoldOutcome(probabilities, seconds, network.n_epochs_, network.history_, network.cut_)


def _answers(fitted: Any, values: NDArray[np.float32]) -> Probabilities:
    """Return a model's probabilities, or its decisions as such."""
    if hasattr(fitted, "predict_proba"):
        probabilities = fitted.predict_proba(values).astype(np.float32)
    else:
        decided = fitted.predict(values)
        probabilities = (decided[:, None] == fitted.classes_[None, :]).astype(np.float32)
    if not np.isfinite(probabilities).all():
        raise FloatingPointError("its probabilities are not finite")
    return np.asarray(probabilities, dtype=np.float32)


def warm_up(names: Sequence[str]) -> None:
    """Import what fits need: a worker does it while the main process reads recordings."""
    for name in names:
        models.build(name, {}, 0, searching=True)
        if models.MODELS[name].by_epochs:
            import benchmark.models.networks  # noqa: F401

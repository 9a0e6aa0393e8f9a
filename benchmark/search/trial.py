"""`Trial`: one set of hyperparameters and its scores, from the search to pages and MLflow."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np

State = Literal["complete", "failed", "pruned"]


@dataclass(frozen=True)
class Trial:
    """One set of hyperparameters and its score on each inner fold.

    Attributes
    ----------
    number : int
        From 0, in the order in which trials were requested.
    params : dict
        All parameters of the model, fixed ones included.
    sampled : dict
        The parameters that Optuna sampled, as it stores them.
    scores : tuple of float
        The study's metric on each fold; empty if the trial failed, and of the first folds if it was
        pruned after them.
    seconds : float
        Fitting and predicting, summed over folds.
    seed : int
        From which the seeds of its folds derive.
    reason : str
        Why the trial failed; empty if it did not.
    epochs : tuple of int
        The best epoch on each fold; empty for a model that does not learn by epochs.
    rungs : tuple of dict
        For each fold the early-stopping score by epoch, for each of `pruning.RUNGS` reached.
    pruned : bool
        Whether it was stopped behind earlier trials: after its first folds, or in the first epochs
        of most folds. If a minority of folds was stopped, the trial is complete: that lowers its
        mean a little, and never raises it.
    estimate : float or None
        Of a trial pruned after its first folds: the best trial's score plus this trial's lead on
        those folds, which is negative. It is the value that the sampler receives.

    Examples
    --------
    >>> trial = Trial(0, {"C": 1.0}, {"C": 1.0}, (0.5, 0.7), seconds=1.0, seed=0)
    >>> trial.state, round(trial.score, 3), round(trial.std, 3)
    ('complete', 0.6, 0.1)
    """

    number: int
    params: dict[str, Any]
    sampled: dict[str, Any]
    scores: tuple[float, ...]
    seconds: float
    seed: int
    reason: str = ""
    epochs: tuple[int, ...] = ()
    rungs: tuple[dict[int, float], ...] = ()
    pruned: bool = False
    estimate: float | None = None

    @property
    def state(self) -> State:
        """How the trial ended."""
        return "failed" if self.reason else "pruned" if self.pruned else "complete"

    @cached_property
    def score(self) -> float:
        """Mean over the inner folds, or the estimate; NaN if the trial failed."""
        if self.estimate is not None:
            return self.estimate
        return float(np.mean(self.scores)) if self.scores else float("nan")

    @property
    def std(self) -> float:
        """Standard deviation over the inner folds; NaN if the trial failed."""
        return float(np.std(self.scores)) if self.scores else float("nan")

    @property
    def rank(self) -> tuple[float, int]:
        """Sort key, the best highest: the score, then the earliest trial."""
        # Rounded, so that the order of summation does not decide between equal means.
        return round(self.score, 9), -self.number

    @property
    def mean_epochs(self) -> int:
        """Epochs of the fit on all training rows, without early stopping: the mean over folds."""
        return max(1, round(float(np.mean(self.epochs))))

    def row(self, n_folds: int) -> dict[str, Any]:
        """Return the trial as a row of trials.csv."""
        scores = [*self.scores, *[float("nan")] * (n_folds - len(self.scores))]
        return {
            "trial": self.number,
            "state": self.state,
            "score": self.score,
            "std": self.std,
            **{f"fold_{fold}": score for fold, score in enumerate(scores)},
            "epochs": json.dumps(self.epochs) if self.epochs else "",
            "params": json.dumps(self.params),
            "reason": self.reason,
        }

    def attributes(self) -> dict[str, Any]:
        """Return the trial as user attributes of an Optuna trial, which holds `sampled` itself."""
        return {
            "number": self.number,
            "params": json.dumps(self.params),
            "fold_scores": list(self.scores),
            "fit_seconds": self.seconds,
            "seed": self.seed,
            "reason": self.reason,
            **({"epochs": list(self.epochs)} if self.epochs else {}),
            **({"rungs": list(self.rungs)} if self.rungs else {}),
            **({"pruned": True} if self.pruned else {}),
            **({} if self.estimate is None else {"estimate": self.estimate}),
        }

    @classmethod
    def from_attributes(cls, attributes: Mapping[str, Any], sampled: Mapping[str, Any]) -> Trial:
        """Return the trial of user attributes that `attributes` made."""
        rungs = [
            {int(epoch): score for epoch, score in fold.items()}  # JSON has only text as keys
            for fold in attributes.get("rungs", ())
        ]
        return cls(
            number=attributes["number"],
            params=json.loads(attributes["params"]),
            sampled=dict(sampled),
            scores=tuple(attributes["fold_scores"]),
            seconds=attributes["fit_seconds"],
            seed=attributes["seed"],
            reason=attributes["reason"],
            epochs=tuple(attributes.get("epochs", ())),
            rungs=tuple(rungs),
            pruned=attributes.get("pruned", False),
            estimate=attributes.get("estimate"),
        )

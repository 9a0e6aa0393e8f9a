"""Selection optimism: the bias of a search's best CV score, by the number of trials."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def course(trials: pd.DataFrame) -> pd.DataFrame:
    """Return a search's best CV score, and the bias-corrected one, after each trial.

    The best trial is selected on the folds that score it, so its score is too high. Here, for each
    fold, the trial is selected on the other folds and scored on this one; the mean over folds is
    the corrected score. It estimates what Tibshirani & Tibshirani (2009, A bias correction for the
    minimum error rate in cross-validation, Annals of Applied Statistics 3) estimate, with the
    selection on other data of Tsamardinos, Greasidou & Borboudakis (2018, Bootstrapping the
    out-of-sample predictions for efficient and accurate cross-validation, Machine Learning 107).
    The former, which takes each fold's own best trial, corrects too much
    (tests/simulations/choices.py).

    Parameters
    ----------
    trials : DataFrame
        A result's trials of one search: trial, state and fold_0 .. . Failed and pruned trials count
        as tried; they lack folds and cannot be selected.

    Returns
    -------
    DataFrame of shape (n_tried, 2)
        Columns inner and corrected, indexed by the number of trials, from 1; no rows before the
        first complete trial.
    """
    ordered = trials.sort_values("trial")
    complete = (ordered["state"] == "complete").to_numpy()
    folds = [c for c in ordered.columns if str(c).startswith("fold_") and ordered[c].notna().any()]
    scores = ordered.loc[complete, folds].to_numpy(dtype=np.float64)
    tried = pd.RangeIndex(1, len(ordered) + 1, name="tried")
    if not len(scores):
        return pd.DataFrame(columns=["inner", "corrected"], index=tried[:0], dtype=np.float64)
    known = pd.DataFrame(
        {"inner": np.maximum.accumulate(scores.mean(axis=1)), "corrected": corrected(scores)},
        index=tried[complete],
    )
    return known.reindex(tried).ffill().dropna()


def corrected(scores: Floats) -> Floats:
    """Return the bias-corrected best score after each trial, of shape (n_trials,).

    Parameters
    ----------
    scores : ndarray of shape (n_trials, n_folds)
        Of complete trials in their order; at least two folds.
    """
    trials, folds = scores.shape
    others = (scores.sum(axis=1, keepdims=True) - scores) / (folds - 1)
    before = np.vstack([np.full(folds, -np.inf), np.maximum.accumulate(others)[:-1]])
    leads = np.where(others > before, np.arange(trials)[:, None], 0)
    chosen = np.maximum.accumulate(leads)
    return np.asarray(np.take_along_axis(scores, chosen, axis=0).mean(axis=1), dtype=np.float64)

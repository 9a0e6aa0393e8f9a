"""What a finding adds to a score, measured with one fixed model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.audit.evidence import SPEAKER, Effect, Evidence
from benchmark.data.splits import Split
from benchmark.models import MODELS

MODEL, SHRINKAGE = "lda", 0.3
"""The model of all effects, declared before any of them: nothing is searched."""

ENGINE = "scikit-learn"
"""Fits are those of a search: equal to the kept model's up to rounding, in a tenth of the time."""

FEATURES = "functionals"
"""Of recordings; of own tables, their own."""

FOLDS = 5  # where the data have no splits

Mask = NDArray[np.bool_]


def effect_of(
    evidence: Evidence, splits: Sequence[Split], left_out: Sequence[Mask]
) -> Effect | None:
    """Return UAR of the test clips as it is, and with some training clips left out.

    Parameters
    ----------
    evidence : Evidence
    splits : sequence of Split
    left_out : sequence of ndarray of bool, shape (n_clips,)
        Which clips are left out of the training side of each split.

    Returns
    -------
    Effect or None
        None without features, or if a training side loses an emotion or more than half of its
        clips: fewer clips alone would then lower the score.
    """
    if evidence.features is None:
        return None
    emotions = evidence.clips["emotion"].to_numpy(dtype=np.str_)
    tested = np.concatenate([np.flatnonzero(split.test) for split in splits])
    kept = [split.train & ~out for split, out in zip(splits, left_out, strict=True)]
    tests = [split.test for split in splits]
    if any(set(emotions[a]) - set(emotions[b]) for a, b in zip(tests, kept, strict=True)):
        return None
    if any(2 * train.sum() < split.train.sum() for split, train in zip(splits, kept, strict=True)):
        return None
    answers = []
    for trained in ([split.train for split in splits], kept):
        predicted = [
            predicted_by(evidence.features, emotions, train, split.test)
            for split, train in zip(splits, trained, strict=True)
        ]
        answers.append(_uar(evidence.clips.iloc[tested], np.concatenate(predicted)))
    return Effect(*answers)


def effect_of_random_folds(evidence: Evidence) -> Effect | None:
    """Return UAR of random folds, and of folds that keep speakers apart, on the same clips.

    None without features, with one speaker, or if a training side lacks an emotion.
    """
    from sklearn.model_selection import GroupKFold, KFold

    clips, features = evidence.clips, evidence.features
    n_speakers = clips[SPEAKER].nunique()
    if features is None or n_speakers < 2:
        return None
    emotions = clips["emotion"].to_numpy(dtype=np.str_)
    random = KFold(min(FOLDS, len(clips)), shuffle=True, random_state=0).split(clips)
    apart = GroupKFold(min(FOLDS, n_speakers)).split(clips, groups=clips[SPEAKER])
    answers = []
    for folds in (random, apart):
        predicted = np.empty_like(emotions)
        for train, test in folds:
            if set(emotions[test]) - set(emotions[train]):
                return None
            predicted[test] = predicted_by(features, emotions, train, test)
        answers.append(_uar(clips, predicted))
    return Effect(*answers)


def predicted_by(
    features: NDArray[np.float32],
    emotions: NDArray[np.str_],
    train: NDArray[np.generic],
    test: NDArray[np.generic],
) -> NDArray[np.str_]:
    """Return what the model of all effects predicts of the test rows."""
    model = MODELS[MODEL].build({"shrinkage": SHRINKAGE}, 0, engine=ENGINE)
    model.fit(features[train], emotions[train])
    return np.asarray(model.predict(features[test]), dtype=np.str_)


def _uar(clips: pd.DataFrame, predicted: NDArray[np.str_]) -> float:
    """Return the mean over corpora of UAR, as studies report it."""
    from sklearn.metrics import recall_score

    told = clips[["corpus", "emotion"]].assign(predicted=predicted)
    recalls = [
        recall_score(part["emotion"], part["predicted"], average="macro",
                     labels=sorted(set(part["emotion"])), zero_division=0)
        for _, part in told.groupby("corpus")
    ]  # fmt: skip
    return float(np.mean(recalls))

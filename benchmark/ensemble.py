"""The soft vote of the winners: scikit-learn's VotingClassifier over fitted members."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def soft_vote(members: Mapping[str, Any], emotions: Sequence[str], n_features: int) -> Any:
    """Return a VotingClassifier of fitted members, which answers with their mean probabilities.

    Parameters
    ----------
    members : mapping of str to estimator
        Fitted on the same rows; used as they are.
    emotions : sequence of str
        What they were fitted to tell apart.
    n_features : int
        Width of the rows.
    """
    from sklearn.ensemble import VotingClassifier
    from sklearn.frozen import FrozenEstimator

    frozen = [(name, FrozenEstimator(member)) for name, member in members.items()]
    vote = VotingClassifier(frozen, voting="soft")
    # Frozen members ignore the rows that they are given; the vote itself only learns the emotions.
    return vote.fit(np.zeros((len(emotions), n_features), np.float32), np.array(sorted(emotions)))


def mean_by_fold(
    members: Sequence[Sequence[NDArray[np.float32]]],
) -> list[NDArray[np.float32]]:
    """Return the members' mean probabilities for each fold's validation clips.

    Parameters
    ----------
    members : sequence of sequence of ndarray, shape (n_validation_clips, n_emotions)
        For each member the out-of-fold probabilities of each fold. All members validate the same
        clips in the same order: their searches share the split's arrays.
    """
    return [np.mean(folds, axis=0, dtype=np.float32) for folds in zip(*members, strict=True)]

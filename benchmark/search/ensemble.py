"""Ensembles: soft voting, greedy ensemble selection and stacking.

Soft voting gives each member the same weight. The others learn their members or weights from
out-of-fold probabilities; their own score on a fold is that of an ensemble learned on the other
folds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from benchmark.evaluation.metrics import METRICS, fold_weights

Floats = NDArray[np.float32]

VOTES = 25
"""The largest sum of weights of a greedy ensemble, and so its largest number of members."""


@dataclass(frozen=True)
class Inner:
    """The validation clips of the inner folds, one fold after the other.

    Attributes
    ----------
    fold : ndarray of int, shape (n_clips,)
    emotions : ndarray of str, shape (n_clips,)
        The true ones.
    order : tuple of str
        All emotions in the order of probabilities.
    metric : str
        A key of `METRICS`, by which members are selected.
    corpora : ndarray of int, shape (n_clips,)
        Number of each clip's corpus.
    """

    fold: NDArray[np.intp]
    emotions: NDArray[np.str_]
    order: tuple[str, ...]
    metric: str
    corpora: NDArray[np.intp]

    @property
    def folds(self) -> list[int]:
        """The folds that have clips here."""
        return [int(fold) for fold in np.unique(self.fold)]

    def part(self, rows: NDArray[np.bool_]) -> Inner:
        """Return some of the clips."""
        emotions, corpora = self.emotions[rows], self.corpora[rows]
        return Inner(self.fold[rows], emotions, self.order, self.metric, corpora)

    @cached_property
    def _weights(self) -> NDArray[np.float64]:
        """The `fold_weights` of the clips."""
        fold = np.searchsorted(self.folds, self.fold)
        return fold_weights(self.corpora, fold, len(self.folds))

    def scores(self, probabilities: Floats) -> NDArray[np.float64]:
        """Return the score on each fold, of shape (n_candidates, n_folds).

        Corpora are weighted by `fold_weights`, so that the mean over folds is that over
        corpora.

        Parameters
        ----------
        probabilities : ndarray of shape (n_candidates, n_clips, n_emotions)
            On any scale, since only the highest counts.
        """
        size, n_folds = len(self.order), len(self.folds)
        truth = np.searchsorted(self.order, self.emotions)
        parts = self.corpora * n_folds + np.searchsorted(self.folds, self.fold)
        rows = parts * size + truth
        n_parts = self._weights.size
        candidates = np.arange(len(probabilities))[:, None] * n_parts * size
        cells = (candidates + rows) * size + probabilities.argmax(axis=-1)
        shape = (len(probabilities), *self._weights.shape, size, size)
        counts = np.bincount(cells.ravel(), minlength=int(np.prod(shape))).reshape(shape)
        utilities = np.where(self._weights > 0, METRICS[self.metric].utility(counts), 0.0)
        found: NDArray[np.float64] = (self._weights * utilities).sum(axis=1)
        return found

    def mean_scores(self, probabilities: Floats) -> NDArray[np.float64]:
        """Return the mean of `scores` over folds, rounded: the order of summation is irrelevant."""
        means: NDArray[np.float64] = self.scores(probabilities).mean(axis=1).round(9)
        return means


class Rule(Protocol):
    """A function from the probabilities of members to those of an ensemble."""

    def combine(self, library: Floats) -> NDArray[Any]:
        """Return (n_clips, n_emotions) for (n_members, n_clips, n_emotions)."""


@dataclass(frozen=True)
class Weighted:
    """The weighted mean over members.

    Attributes
    ----------
    weights : ndarray of int, shape (n_members,)
    """

    weights: NDArray[np.intp]

    def combine(self, library: Floats) -> NDArray[Any]:
        """Return (n_clips, n_emotions) for (n_members, n_clips, n_emotions)."""
        return np.tensordot(self.weights / self.weights.sum(), library, axes=1)


@dataclass(frozen=True)
class Stacked:
    """A classifier on the members' log-probabilities.

    Attributes
    ----------
    final : estimator
        Fitted on rows of `log_probabilities`.
    """

    final: Any

    def combine(self, library: Floats) -> NDArray[Any]:
        """Return (n_clips, n_emotions) for (n_members, n_clips, n_emotions)."""
        from benchmark.models.stacking import log_probabilities

        combined: NDArray[Any] = self.final.predict_proba(log_probabilities(library))
        return combined


def select_greedily(library: Floats, inner: Inner) -> Weighted:
    """Return the weights of greedy ensemble selection: forward selection with replacement.

    It starts with the best members, as many as score highest together, and then adds a vote at a
    time for the member that improves the score most, up to `VOTES`. The best of these ensembles is
    returned, the smallest of equal ones (Caruana, Niculescu-Mizil, Crew & Ksikes 2004, Ensemble
    selection from libraries of models).

    Parameters
    ----------
    library : ndarray of float32, shape (n_members, n_clips, n_emotions)
        Out-of-fold probabilities of the clips of `inner`.
    inner : Inner
    """
    best_first = np.argsort(-inner.mean_scores(library), kind="stable")
    members = library[best_first]  # of members that improve it equally, the best is added
    together = np.cumsum(members[:VOTES], axis=0)
    score = inner.mean_scores(together)
    size = int(score.argmax()) + 1
    votes = list(range(size))
    total, best, highest = together[size - 1], size, score[size - 1]
    while len(votes) < VOTES:
        scores = inner.mean_scores(total + members)
        votes.append(int(scores.argmax()))
        total = total + members[votes[-1]]
        if scores.max() > highest:
            best, highest = len(votes), scores.max()
    return Weighted(np.bincount(best_first[votes[:best]], minlength=len(library)))


def stack(library: Floats, inner: Inner) -> Stacked:
    """Return a logistic regression on members' out-of-fold log-probabilities (Wolpert 1992).

    Parameters
    ----------
    library, inner
        See `select_greedily`.
    """
    from benchmark.models.stacking import fit_final, log_probabilities

    return Stacked(
        fit_final(
            log_probabilities(library), inner.emotions, inner.fold, METRICS[inner.metric].scorer
        )
    )


LEARNERS: dict[str, Callable[[Floats, Inner], Weighted | Stacked]] = {
    "greedy": select_greedily,
    "stacking": stack,
}
"""Ensembles that learn, by their names in studies."""


def nested_predictions(
    learn: Callable[[Floats, Inner], Rule], library: Floats, inner: Inner
) -> list[Floats]:
    """Return the predictions on each fold of an ensemble learned on the other folds.

    The score on the clips by which members were selected would be optimistic, the more so the more
    members there are.
    """
    predictions = []
    for fold in inner.folds:
        here = inner.fold == fold
        rule = learn(library[:, ~here], inner.part(~here))
        predictions.append(rule.combine(library[:, here]).astype(np.float32))
    return predictions


def soft_vote(
    members: Mapping[str, Any],
    emotions: Sequence[str],
    n_features: int,
    weights: Sequence[int] | None = None,
) -> Any:
    """Return a VotingClassifier of fitted members, which averages their probabilities.

    Parameters
    ----------
    members : mapping of str to estimator
        Fitted on the same rows; used as they are.
    emotions : sequence of str
        Their classes.
    n_features : int
        Width of the rows.
    weights : sequence of int, optional
        Of the members; equal by default.
    """
    from sklearn.ensemble import VotingClassifier
    from sklearn.frozen import FrozenEstimator

    frozen = [(name, FrozenEstimator(member)) for name, member in members.items()]
    vote = VotingClassifier(frozen, voting="soft", weights=weights)
    # Frozen members ignore these rows; the fit only sets the classes.
    return vote.fit(np.zeros((len(emotions), n_features), np.float32), np.array(sorted(emotions)))


@dataclass(frozen=True)
class Assembly:
    """How members that were fitted on a whole training table become one model.

    Attributes
    ----------
    names : tuple of str
        Unique names of the members.
    weights : tuple of int, or None
        Of a greedy ensemble.
    final : estimator or None
        Of a stack, fitted.
    """

    names: tuple[str, ...]
    weights: tuple[int, ...] | None = None
    final: Any = None

    def of(self, members: Sequence[Any], emotions: Sequence[str]) -> Any:
        """Return the model of fitted members, in the order of `names`."""
        from benchmark.models.stacking import stacked

        if self.final is not None:
            return stacked(members, self.final)
        named = dict(zip(self.names, members, strict=True))
        return soft_vote(named, emotions, members[0].n_features_in_, self.weights)

    def combine(self, library: Floats) -> Floats:
        """Return (n_clips, n_emotions) for members' (n_members, n_clips, n_emotions)."""
        if self.final is not None:
            return Stacked(self.final).combine(library).astype(np.float32)
        weights = self.weights or np.ones(len(self.names), dtype=np.intp)
        return Weighted(np.asarray(weights)).combine(library).astype(np.float32)


def mean_by_fold(
    members: Sequence[Sequence[NDArray[np.float32]]],
) -> list[NDArray[np.float32]]:
    """Return the members' mean probabilities for each fold's validation clips.

    Parameters
    ----------
    members : sequence of sequence of ndarray, shape (n_validation_clips, n_emotions)
        For each member the out-of-fold probabilities of each fold. All members have the same
        validation clips in the same order, since their searches share the split's arrays.
    """
    return [np.mean(folds, axis=0, dtype=np.float32) for folds in zip(*members, strict=True)]

"""Ensembles: fitted models that answer together, and what they are worth on the inner folds.

A soft vote gives each of its members the same weight. What the others learn, which trials to take
or how to weigh answers, they learn from the members' out-of-fold probabilities; their own score on
a fold is that of what they learn on the other folds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from benchmark.evaluation.metrics import METRICS

Floats = NDArray[np.float32]

VOTES = 25
"""How many votes a greedy ensemble gives away at most, and so how many trials it may hold."""


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
        By which is chosen, a name in `METRICS`.
    """

    fold: NDArray[np.intp]
    emotions: NDArray[np.str_]
    order: tuple[str, ...]
    metric: str

    @property
    def folds(self) -> list[int]:
        """The folds that have clips here."""
        return [int(fold) for fold in np.unique(self.fold)]

    def part(self, rows: NDArray[np.bool_]) -> Inner:
        """Return some of the clips."""
        return Inner(self.fold[rows], self.emotions[rows], self.order, self.metric)

    def scores(self, probabilities: Floats) -> NDArray[np.float64]:
        """Return the metric on each fold, of shape (n_candidates, n_folds).

        Parameters
        ----------
        probabilities : ndarray of shape (n_candidates, n_clips, n_emotions)
            Of any scale; the highest decides.
        """
        size, n_folds = len(self.order), len(self.folds)
        truth = np.searchsorted(self.order, self.emotions)
        rows = np.searchsorted(self.folds, self.fold) * size + truth
        candidates = np.arange(len(probabilities))[:, None] * n_folds * size
        cells = (candidates + rows) * size + probabilities.argmax(axis=-1)
        shape = (len(probabilities), n_folds, size, size)
        counts = np.bincount(cells.ravel(), minlength=int(np.prod(shape))).reshape(shape)
        found: NDArray[np.float64] = METRICS[self.metric].utility(counts)
        return found

    def mean_scores(self, probabilities: Floats) -> NDArray[np.float64]:
        """Return the mean of `scores` over folds, rounded: how it is summed chooses nothing."""
        means: NDArray[np.float64] = self.scores(probabilities).mean(axis=1).round(9)
        return means


class Rule(Protocol):
    """How the probabilities of members become those of an ensemble."""

    def answer(self, library: Floats) -> NDArray[Any]:
        """Return (n_clips, n_emotions) for (n_members, n_clips, n_emotions)."""


@dataclass(frozen=True)
class Weighted:
    """The mean over members, each with its weight.

    Attributes
    ----------
    weights : ndarray of int, shape (n_members,)
    """

    weights: NDArray[np.intp]

    def answer(self, library: Floats) -> NDArray[Any]:
        """Return (n_clips, n_emotions) for (n_members, n_clips, n_emotions)."""
        return np.tensordot(self.weights / self.weights.sum(), library, axes=1)


@dataclass(frozen=True)
class Stacked:
    """What a classifier makes of all members' answers.

    Attributes
    ----------
    final : estimator
        Fitted on rows of `logarithms`.
    """

    final: Any

    def answer(self, library: Floats) -> NDArray[Any]:
        """Return (n_clips, n_emotions) for (n_members, n_clips, n_emotions)."""
        from benchmark.models.stacking import logarithms

        answered: NDArray[Any] = self.final.predict_proba(logarithms(library))
        return answered


def choose_greedily(library: Floats, inner: Inner) -> Weighted:
    """Return the weights of a greedy ensemble: forward selection with replacement.

    It begins with the best members, as many of them as score highest together, and then gives a
    vote at a time to whichever member helps most, until `VOTES` are given; of all these ensembles
    the best is taken, the smallest of equal ones (Caruana, Niculescu-Mizil, Crew & Ksikes 2004,
    Ensemble selection from libraries of models).

    Parameters
    ----------
    library : ndarray of float32, shape (n_members, n_clips, n_emotions)
        Out-of-fold probabilities of the clips of `inner`.
    inner : Inner
    """
    best_first = np.argsort(-inner.mean_scores(library), kind="stable")
    members = library[best_first]  # of those that help alike, the best is taken
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
        As `choose_greedily` takes them.
    """
    from benchmark.models.stacking import fit_final, logarithms

    return Stacked(
        fit_final(logarithms(library), inner.emotions, inner.fold, METRICS[inner.metric].scorer)
    )


LEARNERS: dict[str, Callable[[Floats, Inner], Weighted | Stacked]] = {
    "greedy": choose_greedily,
    "stacking": stack,
}
"""How an ensemble that learns does so, by its name in a study."""


def nested_answers(
    learn: Callable[[Floats, Inner], Rule], library: Floats, inner: Inner
) -> list[Floats]:
    """Return the answers on each fold of what an ensemble learns on the other folds.

    Its score on the clips that it was chosen by would flatter it, the more so the more members
    there are to choose from.
    """
    answers = []
    for fold in inner.folds:
        here = inner.fold == fold
        rule = learn(library[:, ~here], inner.part(~here))
        answers.append(rule.answer(library[:, here]).astype(np.float32))
    return answers


def soft_vote(
    members: Mapping[str, Any],
    emotions: Sequence[str],
    n_features: int,
    weights: Sequence[int] | None = None,
) -> Any:
    """Return a VotingClassifier of fitted members, which answers with their mean probabilities.

    Parameters
    ----------
    members : mapping of str to estimator
        Fitted on the same rows; used as they are.
    emotions : sequence of str
        What they were fitted to tell apart.
    n_features : int
        Width of the rows.
    weights : sequence of int, optional
        Of the members; by default all are equal.
    """
    from sklearn.ensemble import VotingClassifier
    from sklearn.frozen import FrozenEstimator

    frozen = [(name, FrozenEstimator(member)) for name, member in members.items()]
    vote = VotingClassifier(frozen, voting="soft", weights=weights)
    # Frozen members ignore the rows that they are given; the vote itself only learns the emotions.
    return vote.fit(np.zeros((len(emotions), n_features), np.float32), np.array(sorted(emotions)))


@dataclass(frozen=True)
class Assembly:
    """How members that were fitted on a whole training table become one model.

    Attributes
    ----------
    names : tuple of str
        The members', each once.
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

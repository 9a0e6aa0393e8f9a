"""Scores against the votes of raters: soft macro F1 and Jensen-Shannon divergence."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import pandas as pd

from benchmark.corpora.raters import FACT
from benchmark.evaluation.intervals import (
    RESAMPLES,
    Score,
    bootstrap_seed,
    combined,
    effective,
    enough,
    resample_sums,
    standard_error,
)
from benchmark.evaluation.metrics import Floats


@dataclass(frozen=True)
class SoftScores:
    """How near the probabilities of a model are to the distribution of votes.

    Attributes
    ----------
    clips : int
        Test clips with votes.
    soft_f1 : Score
        Soft macro F1: see `soft_macro_f1`.
    divergence : Score
        Mean Jensen-Shannon divergence: see `jensen_shannon`. Lower is better.
    corpora : dict of str to SoftScores
        The same within each corpus; empty within one.
    """

    clips: int
    soft_f1: Score
    divergence: Score
    corpora: dict[str, SoftScores] = field(default_factory=dict)


def vote_counts(
    clips: pd.DataFrame | None, rename: Mapping[str, str] | None = None
) -> pd.DataFrame | None:
    """Return the votes of each clip, a row per clip and a column per emotion; None without any.

    Parameters
    ----------
    clips : DataFrame or None
        Facts by ``clip``, as `Result.clips`.
    rename : mapping of str to str, or None
        Emotions that count as others, as in a study.
    """
    columns = [] if clips is None else [name for name in clips if name.startswith(FACT)]
    if clips is None or not columns:
        return None
    emotions = pd.Index([name.removeprefix(FACT) for name in columns])
    known = clips.set_index("clip")[columns].replace("", "0").astype(np.int64)
    counts = known.set_axis(emotions.map(lambda one: (rename or {}).get(one, one)), axis=1)
    counts = counts.T.groupby(level=0).sum().T
    return counts[counts.sum(axis=1) > 0]


def soft_scores(
    rows: pd.DataFrame, votes: pd.DataFrame, emotions: Sequence[str], seed: int
) -> SoftScores | None:
    """Return the scores of a model's rows against the votes, over corpora and in each of them.

    Votes for other emotions than `emotions` are left out; clips without any other vote, too. As for
    all scores, a figure over corpora is the mean of those within each corpus, and whole speakers
    are resampled within each corpus; with too few speakers in one of them, there is no interval.

    Parameters
    ----------
    rows : DataFrame
        As `evaluate` takes them.
    votes : DataFrame
        Of `vote_counts`.
    emotions : sequence of str
        Those of which the model gives probabilities.
    seed : int
        From `bootstrap_seed`.

    Returns
    -------
    SoftScores or None
        None if no row has votes.
    """
    counts = votes.reindex(index=rows["clip"], columns=emotions, fill_value=0).to_numpy(float)
    rated = counts.sum(axis=1) > 0
    if not rated.any():
        return None
    rows, counts = rows[rated], counts[rated]
    given = rows[[f"p_{emotion}" for emotion in emotions]].to_numpy(dtype=np.float64)
    voted, given = (side / side.sum(axis=1, keepdims=True) for side in (counts, given))
    own = {}
    for corpus in sorted(rows["corpus"].unique()):
        here = (rows["corpus"] == corpus).to_numpy()
        own[str(corpus)] = _within(
            rows[here], voted[here], given[here], bootstrap_seed(seed, str(corpus))
        )
    parts = {corpus: _soft_scores([sums]) for corpus, sums in own.items()}
    return replace(_soft_scores([*own.values()]), corpora=parts)


class _Sums(NamedTuple):
    """Sums over the rows of each speaker of one corpus, of shape (n_speakers, ...).

    Attributes
    ----------
    of_rows : ndarray of shape (n_speakers, 3, n_emotions)
        By emotion: the votes, those plus the probabilities, and the smaller of both; see `_f1`.
    divergence : ndarray of shape (n_speakers, 2)
        The Jensen-Shannon divergence, and the number of rows.
    clips, seed : int
    """

    of_rows: Floats
    divergence: Floats
    clips: int
    seed: int

    @property
    def effective(self) -> float:
        """The effective number of speakers."""
        return effective(np.rint(self.divergence[:, 1]).astype(np.int64))

    @property
    def sampled(self) -> bool:
        """Whether the speakers suffice to resample them."""
        return enough(len(self.divergence), self.effective)


def _within(rows: pd.DataFrame, voted: Floats, given: Floats, seed: int) -> _Sums:
    numbers, speakers = pd.factorize(rows["speaker"], sort=True)
    member = (numbers == np.arange(len(speakers))[:, None]).astype(np.float64)
    of_rows = np.stack([voted, voted + given, np.minimum(voted, given)], axis=1)
    divergence = np.stack([jensen_shannon(voted, given), np.ones(len(rows))], axis=1)
    clips = int(rows["clip"].nunique())
    return _Sums(np.tensordot(member, of_rows, axes=1), member @ divergence, clips, seed)


def _soft_scores(corpora: Sequence[_Sums]) -> SoftScores:
    return SoftScores(
        sum(one.clips for one in corpora),
        _score(corpora, lambda one: one.of_rows, _f1),
        _score(corpora, lambda one: one.divergence, _mean_divergence),
    )


def soft_macro_f1(voted: Floats, given: Floats) -> float:
    """Return the soft macro F1 of probabilities against the distribution of votes.

    Of an emotion, it is 2 * sum of min(v, p) / sum of (v + p) over clips, v being the fraction of
    votes for the emotion and p its probability; the mean is over the emotions with votes
    (Kurniawan, Mistica, Baldwin & Lau 2025, Training and evaluating with human label variation,
    arXiv 2502.01891; Harju & Mesaros 2023, Evaluating classification systems against soft labels
    with fuzzy precision and recall, arXiv 2309.13938). It is macro F1 if all v and p are 0 or 1.

    Parameters
    ----------
    voted, given : ndarray of shape (n_clips, n_emotions)
        Rows sum to 1.

    Examples
    --------
    >>> soft_macro_f1(np.array([[1.0, 0.0], [0.5, 0.5]]), np.array([[0.5, 0.5], [0.5, 0.5]]))
    0.7333333333333334
    """
    sums = np.stack([voted, voted + given, np.minimum(voted, given)], axis=1).sum(axis=0)
    return float(_f1(sums))


def _f1(sums: Floats) -> Floats:
    """Return soft macro F1 from sums of shape (..., 3, n_emotions); see `_Sums`."""
    votes, both, common = np.moveaxis(sums, -2, 0)
    present = votes > 0
    f1 = np.where(present, 2 * common / np.where(present, both, 1.0), 0.0)
    return np.asarray(f1.sum(axis=-1) / present.sum(axis=-1))


def _mean_divergence(sums: Floats) -> Floats:
    return np.asarray(sums[..., 0] / sums[..., 1])


def jensen_shannon(first: Floats, second: Floats) -> Floats:
    """Return the Jensen-Shannon divergence of distributions, from 0 (equal) to 1, of shape (n,).

    It is the mean of the Kullback-Leibler divergences of both from their mean, in bits (Lin 1991,
    Divergence measures based on the Shannon entropy, IEEE Transactions on Information Theory 37).

    Parameters
    ----------
    first, second : ndarray of shape (n, n_emotions)
        Rows sum to 1.

    Examples
    --------
    >>> jensen_shannon(np.array([[1.0, 0.0], [0.5, 0.5]]), np.array([[0.0, 1.0], [0.5, 0.5]]))
    array([1., 0.])
    """
    from scipy.special import rel_entr

    middle = (first + second) / 2
    nats = (rel_entr(first, middle) + rel_entr(second, middle)).sum(axis=-1) / 2
    return np.asarray(np.clip(nats / np.log(2), 0.0, 1.0))


def _score(
    corpora: Sequence[_Sums],
    sums: Callable[[_Sums], Floats],
    figure: Callable[[Floats], Floats],
) -> Score:
    """Return the mean over corpora of a figure of sums, with its interval if all suffice for one.

    Parameters
    ----------
    corpora : sequence of _Sums
    sums : callable
        The sums of the speakers of a corpus that the figure takes.
    figure : callable
        From the sum over speakers, of shape (..., *shape), to its value, of shape (...).
    """
    value = float(np.mean([figure(sums(one).sum(axis=0)) for one in corpora]))
    if not all(one.sampled for one in corpora):
        return Score(value)
    errors = []
    for one in corpora:
        blocks = resample_sums(sums(one), one.seed, RESAMPLES)
        draws = np.concatenate([figure(drawn) for drawn in blocks])
        errors.append(standard_error(draws, one.effective) / len(corpora))
    return Score(value, *combined(errors, [one.effective - 1 for one in corpora]))

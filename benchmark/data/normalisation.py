"""Normalisation of features by speaker or by corpus, without labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.corpora import Clip
from benchmark.errors import BenchmarkError
from benchmark.features import Extracted
from benchmark.study import Scale, Study, derive_seed

NEUTRAL = "neutral"
"""The emotion of the clips that set a neutral scale."""


def normalised(
    study: Study, originals: Extracted, copies: Mapping[str, Extracted]
) -> tuple[Extracted, dict[str, Extracted]]:
    """Return features standardised by the statistics of their speaker's (or corpus's) clips.

    Augmented copies are standardised by the copies made with the same augmentation of the same
    speaker: a voice played faster counts as another voice in speaker recognition (Zhou et al. 2024,
    "A Comprehensive Investigation on Speaker Augmentation for Speaker Recognition"). Labels are not
    used, but all clips of a speaker are, a test speaker's too: the evaluation is transductive.
    """
    if study.normalise == "none":
        return originals, dict(copies)
    width = originals.features.shape
    return _rescaled(originals, study.normalise, width), {
        name: _rescaled(copy, study.normalise, width) for name, copy in copies.items()
    }


@dataclass(frozen=True)
class Statistics:
    """Mean and variance of each feature; of frames, of each coefficient.

    Attributes
    ----------
    mean, variance : ndarray of float64, shape (n_features,)
    """

    mean: NDArray[np.float64]
    variance: NDArray[np.float64]

    def standardised(self, values: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return values minus the mean, divided by the standard deviation unless that is 0."""
        std = np.sqrt(self.variance)
        scaled: NDArray[np.float64] = (values - self.mean) / np.where(std > 0, std, 1.0)
        return scaled

    def shrunk(self, n_clips: int, prior: Statistics, n_prior: int) -> Statistics:
        """Return the statistics of `n_clips` clips, moved towards a prior that counts as `n_prior`.

        As the means of MAP adaptation with a relevance factor (Reynolds, Quatieri and Dunn 2000,
        "Speaker Verification Using Adapted Gaussian Mixture Models").
        """
        own = n_clips / (n_clips + n_prior)
        return Statistics(
            own * self.mean + (1 - own) * prior.mean,
            own * self.variance + (1 - own) * prior.variance,
        )


def training_statistics(study: Study, originals: Extracted, train: NDArray[np.bool_]) -> Statistics:
    """Return the statistics of a training speaker (or corpus), on average over all of them.

    Parameters
    ----------
    study : Study
        Normalised by speaker or corpus.
    originals : Extracted
        As recorded, not normalised.
    train : ndarray of bool, shape (n_clips,)
    """
    width = originals.features.shape
    each = [
        _statistics(originals.values[rows[train[rows]]], width)
        for rows in _groups(originals, study.normalise).values()
        if train[rows].any()
    ]
    return Statistics(
        np.mean([one.mean for one in each], axis=0), np.mean([one.variance for one in each], axis=0)
    )


def normalised_tests(
    study: Study,
    originals: Extracted,
    scale: Scale | None,
    tested: NDArray[np.bool_],
    training: Statistics | None = None,
) -> Extracted:
    """Return the test clips, with features scaled by the clips that `scale` names.

    Models learn from speakers who are scaled by all their clips. A system in use knows fewer clips
    of a new speaker, so that only the scale of the test rows is restricted. The first clips of a
    speaker are tested, too, and then take part in their own scale. In all other draws, each test
    clip has a draw of its own, from the other clips of its speaker.

    Parameters
    ----------
    study : Study
    originals : Extracted
        As recorded, not normalised: the test clips and all others of their speakers (or corpora).
    scale : Scale or None
        None for all clips.
    tested : ndarray of bool, shape (n_clips,)
    training : Statistics or None
        See `training_statistics`; only a scale with a prior needs them.

    Raises
    ------
    BenchmarkError
        If a speaker has too few other clips.
    """
    if study.normalise == "none":
        return originals.select(tested)
    scale, width = scale or Scale(), originals.features.shape
    values = np.empty_like(originals.values)
    for scaled, drawn in _draws(study, originals, scale, tested):
        statistics = _statistics(originals.values[drawn], width)
        if scale.n_prior_clips:
            assert training is not None, "a scale with a prior needs the training statistics"
            statistics = statistics.shrunk(len(drawn), training, scale.n_prior_clips)
        values[scaled] = statistics.standardised(originals.values[scaled])
    return replace(originals, values=values).select(tested)


def _draws(
    study: Study, originals: Extracted, scale: Scale, tested: NDArray[np.bool_]
) -> Iterator[tuple[NDArray[np.intp] | np.intp, NDArray[np.intp]]]:
    """Yield test rows, all with one scale, and the rows of the clips that set it."""
    for name, rows in _groups(originals, study.normalise).items():
        own = rows[tested[rows]]
        if len(own) and scale.clips == "all":
            yield own, rows
        elif len(own) and scale.clips == "first":
            yield own, _first(rows, name, scale, study.seed)
        else:
            for row in own:
                yield row, _drawn(study, scale, originals.clips, int(row), rows)


def _first(rows: NDArray[np.intp], name: str, scale: Scale, seed: int) -> NDArray[np.intp]:
    """Return the rows of the first clips of a speaker (or corpus).

    Recordings have no order in time: one is drawn, the same for any number of clips.
    """
    needed = scale.n_clips or 0
    order = np.random.default_rng(derive_seed(seed, "first", name)).permutation(rows)
    return _enough(order, needed, f"clips of {name}")[:needed]


def _drawn(
    study: Study, scale: Scale, clips: Sequence[Clip], row: int, rows: NDArray[np.intp]
) -> NDArray[np.intp]:
    """Return the rows of the clips that set the scale of one clip alone."""
    others = rows[rows != row]
    emotions = np.array([clips[other].emotion for other in others])
    clip = clips[row]
    beside = f"beside {clip.id} of the same {study.normalise}"
    rng = np.random.default_rng(derive_seed(study.seed, "scale", scale.words, clip.id))
    if scale.clips == "neutral":
        return _enough(others[emotions == NEUTRAL], 1, f"neutral clip {beside}")
    if scale.n_clips is None:
        return _enough(others, 1, f"clip {beside}")
    if scale.clips == "others":
        enough = _enough(others, scale.n_clips, f"clips {beside}")
        return rng.choice(enough, scale.n_clips, replace=False)
    return _skewed(scale, clip.emotion, others, emotions, rng, beside)


def _skewed(
    scale: Scale,
    emotion: str,
    others: NDArray[np.intp],
    emotions: NDArray[np.str_],
    rng: np.random.Generator,
    beside: str,
) -> NDArray[np.intp]:
    """Return other clips of a speaker, most of them of one emotion.

    In a skewed draw any emotion is the main one, whatever the clip's. A call includes the clip, as
    any one of its clips: the clip's emotion is the main one as often as the call's clips have it.
    """
    n_clips, fraction = scale.n_clips or 0, scale.fraction_of_one_emotion or 0.0
    in_call = scale.clips == "call"
    n_main = round(fraction * n_clips)
    names, counts = np.unique(emotions, return_counts=True)
    is_own = names == emotion
    needed = n_main - (is_own & in_call)  # the clip itself is one of its call
    weights = np.where(is_own, fraction, (1 - fraction) / max(1, len(names) - 1))
    weights = (weights if in_call else np.ones(len(names))) * (counts >= needed)
    _enough(names[weights > 0], 1, f"emotion with {n_main} clips {beside}")
    main = rng.choice(len(names), p=weights / weights.sum())
    rest = others[emotions != names[main]]
    n_rest = n_clips - in_call - needed[main]
    _enough(rest, n_rest, f"clips of other emotions {beside}")
    chosen = rng.choice(others[emotions == names[main]], needed[main], replace=False)
    return np.concatenate([chosen, rng.choice(rest, n_rest, replace=False)])


def _enough(found: NDArray[Any], needed: int, what: str) -> NDArray[Any]:
    if len(found) < needed:
        raise BenchmarkError(
            f"[scale]: needs {needed} {what}, but there are {len(found)}. "
            'Reduce n_clips, or choose another scale: clips = "all" needs no number of clips.'
        )
    return found


def _groups(extracted: Extracted, by: str) -> dict[str, NDArray[np.intp]]:
    """Return the rows of each speaker or corpus."""
    names = pd.Series([getattr(clip, by) for clip in extracted.clips], dtype=object)
    return {
        str(name): np.asarray(rows, np.intp) for name, rows in names.groupby(names).indices.items()
    }


def _statistics(values: NDArray[np.float32], shape: tuple[int, int] | None) -> Statistics:
    """Return mean and variance of each feature; of frames, of each coefficient."""
    if shape is None:
        mean, variance = (of(axis=0, dtype=np.float64) for of in (values.mean, values.var))
    else:
        frames = values.reshape(-1, shape[1])
        mean, variance = (
            np.tile(of(axis=0, dtype=np.float64), shape[0]) for of in (frames.mean, frames.var)
        )
    return Statistics(mean, variance)


def _rescaled(extracted: Extracted, by: str, shape: tuple[int, int] | None) -> Extracted:
    values = np.empty_like(extracted.values)
    for rows in _groups(extracted, by).values():
        values[rows] = _statistics(extracted.values[rows], shape).standardised(
            extracted.values[rows]
        )
    return replace(extracted, values=values)

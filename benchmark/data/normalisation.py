"""Normalisation of features by speaker or by corpus, without labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
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


def normalised_tests(study: Study, originals: Extracted, scale: Scale | None) -> Extracted:
    """Return features as a test side has them: scaled by the clips that `scale` names.

    Models learn from speakers who are scaled by all their clips. A system in use knows fewer clips
    of a new speaker, so that only the scale of the test rows is restricted. Each test clip has a
    draw of its own, from the other clips of its speaker.

    Parameters
    ----------
    study : Study
        Normalised by speaker, or not normalised.
    originals : Extracted
        As recorded, not normalised.
    scale : Scale or None
        None for all clips.

    Raises
    ------
    BenchmarkError
        If a speaker has too few other clips.
    """
    if scale is None or scale.clips == "all":
        return normalised(study, originals, {})[0]
    width = originals.features.shape
    values = np.empty_like(originals.values)
    for rows in _groups(originals, "speaker").values():
        for row in rows:
            drawn = _drawn(originals.clips, row, rows, scale, study.seed)
            mean, std = _scale(originals.values[drawn], width)
            values[row] = (originals.values[row] - mean) / std
    return replace(originals, values=values)


def _drawn(
    clips: Sequence[Clip], row: int, rows: NDArray[np.intp], scale: Scale, seed: int
) -> NDArray[np.intp]:
    """Return the rows of the clips that set the scale of one clip."""
    others = rows[rows != row]
    emotions = np.array([clips[other].emotion for other in others])
    clip = clips[row].id
    rng = np.random.default_rng(derive_seed(seed, "scale", scale.words, clip))
    if scale.clips == "neutral":
        return _enough(others[emotions == NEUTRAL], 1, f"neutral clip beside {clip}")
    if scale.n_clips is None:
        return _enough(others, 1, f"clip beside {clip}")
    if scale.clips == "others":
        enough = _enough(others, scale.n_clips, f"clips beside {clip}")
        return rng.choice(enough, scale.n_clips, replace=False)
    return _skewed(scale, clips[row], others, emotions, rng)


def _skewed(
    scale: Scale,
    clip: Clip,
    others: NDArray[np.intp],
    emotions: NDArray[np.str_],
    rng: np.random.Generator,
) -> NDArray[np.intp]:
    """Return other clips of a speaker, most of them of one emotion.

    In a skewed draw any emotion is the main one, whatever the clip's. A call includes the clip, as
    any one of its clips: the clip's emotion is the main one as often as the call's clips have it.
    """
    n_clips, fraction = scale.n_clips or 0, scale.fraction_of_one_emotion or 0.0
    in_call = scale.clips == "call"
    n_main = round(fraction * n_clips)
    names, counts = np.unique(emotions, return_counts=True)
    is_own = names == clip.emotion
    needed = n_main - (is_own & in_call)  # the clip itself is one of its call
    weights = np.where(is_own, fraction, (1 - fraction) / max(1, len(names) - 1))
    weights = (weights if in_call else np.ones(len(names))) * (counts >= needed)
    _enough(names[weights > 0], 1, f"emotion with {n_main} clips beside {clip.id}")
    main = rng.choice(len(names), p=weights / weights.sum())
    rest = others[emotions != names[main]]
    n_rest = n_clips - in_call - needed[main]
    _enough(rest, n_rest, f"clips of other emotions beside {clip.id}")
    chosen = rng.choice(others[emotions == names[main]], needed[main], replace=False)
    return np.concatenate([chosen, rng.choice(rest, n_rest, replace=False)])


def _enough(found: NDArray[Any], needed: int, what: str) -> NDArray[Any]:
    if len(found) < needed:
        raise BenchmarkError(
            f"[scale]: needs {needed} {what} of the same speaker, but there are {len(found)}. "
            'Reduce n_clips, or choose another scale: clips = "all" works with any speaker.'
        )
    return found


def _groups(extracted: Extracted, by: str) -> dict[str, NDArray[np.intp]]:
    """Return the rows of each speaker or corpus."""
    names = pd.Series([getattr(clip, by) for clip in extracted.clips], dtype=object)
    return {
        str(name): np.asarray(rows, np.intp) for name, rows in names.groupby(names).indices.items()
    }


def _scale(
    values: NDArray[np.float32], shape: tuple[int, int] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean and standard deviation of each feature; of frames, of each coefficient."""
    if shape is None:
        mean, std = values.mean(axis=0, dtype=np.float64), values.std(axis=0, dtype=np.float64)
    else:
        frames = values.reshape(-1, shape[1])
        mean, std = (
            np.tile(of(axis=0, dtype=np.float64), shape[0]) for of in (frames.mean, frames.std)
        )
    return mean, np.where(std > 0, std, 1.0)


def _rescaled(extracted: Extracted, by: str, shape: tuple[int, int] | None) -> Extracted:
    values = np.empty_like(extracted.values)
    for rows in _groups(extracted, by).values():
        mean, std = _scale(extracted.values[rows], shape)
        values[rows] = (extracted.values[rows] - mean) / std
    return replace(extracted, values=values)

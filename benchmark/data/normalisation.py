"""Normalisation of features by speaker or by corpus, without labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.features import Extracted, feature_set
from benchmark.study import Study


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
    width = feature_set(study.features, study.sample_rate_hz).shape
    return _rescaled(originals, study.normalise, width), {
        name: _rescaled(copy, study.normalise, width) for name, copy in copies.items()
    }


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

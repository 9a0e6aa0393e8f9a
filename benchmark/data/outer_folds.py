"""Outer folds by name: published ones, and one speaker at a time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from benchmark.data.protocols.protocol import Mask
from benchmark.data.protocols.speaker_independent import voices_of
from benchmark.errors import BenchmarkError

EMOBOX = {
    "ravdess": (
        "01 11 20 21", "04 10 12 14", "08 09 19 23", "03 05 07 24", "02 15 16 18", "06 13 17 22",
    ),
    "savee": ("JE", "KL", "DC", "JK"),
    "jl": ("male2", "female1", "male1", "female2"),
}  # fmt: skip
"""Test speakers of EmoBox's speaker-independent folds (Ma et al. 2024, EmoBox)."""


def _emobox_folds(clips: pd.DataFrame) -> dict[str, Mask]:
    """Return the test clips of EmoBox's folds."""
    corpora = sorted(set(clips["corpus"]))
    if len(corpora) > 1 or corpora[0] not in EMOBOX:
        raise BenchmarkError(
            f'[split] folds = "emobox": EmoBox divides one corpus, of {", ".join(EMOBOX)}; here '
            f"are {', '.join(corpora)}. Name one of them in corpora, or give a number of folds."
        )
    folds = {}
    for number, names in enumerate(EMOBOX[corpora[0]], start=1):
        speakers = [f"{corpora[0]}/{name}" for name in names.split()]
        folds[f"f{number}"] = np.asarray(clips["speaker"].isin(speakers), dtype=np.bool_)
    untested = clips.loc[~np.logical_or.reduce(list(folds.values())), "speaker"]
    if len(untested):
        raise BenchmarkError(f'[split] folds = "emobox": no fold has speaker {untested.iloc[0]}.')
    return folds


def _speaker_folds(clips: pd.DataFrame) -> dict[str, Mask]:
    """Return the test clips of each speaker; those who share a recording count as one."""
    voices = voices_of(clips)["voice"]
    return {name: np.asarray(voices == name, dtype=np.bool_) for name in sorted(set(voices))}


OUTER_FOLDS: dict[str, Callable[[pd.DataFrame], dict[str, Mask]]] = {
    "emobox": _emobox_folds,
    "leave-one-speaker-out": _speaker_folds,
}
"""Outer folds by name, for protocols that keep speakers apart."""

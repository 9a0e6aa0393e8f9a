"""Cross-corpus: trained on other corpora than the tested one."""

from __future__ import annotations

import numpy as np
import pandas as pd

from benchmark.data.protocols.protocol import Mask, Protocol, Sides
from benchmark.data.protocols.speaker_independent import divide_speakers
from benchmark.errors import BenchmarkError


def _masks(clips: pd.DataFrame) -> dict[str, Mask]:
    """Return the clips of each corpus, without recordings that another corpus has too."""
    if clips["corpus"].nunique() < 2:
        raise BenchmarkError(
            "needs two corpora or more, and there is only "
            f"{clips['corpus'].iloc[0]}. Name another one in corpora."
        )
    corpora_of = clips.groupby("samples")["corpus"].transform("nunique")
    alone = corpora_of == 1
    return {
        str(name): np.asarray((clips["corpus"] == name) & alone, dtype=np.bool_)
        for name in sorted(set(clips["corpus"]))
    }


def each_corpus(clips: pd.DataFrame) -> Sides:
    """Return each corpus as test side, all the others as training side."""
    masks = _masks(clips)
    return {
        name: (
            np.logical_or.reduce([masks[other] for other in masks if other != name]),
            masks[name],
        )
        for name in masks
    }


def each_pair(clips: pd.DataFrame) -> Sides:
    """Return each corpus as training side with each other one as test side."""
    masks = _masks(clips)
    return {
        f"{one}-to-{other}": (masks[one], masks[other])
        for one in masks
        for other in masks
        if one != other
    }


CROSS_CORPUS = Protocol(
    name="cross-corpus",
    title="cross-corpus",
    abbreviation="CC",
    description="each corpus is tested after training on all the others, over the emotions that "
    "both sides have",
    tested_on="a corpus not in training",
    divide=divide_speakers,
    sides=each_corpus,
    stream="corpus",
)

CROSS_CORPUS_PAIRS = Protocol(
    name="cross-corpus-pairs",
    title="cross-corpus, pairs",
    abbreviation="CC pairs",
    description="each corpus is tested after training on each single other one, over the emotions "
    "of both, so that a clip counts once for each of these",
    tested_on="a corpus not in training, after training on one other",
    divide=divide_speakers,
    sides=each_pair,
    stream="corpus-pairs",
)

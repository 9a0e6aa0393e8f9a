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
    sides = {
        name: (
            np.logical_or.reduce([masks[other] for other in masks if other != name]),
            masks[name],
        )
        for name in masks
    }
    return _with_shared_emotions(clips, sides)


def each_pair(clips: pd.DataFrame) -> Sides:
    """Return each corpus as training side with each other one as test side."""
    masks = _masks(clips)
    sides = {
        f"{one}-to-{other}": (masks[one], masks[other])
        for one in masks
        for other in masks
        if one != other
    }
    return _with_shared_emotions(clips, sides)


def _with_shared_emotions(clips: pd.DataFrame, sides: Sides) -> Sides:
    """Return both sides of each part, restricted to the emotions that the two share."""
    shared = {}
    for part, (train, test) in sides.items():
        both = set(clips.loc[train, "emotion"]) & set(clips.loc[test, "emotion"])
        if len(both) < 2:
            raise BenchmarkError(
                f"the two sides of {part} share fewer than two emotions. Leave a corpus out, or "
                "map its emotions to those of the others in [rename]."
            )
        allowed = np.asarray(clips["emotion"].isin(both), dtype=np.bool_)
        shared[part] = (train & allowed, test & allowed)
    return shared


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

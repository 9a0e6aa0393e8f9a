"""Speaker-independent: no test speaker occurs in training.

scikit-learn's grouped splitters draw over all speakers at once, which depends on chance if one
corpus has two speakers with 1,400 clips each and another 24 with 60; so speakers are drawn within
each corpus here.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from benchmark.data.protocols.identities import identities
from benchmark.data.protocols.protocol import INNER, Folds, Mask, Positions, Protocol
from benchmark.errors import BenchmarkError

DRAWS = 50
"""Draws of speakers, of which the one with the best balance of emotions is taken."""


def hold_out_speakers(clips: pd.DataFrame, test_size: float, seed: int) -> Mask:
    """Draw test speakers within each corpus and gender, the best-balanced of several draws."""
    rng = np.random.default_rng(seed)
    voices = voices_of(clips)
    strata = _strata(voices)
    counts = _emotion_counts(voices)
    draws = [[v for group in strata for v in _draw(group, test_size, rng)] for _ in range(DRAWS)]
    best = min(draws, key=lambda drawn: _imbalance(counts, drawn, test_size))
    return np.asarray(voices["voice"].isin(best), dtype=np.bool_)


def _strata(voices: pd.DataFrame) -> list[list[str]]:
    """Return the speakers of each corpus, by gender where each gender leaves one to learn from."""
    strata: list[list[str]] = []
    for corpus, rows in voices.groupby("corpus", sort=True):
        by_gender = [sorted(set(part["voice"])) for _, part in rows.groupby("gender", sort=True)]
        everyone = sorted(set(rows["voice"]))
        if len(everyone) < 2:
            raise BenchmarkError(
                f"{corpus} has one speaker only ({rows['speaker'].iloc[0]}), so "
                "no speaker is left to test on. Add speakers, leave the corpus out, or take "
                'split.protocols = ["speaker-dependent"].'
            )
        divisible = [group for group in by_gender if len(group) > 1]
        strata += divisible or [everyone]
    return strata


def _draw(speakers: Sequence[str], share: float, rng: np.random.Generator) -> list[str]:
    """Draw a share of the speakers: at least one, and one at least is left."""
    count = min(max(1, round(share * len(speakers))), len(speakers) - 1)
    return [str(name) for name in rng.permutation(speakers)[:count]]


def _emotion_counts(voices: pd.DataFrame) -> pd.DataFrame:
    """Return how many clips of each emotion, by corpus, each voice has."""
    return pd.crosstab(voices["voice"], [voices["corpus"], voices["emotion"]])


def _imbalance(counts: pd.DataFrame, held_out: Sequence[str], share: float) -> float:
    """Return how far the held-out clips of each emotion are from their share, summed."""
    table = counts.to_numpy()  # rows by position: a hundred draws take no time
    taken = table[counts.index.get_indexer(list(held_out))].sum(axis=0)
    return float(np.abs(taken - share * table.sum(axis=0)).sum())


def divide_speakers(
    clips: pd.DataFrame, n_folds: int, seed: int, folds_of: Folds = INNER
) -> Positions:
    """Deal the speakers of each corpus to folds, genders spread; small corpora to emptier folds."""
    rng = np.random.default_rng(seed)
    voices = voices_of(clips)
    n_voices = voices.groupby("corpus")["voice"].nunique().sort_index()
    fold = np.full(len(clips), -1, dtype=np.intp)
    for corpus, count in n_voices.sort_values(ascending=False, kind="stable").items():
        members = (voices["corpus"] == corpus).to_numpy()
        load = np.bincount(fold[fold >= 0], minlength=n_folds)
        emptiest = np.argsort(load, kind="stable")[:count]
        fold[members] = _deal(voices[members], emptiest, rng)
    used = len(set(fold))
    if used < n_folds:
        raise BenchmarkError(
            f"{folds_of.of} has {n_voices.sum()} speakers (those who share a "
            f"recording count as one), too few for {n_folds} folds. "
            + (f"Set {folds_of.setting} = {used}." if used > 1 else "Add speakers.")
        )
    return fold


def _deal(voices: pd.DataFrame, folds: Positions, rng: np.random.Generator) -> Positions:
    """Deal one corpus's speakers round the folds, the best-balanced of several deals."""
    counts = _emotion_counts(voices)
    by_gender = [sorted(set(part["voice"])) for _, part in voices.groupby("gender", sort=True)]

    def imbalance(order: list[str]) -> float:
        hands = [order[place :: len(folds)] for place in range(len(folds))]
        return sum(_imbalance(counts, hand, 1 / len(folds)) for hand in hands)

    deals = [[v for group in by_gender for v in rng.permutation(group)] for _ in range(DRAWS)]
    best = min(deals, key=imbalance)
    fold_of = {voice: folds[place % len(folds)] for place, voice in enumerate(best)}
    return np.asarray(voices["voice"].map(fold_of), dtype=np.intp)


def voices_of(clips: pd.DataFrame) -> pd.DataFrame:
    """Return voice, corpus, speaker, gender and emotion of each clip.

    Speakers that share a recording are one voice: otherwise a recording listed under two speakers
    could be on both sides.
    """
    names = identities(clips, "speaker")
    leader = clips[["speaker", "corpus", "gender"]].drop_duplicates("speaker").set_index("speaker")
    return pd.DataFrame(
        {
            "voice": names,
            "speaker": clips["speaker"].to_numpy(),
            "corpus": leader.loc[names, "corpus"].to_numpy(),
            "gender": leader.loc[names, "gender"].to_numpy(),
            "emotion": clips["emotion"].to_numpy(),
        }
    )


SPEAKER_INDEPENDENT = Protocol(
    name="speaker-independent",
    title="speaker-independent",
    abbreviation="SI",
    description="no test speaker has a clip in training; speakers are drawn within each corpus",
    tested_on="speakers not in training",
    divide=divide_speakers,
    hold_out=hold_out_speakers,
    stream="speaker",
)

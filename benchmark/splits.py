"""Protocols: who may be on both sides of a split, and the checks that stop a run that breaks one.

A protocol draws the test side once and divides the training side into inner folds by the same rule.
Both work on clips; augmented copies follow their clip, and exact duplicates of a recording stay
together. scikit-learn's grouped splitters draw over all speakers at once, which is a lottery where
one corpus has two speakers with 1,400 clips each and another 24 with 60; so speakers are drawn
within each corpus here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.errors import BenchmarkError

DRAWS = 50  # draws of speakers, of which the one with the best balance of emotions is taken

Mask = NDArray[np.bool_]
Positions = NDArray[np.intp]


class LeakError(BenchmarkError):
    """Something is on both sides of a split that may be on one only."""


@dataclass(frozen=True)
class Split:
    """One (train, test) pair of a protocol.

    Attributes
    ----------
    protocol : str
        Its key in `PROTOCOLS`.
    test : ndarray of bool, shape (n_clips,)
        Which clips are test clips.
    fold : ndarray of int, shape (n_clips,)
        The inner fold in which a training clip is validated; -1 for test clips.
    """

    protocol: str
    test: Mask
    fold: Positions

    @property
    def n_folds(self) -> int:
        """How many inner folds there are."""
        return int(self.fold.max()) + 1


@dataclass(frozen=True)
class Protocol:
    """A rule for who may be on both sides.

    Attributes
    ----------
    title, description : str
        For people.
    shares_speakers : bool
        Whether a speaker may be on both sides.
    hold_out : callable
        ``(clips, test_size, seed) -> mask`` of the test clips.
    divide : callable
        ``(clips, n_folds, seed) -> fold`` of each clip.
    """

    title: str
    description: str
    shares_speakers: bool
    hold_out: Callable[[pd.DataFrame, float, int], Mask]
    divide: Callable[[pd.DataFrame, int, int], Positions]


def draw_split(
    protocol: str, clips: pd.DataFrame, test_size: float, n_folds: int, seed: int
) -> Split:
    """Return the split that a protocol draws from clips.

    Parameters
    ----------
    clips : DataFrame
        A row a clip: clip, corpus, speaker, gender, emotion, samples (digest of what is heard).
    test_size : float
        Share of the clips, or of each corpus's speakers, on the test side.
    n_folds : int
        Inner folds of the training side.
    seed : int
        The study's.

    Raises
    ------
    BenchmarkError
        If the clips don't allow it: a corpus with one speaker, an emotion that a fold lacks.
    """
    rule = PROTOCOLS[protocol]
    test = rule.hold_out(clips, test_size, seed)
    fold = np.full(len(clips), -1, dtype=np.intp)
    train = clips[~test].reset_index(drop=True)
    fold[~test] = rule.divide(train, n_folds, seed)
    split = Split(protocol, test, fold)
    check_split(split, clips)
    return split


def check_split(split: Split, clips: pd.DataFrame) -> None:
    """Stop if anything is on both sides that may not be, or a part lacks an emotion.

    Raises
    ------
    LeakError
        If a recording, or under ``speaker`` a speaker, is on both sides of the split or of a fold.
    BenchmarkError
        If the test side, or a fold's training or validation part, lacks an emotion.
    """
    parts = [("the test side", ~split.test, split.test)]
    for number in range(split.n_folds):
        trained = ~split.test & (split.fold != number)
        parts.append((f"inner fold {number + 1} of {split.n_folds}", trained, split.fold == number))
    kept_apart = {"samples": "recording"}
    if not PROTOCOLS[split.protocol].shares_speakers:
        kept_apart["speaker"] = "speaker"
    for name, train, held_out in parts:
        for column, noun in kept_apart.items():
            shared = set(clips.loc[train, column]) & set(clips.loc[held_out, column])
            if shared:
                named = clips.loc[
                    clips[column] == min(shared), "clip" if column == "samples" else column
                ]
                raise LeakError(
                    f"protocol {split.protocol}: {noun} {named.iloc[0]} is on both sides of {name}."
                )
        _check_emotions(split.protocol, name, clips, train, held_out)


def _check_emotions(
    protocol: str, name: str, clips: pd.DataFrame, train: Mask, held_out: Mask
) -> None:
    """Refuse a part that lacks an emotion: a recall over no clips is no number."""
    emotions = set(clips["emotion"])
    for words, part in (("to learn from", train), ("to be measured on", held_out)):
        lacking = sorted(emotions - set(clips.loc[part, "emotion"]))
        if lacking:
            raise BenchmarkError(
                f"protocol {protocol}: {name} has no clip of {', '.join(lacking)} {words}. Lower "
                "search.folds, change split.test_size or the seed, or leave the emotion out."
            )


def _hold_out_clips(clips: pd.DataFrame, test_size: float, seed: int) -> Mask:
    """Draw test clips stratified by emotion, exact duplicates together."""
    from sklearn.model_selection import train_test_split

    recordings = clips.drop_duplicates("samples")
    rarest = recordings["emotion"].value_counts()
    if rarest.min() < 2:
        raise BenchmarkError(
            f"protocol random: {rarest.idxmin()} has one clip only, so none is left to test on. "
            "Add recordings, or leave the emotion out."
        )
    try:
        _, drawn = train_test_split(
            recordings["samples"].to_numpy(),
            test_size=test_size,
            stratify=recordings["emotion"].to_numpy(),
            random_state=seed,
        )
    except ValueError as error:
        raise BenchmarkError(f"protocol random: the clips can't be split: {error}") from error
    return np.asarray(clips["samples"].isin(drawn), dtype=np.bool_)


def _divide_clips(clips: pd.DataFrame, n_folds: int, seed: int) -> Positions:
    """Deal clips to folds stratified by emotion, exact duplicates together."""
    from sklearn.model_selection import StratifiedKFold

    recordings = clips.drop_duplicates("samples")
    rarest = recordings["emotion"].value_counts()
    if rarest.min() < n_folds:
        raise BenchmarkError(
            f"protocol random: {rarest.idxmin()} has {rarest.min()} training clips, too few for "
            f"{n_folds} folds. Lower search.folds or leave the emotion out."
        )
    splitter = StratifiedKFold(n_folds, shuffle=True, random_state=seed)
    fold_of: dict[str, int] = {}
    names = recordings["samples"].to_numpy()
    for number, (_, held_out) in enumerate(splitter.split(names, recordings["emotion"])):
        fold_of.update(dict.fromkeys(names[held_out], number))
    return np.asarray(clips["samples"].map(fold_of), dtype=np.intp)


def _hold_out_speakers(clips: pd.DataFrame, test_size: float, seed: int) -> Mask:
    """Draw test speakers within each corpus and gender, the best-balanced of several draws."""
    rng = np.random.default_rng(seed)
    voices = _voices(clips)
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
                f"protocol speaker: {corpus} has one speaker only ({rows['speaker'].iloc[0]}), so "
                "nobody of it is left to test on. Add speakers, leave the corpus out, or take "
                'split.protocols = ["random"].'
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
    taken = counts.loc[list(held_out)].to_numpy().sum(axis=0)
    return float(np.abs(taken - share * counts.to_numpy().sum(axis=0)).sum())


def _divide_speakers(clips: pd.DataFrame, n_folds: int, seed: int) -> Positions:
    """Deal the speakers of each corpus to folds, genders spread; small corpora to emptier folds."""
    rng = np.random.default_rng(seed)
    voices = _voices(clips)
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
            f"protocol speaker: the training side has {n_voices.sum()} speakers (those who share a "
            f"recording count as one), too few for {n_folds} folds. "
            + (f"Set search.folds = {used}." if used > 1 else "Add speakers.")
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


def _voices(clips: pd.DataFrame) -> pd.DataFrame:
    """Return each clip's voice, corpus, speaker, gender, emotion; who shares a recording is one.

    A recording that stands under two speakers would else force one of them onto both sides.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    speakers, speaker_names = pd.factorize(clips["speaker"], sort=True)
    recordings, recording_names = pd.factorize(clips["samples"])
    links = coo_array(
        (np.ones(len(clips)), (speakers, recordings)),
        shape=(len(speaker_names), len(recording_names)),
    ).tocsr()
    _, voice_of = connected_components(links @ links.T, directed=False)
    voices = voice_of[speakers]
    first = pd.Series(clips["speaker"].to_numpy()).groupby(voices).min()
    leader = clips[["speaker", "corpus", "gender"]].drop_duplicates("speaker").set_index("speaker")
    names = first.loc[voices].to_numpy()
    return pd.DataFrame(
        {
            "voice": names,
            "speaker": clips["speaker"].to_numpy(),
            "corpus": leader.loc[names, "corpus"].to_numpy(),
            "gender": leader.loc[names, "gender"].to_numpy(),
            "emotion": clips["emotion"].to_numpy(),
        }
    )


PROTOCOLS: dict[str, Protocol] = {
    "random": Protocol(
        "random (speakers shared)",
        "clips drawn at random, stratified by emotion: the same speakers are on both sides",
        shares_speakers=True,
        hold_out=_hold_out_clips,
        divide=_divide_clips,
    ),
    "speaker": Protocol(
        "speaker (unseen speakers)",
        "speakers drawn within each corpus: nobody is on both sides",
        shares_speakers=False,
        hold_out=_hold_out_speakers,
        divide=_divide_speakers,
    ),
}

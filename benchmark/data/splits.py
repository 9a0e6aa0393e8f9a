"""Splits: the (train, test) pairs of a protocol, drawn and checked.

A protocol draws the test side once, or divides all clips into outer folds each of which is tested
once; the training side is divided into inner folds by the same rule. Augmented copies follow their
clip, and exact duplicates of a recording stay on the same side.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from benchmark import study as settings
from benchmark.data.outer_folds import OUTER_FOLDS
from benchmark.data.protocols import INNER, OUTER, PROTOCOLS, Mask, Positions, Sides, stream
from benchmark.errors import BenchmarkError
from benchmark.study import derive_seed


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
        The inner fold in which a training clip is validated; -1 for all others.
    part : str
        Which one, of a protocol that has several: ``f1``, ``savee/DC``, ``tess-to-savee``.
    auxiliary : ndarray of bool, shape (n_clips,), or None
        Clips that are learned from in every inner fold, and validated in none.
    """

    protocol: str
    test: Mask
    fold: Positions
    part: str = ""
    auxiliary: Mask | None = None

    @property
    def name(self) -> str:
        """Name of the split in a study: ``speaker-independent``, ``speaker-independent/f1``."""
        return f"{self.protocol}/{self.part}" if self.part else self.protocol

    @property
    def stream(self) -> str:
        """Name of its random streams: what seeds derive from."""
        return f"{stream(self.protocol)}/{self.part}" if self.part else stream(self.protocol)

    @property
    def train(self) -> Mask:
        """Which clips are training clips; a clip may be on neither side."""
        mask: Mask = self.fold >= 0
        return mask if self.auxiliary is None else mask | self.auxiliary

    @property
    def n_folds(self) -> int:
        """How many inner folds there are."""
        return int(self.fold.max()) + 1


def draw_splits(
    protocol: str, clips: pd.DataFrame, rule: settings.Split, n_folds: int, seed: int
) -> list[Split]:
    """Return the splits of a protocol: one, or one for each outer fold and repeat.

    Parameters
    ----------
    clips : DataFrame
        A row a clip: clip, corpus, speaker, gender, emotion, samples (digest of what is heard).
    rule : settings.Split
        The study's: outer folds or the size of one test side, and repeats.
    n_folds : int
        Inner folds of the training side.
    seed : int
        The study's.

    Raises
    ------
    BenchmarkError
        If the clips don't allow it: a corpus with one speaker, an emotion that a fold lacks.
    """
    if PROTOCOLS[protocol].sides is not None:
        return [
            _divided(protocol, part, clips, sides, n_folds, seed)
            for part, sides in _sides(protocol, clips).items()
        ]
    splits = []
    for repeat in range(1, rule.repeats + 1):
        drawn_by = seed if repeat == 1 else derive_seed(seed, "repeat", repeat)
        for fold, test in _tested(protocol, clips, rule, drawn_by).items():
            repeated = f"repeat-{repeat}" if rule.repeats > 1 else ""
            part = "/".join(name for name in (fold, repeated) if name)
            splits.append(_divided(protocol, part, clips, (~test, test), n_folds, drawn_by))
    return splits


def learn_also(split: Split, clips: pd.DataFrame) -> Split:
    """Return a split that learns from further clips too: those that stand behind its own.

    Parameters
    ----------
    split : Split
        Of the first clips.
    clips : DataFrame
        As `draw_splits` takes it: the split's own clips, and behind them auxiliary ones. Those with
        an emotion that the split has not are on neither side.

    Raises
    ------
    LeakError
        If one of them is a recording, or of a speaker, that is tested.
    """
    own, more = len(split.test), len(clips) - len(split.test)
    told = clips["emotion"].iloc[:own][split.train | split.test]
    auxiliary = clips["emotion"].isin(told).to_numpy() & (np.arange(len(clips)) >= own)
    longer = replace(
        split,
        test=np.concatenate([split.test, np.zeros(more, dtype=np.bool_)]),
        fold=np.concatenate([split.fold, np.full(more, -1, dtype=np.intp)]),
        auxiliary=auxiliary,
    )
    check_split(longer, clips)
    return longer


def draw_split(
    protocol: str, clips: pd.DataFrame, test_size: float, n_folds: int, seed: int
) -> Split:
    """Return the one split of a protocol that draws a test side of `test_size`."""
    [split] = draw_splits(protocol, clips, settings.Split(test_size=test_size), n_folds, seed)
    return split


def _divided(
    protocol: str,
    part: str,
    clips: pd.DataFrame,
    sides: tuple[Mask, Mask],
    n_folds: int,
    seed: int,
) -> Split:
    """Return a checked split whose training side is divided into inner folds."""
    train, test = sides
    fold = np.full(len(clips), -1, dtype=np.intp)
    learned = clips[train].reset_index(drop=True)
    rule = PROTOCOLS[protocol]
    if rule.sides is not None:  # a corpus of few speakers has no more folds than speakers
        n_folds = max(2, min(n_folds, learned["speaker"].nunique()))
    fold[train] = rule.divide(learned, n_folds, seed, INNER)
    split = Split(protocol, test, fold, part)
    check_split(split, clips)
    return split


def _tested(protocol: str, clips: pd.DataFrame, rule: settings.Split, seed: int) -> dict[str, Mask]:
    """Return the test clips of each outer fold by its name; of a single test side by none."""
    kind = PROTOCOLS[protocol]
    if rule.folds is None:
        assert kind.hold_out is not None
        return {"": kind.hold_out(clips, rule.test_size, seed)}
    if isinstance(rule.folds, str):
        named = OUTER_FOLDS[rule.folds](clips)
        if kind.speaker_independent:
            return named
        count = len(named)
    else:
        count = rule.folds
    drawn = kind.divide(clips, count, seed, OUTER)
    return {f"f{number + 1}": drawn == number for number in range(count)}


def check_split(split: Split, clips: pd.DataFrame) -> None:
    """Stop if anything is on both sides that may not be, or a part lacks an emotion.

    Raises
    ------
    LeakError
        If a recording, or what the protocol keeps apart, is on both sides of the split or of an
        inner fold.
    BenchmarkError
        If the test side, or a fold's training or validation part, lacks an emotion.
    """
    parts = [("the test side", split.train, split.test)]
    for number in range(split.n_folds):
        trained = split.train & (split.fold != number)
        parts.append((f"inner fold {number + 1} of {split.n_folds}", trained, split.fold == number))
    kept_apart = ("samples", *PROTOCOLS[split.protocol].kept_apart)
    for name, train, held_out in parts:
        for column in kept_apart:
            shared = set(clips.loc[train, column]) & set(clips.loc[held_out, column])
            if shared:
                named = clips.loc[
                    clips[column] == min(shared), "clip" if column == "samples" else column
                ]
                noun = "recording" if column == "samples" else column
                raise LeakError(
                    f"protocol {split.name}: {noun} {named.iloc[0]} is on both sides of {name}."
                )
        _check_emotions(split, name, clips, train, held_out)


def _check_emotions(
    split: Split, name: str, clips: pd.DataFrame, train: Mask, held_out: Mask
) -> None:
    """Refuse a part that lacks an emotion: a recall over no clips is no number."""
    emotions = set(clips.loc[split.train | split.test, "emotion"])
    for words, part in (("to learn from", train), ("to be measured on", held_out)):
        lacking = sorted(emotions - set(clips.loc[part, "emotion"]))
        if lacking:
            raise BenchmarkError(
                f"protocol {split.name}: {name} has no clip of {', '.join(lacking)} {words}. Lower "
                "search.folds or split.folds, change split.test_size or the seed, or leave the "
                "emotion out."
            )


def _sides(protocol: str, clips: pd.DataFrame) -> Sides:
    """Return both sides of each part, over the emotions that the two share."""
    draw = PROTOCOLS[protocol].sides
    assert draw is not None
    shared = {}
    try:
        drawn = draw(clips)
    except BenchmarkError as error:
        raise BenchmarkError(f"protocol {protocol}: {error}") from error
    for part, sides in drawn.items():
        both = set.intersection(*(set(clips.loc[side, "emotion"]) for side in sides))
        if len(both) < 2:
            raise BenchmarkError(
                f"protocol {protocol}: the two sides of {part} share fewer than two emotions. "
                "Leave a corpus out, or give its emotions the others' names in [rename]."
            )
        told = np.asarray(clips["emotion"].isin(both), dtype=np.bool_)
        shared[part] = (sides[0] & told, sides[1] & told)
    return shared

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
from benchmark.data.protocols import (
    INNER,
    OUTER,
    PROTOCOLS,
    Mask,
    Positions,
    Protocol,
    Sides,
    stream,
)
from benchmark.data.protocols.identities import SENTENCE, codes, identities
from benchmark.engine.arrays import training_part
from benchmark.errors import BenchmarkError
from benchmark.study import BY_CORPUS, derive_seed


class LeakError(BenchmarkError):
    """Something that must be on one side of a split is on both."""


@dataclass(frozen=True)
class Split:
    """One (train, test) pair of a protocol.

    Attributes
    ----------
    protocol : str
        A name in `PROTOCOLS`.
    test : ndarray of bool, shape (n_clips,)
        Which clips are test clips.
    fold : ndarray of int, shape (n_clips,)
        Inner fold that validates a training clip; -1 for all others.
    part : str
        Which split of a protocol with several: ``f1``, ``savee/DC``, ``tess-to-savee``.
    auxiliary : ndarray of bool, shape (n_clips,), or None
        Clips in the training part of every inner fold, never validated.
    apart : ndarray of int, shape (n_clips, n_columns), or None
        What inner folds keep apart beside the folds themselves, see `TrainingArrays`.
    """

    protocol: str
    test: Mask
    fold: Positions
    part: str = ""
    auxiliary: Mask | None = None
    apart: Positions | None = None

    @property
    def name(self) -> str:
        """Name of the split in a study: ``speaker-independent``, ``speaker-independent/f1``."""
        return f"{self.protocol}/{self.part}" if self.part else self.protocol

    @property
    def stream(self) -> str:
        """Name of its random streams, from which seeds derive."""
        return f"{stream(self.protocol)}/{self.part}" if self.part else stream(self.protocol)

    @property
    def train(self) -> Mask:
        """Which clips are training clips; some clips may be on neither side."""
        mask: Mask = self.fold >= 0
        return mask if self.auxiliary is None else mask | self.auxiliary

    @property
    def n_folds(self) -> int:
        """Number of inner folds."""
        return int(self.fold.max()) + 1

    def trained(self, fold: int) -> Mask:
        """Return which clips are trained on while an inner fold is validated."""
        apart = np.empty((len(self.fold), 0), np.intp) if self.apart is None else self.apart
        return self.train & training_part(self.fold, apart, fold)


def draw_splits(
    protocol: str, clips: pd.DataFrame, rule: settings.Split, n_folds: int | str, seed: int
) -> list[Split]:
    """Return the splits of a protocol: one, or one per outer fold and repeat.

    Parameters
    ----------
    clips : DataFrame
        One row per clip, see `Protocol`.
    rule : settings.Split
        Outer folds or size of the test side, and repeats.
    n_folds : int or str
        Inner folds of the training side, see `inner_folds`.
    seed : int
        The study's.

    Raises
    ------
    BenchmarkError
        If the clips do not allow it: a corpus has one speaker, or a fold lacks an emotion.
    """
    if PROTOCOLS[protocol].sides is not None:
        return [
            _divided(protocol, part, clips, sides, n_folds, seed)
            for part, sides in _sides(PROTOCOLS[protocol], clips).items()
        ]
    splits = []
    for repeat in range(1, rule.repeats + 1):
        drawn_by = seed if repeat == 1 else derive_seed(seed, "repeat", repeat)
        for fold, test in _tested(protocol, clips, rule, drawn_by).items():
            repeated = f"repeat-{repeat}" if rule.repeats > 1 else ""
            part = "/".join(name for name in (fold, repeated) if name)
            sides = (_apart_from(test, protocol, clips), test)
            splits.append(_divided(protocol, part, clips, sides, n_folds, drawn_by))
    return splits


def with_auxiliary(split: Split, clips: pd.DataFrame) -> Split:
    """Return a split with auxiliary clips, which follow its own clips in `clips`.

    Parameters
    ----------
    split : Split
        Of the first clips of `clips`.
    clips : DataFrame
        The split's own clips, then auxiliary ones. Auxiliary clips with an emotion that the split
        lacks are on neither side.

    Raises
    ------
    LeakError
        If one of them is a tested recording, or of a test speaker.
    """
    own, more = len(split.test), len(clips) - len(split.test)
    emotions = clips["emotion"].iloc[:own][split.train | split.test]
    auxiliary = clips["emotion"].isin(emotions).to_numpy() & (np.arange(len(clips)) >= own)
    longer = replace(
        split,
        test=np.concatenate([split.test, np.zeros(more, dtype=np.bool_)]),
        fold=np.concatenate([split.fold, np.full(more, -1, dtype=np.intp)]),
        auxiliary=auxiliary,
        # Their speakers and sentences are of other corpora.
        apart=None
        if split.apart is None
        else np.concatenate([split.apart, np.full((more, split.apart.shape[1]), -1)]),
    )
    check_split(longer, clips)
    return longer


def _apart_from(test: Mask, protocol: str, clips: pd.DataFrame) -> Mask:
    """Return the clips that share nothing with the test side that the protocol keeps apart."""
    train = ~test
    for column in PROTOCOLS[protocol].kept_apart:
        names = identities(clips, column)
        train &= ~np.isin(names, np.unique(names[test]))
    return train


def _divided(
    protocol: str,
    part: str,
    clips: pd.DataFrame,
    sides: tuple[Mask, Mask],
    n_folds: int | str,
    seed: int,
) -> Split:
    """Return a checked split whose training side is divided into inner folds."""
    train, test = sides
    fold = np.full(len(clips), -1, dtype=np.intp)
    learned = clips[train].reset_index(drop=True)
    rule = PROTOCOLS[protocol]
    within = rule.inner_protocol(learned, clips[test]) if rule.inner_protocol else rule
    if rule.sides is not None and within.speaker_independent and isinstance(n_folds, int):
        n_folds = max(2, min(n_folds, learned["speaker"].nunique()))  # no more folds than speakers
    with rule.named_errors(part):
        inner = inner_folds(within, learned, n_folds, seed)
        if rule.crossed_with is not None:
            groups = rule.crossed_with(learned, seed)
            inner = np.unique(inner * len(clips) + groups, return_inverse=True)[1]
    fold[train] = inner
    apart = None
    if rule.text_independent:
        apart = np.full((len(clips), len(rule.kept_apart)), -1, dtype=np.intp)
        apart[train] = codes(learned, rule.kept_apart)
    split = Split(protocol, test, fold, part, apart=apart)
    check_split(split, clips)
    return split


def inner_folds(rule: Protocol, clips: pd.DataFrame, n_folds: int | str, seed: int) -> Positions:
    """Return the inner fold of each training clip.

    Parameters
    ----------
    rule : Protocol
        It divides the clips where `n_folds` is a number.
    clips : DataFrame
        The training side, see `Protocol`.
    n_folds : int or str
        A number of folds, or `BY_CORPUS`: each corpus is a fold.
    seed : int
        Of the draw.

    Raises
    ------
    BenchmarkError
        If the clips can't be divided so.
    """
    if isinstance(n_folds, int):
        return rule.divide(clips, n_folds, seed, INNER)
    corpora, fold = np.unique(clips["corpus"].to_numpy(str), return_inverse=True)
    if len(corpora) < 2:
        raise BenchmarkError(
            f"search.folds: {BY_CORPUS} needs two training corpora or more, and there is only "
            f"{corpora[0]}. Give a number, or name another one in corpora."
        )
    if rule.text_independent:
        raise BenchmarkError(
            f"search.folds: {BY_CORPUS} does not keep sentences apart. Give a number."
        )
    return fold


def _tested(protocol: str, clips: pd.DataFrame, rule: settings.Split, seed: int) -> dict[str, Mask]:
    """Return the test clips by outer fold; the name of a single test side is empty."""
    kind = PROTOCOLS[protocol]
    with kind.named_errors():
        if rule.folds is None:
            assert kind.hold_out is not None, f"protocol {protocol} has neither sides nor hold_out"
            return {"": kind.hold_out(clips, rule.test_size, seed)}
        folds = _outer_folds(kind, clips, rule.folds, seed)
        if kind.crossed_with is None:
            return folds
        groups = kind.crossed_with(clips, seed)
    crossed = {
        f"{name}/t{group + 1}": test & (groups == group)
        for name, test in folds.items()
        for group in range(groups.max() + 1)
    }
    return {name: test for name, test in crossed.items() if test.any()}


def _outer_folds(
    kind: Protocol, clips: pd.DataFrame, folds: int | str, seed: int
) -> dict[str, Mask]:
    """Return the test clips of each outer fold, by number or by the name of published folds."""
    if isinstance(folds, str):
        named = OUTER_FOLDS[folds](clips)
        if kind.speaker_independent:
            return named
        folds = len(named)
    drawn = kind.divide(clips, folds, seed, OUTER)
    return {f"f{number + 1}": drawn == number for number in range(drawn.max() + 1)}


def check_split(split: Split, clips: pd.DataFrame) -> None:
    """Raise if both sides share what must be kept apart, or a part lacks an emotion.

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
        name = f"inner fold {number + 1} of {split.n_folds}"
        parts.append((name, split.trained(number), split.fold == number))
    for name, train, held_out in parts:
        for column in ("samples", *PROTOCOLS[split.protocol].kept_apart):
            values = clips[column]
            if column == SENTENCE:
                values = clips["corpus"] + "/" + values
            shared = set(values[train]) & set(values[held_out])
            if column == SENTENCE and name != parts[0][0]:
                shared -= _only_sentences(values[split.train], clips["corpus"])
            if shared:
                named = clips.loc[values == min(shared), "clip" if column == "samples" else column]
                noun = {"samples": "recording", SENTENCE: "sentence"}.get(column, column)
                raise LeakError(
                    f"protocol {split.name}: {noun} {named.iloc[0]} is on both sides of {name}."
                )
        _check_emotions(split, name, clips, train, held_out)


def _only_sentences(sentences: pd.Series, corpora: pd.Series) -> set[str]:
    """Return the sentences that are the only one of their corpus: inner folds must share them."""
    by_corpus = sentences.groupby(corpora).unique()
    return {str(found[0]) for found in by_corpus if len(found) == 1}


def _check_emotions(
    split: Split, name: str, clips: pd.DataFrame, train: Mask, held_out: Mask
) -> None:
    """Raise if a part lacks an emotion: recall over no clips is undefined."""
    emotions = set(clips.loc[split.train | split.test, "emotion"])
    for words, part in (("for training", train), ("for testing", held_out)):
        missing = sorted(emotions - set(clips.loc[part, "emotion"]))
        if missing:
            raise BenchmarkError(
                f"protocol {split.name}: {name} has no clip of {', '.join(missing)} {words}. Take "
                "fewer folds (split.folds, search.folds; each speaker alone is a fold of "
                "leave-one-speaker-out), change split.test_size or the seed, or leave the emotion "
                "out."
            )


def _sides(rule: Protocol, clips: pd.DataFrame) -> Sides:
    assert rule.sides is not None
    with rule.named_errors():
        return rule.sides(clips)

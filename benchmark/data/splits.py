"""Protocols: who may be on both sides of a split, and the checks that stop a run that breaks one.

A protocol draws the test side once, or divides all clips into outer folds each of which is tested
once; the training side is divided into inner folds by the same rule. All work on clips; augmented
copies follow their clip, and exact duplicates of a recording stay together. scikit-learn's grouped
splitters draw over all speakers at once, which is a lottery where one corpus has two speakers with
1,400 clips each and another 24 with 60; so speakers are drawn within each corpus here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark import study as settings
from benchmark.errors import BenchmarkError
from benchmark.study import derive_seed

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
        """Its name among all splits of a study: ``speaker-independent``, ``speaker-independent/f1``."""
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


class Folds(NamedTuple):
    """What folds are drawn for, in the words of an error: the setting that asks, and of which."""

    setting: str
    of: str


INNER = Folds("search.folds", "the training side")
OUTER = Folds("split.folds", "the study")


@dataclass(frozen=True)
class Protocol:
    """A rule for who may be on both sides.

    Attributes
    ----------
    title, description : str
        For people.
    shares_speakers : bool
        Whether a speaker may be on both sides.
    stream : str
        Name of its random streams: what seeds derive from. The first four keep the names that
        they had when their figures were measured.
    divide : callable
        ``(clips, n_folds, seed, asked) -> fold`` of each clip, for a `Folds`.
    hold_out : callable or None
        ``(clips, test_size, seed) -> mask`` of the test clips; None for one that has `sides`.
    sides : callable or None
        ``clips -> {part: (train, test)}``, masks of a protocol that draws nothing.
    """

    title: str
    description: str
    shares_speakers: bool
    stream: str
    divide: Callable[[pd.DataFrame, int, int, Folds], Positions]
    hold_out: Callable[[pd.DataFrame, float, int], Mask] | None = None
    sides: Callable[[pd.DataFrame], dict[str, tuple[Mask, Mask]]] | None = None


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
        if not kind.shares_speakers:
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
        If a recording, or under ``speaker-independent`` a speaker, is on both sides of the split or of a fold.
    BenchmarkError
        If the test side, or a fold's training or validation part, lacks an emotion.
    """
    parts = [("the test side", split.train, split.test)]
    for number in range(split.n_folds):
        trained = split.train & (split.fold != number)
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


def _hold_out_clips(clips: pd.DataFrame, test_size: float, seed: int) -> Mask:
    """Draw test clips stratified by emotion, exact duplicates together."""
    from sklearn.model_selection import train_test_split

    recordings = clips.drop_duplicates("samples")
    rarest = recordings["emotion"].value_counts()
    if rarest.min() < 2:
        raise BenchmarkError(
            f"protocol speaker-dependent: {rarest.idxmin()} has one clip only, so none is left to test on. "
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
        raise BenchmarkError(
            f"protocol speaker-dependent: the clips can't be split: {error}"
        ) from error
    return np.asarray(clips["samples"].isin(drawn), dtype=np.bool_)


def _divide_clips(clips: pd.DataFrame, n_folds: int, seed: int, asked: Folds = INNER) -> Positions:
    """Deal clips to folds stratified by emotion, exact duplicates together."""
    from sklearn.model_selection import StratifiedKFold

    recordings = clips.drop_duplicates("samples")
    rarest = recordings["emotion"].value_counts()
    if rarest.min() < n_folds:
        raise BenchmarkError(
            f"protocol speaker-dependent: {asked.of} has {rarest.min()} clips of {rarest.idxmin()}, too few "
            f"for {n_folds} folds. Lower {asked.setting} or leave the emotion out."
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
                f"protocol speaker-independent: {corpus} has one speaker only ({rows['speaker'].iloc[0]}), so "
                "nobody of it is left to test on. Add speakers, leave the corpus out, or take "
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
    taken = counts.loc[list(held_out)].to_numpy().sum(axis=0)
    return float(np.abs(taken - share * counts.to_numpy().sum(axis=0)).sum())


def _divide_speakers(
    clips: pd.DataFrame, n_folds: int, seed: int, asked: Folds = INNER
) -> Positions:
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
            f"protocol speaker-independent: {asked.of} has {n_voices.sum()} speakers (those who share a "
            f"recording count as one), too few for {n_folds} folds. "
            + (f"Set {asked.setting} = {used}." if used > 1 else "Add speakers.")
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


def _sides(protocol: str, clips: pd.DataFrame) -> dict[str, tuple[Mask, Mask]]:
    """Return both sides of each part, over the emotions that the two share."""
    draw = PROTOCOLS[protocol].sides
    assert draw is not None
    if clips["corpus"].nunique() < 2:
        raise BenchmarkError(
            f"protocol {protocol}: needs two corpora or more, and there is only "
            f"{clips['corpus'].iloc[0]}. Name another one in corpora."
        )
    shared = {}
    for part, sides in draw(clips).items():
        both = set.intersection(*(set(clips.loc[side, "emotion"]) for side in sides))
        if len(both) < 2:
            raise BenchmarkError(
                f"protocol {protocol}: the two sides of {part} share fewer than two emotions. "
                "Leave a corpus out, or give its emotions the others' names in [rename]."
            )
        told = np.asarray(clips["emotion"].isin(both), dtype=np.bool_)
        shared[part] = (sides[0] & told, sides[1] & told)
    return shared


def _corpora(clips: pd.DataFrame) -> dict[str, Mask]:
    """Return the clips of each corpus, those of a recording that another has too left out."""
    corpora_of = clips.groupby("samples")["corpus"].transform("nunique")
    alone = corpora_of == 1
    return {
        str(name): np.asarray((clips["corpus"] == name) & alone, dtype=np.bool_)
        for name in sorted(set(clips["corpus"]))
    }


def _each_corpus(clips: pd.DataFrame) -> dict[str, tuple[Mask, Mask]]:
    """Return each corpus as test side, all the others as training side."""
    of = _corpora(clips)
    return {
        name: (np.logical_or.reduce([of[other] for other in of if other != name]), of[name])
        for name in of
    }


def _each_pair(clips: pd.DataFrame) -> dict[str, tuple[Mask, Mask]]:
    """Return each corpus as training side with each other one as test side."""
    of = _corpora(clips)
    return {f"{one}-to-{other}": (of[one], of[other]) for one in of for other in of if one != other}


EMOBOX = {
    "ravdess": (
        "01 11 20 21", "04 10 12 14", "08 09 19 23", "03 05 07 24", "02 15 16 18", "06 13 17 22",
    ),
    "savee": ("JE", "KL", "DC", "JK"),
    "jl": ("male2", "female1", "male1", "female2"),
}  # fmt: skip
"""The test speakers of EmoBox's folds that have none on both sides (Ma et al. 2024, EmoBox)."""


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
    voices = _voices(clips)["voice"]
    return {name: np.asarray(voices == name, dtype=np.bool_) for name in sorted(set(voices))}


OUTER_FOLDS: dict[str, Callable[[pd.DataFrame], dict[str, Mask]]] = {
    "emobox": _emobox_folds,
    "leave-one-speaker-out": _speaker_folds,
}
"""Outer folds by name, for protocols that keep speakers apart."""


PROTOCOLS: dict[str, Protocol] = {
    "speaker-dependent": Protocol(
        "speaker-dependent",
        "clips drawn at random, stratified by emotion: the same speakers are on both sides",
        shares_speakers=True,
        stream="random",
        hold_out=_hold_out_clips,
        divide=_divide_clips,
    ),
    "speaker-independent": Protocol(
        "speaker-independent",
        "speakers drawn within each corpus: nobody is on both sides",
        shares_speakers=False,
        stream="speaker",
        hold_out=_hold_out_speakers,
        divide=_divide_speakers,
    ),
    "cross-corpus": Protocol(
        "cross-corpus",
        "each corpus in turn is tested, the others trained on, over the emotions that both have",
        shares_speakers=False,
        stream="corpus",
        divide=_divide_speakers,
        sides=_each_corpus,
    ),
    "cross-corpus-pairs": Protocol(
        "cross-corpus, in pairs",
        "one corpus is trained on and another tested, for every pair, over the emotions of both",
        shares_speakers=False,
        stream="corpus-pairs",
        divide=_divide_speakers,
        sides=_each_pair,
    ),
}


RENAMED_PROTOCOLS = {
    "random": "speaker-dependent",
    "speaker": "speaker-independent",
    "corpus": "cross-corpus",
    "corpus-pairs": "cross-corpus-pairs",
}
"""Protocols by the names that earlier versions gave them."""


def stream(protocol: str) -> str:
    """Return the name of a protocol's random streams; an unregistered protocol has its own name."""
    return PROTOCOLS[protocol].stream if protocol in PROTOCOLS else protocol

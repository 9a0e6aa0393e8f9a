"""Guards: what makes the name of a protocol untrue is found before anything is fitted.

Each guard stops a run in one line, unless the command line allows what it found; then every page
says so.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from benchmark.data.near_duplicates import MOST_COPIED, Pair, across
from benchmark.data.protocols import PROTOCOLS
from benchmark.data.record import Change
from benchmark.data.splits import Split
from benchmark.data.tables import Table
from benchmark.errors import BenchmarkError, nearest
from benchmark.features import Extracted
from benchmark.features.contamination import Tuned, contaminated_encoders

SPEAKER = "speaker"
MOST_SINGLE = 0.5
"""Fraction of speakers with one clip above which a column of speakers looks like one of clips."""

FEWEST_ROWS = 20
"""With fewer rows, a feature may separate the emotions by chance."""


def check_encoders(
    encoders: Iterable[Tuned], tested: Collection[str], allowed: Collection[str]
) -> list[Change]:
    """Return what was found in the encoders of a study and is allowed.

    Parameters
    ----------
    encoders : iterable of Tuned
        Those that were tuned on emotion labels.
    tested : collection of str
        The corpora of the test clips.
    allowed : collection of str
        Names in `GUARDS`.

    Raises
    ------
    BenchmarkError
        If an encoder was tuned on the emotion labels of a tested corpus, which is not allowed.
    """
    return _allowed({"contaminated": contaminated_encoders(encoders, tested)}, allowed)


def check_clips(
    clips: pd.DataFrame, protocols: Collection[str], allowed: Collection[str]
) -> list[Change]:
    """Return what was found in the clips of a study and is allowed.

    Parameters
    ----------
    clips : DataFrame
        One row per clip: clip, corpus, speaker, emotion, samples.
    protocols : collection of str
        Of the study. Only those that keep speakers apart need true names of speakers.
    allowed : collection of str
        Names in `GUARDS`.

    Raises
    ------
    BenchmarkError
        If a guard finds something that is not allowed.
    """
    apart = any(SPEAKER in PROTOCOLS[name].kept_apart for name in protocols)
    found = {"contradicting-recordings": contradicting_recordings(clips)}
    if apart:
        found["similar-speakers"] = similar_speakers(clips)
        found["single-clip-speakers"] = single_clip_speakers(clips)
    return _allowed(found, allowed)


def check_sides(
    splits: Sequence[Split], clips: pd.DataFrame, pairs: Sequence[Pair], allowed: Collection[str]
) -> list[Change]:
    """Return what was found in the sides of splits and is allowed.

    Parameters
    ----------
    splits : sequence of Split
    clips : DataFrame
        One row per clip.
    pairs : sequence of Pair
        The near-duplicates among them.
    allowed : collection of str
        Names in `GUARDS`.

    Raises
    ------
    BenchmarkError
        If a guard finds something that is not allowed.
    """
    return _allowed({"near-duplicates": copies_across(splits, clips, pairs)}, allowed)


def check_tables(train: Table, test: Table, allowed: Collection[str]) -> list[Change]:
    """Return what was found in a user's own tables and is allowed.

    Raises
    ------
    BenchmarkError
        If a guard finds something that is not allowed.
    """
    values = np.concatenate([train.values, test.values])
    emotions = pd.concat([train.rows["emotion"], test.rows["emotion"]])
    found = {
        "equal-rows": equal_rows(train, test),
        "label-columns": label_columns(values, train.columns, emotions),
    }
    return _allowed(found, allowed)


def check_own_features(
    extracted: Extracted, emotions: pd.Series, allowed: Collection[str]
) -> list[Change]:
    """Return what was found in features of a user's own and is allowed; nothing in other features.

    Raises
    ------
    BenchmarkError
        If a guard finds something that is not allowed.
    """
    if not extracted.features.tables:
        return []
    columns = extracted.features.columns
    return _allowed({"label-columns": label_columns(extracted.values, columns, emotions)}, allowed)


def _allowed(found: dict[str, str], allowed: Collection[str]) -> list[Change]:
    for name, problem in found.items():
        if problem and name not in allowed:
            raise BenchmarkError(
                f"{problem} To run nevertheless: --allow {name}; every page then says so."
            )
    return [Change(kind="allowed", value=name) for name, problem in found.items() if problem]


def similar_speakers(clips: pd.DataFrame) -> str:
    """Return which speakers of a corpus have names that differ in their writing only."""
    for words in named_alike(clips):
        return (
            f"{words}: one person may be on both sides of a split. Write each speaker's name in "
            "one way."
        )
    return ""


def named_alike(clips: pd.DataFrame) -> Iterator[str]:
    """Yield in words which speakers have names that differ in their writing only, with counts."""
    n_clips = clips[SPEAKER].value_counts()
    for group in speakers_alike(clips):
        numbers = [f"{n_clips[name]:,}" for name in group]
        yield (
            f"speakers {_and(list(map(repr, group)))} differ only in case, blanks, "
            f"punctuation or leading zeros ({_and(numbers)} clips)"
        )


def _and(words: Sequence[str]) -> str:
    """Return words in a sentence: ``a, b and c``."""
    *others, last = words
    return f"{', '.join(others)} and {last}" if others else last


def check_emotions(counts: Mapping[str, int], asked: Collection[str], where: str) -> None:
    """Refuse an emotion that no clip has, and one that some clips have in another writing.

    Parameters
    ----------
    counts : mapping of str to int
        The number of clips by emotion.
    asked : collection of str
        The emotions of the study.
    where : str
        What is checked, for messages.

    Raises
    ------
    BenchmarkError
        It says how many clips there are of each.
    """
    for group in alike(sorted(counts)):
        used = [name for name in group if name in asked]
        others = [name for name in group if name not in asked]
        by_case = len({name.casefold() for name in group}) == 1
        if used and (others or (by_case and len(used) > 1)):
            *left, kept = [*others, *used]
            written = [repr(name) for name in (*left, kept)]
            numbers = [f"{counts[name]:,}" for name in (*left, kept)]
            how = "case" if by_case else "case, blanks or punctuation"
            renamed = ", ".join(f'"{name}" = "{kept}"' for name in left)
            raise BenchmarkError(
                f"{where}: the emotions {_and(written)} differ by {how} only ({_and(numbers)} "
                f"clips), and clips of {left[0]!r} would be left out. Write one of them: "
                f"[rename] {renamed}."
            )
    for emotion in asked:
        if emotion not in counts:
            near = nearest(emotion, counts)
            hint = f" Did you mean {near!r}?" if near else ""
            found = ", ".join(f"{name} ({counts[name]:,})" for name in sorted(counts)) or "none"
            raise BenchmarkError(
                f"{where}: the emotion {emotion!r} is absent: no clip has it.{hint} Clips by "
                f"emotion: {found}. Remove it from the study's emotions, or add such clips."
            )


def speakers_alike(clips: pd.DataFrame) -> Iterator[tuple[str, ...]]:
    """Yield groups of speakers of a corpus whose names differ in their writing only."""
    for _, names in clips.groupby("corpus")[SPEAKER].unique().items():
        yield from alike(sorted(names))


def single_clip_speakers(clips: pd.DataFrame) -> str:
    """Return which corpus has speakers of one clip for the most part."""
    for corpus, problem in clips_as_speakers(clips):
        return f"{corpus}: {problem} Name each clip's speaker."
    return ""


def clips_as_speakers(clips: pd.DataFrame) -> Iterator[tuple[str, str]]:
    """Yield corpora in which most speakers have one clip, with what that means."""
    for corpus, speakers in clips.groupby("corpus")[SPEAKER]:
        numbers = speakers.value_counts()
        single = int((numbers == 1).sum())
        if single > MOST_SINGLE * len(numbers):
            yield (
                str(corpus),
                f"{single:,} of {len(numbers):,} speakers have one clip. Their names seem to be "
                "names of clips, so speakers can't be kept apart.",
            )


def contradicting_recordings(clips: pd.DataFrame) -> str:
    """Return which equal recordings have several emotions or speakers."""
    for column in ("emotion", SPEAKER):
        several = clips.groupby("samples")[column].nunique()
        for samples in several.index[several > 1][:1]:
            same = clips[clips["samples"] == samples]
            values = dict(zip(same[column], same["clip"], strict=True))
            (first, one), (second, other), *_ = values.items()
            n_all = int((several > 1).sum())
            return (
                f"{one} and {other} are the same recording, of {column} {first!r} and {second!r}; "
                f"{n_all:,} such {'recording' if n_all == 1 else 'recordings'} in all. Remove the "
                "wrong ones."
            )
    return ""


def copies_across(
    splits: Sequence[Split],
    clips: pd.DataFrame,
    pairs: Sequence[Pair],
    allowed: float = MOST_COPIED,
) -> str:
    """Return in which split more than a fraction of test clips are changed training clips."""
    for split in splits:
        copied, _ = across(split, [(pair.first, pair.second) for pair in pairs])
        if copied.sum() > allowed * split.test.sum():
            names = clips["clip"].to_numpy()
            first = next(pair for pair in pairs if copied[[pair.first, pair.second]].any())
            return (
                f"protocol {split.name}: {copied.sum():,} of {split.test.sum():,} test clips are "
                "copies of training clips with another level, padding, noise, codec or speed (for "
                f"example {names[first.first]} and {names[first.second]}). Remove one of each "
                "pair; `audit` lists them all."
            )
    return ""


def equal_rows(train: Table, test: Table) -> str:
    """Return how many test rows have the features of a training row."""
    trained = {row.tobytes() for row in np.ascontiguousarray(train.values)}
    again = [row.tobytes() in trained for row in np.ascontiguousarray(test.values)]
    if not any(again):
        return ""
    clip = test.rows["clip"].iloc[int(np.argmax(again))]
    return (
        f"{sum(again)} of {len(again)} test rows have the same features as a training row (the "
        f"first: {clip}): they are the same recordings. Remove them from one of the tables."
    )


def label_columns(values: np.ndarray, columns: Sequence[str], emotions: pd.Series) -> str:
    """Return which features alone tell the emotion of every row."""
    telling = telling_columns(values, columns, emotions)
    if not telling:
        return ""
    noun = "column" if len(telling) == 1 else "columns"
    return (
        f"the {noun} {', '.join(telling[:5])} alone {'tells' if len(telling) == 1 else 'tell'} the "
        "emotion of every row, as the label itself does. Remove what is made from the label."
    )


def telling_columns(values: np.ndarray, columns: Sequence[str], emotions: pd.Series) -> list[str]:
    """Return the names of the features that alone tell the emotion of every row."""
    codes = pd.factorize(emotions)[0]
    if len(values) < FEWEST_ROWS:
        return []
    return [name for name, column in zip(columns, values.T, strict=True) if tells(column, codes)]


def tells(values: np.ndarray, emotions: np.ndarray) -> bool:
    """Whether thresholds on a number, or its few values, tell the emotion of every row.

    Parameters
    ----------
    values, emotions : ndarray of shape (n_rows,)

    Examples
    --------
    >>> tells(np.array([0.1, 0.2, 7.0, 7.1]), np.array([1, 1, 0, 0]))
    True
    >>> tells(np.array([0.1, 0.2, 7.0, 7.1]), np.array([1, 0, 1, 0]))
    False
    """
    order = np.lexsort((emotions, values))
    sorted_values, sorted_emotions = values[order], emotions[order]
    changes = sorted_emotions[1:] != sorted_emotions[:-1]
    if (changes & (sorted_values[1:] == sorted_values[:-1])).any():  # one value, two emotions
        return False
    few = len(np.unique(values)) <= len(values) / 4
    return few or int(changes.sum()) == len(np.unique(emotions)) - 1


def alike(names: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Yield groups of names that differ only in case, blanks, punctuation or leading zeros.

    Examples
    --------
    >>> list(alike(["Actor_01", "actor 1", "Actor_10"]))
    [('Actor_01', 'actor 1')]
    """
    groups: dict[str, list[str]] = {}
    for name in names:
        runs = re.findall(r"[^\W\d_]+|\d+", name.casefold())
        key = " ".join(run.lstrip("0") or "0" if run.isdigit() else run for run in runs)
        groups.setdefault(key or name, []).append(name)
    yield from (tuple(group) for group in groups.values() if len(group) > 1)


GUARDS = (
    "contaminated", "similar-speakers", "single-clip-speakers", "contradicting-recordings",
    "near-duplicates", "equal-rows", "label-columns",
)  # fmt: skip
"""The names that `--allow` takes."""

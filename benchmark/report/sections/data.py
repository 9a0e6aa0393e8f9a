"""The data of a study: corpora, clips, what was left out and why, splits and inner folds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pandas as pd

from benchmark.evaluation.leaderboard import SPEAKER_INDEPENDENT, Leaderboard
from benchmark.evaluation.results import Result
from benchmark.report.markdown import code, count, plain, title
from benchmark.report.sections.section import Section


@dataclass(frozen=True)
class LeftOut:
    """What was left out of one corpus.

    Attributes
    ----------
    missing : list of str
    set_aside : dict of str to list of str
        Files by reason.
    other_emotions : int
        Clips of emotions that the study does not have.
    """

    missing: list[str]
    set_aside: dict[str, list[str]]
    other_emotions: int


@dataclass(frozen=True)
class Facts:
    """The data of a study.

    Attributes
    ----------
    clip_rows : list of list of str
        A row per corpus and gender, a column per emotion.
    left_out : dict of str to LeftOut
        By corpus.
    unusable : dict of str to list of str
        Clips by reason.
    independent_speakers : tuple of str
        Test speakers of the speaker-independent split.
    """

    clip_rows: list[list[str]]
    left_out: dict[str, LeftOut]
    unusable: dict[str, list[str]]
    independent_speakers: tuple[str, ...]


def _facts(board: Leaderboard) -> Facts:
    data = board.result.data
    independent = data.splits.get(SPEAKER_INDEPENDENT)
    left_out = {}
    for name, corpus in data.corpora.items():
        own = [one for one in data.unusable if one.corpus == name and not one.augmentation]
        rest = corpus.found - corpus.used - len({one.clip for one in own})
        left_out[name] = LeftOut(
            [code(clip) for clip in corpus.missing],
            _by_reason(corpus.set_aside),
            0 if corpus.left_out else rest,
        )
    clips = (
        (f"{one.clip} ({one.augmentation})" if one.augmentation else one.clip, one.reason)
        for one in data.unusable
    )
    speakers = independent.test.speakers if independent else ()
    return Facts(_clip_rows(board.result), left_out, _by_reason(clips), speakers)


def _clip_rows(result: Result) -> list[list[str]]:
    clips = pd.DataFrame([one.model_dump() for one in result.data.counts])
    counts = clips.pivot_table(
        index=["corpus", "gender"], columns="emotion", values="clips", aggfunc="sum", fill_value=0
    ).reindex(columns=result.emotions, fill_value=0)
    rows = [
        [title(corpus), plain(gender), *_counts(row)]
        for (corpus, gender), row in zip(counts.index.to_list(), counts.to_numpy(), strict=True)
    ]
    return [*rows, ["all", "", *_counts(counts.sum().to_numpy())]]


def _counts(numbers: Sequence[int]) -> list[str]:
    return [count(int(number)) for number in [*numbers, sum(numbers)]]


def _by_reason(pairs: Iterable[Sequence[str]]) -> dict[str, list[str]]:
    reasons: dict[str, list[str]] = {}
    for name, reason in pairs:
        reasons.setdefault(reason, []).append(code(name))
    return reasons


SECTION = Section("data", _facts)

"""Overlap: which test speakers and sentences also occur in training, as the stored sides tell."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from benchmark.data.protocols import protocol_of
from benchmark.evaluation.results import Result


@dataclass(frozen=True)
class Overlap:
    """How many test speakers, and test sentences, also occur in training.

    Attributes
    ----------
    speakers, shared_speakers : int
        Of all splits of a protocol; shared are those whose clips are on both sides of a split.
    sentences, shared_sentences : int
        The same of sentences; 0 if none is known.
    """

    speakers: int
    shared_speakers: int
    sentences: int
    shared_sentences: int


def overlap(result: Result, protocol: str) -> Overlap:
    """Return how many test speakers and sentences of a protocol also occur in training."""
    speakers: set[str] = set()
    shared: set[str] = set()
    for name, split in result.data.splits.items():
        if name.partition("/")[0] == protocol:
            speakers |= set(split.test.speakers)
            shared |= set(split.test.speakers) & set(split.train.speakers)
    tested, learned = _spoken(result, protocol)
    common = tested.merge(learned, on=list(tested))
    return Overlap(len(speakers), len(shared), _different(tested), _different(common))


def speaker_independent(result: Result, protocol: str) -> bool:
    """Return whether no test speaker has a clip in training.

    The rule of a protocol tells it or, where a corpus states the sides, the speakers on them.
    """
    rule = protocol_of(protocol)
    if rule.inner_protocol is None:
        return rule.speaker_independent
    return not overlap(result, protocol).shared_speakers


def _spoken(result: Result, protocol: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return corpus and sentence of each test clip, and of each training clip, by part."""
    sides = []
    for table in (result.predictions, result.out_of_fold):
        columns = ["part", "corpus", "statement"]
        if table is None or result.clips is None or "statement" not in result.clips:
            sides.append(pd.DataFrame(columns=columns, dtype="str"))
            continue
        own = table[table["protocol"] == protocol]
        own = own.assign(part=own.get("part", ""))
        clips = own[["part", "corpus", "clip"]].drop_duplicates()
        spoken = clips.merge(result.clips[["clip", "statement"]], on="clip")
        sides.append(spoken.loc[spoken["statement"] != "", columns].drop_duplicates())
    return sides[0], sides[1]


def _different(spoken: pd.DataFrame) -> int:
    return len(spoken[["corpus", "statement"]].drop_duplicates())

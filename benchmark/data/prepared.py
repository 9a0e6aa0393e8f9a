"""What a study's search starts from, and the name under which its result stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from benchmark.data.record import Change, ClipCount, DataRecord
from benchmark.data.split_tables import SplitTables
from benchmark.study import digest_of


@dataclass(frozen=True)
class Prepared:
    """What a study's search starts from.

    Attributes
    ----------
    name : str
        The study's, followed by ``@`` and a digest if there are changes.
    changes : tuple of Change
        How the run differs from the study file.
    splits : tuple of SplitTables
        One per protocol, or per outer fold of it.
    data : DataRecord
    origin : dict
        What decides the tables, in words and digests.
    recipe : dict or None
        Of the features; None where a user's own, which no recording has, are among them.
    clips : DataFrame or None
        One row per clip: all that its corpus tells of it beside speaker and emotion.
    longest_clip_s : float or None
        Duration of the longest recording; None if recordings are not read.
    """

    name: str
    changes: tuple[Change, ...]
    splits: tuple[SplitTables, ...]
    data: DataRecord
    origin: dict[str, Any]
    recipe: dict[str, Any] | None = None
    clips: pd.DataFrame | None = None
    longest_clip_s: float | None = None

    @property
    def clips_digests(self) -> dict[str, str]:
        """By split, a digest of the recordings, their emotions, sides and folds."""
        recordings = self.origin.get("recordings", "")
        return {split.name: digest_of([recordings, split.clips_digest]) for split in self.splits}


def result_name(study: str, changes: Sequence[Change]) -> tuple[str, tuple[Change, ...]]:
    """Return the name of a result; a changed study never has the study's own."""
    distinct = tuple(dict.fromkeys(changes))
    texts = sorted(change.text for change in distinct)
    return (f"{study}@{digest_of(texts)[:8]}" if distinct else study), distinct


def counts(clips: pd.DataFrame) -> tuple[ClipCount, ...]:
    """Return the number of clips and speakers by corpus, emotion and gender."""
    grouped = clips.groupby(["corpus", "emotion", "gender"], sort=True)["speaker"]
    return tuple(
        ClipCount(
            corpus=corpus,
            emotion=emotion,
            gender=gender,
            clips=len(part),
            speakers=int(part.nunique()),
        )
        for (corpus, emotion, gender), part in grouped
    )

"""What an audit looks at, and what it finds."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.data.near_duplicates import Pair
from benchmark.data.protocols import PROTOCOLS
from benchmark.data.splits import Split

Floats = NDArray[np.float32]

Severity = Literal["leak", "doubt", "note"]
"""A leak makes the name of a protocol untrue; a doubt may; a note is what a reader should know."""

SPEAKER = "speaker"


@dataclass(frozen=True)
class Sound:
    """What is measured of the recordings.

    Attributes
    ----------
    copies : tuple of Pair
        Near-duplicates.
    overlaps : tuple of (int, int)
        Positions of two segments that share a part of one recording.
    numbers : DataFrame
        A row for each clip: single numbers by name, such as duration, level and pitch.
    """

    copies: tuple[Pair, ...]
    overlaps: tuple[tuple[int, int], ...]
    numbers: pd.DataFrame


@dataclass(frozen=True)
class Numbers:
    """Features of the clips.

    Attributes
    ----------
    columns : tuple of str
    values : ndarray of float32, shape (n_clips, n_features)
    """

    columns: tuple[str, ...]
    values: Floats


@dataclass(frozen=True)
class Evidence:
    """What is known of the data that are audited; the more is known, the more is checked.

    Attributes
    ----------
    name : str
        Of what is audited.
    clips : DataFrame
        One row per clip: clip, corpus, speaker, gender, emotion, samples (equal for equal
        recordings or rows), and further facts such as statement.
    splits : tuple of Split
        How the clips are divided; empty if that is not known.
    sound : Sound or None
        None without recordings.
    features : ndarray of float32, shape (n_clips, n_features), or None
        On which effects are measured.
    own : Numbers or None
        A user's own features, which may hold anything; None without any.
    """

    name: str
    clips: pd.DataFrame
    splits: tuple[Split, ...] = ()
    sound: Sound | None = None
    features: Floats | None = None
    own: Numbers | None = None

    @property
    def rows_only(self) -> bool:
        """Whether nothing but a user's own features is known of the clips."""
        return self.own is not None and self.sound is None

    @property
    def protocols(self) -> dict[str, list[Split]]:
        """The splits of each protocol."""
        found: dict[str, list[Split]] = {}
        for split in self.splits:
            found.setdefault(split.protocol, []).append(split)
        return found

    def known(self, column: str) -> bool:
        """Whether a column of the clips is known of some."""
        return column in self.clips and bool((self.clips[column] != "").any())


def keeps_apart(protocol: str, column: str) -> bool:
    """Whether a protocol promises that a column's values are on one side only."""
    return protocol in PROTOCOLS and column in PROTOCOLS[protocol].kept_apart


@dataclass(frozen=True)
class Effect:
    """What a finding adds to a score: UAR of a fixed model on the same test clips.

    Attributes
    ----------
    as_it_is : float
    without : float
        With the training clips of the finding left out.
    """

    as_it_is: float
    without: float

    @property
    def added(self) -> float:
        """What the finding adds."""
        return self.as_it_is - self.without


@dataclass(frozen=True)
class Finding:
    """What a check found.

    Attributes
    ----------
    check : str
        Name of the check.
    severity : str
    where : str
        Corpus or protocol; empty for all.
    problem : str
        What was found, in a sentence or two with its numbers.
    advice : str
        What to do, in Markdown.
    effect : Effect or None
        None if it can't be measured.
    header, rows : tuple
        The evidence as a table, worst first; may be empty.
    """

    check: str
    severity: Severity
    where: str
    problem: str
    advice: str
    effect: Effect | None = None
    header: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class Check:
    """A check: what it looks for, and what it needs.

    Attributes
    ----------
    name, title : str
        Title: what is looked for, in a heading.
    find : callable
        From the evidence to its findings.
    needs : callable
        From the evidence to what is missing for the check, in words; "" if nothing is.
    """

    name: str
    title: str
    find: Callable[[Evidence], Iterable[Finding]]
    needs: Callable[[Evidence], str]


def nothing(_: Evidence) -> str:
    """Return that nothing is missing: names and labels are always known."""
    return ""


def recordings(evidence: Evidence) -> str:
    """Return what a check of recordings lacks."""
    return "" if evidence.sound is not None else "recordings"


def two_sides(evidence: Evidence) -> str:
    """Return what a check of training and test sides lacks."""
    return "" if evidence.splits else "training and test sides"

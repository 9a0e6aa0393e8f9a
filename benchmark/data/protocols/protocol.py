"""What a protocol is: the rule for who may be on both sides of a split."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.errors import BenchmarkError

Mask = NDArray[np.bool_]
Positions = NDArray[np.intp]
Sides = dict[str, tuple[Mask, Mask]]


class Folds(NamedTuple):
    """What folds are drawn for, in the words of an error: the setting, and what is divided."""

    setting: str
    of: str


INNER = Folds("search.folds", "the training side")
OUTER = Folds("split.folds", "the study")


@dataclass(frozen=True)
class Protocol:
    """A rule for who may be on both sides of a split.

    The callables get the clips of a study as a DataFrame with one row per clip: clip, corpus,
    speaker, gender, emotion, samples (a digest of the recording), and further facts of the corpora,
    such as statement and intensity. They raise `BenchmarkError` if the clips do not allow the
    protocol; its name is put before the message.

    Attributes
    ----------
    name : str
        In study files.
    title, abbreviation : str
        In headings and columns: ``speaker-independent``, ``SI``.
    description : str
        Who may be on both sides, as the main clause of a sentence.
    tested_on : str
        What the test side is, after "on": ``speakers not in training``.
    divide : callable
        ``(clips, n_folds, seed, folds_of) -> fold`` of each clip, for a `Folds`. It divides the
        training side into inner folds, and all clips into outer folds.
    hold_out : callable or None
        ``(clips, test_size, seed) -> mask`` of the test clips; None if the protocol has `sides`.
    sides : callable or None
        ``clips -> {part: (train, test)}``: the masks of a protocol whose sides are not drawn.
    inner_protocol : callable or None
        ``(training clips, test clips) -> protocol`` whose `divide` divides the training side, where
        only the clips tell who is on both sides; None for the protocol itself.
    kept_apart : tuple of str
        Columns of clips whose values occur on one side of every split and inner fold only.
    crossed_with : callable or None
        ``(clips, seed) -> group`` of each clip: every fold is divided into these groups. Clips that
        share with a tested clip what is kept apart are then on neither side.
    stream : str
        Name of its random streams, from which seeds derive; by default its own name. The first four
        protocols keep the names that they had when their figures were measured.
    """

    name: str
    title: str
    abbreviation: str
    description: str
    tested_on: str
    divide: Callable[[pd.DataFrame, int, int, Folds], Positions]
    hold_out: Callable[[pd.DataFrame, float, int], Mask] | None = None
    sides: Callable[[pd.DataFrame], Sides] | None = None
    inner_protocol: Callable[[pd.DataFrame, pd.DataFrame], Protocol] | None = None
    kept_apart: tuple[str, ...] = ("speaker",)
    crossed_with: Callable[[pd.DataFrame, int], Positions] | None = None
    stream: str = ""

    @contextmanager
    def named_errors(self, part: str = "") -> Iterator[None]:
        """Put the protocol, and the part of its split, before the errors of its callables."""
        try:
            yield
        except BenchmarkError as error:
            name = f"{self.name}/{part}" if part else self.name
            raise BenchmarkError(f"protocol {name}: {error}") from error

    @property
    def speaker_independent(self) -> bool:
        """Whether no test speaker has a clip in training."""
        return "speaker" in self.kept_apart

    @property
    def text_independent(self) -> bool:
        """Whether no test sentence has a clip in training."""
        return "statement" in self.kept_apart

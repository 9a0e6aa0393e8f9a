"""The part of the leakage page on sentences that tell the emotion, from stored predictions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import pandas as pd

from benchmark.corpora import CORPORA
from benchmark.data.outer_folds import EMOBOX
from benchmark.evaluation.intervals import (
    Score,
    bootstrap_seed,
    effective,
    enough,
    paired_difference,
)
from benchmark.evaluation.metrics import METRICS, confusion
from benchmark.evaluation.text import TextAssociation, association
from benchmark.leakage.text import SHRINKAGE, TABLE, TextAblation
from benchmark.report.markdown import title

METRIC = "uar"

STREAM = "text-ablation"
"""Part of the seed of the resamples."""

TITLES = {"none": "single clips", "speaker": "z-scored by speaker"}
"""Normalisations in words."""


class ArmsRow(NamedTuple):
    """UAR of the same clips in both arms, and its difference."""

    title: str
    clips: int
    heard: float
    not_heard: float
    difference: Score


@dataclass(frozen=True)
class TextCase:
    """A text ablation with its scores.

    Each clip is predicted once without its sentence, and once for each other group that is left
    out. The counts of these are added: since each has the same clips, the UAR of the sum is the
    mean of their UAR.
    """

    ablation: TextAblation

    @property
    def name(self) -> str:
        """Name of the study."""
        return self.ablation.study.name

    @property
    def corpus(self) -> str:
        """Title of the corpus."""
        return title(self.ablation.study.corpora[0])

    @property
    def features(self) -> str:
        """Name of the feature set."""
        return self.ablation.study.features

    @property
    def shrinkage(self) -> float:
        """Shrinkage of the LDA."""
        return SHRINKAGE

    @property
    def table(self) -> str:
        """File of the predictions, beside the record."""
        return TABLE

    @property
    def generated(self) -> bool:
        """Whether the speech is synthetic."""
        return CORPORA[self.ablation.study.corpora[0]].generated

    @property
    def emotions(self) -> list[str]:
        """The study's emotions, sorted."""
        return sorted(self.ablation.study.emotions)

    @cached_property
    def clips(self) -> pd.DataFrame:
        """One row per clip: speaker, emotion, statement, group, tied."""
        clips = self.ablation.predictions.drop_duplicates("clip").set_index("clip")
        emotions = clips.groupby("statement")["emotion"].nunique()
        return clips.assign(tied=clips["statement"].map(emotions) == 1)

    @cached_property
    def text(self) -> TextAssociation:
        """Association of sentence and emotion over all clips."""
        corpus = self.ablation.study.corpora[0]
        return association(corpus, self.clips["statement"], self.clips["emotion"])

    @property
    def speakers(self) -> list[str]:
        """Names of the speakers."""
        return sorted(set(self.clips["speaker"]))

    @property
    def listed(self) -> bool:
        """Whether speakers are listed, since they are too few for an interval."""
        clips = self.clips["speaker"].value_counts().to_numpy()
        return not enough(len(clips), effective(clips))

    @property
    def groups(self) -> int:
        """Number of groups of sentences."""
        return int(self.clips["group"].nunique())

    @property
    def folds(self) -> str:
        """The folds of speakers in words."""
        folds = self.ablation.study.split.folds
        corpus = self.ablation.study.corpora[0]
        if folds == "emobox":
            return f"EmoBox's {len(EMOBOX[corpus])} folds of speakers"
        return f"folds of speakers ({folds})"

    @property
    def normalisations(self) -> list[str]:
        """Normalisations that were measured, in words."""
        return [TITLES[how] for how in self._normalisations]

    @property
    def _normalisations(self) -> list[str]:
        return sorted(set(self.ablation.predictions["normalise"]))

    @property
    def overall(self) -> Iterator[ArmsRow]:
        """All clips by normalisation."""
        for how in self._normalisations:
            yield self._row(TITLES[how], how, np.ones(len(self.clips), dtype=np.bool_))

    @property
    def by_sentence(self) -> Iterator[ArmsRow]:
        """Tied and other sentences by normalisation; nothing if there is only one kind."""
        tied = self.clips["tied"].to_numpy()
        others = self.clips.loc[~tied, "statement"].nunique()
        for how in self._normalisations if 0 < tied.sum() < len(tied) else ():
            yield self._row(f"{TITLES[how]}, tied sentences", how, tied)
            words = f"{TITLES[how]}, the {others} sentences of several emotions"
            yield self._row(words, how, ~tied)

    @property
    def by_speaker(self) -> Iterator[ArmsRow]:
        """Each speaker by normalisation; nothing if there are enough for an interval."""
        for how in self._normalisations if self.listed else ():
            for speaker in self.speakers:
                name = speaker.partition("/")[2] or speaker
                mask = (self.clips["speaker"] == speaker).to_numpy()
                yield self._row(f"{TITLES[how]}, {name}", how, mask)

    def _row(self, name: str, normalise: str, of: np.ndarray) -> ArmsRow:
        seed = bootstrap_seed(self.ablation.study.seed, STREAM)
        rows = self._rows(normalise, of)
        arms = [rows[rows["heard"] == heard] for heard in (True, False)]
        difference = paired_difference(arms[0], arms[1], self.emotions, seed).scores[METRIC]
        heard, not_heard = (
            float(METRICS[METRIC].of_counts(confusion(arm, self.emotions))) for arm in arms
        )
        return ArmsRow(name, int(of.sum()), heard, not_heard, difference)

    def _rows(self, normalise: str, of: np.ndarray) -> pd.DataFrame:
        """Return the predictions of some clips as `evaluate` takes them, with the arm."""
        rows = self.ablation.predictions
        rows = rows[(rows["normalise"] == normalise) & rows["clip"].isin(self.clips.index[of])]
        predicted = {f"p_{name}": rows["predicted"] == name for name in self.emotions}
        corpus = self.ablation.study.corpora[0]
        return rows.assign(corpus=corpus, heard=rows["left_out"] != rows["group"], **predicted)

"""The part of the leakage page on sentences that tell the emotion, from stored predictions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

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
from benchmark.report.figures import BLUE, GREY, VERMILLION, WIDTH_IN, house_style, png_bytes
from benchmark.report.markdown import number, title

METRIC = "uar"

STREAM = "text-ablation"
"""Part of the seed of the resamples."""

HEARD: dict[str, Any] = {"color": VERMILLION, "marker": "o", "ms": 8, "ls": ""}
NOT_HEARD: dict[str, Any] = {"color": BLUE, "marker": "D", "ms": 7, "ls": ""}
"""Marks of the two arms in the figure."""

TITLES = {"none": "single clips", "speaker": "z-scored by speaker"}
"""Normalisations in words."""


class ArmsRow(NamedTuple):
    """UAR of the same clips in both arms, and its difference; of all clips or those of a subset."""

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
        """Name of the study's own feature set."""
        return next(iter(self.ablation.features))

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
    def picture(self) -> str:
        """File of the figure of feature sets; empty if there is only one."""
        return f"{self.name}_features.png" * (len(self.ablation.features) > 1)

    @cached_property
    def by_features(self) -> dict[str, list[ArmsRow]]:
        """All clips by feature set, and by normalisation."""
        every = np.ones(len(self.clips), dtype=np.bool_)
        return {
            name: [self._row(TITLES[how], how, every, name) for how in self._normalisations]
            for name in self.ablation.features
        }

    @property
    def most_text(self) -> str:
        """The feature set whose UAR of single clips falls most without the test sentence."""
        return max(self.by_features, key=lambda name: self.by_features[name][0].difference.value)

    @property
    def alternative_text(self) -> str:
        """The figure of feature sets in words."""
        parts = [
            f"{name} {number(rows[0].heard)} and {number(rows[0].not_heard)}"
            for name, rows in self.by_features.items()
        ]
        return f"{TITLES['none']}, test sentence in training or not: {'; '.join(parts)}"

    @property
    def command(self) -> str:
        """The command that computes this ablation."""
        further = [name for name in self.ablation.features if name != self.features]
        options = [f"--features {name}" for name in further]
        corpora = [] if self.generated else ["--corpora DIR"]
        return " ".join(["python -m benchmark text-ablation", self.name, *options, *corpora])

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

    def _row(self, name: str, normalise: str, of: np.ndarray, features: str = "") -> ArmsRow:
        """Return the row of some clips; without a name, with the study's own features."""
        seed = bootstrap_seed(self.ablation.study.seed, STREAM)
        rows = self._rows(normalise, of, features or self.features)
        arms = [rows[rows["heard"] == heard] for heard in (True, False)]
        difference = paired_difference(arms[0], arms[1], self.emotions, seed).scores[METRIC]
        heard, not_heard = (
            float(METRICS[METRIC].of_counts(confusion(arm, self.emotions))) for arm in arms
        )
        return ArmsRow(name, int(of.sum()), heard, not_heard, difference)

    def _rows(self, normalise: str, of: np.ndarray, features: str) -> pd.DataFrame:
        """Return the predictions of some clips as `evaluate` takes them, with the arm."""
        rows = self.ablation.predictions
        rows = rows[(rows["normalise"] == normalise) & (rows["features"] == features)]
        rows = rows[rows["clip"].isin(self.clips.index[of])]
        predicted = {f"p_{name}": rows["predicted"] == name for name in self.emotions}
        corpus = self.ablation.study.corpora[0]
        return rows.assign(corpus=corpus, heard=rows["left_out"] != rows["group"], **predicted)


def features_figure(case: TextCase) -> bytes:
    """Return UAR in both arms, a row for each feature set and a panel for each normalisation."""
    with house_style():
        from matplotlib.figure import Figure
        from matplotlib.lines import Line2D

        names, chance = list(case.by_features), METRICS[METRIC].chance(len(case.emotions))
        drawing = Figure(figsize=(WIDTH_IN, 1.3 + 0.3 * len(names)), layout="constrained")
        n_panels = len(case.normalisations)
        panels = drawing.subplots(1, n_panels, sharex=True, sharey=True, squeeze=False)[0]
        for panel, (axes, words) in enumerate(zip(panels, case.normalisations, strict=True)):
            for place, name in enumerate(names):
                row = case.by_features[name][panel]
                axes.plot([row.not_heard, row.heard], [place, place], color=GREY, lw=2, zorder=1)
                axes.plot([row.heard], [place], **HEARD)
                axes.plot([row.not_heard], [place], **NOT_HEARD)
            axes.axvline(chance, color=GREY, ls=(0, (1, 2)))
            axes.set_title(words)
            axes.set_xlabel(METRICS[METRIC].title)
            axes.grid(axis="x", zorder=0)
            axes.set_axisbelow(True)
        panels[0].set_yticks(range(len(names)), names)
        panels[0].set_ylim(len(names) - 0.5, -0.5)
        panels[0].set_xlim(left=0)
        marks = [
            Line2D([], [], **HEARD, label="test sentence in training"),
            Line2D([], [], **NOT_HEARD, label="not in training"),
            Line2D([], [], color=GREY, ls=(0, (1, 2)), label="chance"),
        ]
        drawing.legend(handles=marks, loc="outside lower center", frameon=False, ncols=3)
        return png_bytes(drawing)

"""UAR by the clips that set the scale of a test speaker: page and figures, from stored records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import pandas as pd

from benchmark.engine.files import write_text
from benchmark.evaluation.intervals import Evaluation, Score, bootstrap_seed, evaluate
from benchmark.evaluation.leaderboard import METRIC
from benchmark.evaluation.metrics import METRICS
from benchmark.models import MODELS
from benchmark.report import wording
from benchmark.report.figures import COLOURS, GREY, WIDTH_IN, Drawn, draw, house_style, png_bytes
from benchmark.report.markdown import NOTHING, address, capitalised, figure, title
from benchmark.report.measured import registered, spoken
from benchmark.report.template import render
from benchmark.speaker_scale.stored import FOLDER, INDUCTIVE, Curve, read_curves
from benchmark.study import Scale

NAME = "speaker_scale.md"
"""File of the page."""

FIGURES = ("figures", "speaker_scale")
"""Folder of its figures, below that of the page."""


@dataclass(frozen=True)
class CurveScores:
    """A scale curve with its scores."""

    curve: Curve

    @property
    def name(self) -> str:
        """Name of the study."""
        return self.curve.study.name

    @property
    def models(self) -> list[str]:
        """Names of the models, in the order of the study."""
        return list(self.curve.libraries)

    @property
    def model_titles(self) -> list[str]:
        """The models in words."""
        return [MODELS[name].title for name in self.models]

    @property
    def corpora(self) -> list[str]:
        """Titles of the corpora."""
        tested = dict.fromkeys(self.curve.predictions["corpus"])
        in_order = dict.fromkeys([*self.curve.study.corpora, *tested])
        return [title(name) for name in in_order if name in tested]

    @property
    def spoken(self) -> str:
        """Kind of speech and language of the corpora."""
        return spoken(registered(self.curve.study.corpora))

    @property
    def picture(self) -> str:
        """File of the figure."""
        return f"{self.name}.png"

    @property
    def tested(self) -> Evaluation:
        """Any evaluation: all are of the same clips."""
        return self.evaluations[self.models[0], INDUCTIVE]

    @cached_property
    def clips_per_speaker(self) -> pd.Series:
        """Number of test clips of each speaker."""
        rows = self.curve.predictions.drop_duplicates("clip")
        return rows["speaker"].value_counts()

    @property
    def priors(self) -> list[int]:
        """Numbers of clips for which training statistics count in a scale."""
        return sorted({source.scale.n_prior_clips for source in self.curve.sources} - {0})

    @cached_property
    def neutral_clips(self) -> float:
        """Mean number of neutral clips of a speaker."""
        rows = self.curve.predictions.drop_duplicates("clip")
        return float((rows["emotion"] == "neutral").sum() / rows["speaker"].nunique())

    @cached_property
    def evaluations(self) -> dict[tuple[str, str], Evaluation]:
        """The figures by model and source."""
        sources = [INDUCTIVE, *(source.name for source in self.curve.sources)]
        return {
            (model, source): self._evaluation(rows, source)
            for model, rows in self.curve.predictions.groupby("model")
            for source in sources
        }

    def score(self, model: str, source: str) -> Score:
        """Return the UAR of a model with one source of the scale."""
        return self.evaluations[model, source].scores[METRIC]

    def _evaluation(self, rows: pd.DataFrame, source: str) -> Evaluation:
        study = self.curve.study
        emotions = sorted(study.emotions)
        columns = {f"p_{name}": (rows[source] == name).astype(np.float32) for name in emotions}
        return evaluate(
            rows.assign(**columns), emotions, bootstrap_seed(study.seed, "speaker-scale")
        )

    @property
    def rows(self) -> list[list[str]]:
        """A row per source: each model's UAR, and for how many speakers it is above inductive."""
        words = {INDUCTIVE: "no normalisation (inductive)"}
        words |= {source.name: source.scale.words for source in self.curve.sources}
        return [
            [
                capitalised(text),
                *(cell for model in self.models for cell in self._cells(model, key)),
            ]
            for key, text in words.items()
        ]

    def _cells(self, model: str, source: str) -> tuple[str, str]:
        shown = figure(self.score(model, source))
        if source == INDUCTIVE:
            return shown, NOTHING
        own, base = (self.evaluations[model, key].by_speaker for key in (source, INDUCTIVE))
        above = sum(own[name][METRIC] > value[METRIC] for name, value in base.items())
        return shown, f"{above} of {len(base)}"


def write_page(reports: Path) -> Path | None:
    """Write the page and figures of all stored scale curves; None, and no page, without any.

    Raises
    ------
    BenchmarkError
        If a record is unreadable.
    """
    curves = [CurveScores(curve) for curve in read_curves(reports / FOLDER)]
    drawn = draw({one.picture: partial(scale_figure, one) for one in curves})
    drawn.write(reports.joinpath(*FIGURES))
    if not curves:
        (reports / NAME).unlink(missing_ok=True)
        return None
    write_text(reports / NAME, scale_page(curves, drawn))
    return reports / NAME


def scale_page(curves: Sequence[CurveScores], drawn: Drawn) -> str:
    """Return the page of all scale curves."""
    return (
        render(
            "pages/speaker_scale",
            **wording.constants(),
            curves=curves,
            drawn=drawn,
            figures=address(*FIGURES),
        )
        + "\n"
    )


def scale_figure(curve: CurveScores) -> bytes:
    """Return UAR by number of clips that set the scale, with the other sources as single points."""
    with house_style():
        from matplotlib.figure import Figure
        from matplotlib.lines import Line2D

        drawing = Figure(figsize=(WIDTH_IN, 4.6), layout="constrained")
        axes = drawing.subplots()
        most = int(curve.clips_per_speaker.max())
        ticks = {most}
        for model, name, colour in zip(curve.models, curve.model_titles, COLOURS, strict=False):
            base = curve.score(model, INDUCTIVE)
            axes.axhline(base.value, color=colour, ls=(0, (4, 3)), lw=1.2)
            axes.plot([], [], color=colour, lw=2, label=name)
            for line in LINES:
                points = sorted(
                    (source.scale.n_clips or most - 1, curve.score(model, source.name))
                    for source in curve.curve.sources
                    if line.has(source.scale)
                )
                numbers = [number for number, _ in points]
                ticks |= set(numbers) - {most - 1}
                values = [one.value for _, one in points]
                axes.plot(numbers, values, color=colour, marker=line.marker, ls=line.style, lw=2)
            for source in curve.curve.sources:
                if source.scale.clips in SINGLE:
                    at = source.scale.n_drawn or curve.neutral_clips
                    value = curve.score(model, source.name).value
                    axes.plot([at], [value], color=colour, marker=SINGLE[source.scale.clips], ms=9)
        axes.set_xscale("log")
        axes.set_xticks(sorted(ticks), [str(number) for number in sorted(ticks)])
        axes.minorticks_off()
        axes.set_xlabel("clips of the test speaker that set the scale (logarithmic)")
        axes.set_ylabel(METRICS[METRIC].title)
        axes.set_ylim(bottom=0)
        axes.grid(axis="y", zorder=0)
        axes.set_axisbelow(True)
        marks = [
            *(
                Line2D([], [], color=GREY, marker=line.marker, ls=line.style, lw=2, label=line.name)
                for line in LINES
            ),
            Line2D([], [], color=GREY, marker=SINGLE["skewed"], ls="", ms=9,
                   label="mostly of one emotion"),
            Line2D([], [], color=GREY, marker=SINGLE["call"], ls="", ms=9,
                   label="rest of a call, mostly of one emotion"),
            Line2D([], [], color=GREY, marker=SINGLE["neutral"], ls="", ms=9,
                   label="neutral clips only"),
            Line2D([], [], color=GREY, ls=(0, (4, 3)), label="no normalisation (inductive)"),
        ]  # fmt: skip
        models, _ = axes.get_legend_handles_labels()
        axes.legend(handles=[*models, *marks], loc="lower right", frameon=False, ncols=2)
        return png_bytes(drawing)


@dataclass(frozen=True)
class Line:
    """A line of the figure: scales that differ in the number of clips alone."""

    name: str
    clips: str
    with_prior: bool
    style: str
    marker: str

    def has(self, scale: Scale) -> bool:
        """Whether a scale is on the line."""
        return (scale.clips, scale.n_prior_clips > 0) == (self.clips, self.with_prior)


LINES = (
    Line("random other clips", "others", with_prior=False, style="-", marker="o"),
    Line("first clips", "first", with_prior=False, style=":", marker="v"),
    Line("first clips and training statistics", "first", with_prior=True, style="--", marker="D"),
)

SINGLE = {"skewed": "s", "call": "X", "neutral": "^"}
"""Markers of the sources that are no part of the curve."""

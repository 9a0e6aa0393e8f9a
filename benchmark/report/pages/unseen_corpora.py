"""Calibration on corpora that are not in training: page and figures, from stored records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.engine.files import write_text
from benchmark.evaluation.calibration import Calibration, calibration
from benchmark.models import MODELS
from benchmark.models.calibrator import N_COMPONENTS, WITHIN, tempered_at
from benchmark.report import wording
from benchmark.report.figures import COLOURS, GREY, WIDTH_IN, Drawn, draw, house_style, png_bytes
from benchmark.report.markdown import address, number, title
from benchmark.report.template import render
from benchmark.unseen_corpora.stored import FOLDER, Fitted, Measurement, read_measurements

NAME = "unseen_corpora.md"
"""File of the page."""

FIGURES = ("figures", "unseen_corpora")
"""Folder of its figures, below that of the page."""

AIM = 0.10
"""Largest expected calibration error on a corpus that is not in training."""


@dataclass(frozen=True)
class Clips:
    """Held-out clips with a model's own probabilities and the calibrated ones.

    Attributes
    ----------
    truth : ndarray of int, shape (n_clips,)
    own, served : ndarray of float64, shape (n_clips, n_emotions)
    distances : ndarray of float32, shape (n_clips,)
    """

    truth: NDArray[np.int64]
    own: NDArray[np.float64]
    served: NDArray[np.float64]
    distances: NDArray[np.float32]

    def right(self, probabilities: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return whether the most probable emotion of each clip is the true one."""
        right: NDArray[np.bool_] = probabilities.argmax(axis=1) == self.truth
        return right


@dataclass(frozen=True)
class Case:
    """One model on one corpus that it was not trained on.

    Attributes
    ----------
    fitted : Fitted
    corpus, speakers : Clips
        Of the corpus left out, and of the held-out speakers of the training corpora.
    """

    fitted: Fitted
    corpus: Clips
    speakers: Clips

    @cached_property
    def own(self) -> Calibration:
        """Calibration of the model's own probabilities on the corpus."""
        return calibration(self.corpus.own, self.corpus.truth)

    @cached_property
    def served(self) -> Calibration:
        """Calibration of the calibrated probabilities on the corpus."""
        return calibration(self.corpus.served, self.corpus.truth)

    @property
    def reached(self) -> bool:
        """Whether the calibrated probabilities reach the aim."""
        return self.served.error <= AIM

    @property
    def unlike(self) -> float:
        """Fraction of the clips of the corpus beyond the limit."""
        return float((self.corpus.distances > 1).mean())

    @property
    def row(self) -> list[str]:
        """The row of the case in the table of calibration."""
        right, served_right = (
            self.corpus.right(one) for one in (self.corpus.own, self.corpus.served)
        )
        unlike = self.corpus.distances > 1
        speakers = calibration(self.speakers.own, self.speakers.truth).error
        tempered = calibration(self.speakers.served, self.speakers.truth).error
        served = number(self.served.error)
        return [
            title(self.fitted.left_out),
            MODELS[self.fitted.model].title,
            number(float(right.mean())),
            number(float(served_right.mean())),
            *(number(float(served_right[some].mean())) for some in (~unlike, unlike)),
            number(float(self.corpus.own.max(axis=1).mean())),
            number(float(self.corpus.served.max(axis=1).mean())),
            number(self.own.error),
            f"**{served}**" if self.reached else served,
            number(speakers),
            number(tempered),
            f"{self.unlike:.0%}",
        ]

    @cached_property
    def ranking(self) -> tuple[float, float, float, float]:
        """AUROC of right answers: on the corpus by own and served probability, on all clips too."""
        both = [self.corpus, self.speakers]
        right = np.concatenate([one.right(one.own) for one in both])
        own = np.concatenate([one.own.max(axis=1) for one in both])
        served_right = np.concatenate([one.right(one.served) for one in both])
        served = np.concatenate([one.served.max(axis=1) for one in both])
        return (
            auroc(self.corpus.right(self.corpus.own), self.corpus.own.max(axis=1)),
            auroc(self.corpus.right(self.corpus.served), self.corpus.served.max(axis=1)),
            auroc(right, own),
            auroc(served_right, served),
        )

    @property
    def ranking_row(self) -> list[str]:
        """The row of the case in the table of rankings."""
        names = [title(self.fitted.left_out), MODELS[self.fitted.model].title]
        return [*names, *(number(value) for value in self.ranking)]


@dataclass(frozen=True)
class MeasuredCases:
    """A measurement with its scores."""

    measurement: Measurement

    @property
    def name(self) -> str:
        """Name of the study."""
        return self.measurement.study.name

    @property
    def picture(self) -> str:
        """File of the figure."""
        return f"{self.name}.png"

    @property
    def models(self) -> list[str]:
        """Names of the models, in the order of the study."""
        return list(self.measurement.libraries)

    @property
    def corpora(self) -> list[str]:
        """Names of the corpora left out, in the order of the study."""
        left_out = [one.left_out for one in self.measurement.fitted]
        in_order = dict.fromkeys([*self.measurement.study.corpora, *left_out])
        return [name for name in in_order if name in left_out]

    @cached_property
    def cases(self) -> list[Case]:
        """All models on all corpora, by corpus and model."""
        order = {name: place for place, name in enumerate((*self.corpora, *self.models))}
        by_corpus = sorted(
            self.measurement.fitted, key=lambda one: (order[one.left_out], order[one.model])
        )
        return [self._case(one) for one in by_corpus]

    def _case(self, fitted: Fitted) -> Case:
        table = self.measurement.predictions
        rows = table[(table["model"] == fitted.model) & (table["left_out"] == fitted.left_out)]
        return Case(
            fitted,
            _clips(rows[rows["held_out"] == "corpus"], fitted),
            _clips(rows[rows["held_out"] == "speaker"], fitted),
        )

    @property
    def n_reached(self) -> int:
        """Number of cases that reach the aim."""
        return sum(case.reached for case in self.cases)

    @property
    def n_worse(self) -> int:
        """Number of cases in which the calibrator increases the error."""
        return sum(case.served.error > case.own.error for case in self.cases)

    @property
    def n_better(self) -> int:
        """Number of cases in which the calibrated probability ranks all answers better."""
        return sum(case.ranking[3] > case.ranking[2] for case in self.cases)

    @property
    def worst(self) -> Case:
        """The case with the largest error of calibrated probabilities."""
        return max(self.cases, key=lambda case: case.served.error)

    @property
    def rows(self) -> list[list[str]]:
        """The table of calibration."""
        return [case.row for case in self.cases]

    @property
    def ranking_rows(self) -> list[list[str]]:
        """The table of rankings."""
        return [case.ranking_row for case in self.cases]

    @property
    def calibrator_rows(self) -> list[list[str]]:
        """The numbers of the calibrators."""
        return [
            [
                title(case.fitted.left_out),
                MODELS[case.fitted.model].title,
                number(case.fitted.temperature),
                number(case.fitted.growth),
            ]
            for case in self.cases
        ]


def _clips(rows: pd.DataFrame, fitted: Fitted) -> Clips:
    emotions = list(fitted.frequencies)
    own = rows[[f"p_{name}" for name in emotions]].to_numpy(dtype=np.float64)
    distances = rows["distance"].to_numpy(dtype=np.float32)
    frequencies = np.array(list(fitted.frequencies.values()))
    reached = np.maximum(distances.astype(np.float64), fitted.nearest)
    served = tempered_at(own, frequencies, reached, fitted.temperature, fitted.growth)
    truth = np.searchsorted(emotions, rows["emotion"].to_numpy(dtype=np.str_))
    return Clips(truth, own, served, distances)


def auroc(right: NDArray[np.bool_], score: NDArray[np.float64]) -> float:
    """Return how often a right answer has a higher score than a wrong one; equal scores half."""
    from scipy.stats import rankdata

    n_right = int(right.sum())
    n_wrong = len(right) - n_right
    if not n_right or not n_wrong:
        return float("nan")
    ranks = rankdata(score)[right].sum() - n_right * (n_right + 1) / 2
    return float(ranks / (n_right * n_wrong))


def write_page(reports: Path) -> Path | None:
    """Write the page and figures of all stored measurements; None, and no page, without any.

    Raises
    ------
    BenchmarkError
        If a record is unreadable.
    """
    measured = [MeasuredCases(one) for one in read_measurements(reports / FOLDER)]
    drawn = draw({one.picture: partial(calibration_figure, one) for one in measured})
    drawn.write(reports.joinpath(*FIGURES))
    if not measured:
        (reports / NAME).unlink(missing_ok=True)
        return None
    write_text(reports / NAME, unseen_corpora_page(measured, drawn))
    return reports / NAME


def unseen_corpora_page(measured: Sequence[MeasuredCases], drawn: Drawn) -> str:
    """Return the page of all measurements."""
    return (
        render(
            "pages/unseen_corpora",
            **wording.constants(),
            measured=measured,
            drawn=drawn,
            figures=address(*FIGURES),
            aim=AIM,
            within=WITHIN,
            n_components=N_COMPONENTS,
        )
        + "\n"
    )


def calibration_figure(measured: MeasuredCases) -> bytes:
    """Return the reliability curves of each corpus left out: own probabilities and served ones."""
    with house_style():
        from matplotlib.figure import Figure
        from matplotlib.lines import Line2D

        corpora = measured.corpora
        drawing = Figure(figsize=(WIDTH_IN, 3.4), layout="constrained")
        panels = drawing.subplots(1, len(corpora), sharex=True, sharey=True, squeeze=False)[0]
        colours = dict(zip(measured.models, COLOURS, strict=False))
        for axes, corpus in zip(panels, corpora, strict=True):
            axes.plot([0, 1], [0, 1], color=GREY, lw=1)
            for case in measured.cases:
                if case.fitted.left_out == corpus:
                    colour = colours[case.fitted.model]
                    for curve, style in ((case.own.curve, ":"), (case.served.curve, "-")):
                        axes.plot(
                            curve["confidence"], curve["accuracy"],
                            color=colour, ls=style, marker="o", ms=3, lw=1.8,
                        )  # fmt: skip
            axes.set_title(f"{title(corpus)} left out")
            axes.set_xlim(0, 1)
            axes.set_ylim(0, 1)
            axes.set_xlabel("probability of the prediction")
        panels[0].set_ylabel("fraction correct")
        lines = [
            *(Line2D([], [], color=colours[name], lw=2, label=MODELS[name].title)
              for name in measured.models),
            Line2D([], [], color=GREY, ls=":", marker="o", ms=3, label="the model's own"),
            Line2D([], [], color=GREY, marker="o", ms=3, label="served (calibrated)"),
        ]  # fmt: skip
        drawing.legend(handles=lines, loc="outside lower center", ncols=len(lines), frameon=False)
        return png_bytes(drawing)

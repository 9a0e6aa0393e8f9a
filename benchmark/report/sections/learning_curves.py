"""Learning curves: the score of each winner by the number of its training clips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import fill
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.evaluation.leaderboard import Leaderboard
from benchmark.evaluation.metrics import METRICS
from benchmark.report import wording
from benchmark.report.figures import BLUE, GREY, WIDTH_IN, house_style, png_bytes
from benchmark.report.sections.section import Section

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LETTERS = 104
"""Letters of the titles of a row of panels, which share the width of the figure."""


@dataclass(frozen=True)
class LearningCurve:
    """The curve of one model under one protocol.

    Attributes
    ----------
    protocol, model : str
    points : DataFrame
        Columns fraction, fold, rows, training and validation.
    """

    protocol: str
    model: str
    points: pd.DataFrame

    def scores(self, column: str) -> pd.DataFrame:
        """Return training or validation scores of shape (n_fractions, n_folds)."""
        return self.points.pivot_table(index="fraction", columns="fold", values=column).sort_index()

    @property
    def rows(self) -> NDArray[np.float64]:
        """Mean number of training rows at each fraction."""
        return np.asarray(self.points.groupby("fraction")["rows"].mean(), dtype=np.float64)

    @property
    def last_fractions(self) -> list[float]:
        """The last two fractions."""
        return list(self.scores("validation").index[-2:])

    @property
    def last_steps(self) -> pd.Series:
        """Change of each fold's validation score between the last two fractions."""
        scores = self.scores("validation")
        return scores.iloc[-1] - scores.iloc[-2]


def _facts(board: Leaderboard) -> list[LearningCurve] | None:
    curves = board.result.curves
    if curves is None or curves.empty:
        return None
    groups = curves.groupby(["protocol", "model"], sort=False)
    return [LearningCurve(str(p), str(m), points) for (p, m), points in groups]


def _figures(board: Leaderboard, facts: list[LearningCurve]) -> dict[str, bytes]:
    by_model: dict[str, list[LearningCurve]] = {}
    for curve in facts:
        by_model.setdefault(curve.model, []).append(curve)
    return {"learning_curves.png": learning_curves_figure(board, list(by_model.values()))}


def learning_curves_figure(board: Leaderboard, grid: Sequence[Sequence[LearningCurve]]) -> bytes:
    """Return learning curves by scikit-learn: a row per model, a column per protocol."""
    result = board.result
    metric = METRICS[result.study.search.metric]
    size = "training clips with augmented copies" if result.study.augment else "training clips"
    with house_style():
        from matplotlib.figure import Figure
        from sklearn.model_selection import LearningCurveDisplay

        across = max(len(row) for row in grid)
        figure = Figure(figsize=(WIDTH_IN, 0.5 + 2.7 * len(grid)), layout="constrained")
        panels = figure.subplots(len(grid), across, squeeze=False, sharey=True)
        for axes in panels.flat:
            axes.set_axis_off()
        for places, row in zip(panels, grid, strict=True):
            for axes, curve in zip(places, row, strict=False):
                axes.set_axis_on()
                display = LearningCurveDisplay(
                    train_sizes=curve.rows,
                    train_scores=curve.scores("training").to_numpy(),
                    test_scores=curve.scores("validation").to_numpy(),
                    score_name=metric.utility_title,
                )
                display.plot(ax=axes, std_display_style="fill_between")
                model = wording.model_title(result, curve.model)
                column = wording.protocol_words(curve.protocol).column
                low, high = metric.utility_range
                axes.set_ylim(low, high + 0.03 * metric.width)
                _restyle(
                    axes,
                    fill(f"{model}, {column}", LETTERS // across),
                    fill(size, LETTERS // across),
                )
        panels[0][0].legend(
            ["training", "validation"], loc="lower right", frameon=False, fontsize=9.5
        )
        return png_bytes(figure)


def _restyle(axes: Axes, name: str, size: str) -> None:
    """Give scikit-learn's learning curves the colours of all figures, and no legend each."""
    axes.set_title(name)
    axes.set_xlabel(size)
    axes.grid(axis="y")
    axes.set_axisbelow(True)
    for colour, line, band in zip((GREY, BLUE), axes.lines, axes.collections, strict=True):
        line.set(color=colour, marker="o", markersize=5)
        band.set(color=colour, alpha=0.2, linewidth=0)
    legend = axes.get_legend()
    if legend is not None:
        legend.remove()


SECTION = Section("learning_curves", _facts, _figures)

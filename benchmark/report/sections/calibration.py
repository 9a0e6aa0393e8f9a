"""Calibration of the selected models' probabilities, before and after temperature scaling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import fill
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.evaluation.calibration import Calibration, calibration, fit_temperature, tempered
from benchmark.evaluation.leaderboard import Leaderboard
from benchmark.evaluation.results import Result
from benchmark.report.figures import BLUE, GREY, VERMILLION, WIDTH_IN, house_style, png_bytes
from benchmark.report.sections.section import Section
from benchmark.report.sections.selected_model import panel_title

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = NDArray[np.float64]

LETTERS_PER_INCH = 11
"""Letters of a panel's title that fit into an inch."""


@dataclass(frozen=True)
class Calibrated:
    """The selected model of a protocol, before and after temperature scaling.

    Attributes
    ----------
    protocol, model : str
    before : Calibration
    temperatures : tuple of float
        One for each part of the protocol, fitted on out-of-fold probabilities; empty if these are
        not stored.
    after : Calibration or None
    """

    protocol: str
    model: str
    before: Calibration
    temperatures: tuple[float, ...]
    after: Calibration | None

    @property
    def calibrated(self) -> bool:
        """Whether the ECE is at most 1.5 times that of exact probabilities on as many clips."""
        return self.before.error <= 1.5 * self.before.error_by_chance

    @property
    def confidence(self) -> float:
        """Mean confidence before scaling."""
        return weighted_mean(self.before, "confidence")

    @property
    def accuracy(self) -> float:
        """Fraction of correct predictions."""
        return weighted_mean(self.before, "accuracy")

    @property
    def excess(self) -> int:
        """Mean confidence minus accuracy before scaling, in percentage points, as printed."""
        return round(100 * self.confidence) - round(100 * self.accuracy)

    @property
    def confidence_after(self) -> float | None:
        """Mean confidence after scaling."""
        return None if self.after is None else weighted_mean(self.after, "confidence")

    @property
    def temperature_range(self) -> str:
        """The temperature, or the lowest and the highest of several parts."""
        ends = (min(self.temperatures), max(self.temperatures))
        return " to ".join(dict.fromkeys(f"{end:.2f}" for end in ends))


class Reliability(NamedTuple):
    """One panel of a reliability diagram; `after` is None without temperature scaling."""

    title: str
    before: Calibration
    after: Calibration | None


def weighted_mean(one: Calibration, column: str) -> float:
    """Return the mean over clips of a column of a reliability curve."""
    return float(np.average(one.curve[column], weights=one.curve["clips"]))


def calibrated(board: Leaderboard, protocol: str) -> Calibrated:
    """Return the calibration of the selected model of a protocol."""
    result, model = board.result, board.selected[protocol].model
    tested = _by_part(result.predictions, protocol, model)
    learned = {} if result.out_of_fold is None else _by_part(result.out_of_fold, protocol, model)
    truth = np.concatenate([_truth(rows, result.emotions) for rows in tested.values()])
    raw = {part: _probabilities(rows, result.emotions) for part, rows in tested.items()}
    before = calibration(np.concatenate(list(raw.values())), truth)
    if not set(tested) <= set(learned):
        return Calibrated(protocol, model, before, (), None)
    temperatures = {part: _temperature(learned[part], result) for part in tested}
    scaled = np.concatenate([tempered(raw[part], temperatures[part]) for part in tested])
    after = calibration(scaled, truth)
    return Calibrated(protocol, model, before, tuple(temperatures.values()), after)


def _facts(board: Leaderboard) -> list[Calibrated]:
    return [calibrated(board, protocol) for protocol in board.protocols]


def _figures(board: Leaderboard, facts: list[Calibrated]) -> dict[str, bytes]:
    panels = [Reliability(panel_title(board, one.protocol), one.before, one.after) for one in facts]
    return {"calibration.png": reliability_figure(panels)}


def reliability_figure(panels: Sequence[Reliability], before: str = "uncalibrated") -> bytes:
    """Return reliability diagrams, accuracy by confidence: a panel per protocol.

    `before` names the curve without temperature scaling.
    """
    with house_style():
        from matplotlib.figure import Figure

        across = max(2, len(panels))
        side = WIDTH_IN / across
        height = min(side, 4.2) + 0.9
        figure = Figure(figsize=(side * len(panels), height), layout="constrained")
        grid = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
        for axes, panel in zip(grid, panels, strict=True):
            axes.plot([0, 1], [0, 1], color=GREY, ls=(0, (4, 3)), lw=1, label="perfect calibration")
            _draw_curve(axes, panel.before, VERMILLION, "o", before)
            if panel.after is not None:
                _draw_curve(axes, panel.after, BLUE, "D", "after temperature scaling")
            axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="confidence")
            axes.set_title(reliability_title(panel, int(LETTERS_PER_INCH * side)), fontsize=9.5)
            axes.grid(zorder=0)
            axes.set_axisbelow(True)
        grid[0].set_ylabel("accuracy")
        # Each label once, not once per panel.
        labelled = {line.get_label(): line for axes in grid for line in axes.get_lines()}
        figure.legend(
            labelled.values(), labelled, loc="outside lower center", frameon=False, ncols=3,
            fontsize=9.5,
        )  # fmt: skip
        return png_bytes(figure)


def reliability_title(panel: Reliability, width: int) -> str:
    """Return the title of a panel with its ECE, in lines of at most `width` letters."""
    error = f"ECE {panel.before.error:.2f}"
    if panel.after is not None:
        error += f", after temperature scaling {panel.after.error:.2f}"
    heading = " ".join(panel.title.split())  # it is wrapped for another width
    return f"{fill(heading, width)}\n{fill(error, width)}"


def _draw_curve(axes: Axes, found: Calibration, colour: str, marker: str, name: str) -> None:
    curve = found.curve
    axes.plot(
        curve["confidence"], curve["accuracy"], color=colour, marker=marker, ms=6, mec="white",
        mew=0.6, lw=1.5, label=name, clip_on=False, zorder=3,
    )  # fmt: skip


def _by_part(table: pd.DataFrame, protocol: str, model: str) -> dict[str, pd.DataFrame]:
    """Return one model's rows under a protocol, by part of the protocol."""
    rows = table[(table["protocol"] == protocol) & (table["model"] == model)]
    part = rows["part"] if "part" in rows else pd.Series("", index=rows.index)
    return {str(name): rows[part == name] for name in dict.fromkeys(part)}


def _temperature(rows: pd.DataFrame, result: Result) -> float:
    return fit_temperature(_probabilities(rows, result.emotions), _truth(rows, result.emotions))


def _probabilities(rows: pd.DataFrame, emotions: Sequence[str]) -> Floats:
    columns = rows[[f"p_{emotion}" for emotion in emotions]].to_numpy(dtype=np.float64)
    return np.asarray(columns / columns.sum(axis=1, keepdims=True), dtype=np.float64)


def _truth(rows: pd.DataFrame, emotions: Sequence[str]) -> NDArray[np.int64]:
    indices = pd.Index(emotions).get_indexer(pd.Index(rows["emotion"]))
    return np.asarray(indices, dtype=np.int64)


SECTION = Section("calibration", _facts, _figures)

"""Selection optimism: by how much the best CV score of a search exceeds an unbiased estimate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import pandas as pd

from benchmark.evaluation.intervals import Score
from benchmark.evaluation.leaderboard import Leaderboard
from benchmark.evaluation.metrics import METRICS
from benchmark.evaluation.selection_bias import course
from benchmark.report import wording
from benchmark.report.figures import COLOURS, INK, WIDTH_IN, house_style, png_bytes
from benchmark.report.markdown import capitalised
from benchmark.report.sections.section import Section
from benchmark.study import BASELINE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PICTURE = "optimism.png"


@dataclass(frozen=True)
class Searched:
    """One search: its CV scores by number of trials, and the test score of its winner.

    Attributes
    ----------
    protocol, model : str
    course : DataFrame of shape (n_tried, 2)
        See `selection_bias.course`; the mean over the parts of a protocol with several.
    test : Score
        By the search's metric; negated if smaller values are better, as CV scores are.
    """

    protocol: str
    model: str
    course: pd.DataFrame
    test: Score

    @property
    def inner(self) -> float:
        """The best CV score of all trials."""
        return float(self.course["inner"].iloc[-1])

    @property
    def corrected(self) -> float:
        """The CV score corrected for the selection."""
        return float(self.course["corrected"].iloc[-1])

    @property
    def optimism(self) -> float:
        """The best CV score minus the corrected one."""
        return self.inner - self.corrected

    @property
    def n_trials(self) -> int:
        """Number of trials; of several parts, the largest."""
        return int(self.course.index[-1])


class Curve(NamedTuple):
    """One search of a panel: its name, its CV scores by number of trials, and its test score."""

    name: str
    course: pd.DataFrame
    test: Score


def searches(board: Leaderboard) -> list[Searched]:
    """Return every search of at least two trials whose winner has test rows, by protocol."""
    result = board.result
    metric = METRICS[result.study.search.metric]
    parts = ["part"] if "part" in result.trials else []
    found = []
    for protocol in board.protocols:
        for model in result.study.models:
            evaluation = board.evaluation(protocol, model)
            trials = result.trials
            mine = trials[(trials["protocol"] == protocol) & (trials["model"] == model)]
            if model == BASELINE or evaluation is None or mine["trial"].nunique() < 2:
                continue
            courses = [course(part) for _, part in mine.groupby(["protocol", *parts], sort=False)]
            if len(mean := _mean(courses)):
                test = evaluation.scores[metric.name]
                utility = test if metric.greater_is_better else test.negated
                found.append(Searched(protocol, model, mean, utility))
    return found


def _mean(courses: list[pd.DataFrame]) -> pd.DataFrame:
    """Return the mean of several searches; one with fewer trials keeps its last scores."""
    by_tried = pd.concat(courses, axis="columns", keys=range(len(courses))).sort_index().ffill()
    return by_tried.dropna().T.groupby(level=1, sort=False).mean().T


def _facts(board: Leaderboard) -> list[Searched] | None:
    return searches(board) or None


def _figures(board: Leaderboard, facts: list[Searched]) -> dict[str, bytes]:
    result = board.result
    panels: dict[str, list[Curve]] = {}
    for one in facts:
        title = capitalised(wording.protocol_words(one.protocol).label)
        name = wording.model_title(result, one.model)
        panels.setdefault(title, []).append(Curve(name, one.course, one.test))
    metric = METRICS[result.study.search.metric].utility_title
    return {PICTURE: optimism_figure(list(panels.items()), metric)}


def optimism_figure(panels: Sequence[tuple[str, Sequence[Curve]]], metric: str) -> bytes:
    """Return best and corrected CV scores by number of trials, and test scores.

    Parameters
    ----------
    panels : sequence of (title, curves)
        One per protocol.
    metric : str
    """
    with house_style():
        from matplotlib.figure import Figure

        figure = Figure(figsize=(WIDTH_IN, 3.4), layout="constrained")
        grid = figure.subplots(1, len(panels), squeeze=False)[0]
        names = list(dict.fromkeys(curve.name for _, curves in panels for curve in curves))
        colours = {name: COLOURS[index % len(COLOURS)] for index, name in enumerate(names)}
        for axes, (heading, curves) in zip(grid, panels, strict=True):
            for index, curve in enumerate(curves):
                draw_curve(axes, curve, colours[curve.name], 1.06 + 0.05 * index)
            axes.set_title(heading)
            axes.set_xlabel("number of trials")
            longest = max(len(curve.course) for curve in curves)
            axes.set_xticks([tick for tick in axes.get_xticks() if 0 < tick <= longest])
            axes.grid(axis="y")
            axes.set_axisbelow(True)
        grid[0].set_ylabel(metric)
        figure.legend(
            handles=_legend(colours), loc="outside lower center", frameon=False,
            ncols=4 if len(colours) == 1 else 3, fontsize=9.5,
        )  # fmt: skip
        return png_bytes(figure)


def draw_curve(axes: Axes, curve: Curve, colour: str, position: float) -> None:
    """Draw one search; its test score stands at `position` times the number of trials."""
    course = curve.course
    # Half a trial further, or the last trial's step would have no width.
    tried = [*course.index, course.index[-1] + 0.5]
    inner, corrected = ([*course[name], course[name].iloc[-1]] for name in ("inner", "corrected"))
    axes.plot(tried, inner, color=colour, drawstyle="steps-post", lw=1.8)
    axes.plot(tried, corrected, color=colour, drawstyle="steps-post", lw=1.2, ls=(0, (4, 2)))
    at = float(tried[-1]) * position + 0.3
    score = curve.test
    if score.interval:
        axes.plot([at, at], score.interval, color=colour, lw=1.8)
    axes.plot(at, score.value, color=colour, marker="D", ms=7, mec="white", mew=0.8)


def _legend(colours: dict[str, str]) -> list[object]:
    from matplotlib.lines import Line2D

    return [
        *(Line2D([], [], color=colour, lw=3, label=name) for name, colour in colours.items()),
        Line2D([], [], color=INK, lw=1.8, label="best CV score"),
        Line2D([], [], color=INK, lw=1.2, ls=(0, (4, 2)), label="corrected CV score"),
        Line2D([], [], color=INK, marker="D", ls="", mec="white", ms=7, label="test score"),
    ]


SECTION = Section("selection_optimism", _facts, _figures)

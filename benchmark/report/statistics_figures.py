"""Figures of the statistics: a search's optimism, reliability, single speakers."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import fill
from typing import TYPE_CHECKING, NamedTuple

import pandas as pd

from benchmark.evaluation.calibration import Calibration
from benchmark.evaluation.intervals import Score
from benchmark.evaluation.significance import ALPHA
from benchmark.evaluation.subgroups import Division
from benchmark.report.figures import (
    BLUE,
    GREEN,
    GREY,
    INK,
    OTHER_STYLES,
    VERMILLION,
    WIDTH_IN,
    house_style,
    png_bytes,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LETTERS_AN_INCH = 11
"""How many letters of a panel's title fit into an inch."""

COLOURS = [BLUE, VERMILLION, GREEN, *(colour for colour, _ in OTHER_STYLES[1:]), INK]


class Climb(NamedTuple):
    """One search of a panel: its name, its course by number of trials, and its winner's score."""

    name: str
    course: pd.DataFrame
    test: Score


class Reliability(NamedTuple):
    """One panel of a reliability diagram; `after` is None where nothing was calibrated."""

    title: str
    before: Calibration
    after: Calibration | None


def optimism_figure(panels: Sequence[tuple[str, Sequence[Climb]]], metric: str) -> bytes:
    """Return best and corrected inner scores by trials tried, and test scores, a panel a protocol.

    Parameters
    ----------
    panels : sequence of (title, climbs)
    metric : str
        What is scored.
    """
    with house_style():
        from matplotlib.figure import Figure

        figure = Figure(figsize=(WIDTH_IN, 3.4), layout="constrained")
        grid = figure.subplots(1, len(panels), squeeze=False)[0]
        names = list(dict.fromkeys(climb.name for _, climbs in panels for climb in climbs))
        colours = {name: COLOURS[place % len(COLOURS)] for place, name in enumerate(names)}
        for axes, (heading, climbs) in zip(grid, panels, strict=True):
            for place, climb in enumerate(climbs):
                draw_climb(axes, climb, colours[climb.name], 1.06 + 0.05 * place)
            axes.set_title(heading)
            axes.set_xlabel("trials tried")
            longest = max(len(climb.course) for climb in climbs)
            axes.set_xticks([tick for tick in axes.get_xticks() if 0 < tick <= longest])
            axes.grid(axis="y")
            axes.set_axisbelow(True)
        grid[0].set_ylabel(metric)
        figure.legend(
            handles=_climb_legend(colours), loc="outside lower center", frameon=False,
            ncols=4 if len(colours) == 1 else 3, fontsize=9.5,
        )  # fmt: skip
        return png_bytes(figure)


def reliability_figure(panels: Sequence[Reliability]) -> bytes:
    """Return reliability diagrams: share of right predictions by confidence, a panel a protocol."""
    with house_style():
        from matplotlib.figure import Figure

        across = max(2, len(panels))
        side = WIDTH_IN / across
        height = min(side, 4.2) + 0.9
        figure = Figure(figsize=(side * len(panels), height), layout="constrained")
        grid = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
        for axes, panel in zip(grid, panels, strict=True):
            axes.plot([0, 1], [0, 1], color=GREY, ls=(0, (4, 3)), lw=1, label="exactly right")
            _draw_curve(axes, panel.before, VERMILLION, "o", "as it is")
            if panel.after is not None:
                _draw_curve(axes, panel.after, BLUE, "D", "calibrated")
            axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="confidence")
            axes.set_title(reliability_title(panel, int(LETTERS_AN_INCH * side)), fontsize=9.5)
            axes.grid(zorder=0)
            axes.set_axisbelow(True)
        grid[0].set_ylabel("share of right predictions")
        named = {
            line.get_label(): line for axes in grid for line in axes.get_lines()
        }  # once each, not once a panel
        figure.legend(
            named.values(), named, loc="outside lower center", frameon=False, ncols=3, fontsize=9.5
        )
        return png_bytes(figure)


def speakers_figure(divisions: Sequence[Division], whole: Score, metric: str) -> bytes:
    """Return each test speaker's score with its interval over clips, by corpus, best first.

    Parameters
    ----------
    divisions : sequence of Division
        By speaker, one a corpus.
    whole : Score
        Of all test clips: a line.
    metric : str
    """
    with house_style():
        from matplotlib.figure import Figure
        from matplotlib.layout_engine import ConstrainedLayoutEngine

        rows = sum(len(one.groups) + 1 for one in divisions)
        size = (WIDTH_IN, 0.9 + 0.24 * rows)
        figure = Figure(figsize=size, layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.08))
        axes = figure.subplots()
        names: dict[int, str] = {}
        for place, one in enumerate(divisions):
            colour = COLOURS[place % len(COLOURS)]
            for group in sorted(one.groups, key=lambda group: -group.score.value):
                row, score = len(names) + place, group.score
                names[row] = group.name
                axes.plot([score.low, score.high], [row, row], color=colour, lw=1.5, alpha=0.45)
                axes.plot(score.value, row, color=colour, marker="o", ms=7, mec="white", mew=0.8)
        axes.axvline(whole.value, color=GREY, ls=(0, (4, 3)), lw=1, zorder=0)
        axes.annotate(
            "all test clips", (whole.value, 1), xycoords=("data", "axes fraction"), xytext=(0, 3),
            textcoords="offset points", color="#6B6B6B", fontsize=9.5, ha="center",
        )  # fmt: skip
        axes.set_yticks(list(names), list(names.values()))
        axes.set_ylim(max(names) + 0.7, -0.7)
        axes.set_xlim(0, 1)
        axes.set_xlabel(f"{metric} (bars: 95 % intervals over the speaker's clips)")
        axes.grid(axis="x")
        axes.set_axisbelow(True)
        axes.spines["left"].set_visible(False)
        axes.tick_params(axis="y", length=0)
        return png_bytes(figure)


def ranks_figure(ranks: pd.Series, differences: pd.DataFrame) -> bytes:
    """Return the critical-difference diagram of Demšar (2006): mean ranks, bars join equals.

    Parameters
    ----------
    ranks : Series
        Mean rank by model, 1 being the best.
    differences : DataFrame of shape (n_models, n_models)
        The p of each pair.
    """
    with house_style():
        from matplotlib.figure import Figure
        from scikit_posthocs import critical_difference_diagram

        height = 1.3 + 0.28 * len(ranks)
        figure = Figure(figsize=(WIDTH_IN, height), layout="constrained")
        axes = figure.subplots()
        critical_difference_diagram(
            ranks,
            differences,
            alpha=ALPHA,
            ax=axes,
            label_fmt_left="{label} ({rank:.2f})",
            label_fmt_right="({rank:.2f}) {label}",
            color_palette=[BLUE] * len(ranks),
            crossbar_props={"color": INK, "linewidth": 2.5},
        )
        axes.set_title("mean rank (1 is best)")
        return png_bytes(figure)


def draw_climb(axes: Axes, climb: Climb, colour: str, place: float) -> None:
    """Draw one search; its test score stands right of the trials, at a share of their number."""
    course = climb.course
    # Half a trial further, or the last trial's step would have no width.
    tried = [*course.index, course.index[-1] + 0.5]
    inner, corrected = ([*course[name], course[name].iloc[-1]] for name in ("inner", "corrected"))
    axes.plot(tried, inner, color=colour, drawstyle="steps-post", lw=1.8)
    axes.plot(tried, corrected, color=colour, drawstyle="steps-post", lw=1.2, ls=(0, (4, 2)))
    at = float(tried[-1]) * place + 0.3
    score = climb.test
    line = "solid" if score.over == "speakers" else "dotted"
    axes.plot([at, at], [score.low, score.high], color=colour, lw=1.8, ls=line)
    axes.plot(at, score.value, color=colour, marker="D", ms=7, mec="white", mew=0.8)


def _climb_legend(colours: dict[str, str]) -> list[object]:
    from matplotlib.lines import Line2D

    return [
        *(Line2D([], [], color=colour, lw=3, label=name) for name, colour in colours.items()),
        Line2D([], [], color=INK, lw=1.8, label="best inner score"),
        Line2D([], [], color=INK, lw=1.2, ls=(0, (4, 2)), label="corrected"),
        Line2D([], [], color=INK, marker="D", ls="", mec="white", ms=7, label="on test clips"),
    ]


def reliability_title(panel: Reliability, width: int) -> str:
    """Return what a panel shows, with its calibration error, in lines that the panel can hold."""
    error = f"calibration error {panel.before.error:.2f}"
    if panel.after is not None:
        error += f", calibrated {panel.after.error:.2f}"
    heading = " ".join(panel.title.split())  # wrapped for another width
    return f"{fill(heading, width)}\n{fill(error, width)}"


def _draw_curve(axes: Axes, found: Calibration, colour: str, marker: str, name: str) -> None:
    curve = found.curve
    axes.plot(
        curve["confidence"], curve["accuracy"], color=colour, marker=marker, ms=6, mec="white",
        mew=0.6, lw=1.5, label=name, clip_on=False, zorder=3,
    )  # fmt: skip

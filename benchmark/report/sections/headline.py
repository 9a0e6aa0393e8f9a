"""Title, banners and main result, with the figure of all models."""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import fill
from typing import TYPE_CHECKING

from benchmark.evaluation.intervals import Evaluation
from benchmark.evaluation.leaderboard import METRIC, Leaderboard
from benchmark.evaluation.metrics import METRICS
from benchmark.report import wording
from benchmark.report.figures import (
    GREY,
    INK,
    OTHER_STYLES,
    PROTOCOL_STYLES,
    WIDTH_IN,
    house_style,
    png_bytes,
)
from benchmark.report.markdown import counted, title
from benchmark.report.measured import Measured, measured
from benchmark.report.sections.section import Section
from benchmark.study import BASELINE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NAME_WIDTH = 24
"""Letters of a model's name in one line beside its dots."""

ROW = 0.75
"""Height that the protocols of a model share, of the distance between models."""

Style = tuple[str, str, str]
"""Colour, marker and label of a protocol."""


def _figures(board: Leaderboard, _facts: object) -> dict[str, bytes]:
    return {"gap.png": gap_figure(board)}


def gap_figure(board: Leaderboard) -> bytes:
    """Return the leaderboard as dots: a row per model, a panel per corpus, a colour per protocol.

    Each speaker of a corpus is a small mark. The mean over corpora has a panel of its own.
    """
    with house_style():
        from matplotlib.figure import Figure
        from matplotlib.layout_engine import ConstrainedLayoutEngine
        from matplotlib.lines import Line2D

        standings = [one for one in board.standings if one.model != BASELINE][::-1]
        names = [wording.row_title(board, one.model) for one in standings]
        panels = [*board.corpora, *[""] * (len(board.corpora) > 1)]
        styles = [protocol_style(board, protocol) for protocol in board.protocols]
        size = (WIDTH_IN, 1.7 + (0.22 + 0.24 * len(styles)) * len(standings))
        figure = Figure(figsize=size, layout=ConstrainedLayoutEngine(w_pad=0.06, h_pad=0.08))
        grid = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        for corpus, axes in zip(panels, grid, strict=True):
            for row, standing in enumerate(standings):
                for place, protocol in enumerate(board.protocols):
                    evaluation = standing.evaluations.get(protocol)
                    if evaluation and corpus:
                        evaluation = evaluation.corpora.get(corpus)
                    if evaluation:
                        selected = board.selected[protocol].model == standing.model
                        height = row + ROW * (0.5 - (place + 0.5) / len(styles))
                        _draw(axes, height, evaluation, styles[place], bold=selected)
            mean = f"mean over {len(board.corpora)} corpora"
            axes.set_title(_title_of(board, corpus) if corpus else mean)
            axes.axvline(_chance(board, corpus), color=GREY, ls=(0, (4, 3)), lw=1, zorder=0)
            axes.set_xlim(0, 1)
            axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
            axes.grid(axis="x", zorder=0)
            axes.set_axisbelow(True)
            axes.spines["left"].set_visible(False)
            axes.tick_params(axis="y", length=0, labelsize=10)
        lines = [fill(name, NAME_WIDTH) for name in names]
        grid[0].set_yticks(range(len(standings)), lines)
        grid[0].set_ylim(-0.6, len(standings) - 0.4)
        handles = [
            Line2D([], [], color=colour, marker=marker, ms=7, mec="white", lw=2, label=label)
            for colour, marker, label in styles
        ]
        handles += [
            Line2D([], [], color=INK, marker="|", ms=7, alpha=0.5, lw=0, label="a speaker"),
            Line2D([], [], color=GREY, ls=(0, (4, 3)), lw=1, label="chance level"),
        ]
        words = METRICS[METRIC].title
        figure.legend(
            handles=handles, loc="outside lower left", ncols=3, frameon=False, fontsize=9.5,
            title=f"{words}, with 95 % confidence intervals; hollow: too few speakers for one; "
            "bold: selected model",
            title_fontsize=9.5, alignment="left", handlelength=1.4,
        )  # fmt: skip
        figure.suptitle(_title(board), x=0.012, ha="left", fontsize=11.5, fontweight="bold")
        return png_bytes(figure)


def _draw(axes: Axes, height: float, evaluation: Evaluation, style: Style, *, bold: bool) -> None:
    """Draw a score, its interval and its value, and each speaker of a corpus as a small mark."""
    colour, marker, _ = style
    score = evaluation.scores[METRIC]
    if len(evaluation.corpora) < 2:
        own = [one[METRIC] for one in evaluation.by_speaker.values()]
        axes.plot(
            own, [height] * len(own), color=colour, marker="|", ms=7, alpha=0.5, lw=0, zorder=2
        )
    if score.interval:
        axes.plot(score.interval, [height, height], color=colour, lw=2, zorder=3)
    axes.plot(
        [score.value], [height], color=colour, marker=marker, ms=6, zorder=4, clip_on=False,
        mec="white" if score.interval else colour, mfc=colour if score.interval else "white",
    )  # fmt: skip
    axes.annotate(
        f"{score.value:.2f}", (1, height), xytext=(7, 0), textcoords="offset points", va="center",
        fontsize=9.5, color=colour, fontweight="bold" if bold else "normal",
    )  # fmt: skip


def _title_of(board: Leaderboard, corpus: str) -> str:
    """Return the title of a corpus with the number of its test speakers."""
    numbers = {
        wording.protocol_words(side.protocol).column: part.speakers
        for side in wording.test_sides(board)
        if (part := side.evaluation.corpora.get(corpus))
    }
    if len(set(numbers.values())) == 1:
        return f"{title(corpus)}, {counted(max(numbers.values()), 'speaker')}"
    each = ", ".join(f"{column} {number}" for column, number in numbers.items())
    return f"{title(corpus)}, speakers: {each}"


def _chance(board: Leaderboard, corpus: str) -> float:
    """Return the chance level within a corpus, or over all if it is empty."""
    if not corpus:
        return wording.chance_level(board.selected_evaluation(board.leading))
    return 1 / board.selected_evaluation(board.leading).corpora[corpus].emotions_present


def _title(board: Leaderboard) -> str:
    result = board.result
    corpora = " + ".join(wording.used_corpora(result))
    generated = ", generated speech" if result.generated else ""
    return f"{result.name}: {len(result.emotions)} emotions, {corpora}{generated}"


def protocol_style(board: Leaderboard, protocol: str) -> Style:
    """Return the colour, the marker and the label of a protocol of a study."""
    label = wording.protocol_words(protocol).label
    if protocol in PROTOCOL_STYLES:
        return (*PROTOCOL_STYLES[protocol], label)
    others = [name for name in board.protocols if name not in PROTOCOL_STYLES]
    return (*OTHER_STYLES[others.index(protocol) % len(OTHER_STYLES)], label)


@dataclass(frozen=True)
class Facts:
    """What the page measures.

    Attributes
    ----------
    measured : Measured
    """

    measured: Measured


def _facts(board: Leaderboard) -> Facts:
    return Facts(measured(board))


SECTION = Section("headline", _facts, _figures)

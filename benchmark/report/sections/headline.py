"""Title, banners and main result, with the figure of all models."""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import fill

from benchmark.evaluation.leaderboard import METRIC, Leaderboard
from benchmark.report import wording
from benchmark.report.figures import (
    OTHER_STYLES,
    PROTOCOL_STYLES,
    WIDTH_IN,
    annotate_line,
    draw_score,
    house_style,
    png_bytes,
)
from benchmark.report.measured import Measured, measured
from benchmark.report.sections.section import Section

NAME_WIDTH = 30
"""Letters of a model's name in one line beside its dots."""

Style = tuple[str, str, str]
"""Colour, marker and label of a protocol."""


def _figures(board: Leaderboard, _facts: object) -> dict[str, bytes]:
    return {"gap.png": gap_figure(board)}


def gap_figure(board: Leaderboard) -> bytes:
    """Return the leaderboard as dots with intervals: a row per model, a colour per protocol."""
    with house_style():
        from matplotlib.figure import Figure
        from matplotlib.layout_engine import ConstrainedLayoutEngine
        from matplotlib.lines import Line2D

        standings = board.standings[::-1]
        size = (WIDTH_IN, 1.55 + 0.55 * len(standings))
        figure = Figure(figsize=size, layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.08))
        axes = figure.subplots()
        styles = [_protocol_style(board, protocol) for protocol in board.protocols]
        for row, standing in enumerate(standings):
            parts = [standing.evaluations.get(protocol) for protocol in board.protocols]
            scores = [part.scores[METRIC] if part else None for part in parts]
            values = [score.value for score in scores if score]
            axes.plot([min(values), max(values)], [row, row], color="#CFCFCF", lw=5, zorder=1)
            for position, score in enumerate(scores):
                if score:
                    near = any(
                        other and abs(other.value - score.value) < 0.06
                        for other in scores[:position]
                    )
                    colour, marker, _ = styles[position]
                    draw_score(axes, row, score, (colour, marker), below=near)
        handles = [
            Line2D([], [], color=colour, marker=marker, ms=8, mec="white", lw=2, label=label)
            for colour, marker, label in styles
        ]
        axes.legend(
            handles=handles, loc="lower right", bbox_to_anchor=(1, 1), ncols=len(handles),
            frameon=False, fontsize=10, handlelength=1.4, borderaxespad=0.1,
        )  # fmt: skip
        annotate_line(axes, wording.chance_level(board), "chance level")
        names = [wording.model_title(board.result, one.model) for one in standings]
        axes.set_yticks(range(len(standings)), [fill(name, NAME_WIDTH) for name in names])
        axes.set_ylim(-0.6, len(standings) - 0.35)
        axes.set_xlim(0, 1)
        axes.set_xlabel(f"{wording.estimand(board)} (bars: 95 % confidence intervals)")
        axes.grid(axis="x", zorder=0)
        axes.set_axisbelow(True)
        axes.spines["left"].set_visible(False)
        axes.tick_params(axis="y", length=0, labelsize=10.5)
        figure.suptitle(_title(board), x=0.012, ha="left", fontsize=11.5, fontweight="bold")
        return png_bytes(figure)


def _title(board: Leaderboard) -> str:
    result = board.result
    corpora = " + ".join(wording.used_corpora(result))
    generated = ", generated speech" if result.generated else ""
    return f"{result.name}: {len(result.emotions)} emotions, {corpora}{generated}"


def _protocol_style(board: Leaderboard, protocol: str) -> Style:
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


SECTION = Section(_facts, _figures)

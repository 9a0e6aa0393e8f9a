"""The waterfall chart of cumulative leaks: from the leak-free score to that with all leaks."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import fill
from typing import TYPE_CHECKING, NamedTuple

from benchmark.report.figures import BLUE, GREY, INK, VERMILLION, WIDTH_IN, house_style, png_bytes
from benchmark.report.markdown import claimed

if TYPE_CHECKING:
    from matplotlib.axes import Axes

STEP_IN = 0.56
LABEL_WIDTH = 32
BODY = "#ECECEC"
LABEL_BOX = {"facecolor": "white", "edgecolor": "none", "pad": 1.0}


class Bar(NamedTuple):
    """One step: its label, the mean score over splits, and the score of each split."""

    label: str
    score: float
    by_split: tuple[float, ...]


class Frame(NamedTuple):
    """The surroundings of the bars: title, metric and its range, chance and the reported figure."""

    heading: str
    metric: str
    low: float
    high: float
    chance: float
    reported: float | None


def waterfall_figure(bars: Sequence[Bar], frame: Frame) -> bytes:
    """Return horizontal bars from bottom to top, as PNG; colour marks what each step adds."""
    with house_style():
        from matplotlib.figure import Figure
        from matplotlib.layout_engine import ConstrainedLayoutEngine

        size = (WIDTH_IN, 1.5 + STEP_IN * len(bars))
        figure = Figure(figsize=size, layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.08))
        axes = figure.subplots()
        for row, bar in enumerate(bars):
            _draw_bar(axes, row, bar, bars[row - 1].score if row else None)
        _draw_line(axes, frame.chance, "chance", GREY, (0, (1, 2)))
        if frame.reported is not None:
            _draw_line(
                axes, frame.reported, f"reported: {claimed(frame.reported)}", INK, (0, (5, 3))
            )
        axes.set_yticks(range(len(bars)), [_balanced(bar.label) for bar in bars])
        axes.set_ylim(-0.55, len(bars) - 0.35)
        lowest = min(0.0, *(score for bar in bars for score in (bar.score, *bar.by_split)))
        width = frame.high - max(lowest, frame.low)
        axes.set_xlim(frame.high - (1.05 if lowest < 0 else 1) * width, frame.high + 0.12 * width)
        axes.set_xticks([tick for tick in axes.get_xticks() if tick <= frame.high])
        axes.set_xlabel(f"{frame.metric}, mean over splits (circles: single splits)")
        axes.grid(axis="x", zorder=0)
        axes.set_axisbelow(True)
        axes.spines["left"].set_visible(False)
        axes.tick_params(axis="y", length=0, labelsize=10.5)
        axes.get_yticklabels()[0].set_fontweight("bold")
        figure.suptitle(frame.heading, x=0.012, ha="left", fontsize=11.5, fontweight="bold")
        return png_bytes(figure)


def _balanced(label: str) -> str:
    """Return a label in as few lines as possible, of similar length."""
    fits = [width for width in range(1, LABEL_WIDTH + 1) if _lines(label, width) == _lines(label)]
    return fill(label, min(fits), break_long_words=False)


def _lines(label: str, width: int = LABEL_WIDTH) -> int:
    return fill(label, width, break_long_words=False).count("\n")


def _draw_bar(axes: Axes, row: int, bar: Bar, before: float | None) -> None:
    """Draw a step: grey up to the score before, its change in colour, and a circle per split."""
    score = bar.score
    if before is None:
        axes.barh(row, score, height=0.72, color=BLUE, zorder=2)
        note = ""
    else:
        axes.barh(row, min(before, score), height=0.72, color=BODY, zorder=1)
        raised = score >= before
        axes.barh(
            row, abs(score - before), left=min(before, score), height=0.72, zorder=2,
            color=VERMILLION if raised else "white", edgecolor=VERMILLION, linewidth=1.0,
            hatch=None if raised else "////",
        )  # fmt: skip
        axes.plot([before, before], [row - 0.64, row - 0.36], color="#8A8A8A", lw=0.9, zorder=1)
        note = f" {'+' if raised else '−'}{abs(score - before):.2f}"
    axes.scatter(
        bar.by_split, [row - 0.22] * len(bar.by_split), s=13, facecolor="white", edgecolor=INK,
        linewidth=0.7, zorder=4,
    )  # fmt: skip
    right = max(score, before or 0.0, *bar.by_split)
    axes.annotate(
        f"{score:.2f}", (right, row), xytext=(6, 0), textcoords="offset points", va="center",
        fontsize=10.5, fontweight="bold", bbox=LABEL_BOX, zorder=5,
    )  # fmt: skip
    axes.annotate(
        note, (right, row), xytext=(32, 0), textcoords="offset points", va="center", fontsize=9.5,
        color="#5A5A5A", bbox=LABEL_BOX, zorder=5,
    )  # fmt: skip


def _draw_line(
    axes: Axes, value: float, name: str, colour: str, dashes: tuple[int, tuple[int, ...]]
) -> None:
    axes.axvline(value, color=colour, ls=dashes, lw=1.2, zorder=3)
    axes.annotate(
        name, (value, 1), xycoords=("data", "axes fraction"), xytext=(0, 3),
        textcoords="offset points", color="#5A5A5A", fontsize=9.5, ha="center",
    )  # fmt: skip

"""The staircase: from the honest score to the flattering one, a step a mistake."""

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


class Stair(NamedTuple):
    """One step.

    Attributes
    ----------
    label : str
    height : float
        The mean over draws of the split.
    draws : tuple of float
        The score of each draw.
    """

    label: str
    height: float
    draws: tuple[float, ...]


class Scene(NamedTuple):
    """What stands round a staircase.

    Attributes
    ----------
    heading, metric : str
    guessing : float
        The score of guessing.
    published : float or None
        What the source says.
    """

    heading: str
    metric: str
    guessing: float
    published: float | None


def staircase_figure(stairs: Sequence[Stair], scene: Scene) -> bytes:
    """Return a staircase that is climbed from the bottom left, as PNG."""
    with house_style():
        from matplotlib.figure import Figure
        from matplotlib.layout_engine import ConstrainedLayoutEngine

        size = (WIDTH_IN, 1.5 + STEP_IN * len(stairs))
        figure = Figure(figsize=size, layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.08))
        axes = figure.subplots()
        for row, stair in enumerate(stairs):
            before = stairs[row - 1].height if row else None
            _draw_stair(axes, row, stair, before)
        _draw_line(axes, scene.guessing, "guessing", GREY, (0, (1, 2)))
        if scene.published is not None:
            _draw_line(
                axes, scene.published, f"published: {claimed(scene.published)}", INK, (0, (5, 3))
            )
        labels = [_balanced(stair.label) for stair in stairs]
        axes.set_yticks(range(len(stairs)), labels)
        axes.set_ylim(-0.55, len(stairs) - 0.35)
        axes.set_xlim(0, 1.12)
        axes.set_xticks([tick / 10 for tick in range(0, 11, 2)])
        axes.set_xlabel(f"{scene.metric}, mean over draws of the split (circles: each draw)")
        axes.grid(axis="x", zorder=0)
        axes.set_axisbelow(True)
        axes.spines["left"].set_visible(False)
        axes.tick_params(axis="y", length=0, labelsize=10.5)
        axes.get_yticklabels()[0].set_fontweight("bold")
        figure.suptitle(scene.heading, x=0.012, ha="left", fontsize=11.5, fontweight="bold")
        return png_bytes(figure)


def _balanced(label: str) -> str:
    """Return a label in as few lines as it needs, all about as long."""
    fits = [width for width in range(1, LABEL_WIDTH + 1) if _lines(label, width) == _lines(label)]
    return fill(label, min(fits), break_long_words=False)


def _lines(label: str, width: int = LABEL_WIDTH) -> int:
    return fill(label, width, break_long_words=False).count("\n")


def _draw_stair(axes: Axes, row: int, stair: Stair, before: float | None) -> None:
    """Draw a step: its grey body, what it adds, its height and the score of each draw."""
    height = stair.height
    if before is None:
        axes.barh(row, height, height=0.72, color=BLUE, zorder=2)
        note = ""
    else:
        axes.barh(row, min(before, height), height=0.72, color=BODY, zorder=1)
        raised = height >= before
        axes.barh(
            row, abs(height - before), left=min(before, height), height=0.72, zorder=2,
            color=VERMILLION if raised else "white", edgecolor=VERMILLION, linewidth=1.0,
            hatch=None if raised else "////",
        )  # fmt: skip
        axes.plot([before, before], [row - 0.64, row - 0.36], color="#8A8A8A", lw=0.9, zorder=1)
        note = f" {'+' if raised else '−'}{abs(height - before):.2f}"
    axes.scatter(
        stair.draws, [row - 0.22] * len(stair.draws), s=13, facecolor="white", edgecolor=INK,
        linewidth=0.7, zorder=4,
    )  # fmt: skip
    right = max(height, before or 0.0, *stair.draws)
    axes.annotate(
        f"{height:.2f}", (right, row), xytext=(6, 0), textcoords="offset points", va="center",
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

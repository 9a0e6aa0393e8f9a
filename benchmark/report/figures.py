"""Figures as PNG bytes: the same result gives the same bytes, in colours all can tell apart."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from textwrap import fill
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark.evaluation.intervals import Evaluation, Score
from benchmark.evaluation.leaderboard import METRIC, Leaderboard
from benchmark.evaluation.metrics import METRICS, Counts, confusion
from benchmark.evaluation.results import Result
from benchmark.report import wording
from benchmark.report.markdown import interval, title

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    Draw = Callable[[], Axes] | None

WIDTH_IN = 9.0
"""GitHub shows a page about 900 pixels wide, so that a point of type is 1.4 pixels there."""
DPI = 160

NAME_WIDTH = 30
"""How many letters of a model's name stand in a line beside its dots."""

BLUE, VERMILLION, GREEN, GREY, INK = "#0072B2", "#D55E00", "#009E73", "#999999", "#222222"
"""Okabe & Ito's colours (2008), which people with any colour vision tell apart."""

PROTOCOL_STYLES = {
    "speaker-dependent": (BLUE, "o", "known speakers"),
    "speaker-independent": (VERMILLION, "D", "unseen speakers"),
}
OTHER_STYLES = [(GREEN, "s"), ("#CC79A7", "^"), ("#E69F00", "v"), ("#56B4E9", "P")]

STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.titlesize": 10.5,
    "axes.titlelocation": "left",
    "axes.labelsize": 10,
    "axes.edgecolor": "#666666",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.labelsize": 9.5,
    "ytick.labelsize": 9.5,
    "xtick.color": INK,
    "ytick.color": INK,
    "text.color": INK,
    "axes.labelcolor": INK,
    "grid.color": "#E3E3E3",
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
}


class Confusion(NamedTuple):
    """One confusion matrix of a figure: its title and its counts."""

    title: str
    counts: Counts


class LearningCurve(NamedTuple):
    """One panel of learning curves.

    Attributes
    ----------
    title : str
    rows : ndarray of float, shape (n_points,)
        How many rows were learned from.
    training, validation : ndarray of float, shape (n_points, n_folds)
        Scores on them, and on the clips of each fold.
    """

    title: str
    rows: NDArray[np.float64]
    training: NDArray[np.float64]
    validation: NDArray[np.float64]


def confusion_figure(
    panels: Sequence[Confusion], emotions: Sequence[str], columns: int = 2
) -> bytes:
    """Return confusion matrices side by side, each row normalised to the true emotion's clips.

    Parameters
    ----------
    panels : sequence of Confusion
        Counts of shape (n_emotions, n_emotions), truth in rows.
    emotions : sequence of str
        The order of rows and columns.
    columns : int
        How many matrices stand in a row; figures in the cells are whole per cents.
    """
    with house_style():
        from matplotlib.figure import Figure
        from sklearn.metrics import ConfusionMatrixDisplay

        across = min(columns, len(panels))
        down = -(-len(panels) // across)
        side = min(WIDTH_IN / across, 5.2)
        size = (across * side, down * (side * 0.87 + 0.3))
        figure = Figure(figsize=size, layout="constrained")
        grid = figure.subplots(down, across, squeeze=False)
        for place, axes in enumerate(grid.flat):
            if place >= len(panels):
                axes.set_axis_off()
                continue
            display = ConfusionMatrixDisplay(
                _percent(panels[place].counts), display_labels=emotions
            )
            display.plot(
                ax=axes,
                cmap="Blues",
                colorbar=False,
                values_format=".0f",
                im_kw={"vmin": 0, "vmax": 100},
                text_kw={"fontsize": 10 if across < 3 else 9},
            )
            # scikit-learn divides light from dark text by the largest cell, not by the colours.
            for text in display.text_.flat:
                text.set_color("white" if float(text.get_text()) > 55 else "#08306B")
            axes.set_title(panels[place].title)
            axes.tick_params(axis="x", labelrotation=45, length=0)
            axes.tick_params(axis="y", length=0)
            for label in axes.get_xticklabels():
                label.set(ha="right", rotation_mode="anchor")
            axes.set_xlabel("predicted")
            axes.set_ylabel("true" if place % across == 0 else "")
            if place % across:
                axes.set_yticklabels([])
        return png_bytes(figure)


def confusion_png(result: Result, protocol: str, model: str) -> bytes:
    """Return the confusion matrix of one model under one protocol."""
    predictions = result.predictions
    rows = predictions[(predictions["protocol"] == protocol) & (predictions["model"] == model)]
    shown = wording.model_title(result, model)
    panel = Confusion(f"{shown}, protocol {protocol}", confusion(rows, result.emotions))
    return confusion_figure([panel], result.emotions)


def matrix_figure(corpora: Sequence[str], pairs: Sequence[Sequence[Evaluation | None]]) -> bytes:
    """Return UAR by training corpus (row) and test corpus (column); no corpus against itself."""
    with house_style():
        from matplotlib.figure import Figure

        values = np.array(
            [[one.scores[METRIC].value if one else np.nan for one in row] for row in pairs]
        )
        side = 1.9 + 1.15 * len(corpora)
        figure = Figure(figsize=(side + 0.6, side), layout="constrained")
        axes = figure.subplots()
        axes.imshow(values, cmap="Blues", vmin=0, vmax=1)
        for row, line in enumerate(pairs):
            for column, one in enumerate(line):
                if one is not None:
                    score = one.scores[METRIC]
                    shown = f"{score.value:.2f}\n{interval(score)}"
                    shown += f"\n{len(one.emotions)} emotions"
                    colour = "white" if score.value > 0.55 else "#08306B"
                    axes.text(column, row, shown, ha="center", va="center", color=colour, size=9)
        names = [title(name) for name in corpora]
        axes.set_xticks(range(len(names)), names)
        axes.set_yticks(range(len(names)), names)
        axes.tick_params(length=0)
        axes.set_xlabel("tested on")
        axes.set_ylabel("trained on")
        axes.set_title("UAR on an unseen corpus")
        return png_bytes(figure)


def gap_figure(board: Leaderboard, heading: str) -> bytes:
    """Return the leaderboard as dots with intervals: a row a model, a colour a protocol."""
    with house_style():
        from matplotlib.figure import Figure
        from matplotlib.layout_engine import ConstrainedLayoutEngine

        standings = board.standings[::-1]
        size = (WIDTH_IN, 1.55 + 0.55 * len(standings))
        figure = Figure(figsize=size, layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.08))
        axes = figure.subplots()
        styles = [_protocol_style(board, protocol) for protocol in board.protocols]
        for row, standing in enumerate(standings):
            found = [standing.evaluations.get(protocol) for protocol in board.protocols]
            scores = [part.scores[METRIC] if part else None for part in found]
            values = [score.value for score in scores if score]
            axes.plot([min(values), max(values)], [row, row], color="#CFCFCF", lw=5, zorder=1)
            for place, score in enumerate(scores):
                if score:
                    near = any(
                        other and abs(other.value - score.value) < 0.06 for other in scores[:place]
                    )
                    _draw_score(axes, row, score, styles[place], below=near)
        _name_protocols(axes, styles)
        chance = 1 / len(board.result.emotions)
        axes.axvline(chance, color=GREY, ls=(0, (4, 3)), lw=1, zorder=0)
        axes.annotate(
            "guessing", (chance, 1), xycoords=("data", "axes fraction"), xytext=(0, 3),
            textcoords="offset points", color="#6B6B6B", fontsize=9.5, ha="center",
        )  # fmt: skip
        names = [wording.model_title(board.result, one.model) for one in standings]
        axes.set_yticks(range(len(standings)), [fill(name, NAME_WIDTH) for name in names])
        axes.set_ylim(-0.6, len(standings) - 0.35)
        axes.set_xlim(0, 1)
        axes.set_xlabel(f"{METRICS[METRIC].title} (bars: 95 % intervals; dotted: over clips)")
        axes.grid(axis="x", zorder=0)
        axes.set_axisbelow(True)
        axes.spines["left"].set_visible(False)
        axes.tick_params(axis="y", length=0, labelsize=10.5)
        figure.suptitle(heading, x=0.012, ha="left", fontsize=11.5, fontweight="bold")
        return png_bytes(figure)


def learning_curves_figure(
    panels: Sequence[Sequence[LearningCurve]], metric: str, size: str
) -> bytes:
    """Return learning curves by scikit-learn, a row a model and a column a protocol.

    Parameters
    ----------
    panels : rows of LearningCurve
    metric, size : str
        What the axes count: the score, and what was learned from.
    """
    with house_style():
        from matplotlib.figure import Figure
        from sklearn.model_selection import LearningCurveDisplay

        across = max(len(row) for row in panels)
        figure = Figure(figsize=(WIDTH_IN, 0.5 + 2.7 * len(panels)), layout="constrained")
        grid = figure.subplots(len(panels), across, squeeze=False, sharey=True)
        for axes in grid.flat:
            axes.set_axis_off()
        for places, row in zip(grid, panels, strict=True):
            for axes, curve in zip(places, row, strict=False):
                axes.set_axis_on()
                display = LearningCurveDisplay(
                    train_sizes=curve.rows,
                    train_scores=curve.training,
                    test_scores=curve.validation,
                    score_name=metric,
                )
                display.plot(ax=axes, std_display_style="fill_between")
                _restyle_curves(axes, curve.title, size)
        grid[0][0].legend(
            ["training", "validation"], loc="lower right", frameon=False, fontsize=9.5
        )
        return png_bytes(figure)


def search_figure(panels: Sequence[Sequence[Draw]], titles: Sequence[Sequence[str]]) -> bytes:
    """Return other libraries' plots, each drawn on a figure of its own, as one picture.

    Parameters
    ----------
    panels : rows of callables
        Each draws on a new figure and returns its axes; None leaves its place empty.
    titles : rows of str
        In the same places.
    """
    rows = []
    across = max(len(row) for row in panels)
    for row, names in zip(panels, titles, strict=True):
        pictures = [
            _panel(draw, name, WIDTH_IN / across) for draw, name in zip(row, names, strict=True)
        ]
        rows.append(np.concatenate(pictures, axis=1))
    return _png_of(np.concatenate(rows, axis=0))


def _panel(draw: Draw, name: str, width_in: float) -> NDArray[np.uint8]:
    """Return one plot in the house's style as pixels, of shape (height, width, 3)."""
    with house_style():
        import matplotlib.pyplot as plt

        height_in = 2.7
        if draw is None:
            shape = (round(height_in * DPI), round(width_in * DPI), 3)
            return np.full(shape, 255, dtype=np.uint8)
        plt.switch_backend("Agg")
        axes = draw()
        figure: Any = axes.get_figure()
        figure.set_layout_engine("constrained", h_pad=0.12, w_pad=0.08)
        figure.set_size_inches(width_in, height_in)
        figure.set_dpi(DPI)
        figure.set_facecolor("white")
        _restyle(axes, name)
        figure.canvas.draw()
        pixels = np.asarray(figure.canvas.buffer_rgba())[:, :, :3].copy()
        plt.close(figure)
        return pixels


def _restyle(axes: Axes, name: str) -> None:
    """Undo the theme that a library has set on its axes."""
    axes.set_facecolor("white")
    axes.set_title("")
    axes.set_title(name, loc="left", fontsize=10.5, color=INK)
    axes.grid(visible=True, color="#E3E3E3")
    axes.set_axisbelow(True)
    axes.tick_params(colors=INK, labelsize=9.5)
    axes.xaxis.label.set(color=INK, fontsize=10)
    axes.yaxis.label.set(color=INK, fontsize=10)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color("#666666")
    for points in axes.collections:
        points.set_facecolor(BLUE)
    for line in axes.lines:
        line.set(color=VERMILLION, alpha=0.9)
    for bar in axes.patches:
        bar.set_facecolor(BLUE)
    for text in axes.texts:
        text.set(fontsize=9.5, color=INK)
    legend = axes.get_legend()
    if legend is not None:
        legend.remove()


def _restyle_curves(axes: Axes, name: str, size: str) -> None:
    """Give scikit-learn's learning curves the house's colours, and no legend each."""
    axes.set_title(name)
    axes.set_xlabel(size)
    axes.set_ylim(0, 1.03)
    axes.grid(axis="y")
    axes.set_axisbelow(True)
    for colour, line, band in zip((GREY, BLUE), axes.lines, axes.collections, strict=True):
        line.set(color=colour, marker="o", markersize=5)
        band.set(color=colour, alpha=0.2, linewidth=0)
    legend = axes.get_legend()
    if legend is not None:
        legend.remove()


def _draw_score(
    axes: Axes, row: int, score: Score, style: tuple[str, str, str], below: bool
) -> None:
    colour, marker, _ = style
    line = "solid" if score.over == "speakers" else "dotted"
    axes.plot([score.low, score.high], [row, row], color=colour, lw=2, ls=line, zorder=2)
    axes.plot(
        [score.value], [row], color=colour, marker=marker, ms=8, mec="white", mew=0.8, zorder=3
    )
    axes.annotate(
        f"{score.value:.2f}", (score.value, row), xytext=(0, -17 if below else 8),
        textcoords="offset points", ha="center", fontsize=9.5, color=colour, fontweight="bold",
    )  # fmt: skip


def _name_protocols(axes: Axes, styles: Sequence[tuple[str, str, str]]) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=colour, marker=marker, ms=8, mec="white", lw=2, label=name)
        for colour, marker, name in styles
    ]
    axes.legend(
        handles=handles, loc="lower right", bbox_to_anchor=(1, 1), ncols=len(handles),
        frameon=False, fontsize=10, handlelength=1.4, borderaxespad=0.1,
    )  # fmt: skip


def _protocol_style(board: Leaderboard, protocol: str) -> tuple[str, str, str]:
    if protocol in PROTOCOL_STYLES:
        return PROTOCOL_STYLES[protocol]
    others = [name for name in board.protocols if name not in PROTOCOL_STYLES]
    colour, marker = OTHER_STYLES[others.index(protocol) % len(OTHER_STYLES)]
    return colour, marker, title(protocol)


def _percent(counts: Counts) -> NDArray[np.float64]:
    """Return counts as shares of their row, in per cent; a row without clips is zero."""
    return np.asarray(100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1), np.float64)


@contextmanager
def house_style() -> Iterator[None]:
    """Draw in the house's style, whatever the user's matplotlibrc says, and put theirs back."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)  # type: ignore[arg-type]
        yield


def png_bytes(figure: Figure) -> bytes:
    """Return a figure as PNG, without the date and the versions that would change its bytes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure.set_dpi(DPI)
    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    return _png_of(np.asarray(canvas.buffer_rgba())[:, :, :3])


def _png_of(pixels: NDArray[np.uint8]) -> bytes:
    """Return pixels of shape (height, width, 3) as a PNG of 128 colours: half the bytes of all."""
    from PIL import Image

    picture = Image.fromarray(np.ascontiguousarray(pixels))
    reduced = picture.quantize(128, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    buffer = io.BytesIO()
    reduced.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()

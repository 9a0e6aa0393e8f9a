"""A recording's emotions over time as a picture: each channel's waveform over its probabilities."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark.report.data_figures import emotion_colours
from benchmark.report.figures import INK, WIDTH_IN, house_style, png_bytes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PHONE_WIDTH_IN = 4.4
"""A picture of this width is legible at the 390 pixels of a phone."""

MOST_STEPS = 240  # shown side by side; of more windows the means of neighbours
MOST_PEAKS = 700
TICKS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200)
SILENT = "#F2F2F2"
UNHEARD = "#BBBBBB"  # waveform where there is no emotion


class ChannelPanel(NamedTuple):
    """One channel of a picture.

    Attributes
    ----------
    title : str
        Empty for the only one.
    middles_s : ndarray of float, shape (n_windows,)
        Middle of each window, rising.
    probabilities : ndarray of float, shape (n_windows, n_emotions)
        NaN where a window has none.
    envelope : ndarray of float, shape (n_peaks,)
        Largest absolute samples, evenly over the recording; empty for no waveform.
    """

    title: str
    middles_s: NDArray[np.float64]
    probabilities: NDArray[np.float64]
    envelope: NDArray[np.float64]


class Steps(NamedTuple):
    """What is shown of a channel: probabilities that hold from one edge to the next.

    Attributes
    ----------
    edges_s : ndarray of float, shape (n_steps + 1,)
    probabilities : ndarray of float, shape (n_steps, n_emotions)
        NaN where there are none.
    """

    edges_s: NDArray[np.float64]
    probabilities: NDArray[np.float64]


def timeline_figure(
    panels: Sequence[ChannelPanel],
    emotions: Sequence[str],
    duration_s: float,
    *,
    heading: str = "",
    picture: Literal["png", "svg"] = "png",
    width_in: float = WIDTH_IN,
) -> bytes:
    """Return a recording's emotions over time, channels below one another.

    Parameters
    ----------
    panels : sequence of ChannelPanel
    emotions : sequence of str
        The order of the probabilities.
    duration_s : float
        Of the recording.
    heading : str
    picture : str
        Its format.
    width_in : float
        Type is 8.5 to 10.5 points at any width; `PHONE_WIDTH_IN` for a small console.
    """
    with house_style():
        from matplotlib.figure import Figure

        wave = 0.55 if any(panel.envelope.size for panel in panels) else 0.01
        size = (width_in, 0.75 + (0.3 if heading else 0) + len(panels) * (1.75 + wave))
        figure = Figure(figsize=size, layout="constrained")
        figure.get_layout_engine().set(hspace=0.02, h_pad=0.05)  # type: ignore[union-attr, call-arg]
        grid = figure.subplots(
            2 * len(panels), 1, squeeze=False, sharex=True, height_ratios=[wave, 1.5] * len(panels)
        )[:, 0]
        colours = emotion_colours(emotions)
        for panel, above, below in zip(panels, grid[::2], grid[1::2], strict=True):
            steps = shown_steps(panel, duration_s)
            _draw_wave(above, panel, steps, duration_s, list(colours.values()))
            _draw_steps(below, steps, list(colours.values()))
        _draw_time(grid[-1], duration_s, width_in)
        _name_emotions(figure, colours, panels, width_in)
        if heading:
            figure.suptitle(
                heading, x=0.012, ha="left", fontsize=11, fontweight="bold", parse_math=False
            )
        return png_bytes(figure) if picture == "png" else _svg_bytes(figure)


def shown_steps(panel: ChannelPanel, duration_s: float) -> Steps:
    """Return what is shown of a channel: each moment as the window whose middle is nearest.

    Of many windows some neighbours each are shown as one step, by the means of their probabilities.
    """
    between = (panel.middles_s[:-1] + panel.middles_s[1:]) / 2
    edges_s = np.concatenate([[0.0], between, [duration_s]])
    width = -(-len(panel.middles_s) // MOST_STEPS)
    starts = range(0, len(panel.middles_s), width)
    means = [_mean(panel.probabilities[first : first + width]) for first in starts]
    return Steps(np.append(edges_s[:-1][::width], duration_s), np.array(means))


def _mean(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean of the rows that hold probabilities; NaN where none does."""
    known = rows[~np.isnan(rows).any(axis=1)]
    return np.asarray(known.mean(axis=0)) if len(known) else np.full(rows.shape[1], np.nan)


def clock(seconds: float) -> str:
    """Return a time as ``m:ss``, or ``h:mm:ss`` from an hour on."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"


def _draw_wave(
    axes: Axes, panel: ChannelPanel, steps: Steps, duration_s: float, colours: list[str]
) -> None:
    """Draw a channel's envelope, each part in the colour of its most probable emotion."""
    axes.set_title(panel.title, fontsize=10)
    axes.set_axis_off()
    if not panel.envelope.size:
        return
    width = -(-len(panel.envelope) // MOST_PEAKS)
    peaks = np.maximum.reduceat(panel.envelope, range(0, len(panel.envelope), width))
    middles_s = (np.arange(len(peaks)) + 0.5) * duration_s / len(peaks)
    place = np.searchsorted(steps.edges_s, middles_s, side="right") - 1
    rows = steps.probabilities[np.minimum(place, len(steps.probabilities) - 1)]
    named = [UNHEARD if np.isnan(row[0]) else colours[int(row.argmax())] for row in rows]
    half = np.maximum(peaks / max(float(peaks.max()), 1e-4), 0.02)
    points = axes.get_figure().get_figwidth() * 72 / len(peaks)  # type: ignore[union-attr]
    axes.vlines(middles_s, -half, half, colors=named, linewidth=min(2.5, points))
    axes.set_ylim(-1.05, 1.05)


def _draw_steps(axes: Axes, steps: Steps, colours: list[str]) -> None:
    """Draw probabilities as areas that fill the panel together; what is silent is left grey."""
    times_s = np.repeat(steps.edges_s, 2)[1:-1]
    heights = np.repeat(np.nan_to_num(steps.probabilities), 2, axis=0)
    axes.set_facecolor(SILENT)
    axes.stackplot(times_s, heights.T, colors=colours, linewidth=0)
    axes.set_ylim(0, 1)
    axes.set_yticks([0, 0.5, 1], ["0 %", "50 %", "100 %"], fontsize=8.5)
    for height in (0.25, 0.5, 0.75):
        axes.axhline(height, color="white", linewidth=0.5, alpha=0.6)


def _draw_time(axes: Axes, duration_s: float, width_in: float) -> None:
    most = width_in * 1.3
    step_s = next((step for step in TICKS_S if duration_s / step <= most), TICKS_S[-1])
    ticks = np.arange(0, duration_s + 1e-9, step_s)
    axes.set_xticks(ticks, [clock(tick) for tick in ticks], fontsize=9)
    axes.set_xlim(0, duration_s)


def _name_emotions(
    figure: Figure, colours: dict[str, str], panels: Sequence[ChannelPanel], width_in: float
) -> None:
    from matplotlib.patches import Patch

    handles = [Patch(color=colour, label=name) for name, colour in colours.items()]
    if any(np.isnan(panel.probabilities).any() for panel in panels):
        handles.append(Patch(facecolor=SILENT, edgecolor=UNHEARD, label="no prediction"))
    figure.legend(
        handles=handles, loc="outside lower left", ncols=max(2, int(width_in / 1.1)),
        frameon=False, fontsize=9, handlelength=1.1, columnspacing=1.2, labelcolor=INK,
    )  # fmt: skip


def _svg_bytes(figure: Figure) -> bytes:
    """Return a figure as SVG, without the date and the random names that would change its bytes."""
    import matplotlib

    buffer = io.BytesIO()
    metadata: dict[str, Any] = {"Date": None, "Creator": None}
    with matplotlib.rc_context({"svg.hashsalt": "timeline"}):
        figure.savefig(buffer, format="svg", metadata=metadata)
    return buffer.getvalue()

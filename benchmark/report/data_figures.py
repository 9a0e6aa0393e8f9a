"""The figures of the page on recordings: t-SNE map, durations, level and pitch, example clips."""

from __future__ import annotations

import colorsys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.data.exploration import Example
from benchmark.report.figures import (
    BLUE,
    GREEN,
    GREY,
    INK,
    VERMILLION,
    WIDTH_IN,
    house_style,
    png_bytes,
)
from benchmark.report.markdown import title

if TYPE_CHECKING:
    from matplotlib.axes import Axes

EMOTION_COLOURS = {
    "angry": VERMILLION,
    "calm": "#56B4E9",
    "disgust": GREEN,
    "fearful": "#882255",
    "happy": "#E69F00",
    "neutral": GREY,
    "sad": BLUE,
    "surprised": "#CC79A7",
}
"""The colours of Okabe & Ito, without their yellow, which has little contrast on white."""

MORE_COLOURS = (
    *("#117733", "#332288", "#AA4499", "#44AA99", "#999933", "#661100", "#6699CC"),
    *(INK, "#CC6677"),
)
"""For further emotions and for corpora (Tol 2021)."""

GENDER_COLOURS = {"female": VERMILLION, "male": BLUE, "unknown": GREY}
MARKERS = "o^sDvPX*"
GOLDEN = 0.618034  # multiples of it are far apart on a circle

VOICE = (("level_db", "level", "dB of full scale"), ("pitch_hz", "pitch", "Hz"))
"""Column, name and unit of the figure on level and pitch."""

SHOWN_FRACTION, BINS = 0.995, 40  # longer clips of a corpus are counted in the last bar


class Picture(NamedTuple):
    """Colours and vertical axis of values over time; `ticks` are rows, by sample rate."""

    lowest: float
    highest: float
    colours: str
    tick_names: tuple[str, ...]
    ticks: Callable[[int], Sequence[float]]


def _mel_rows(sample_rate_hz: int) -> list[float]:
    """Return the rows of the mel spectrogram whose centres are the frequencies of the ticks."""
    from benchmark.features.filters import mel_edges_hz

    centres = mel_edges_hz(sample_rate_hz)[1:-1]
    return np.interp(MEL_TICKS_HZ, centres, np.arange(len(centres))).tolist()


MAX_COLUMNS = 500  # of a waveform; each is drawn from its lowest to its highest sample
N_MFCC = 20
MEL_TICKS_HZ = (512, 2048, 8192)
MEL = Picture(-70.0, 0.0, "magma", tuple(map(str, MEL_TICKS_HZ)), _mel_rows)  # dB
MFCC = Picture(-2.5, 2.5, "RdBu_r", ("1", "10", "20"), lambda _: (0, 9, N_MFCC - 1))
"""In standard deviations."""


def map_figure(clips: pd.DataFrame, emotions: Sequence[str]) -> bytes:
    """Return the map of clips, coloured by emotion, speaker, and corpus and gender if several.

    Parameters
    ----------
    clips : DataFrame
        A row per clip: x, y, emotion, speaker, corpus, gender.
    emotions : sequence of str
        In the order of the legend.
    """
    with house_style():
        from matplotlib.figure import Figure

        panels = ["emotion", "speaker"]
        panels += [name for name in ("corpus", "gender") if len(set(clips[name])) > 1]
        down, across = ((2, 2), (1, len(panels)))[len(panels) < 4]
        height_in = down * (WIDTH_IN / across + 0.55)  # square panels, each with its legend below
        figure = Figure(figsize=(WIDTH_IN, height_in), layout="constrained")
        grid = figure.subplots(down, across, squeeze=False)
        size = float(np.clip(24_000 / across / len(clips), 6, 24))
        for name, axes in zip(panels, grid.flat, strict=True):
            _DRAWN[name](axes, clips, size, emotions)
            axes.set_aspect("equal", adjustable="datalim")
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(True)
            axes.spines[:].set_color("#CCCCCC")
        return png_bytes(figure)


def _by_emotion(axes: Axes, clips: pd.DataFrame, size: float, emotions: Sequence[str]) -> None:
    colours = emotion_colours(emotions)
    _scatter(axes, clips, [colours[name] for name in clips["emotion"]], size)
    axes.set_title("by emotion")
    _legend(axes, {name: (colours[name], "o") for name in emotions})


def _by_speaker(axes: Axes, clips: pd.DataFrame, size: float, _: Sequence[str]) -> None:
    speakers = sorted(set(clips["speaker"]))
    colours = dict(zip(speakers, speaker_colours(len(speakers)), strict=True))
    _scatter(axes, clips, [colours[name] for name in clips["speaker"]], size)
    axes.set_title(f"by speaker ({len(speakers)} speakers)")
    if len(speakers) <= 8:
        _legend(axes, {name: (colours[name], "o") for name in speakers})
        return
    counts = clips.groupby("corpus", sort=False)["speaker"].nunique()
    if len(counts) == 1:
        return
    entries = {
        f"{title(str(corpus))} ({count})": (INK, marker)
        for marker, (corpus, count) in zip(_markers(clips), counts.items(), strict=True)
    }
    _legend(axes, entries)


def _by_corpus(axes: Axes, clips: pd.DataFrame, size: float, _: Sequence[str]) -> None:
    corpora = list(dict.fromkeys(clips["corpus"]))
    palette = (BLUE, VERMILLION, GREEN, *MORE_COLOURS)
    colours = {name: palette[index % len(palette)] for index, name in enumerate(corpora)}
    _scatter(axes, clips, [colours[name] for name in clips["corpus"]], size)
    axes.set_title("by corpus")
    _legend(axes, {title(name): (colours[name], "o") for name in corpora})


def _by_gender(axes: Axes, clips: pd.DataFrame, size: float, _: Sequence[str]) -> None:
    _scatter(axes, clips, [GENDER_COLOURS[name] for name in clips["gender"]], size)
    axes.set_title("by gender")
    genders = [name for name in GENDER_COLOURS if name in set(clips["gender"])]
    _legend(axes, {name: (GENDER_COLOURS[name], "o") for name in genders})


_DRAWN = {
    "emotion": _by_emotion,
    "speaker": _by_speaker,
    "corpus": _by_corpus,
    "gender": _by_gender,
}


def _markers(clips: pd.DataFrame) -> Iterator[str]:
    for index in range(clips["corpus"].nunique()):
        yield MARKERS[index % len(MARKERS)]


def _scatter(axes: Axes, clips: pd.DataFrame, colours: Sequence[Any], size: float) -> None:
    """Draw the clips, with a marker per corpus."""
    coloured = np.array(colours, dtype=object)
    for marker, corpus in zip(_markers(clips), dict.fromkeys(clips["corpus"]), strict=True):
        those = (clips["corpus"] == corpus).to_numpy()
        axes.scatter(
            clips["x"][those], clips["y"][those], c=list(coloured[those]), s=size,
            marker=marker, linewidths=0, alpha=0.85,
        )  # fmt: skip


def _legend(axes: Axes, entries: Mapping[str, tuple[Any, str]]) -> None:
    """Draw the legend below the panel."""
    from matplotlib.lines import Line2D

    figure: Any = axes.get_figure()
    columns = 3 if len(figure.axes) == 3 else 4
    handles = [
        Line2D([], [], ls="", color=colour, marker=marker, ms=6, label=name)
        for name, (colour, marker) in entries.items()
    ]
    axes.legend(
        handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.01), frameon=False,
        ncols=min(columns, len(handles)), fontsize=9, handletextpad=0.1, columnspacing=1.0,
    )  # fmt: skip


def emotion_colours(emotions: Sequence[str]) -> dict[str, str]:
    """Return a colour for each emotion, the same on every page."""
    others = [name for name in emotions if name not in EMOTION_COLOURS]
    more = {name: MORE_COLOURS[index % len(MORE_COLOURS)] for index, name in enumerate(others)}
    return {name: EMOTION_COLOURS.get(name) or more[name] for name in emotions}


def speaker_colours(count: int) -> list[tuple[float, float, float]]:
    """Return a colour per speaker; consecutive ones differ strongly."""
    return [
        colorsys.hls_to_rgb(index * GOLDEN % 1.0, (0.36, 0.5, 0.64)[index % 3], 0.75)
        for index in range(count)
    ]


def durations_figure(clips: pd.DataFrame, corpora: Sequence[str]) -> bytes:
    """Return histograms of the durations of files and of the speech in them, a panel per corpus.

    Parameters
    ----------
    clips : DataFrame
        corpus, duration_s and trimmed_s of each clip.
    corpora : sequence of str
        In the order of the panels.
    """
    with house_style():
        from matplotlib.figure import Figure

        across = min(3, len(corpora))
        down = -(-len(corpora) // across)
        figure = Figure(figsize=(WIDTH_IN, 2.3 * down + 0.35), layout="constrained")
        grid = figure.subplots(down, across, squeeze=False, sharex=True)
        longest = float(clips.groupby("corpus")["duration_s"].quantile(SHOWN_FRACTION).max()) * 1.04
        edges = np.linspace(0.0, longest, BINS + 1)
        for index, axes in enumerate(grid.flat):
            if index >= len(corpora):
                axes.set_axis_off()
                continue
            rows = clips[clips["corpus"] == corpora[index]]
            for column, colour, label in (
                ("duration_s", "#B5CDE3", "file"),
                ("trimmed_s", BLUE, "without silent ends"),
            ):
                values = rows[column].dropna().clip(upper=longest)
                weights = np.full(len(values), 100 / max(len(values), 1))
                filled = column == "duration_s"
                axes.hist(
                    values, bins=edges, weights=weights, color=colour, label=label,
                    histtype="stepfilled" if filled else "step", lw=0 if filled else 1.6,
                )  # fmt: skip
            axes.set_title(f"{title(corpora[index])}: {len(rows):,} clips")
            axes.set_xlabel("duration (s)")
            axes.set_ylabel("clips (%)" if index % across == 0 else "")
            axes.grid(axis="y")
            axes.set_axisbelow(True)
            axes.set_xlim(0, longest)
        handles, labels = grid.flat[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper right", ncols=2, frameon=False)
        return png_bytes(figure)


def voices_figure(clips: pd.DataFrame, corpora: Sequence[str], emotions: Sequence[str]) -> bytes:
    """Return level and pitch by emotion and gender, a row of panels per corpus.

    Parameters
    ----------
    clips : DataFrame
        corpus, emotion, gender, level_db and pitch_hz of each clip.
    corpora, emotions : sequence of str
        In the order of panels and of boxes.
    """
    with house_style():
        from matplotlib.figure import Figure
        from matplotlib.patches import Patch

        figure = Figure(figsize=(WIDTH_IN, 2.55 * len(corpora) + 0.6), layout="constrained")
        grid = figure.subplots(len(corpora), 2, squeeze=False, sharex=True, sharey="col")
        genders = [name for name in GENDER_COLOURS if name in set(clips["gender"])]
        for row, corpus in zip(grid, corpora, strict=True):
            rows = clips[clips["corpus"] == corpus]
            for axes, (quantity, name, unit) in zip(row, VOICE, strict=True):
                _boxes(axes, rows, quantity, emotions, genders)
                axes.set_title(f"{title(corpus)}: {name}")
                axes.set_ylabel(f"{name} ({unit})")
                axes.grid(axis="y")
                axes.set_axisbelow(True)
        for axes in grid[-1]:
            axes.set_xticks(range(len(emotions)), emotions)
            axes.tick_params(axis="x", labelrotation=40)
            for label in axes.get_xticklabels():
                label.set(ha="right", rotation_mode="anchor")
        handles = [Patch(color=GENDER_COLOURS[name], label=name) for name in genders]
        figure.legend(handles=handles, loc="outside upper right", ncols=3, frameon=False)
        return png_bytes(figure)


def _boxes(
    axes: Axes,
    rows: pd.DataFrame,
    quantity: str,
    emotions: Sequence[str],
    genders: Sequence[str],
) -> None:
    """Draw a box per emotion and gender: quartiles, and whiskers at the 5th and 95th percentile."""
    present = [name for name in genders if name in set(rows["gender"])]
    width = 0.7 / max(len(present), 1)
    for number, gender in enumerate(present):
        values, positions = [], []
        for position, emotion in enumerate(emotions):
            wanted = (rows["gender"] == gender) & (rows["emotion"] == emotion)
            known = rows.loc[wanted, quantity].dropna().to_numpy()
            if len(known):
                values.append(known)
                positions.append(position + (number - (len(present) - 1) / 2) * width)
        if not values:
            continue
        colour = GENDER_COLOURS[gender]
        axes.boxplot(
            values, positions=positions, widths=width * 0.8, whis=(5, 95), showfliers=False,
            patch_artist=True, manage_ticks=False,
            boxprops={"facecolor": colour, "alpha": 0.55, "edgecolor": colour},
            medianprops={"color": INK, "lw": 1.4},
            whiskerprops={"color": colour}, capprops={"color": colour},
        )  # fmt: skip


def examples_figure(examples: Sequence[Example]) -> bytes:
    """Return waveform, spectrogram and MFCC, a row per clip.

    Spectrogram and MFCC are those of the features (`spectral.Frames`).
    """
    with house_style():
        from matplotlib.figure import Figure

        from benchmark.features.spectral import Frames

        figure = Figure(figsize=(WIDTH_IN, 1.35 * len(examples) + 0.55), layout="constrained")
        grid = figure.subplots(len(examples), 3, squeeze=False, sharex=True)
        colours = emotion_colours([example.emotion for example in examples])
        frames = [Frames(example.samples, example.sample_rate_hz) for example in examples]
        mfcc = _standardised([part.mfcc(N_MFCC) for part in frames])
        for row, example, part, coefficients in zip(grid, examples, frames, mfcc, strict=True):
            _draw_waveform(row[0], example, colours[example.emotion])
            _draw_frames(row[1], part.mel_db.T - part.mel_db.max(), example, MEL)
            _draw_frames(row[2], coefficients.T, example, MFCC)
        titles = ("waveform", "mel spectrogram (Hz)", "MFCC 1 to 20")
        for axes, name in zip(grid[0], titles, strict=True):
            axes.set_title(name)
        for axes in grid[-1]:
            axes.set_xlabel("time (s)")
        return png_bytes(figure)


def _standardised(tables: Sequence[NDArray[np.float32]]) -> list[NDArray[np.float64]]:
    """Return tables with mean 0 and standard deviation 1 in each column over all of them."""
    joined = np.concatenate(tables).astype(np.float64)
    std = joined.std(axis=0)
    scale = np.where(std > 0, std, 1.0)
    return [(table - joined.mean(axis=0)) / scale for table in tables]


def _draw_waveform(axes: Axes, example: Example, colour: str) -> None:
    peak = float(np.abs(example.samples).max()) or 1.0
    width = -(-len(example.samples) // MAX_COLUMNS)
    starts = np.arange(0, len(example.samples), width)
    lows = np.minimum.reduceat(example.samples, starts) / peak
    highs = np.maximum.reduceat(example.samples, starts) / peak
    axes.fill_between(
        starts / example.sample_rate_hz, lows, highs, step="post", color=colour, lw=0.5
    )
    axes.set(ylim=(-1.05, 1.05), yticks=[])
    axes.set_ylabel(example.emotion, fontsize=10, fontweight="bold")
    axes.tick_params(labelsize=8)


def _draw_frames(axes: Axes, values: NDArray[Any], example: Example, kind: Picture) -> None:
    """Draw values per frame, of shape (n_rows, n_frames)."""
    from benchmark.features.spectral import HOP_LENGTH

    n_rows, n_frames = values.shape
    axes.pcolormesh(
        np.arange(n_frames) * HOP_LENGTH / example.sample_rate_hz, np.arange(n_rows), values,
        cmap=kind.colours, vmin=kind.lowest, vmax=kind.highest,
    )  # fmt: skip
    axes.set_yticks(kind.ticks(example.sample_rate_hz), kind.tick_names)
    axes.tick_params(labelsize=8)

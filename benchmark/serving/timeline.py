"""Timelines: a long recording in windows, each channel by itself, and what a model says of each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from mmap import mmap
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import BenchmarkError
from benchmark.features import FeatureSet
from benchmark.features.audio import (
    MOST_SAMPLES,
    TRUNCATED,
    UNTOLD,
    Fault,
    UnusableError,
    check_samples,
    ends_early,
    open_sound,
    read_blocks,
    resample,
)
from benchmark.features.extract import features_of
from benchmark.serving.predictor import Predictor

WINDOW_S = 3.0
"""About the length of the clips that the models of the studies learned from."""
HOP_S = 1.0

LEAST_SHARE = 0.5
"""Of a window that what is left at the end must fill to be one."""

ENVELOPE_HZ = 50
"""Peaks a second: enough for a picture, and few beside the samples."""

WINDOWS_A_SPAN = 16
SPAN_SAMPLES = 1 << 22  # at most, over all channels, that are read at once: 16 MB

CHANNEL_TITLES = {1: ("",), 2: ("left (agent)", "right (customer)")}
"""By the number of channels; call centres record the agent on the left."""


@dataclass(frozen=True)
class Window:
    """What a model says of a part of one channel.

    Attributes
    ----------
    start_s, end_s : float
    channel : int
        Counted from 0.
    emotion : str
        The most probable one; empty where there is none, as in silence.
    probabilities : dict of str to float
        Of each emotion, each the exact value of a float32; empty where there is no emotion.
    reason : str
        Why there is no emotion, in a word (`UnusableError.fault`), such as ``silent``; else empty.
    """

    start_s: float
    end_s: float
    channel: int
    emotion: str
    probabilities: dict[str, float]
    reason: Fault | Literal[""] = ""


@dataclass(frozen=True)
class Timeline:
    """What a model says of a recording over time.

    Attributes
    ----------
    duration_s : float
    channels : int
    windows : tuple of Window
        By start, then by channel.
    envelope : tuple of tuples of float
        For each channel the largest absolute sample of each fiftieth of a second, or of each
        sample where there are fewer; together as long as the recording.
    """

    duration_s: float
    channels: int
    windows: tuple[Window, ...]
    envelope: tuple[tuple[float, ...], ...] = field(default=(), repr=False)

    def moments(self, channel: int) -> list[tuple[float, float, Window]]:
        """Return from when to when, in seconds, each window of a channel is shown.

        Windows overlap, so a moment is shown as the window whose middle is nearest.
        """
        windows = [window for window in self.windows if window.channel == channel]
        middles_s = [(window.start_s + window.end_s) / 2 for window in windows]
        between_s = [(left + right) / 2 for left, right in pairwise(middles_s)]
        return list(zip([0.0, *between_s], [*between_s, self.duration_s], windows, strict=True))

    def told(self) -> dict[str, Any]:
        """Return it as plain data, as the command line and REST tell it: without the envelope."""
        return {
            "duration_s": self.duration_s,
            "channels": [channel_title(channel, self.channels) for channel in range(self.channels)],
            "windows": [asdict(window) for window in self.windows],
        }


class Grid(NamedTuple):
    """Where windows lie in a recording: sizes in frames.

    Attributes
    ----------
    rate_hz, channels : int
        The recording's own.
    window, hop : int
        Length of a window, and from the start of one to that of the next.
    """

    rate_hz: int
    channels: int
    window: int
    hop: int

    @property
    def peak(self) -> int:
        """Frames that an entry of the envelope stands for."""
        return max(1, round(self.rate_hz / ENVELOPE_HZ))

    @property
    def block(self) -> int:
        """Frames that are read at once: whole entries of the envelope."""
        wanted = min(WINDOWS_A_SPAN * self.hop, SPAN_SAMPLES // self.channels)
        return self.peak * max(1, wanted // self.peak)

    def count(self, n_frames: int) -> int:
        """Return how many windows a channel of so many frames has."""
        full = self.count_full(n_frames)
        return full + self.has_rest(full, n_frames)

    def count_full(self, n_frames: int) -> int:
        """Return how many whole windows a channel of so many frames has."""
        return max(0, (n_frames - self.window) // self.hop + 1)

    def has_rest(self, full: int, n_frames: int) -> bool:
        """Whether there is one more window behind so many full ones."""
        if not full:
            return True
        rest = n_frames - full * self.hop
        return rest > self.window - self.hop and rest >= LEAST_SHARE * self.window


class Span(NamedTuple):
    """Samples of windows that follow each other.

    Attributes
    ----------
    samples : ndarray of float32, shape (n_frames, n_channels)
    first : int
        The frame of the recording with which they begin.
    windows : tuple of (int, int)
        First frame of each window and the one behind its last, in the recording.
    """

    samples: NDArray[np.float32]
    first: int
    windows: tuple[tuple[int, int], ...]


class Measured(NamedTuple):
    """The row of features of one window of one channel, or why there is none.

    Attributes
    ----------
    start, end : int
        In frames of the recording.
    channel : int
    row : ndarray of float32, shape (n_features,), or None
    unusable : UnusableError or None
        Why there is no row.
    """

    start: int
    end: int
    channel: int
    row: NDArray[np.float32] | None
    unusable: UnusableError | None


def channel_title(channel: int, channels: int) -> str:
    """Return what a channel is called, counted from 0; empty for the only one."""
    known = CHANNEL_TITLES.get(channels)
    return known[channel] if known else f"channel {channel + 1}"


def timeline(
    predictor: Predictor,
    content: bytes,
    *,
    window_s: float = WINDOW_S,
    hop_s: float = HOP_S,
    longest_s: float | None = None,
) -> Timeline:
    """Return what a model says of a recording over time, each channel by itself.

    Each window is resampled and measured as a clip would be that holds its samples and no others.
    A recording shorter than a window is one.

    Parameters
    ----------
    predictor : Predictor
    content : bytes
        A file's.
    window_s, hop_s : float
        Length of a window, and from the start of one to that of the next.
    longest_s : float, optional
        A longer recording is refused.

    Raises
    ------
    UnusableError
        If it can't be decoded, or no window of any channel holds a voice.
    BenchmarkError
        If the windows would leave gaps.
    """
    with reading(content, window_s, hop_s, longest_s) as sound:
        windows: list[Window] = []
        for span in sound.spans():
            measured = measure_span(predictor.features, sound.grid, span)
            windows += answer(predictor, sound.grid, measured)
        return sound.finished(windows)


class Reading:
    """A recording that is read once, from its beginning to its end, in spans of windows.

    Memory does not grow with its length, but for a few numbers a window.

    Parameters
    ----------
    blocks : iterator of ndarray of float32, shape (n_frames, n_channels)
        Its samples, a whole number of the grid's peaks in each but the last.
    grid : Grid
    expected : int
        How many windows there will be over all channels; 0 where the header does not tell.
    """

    def __init__(self, blocks: Iterator[NDArray[np.float32]], grid: Grid, expected: int) -> None:
        self.grid = grid
        self.expected = expected
        self._blocks = blocks
        self._n_frames = 0
        self._peaks: list[NDArray[np.float32]] = []

    def spans(self) -> Iterator[Span]:
        """Yield the windows' samples, a few windows at a time; the windows overlap, as spans do.

        Raises
        ------
        UnusableError
            If the recording is too long, or ends before its header says.
        """
        grid, done, first = self.grid, 0, 0
        held = np.empty((0, grid.channels), dtype=np.float32)
        for block in self._blocks:
            self._peaks.append(_peaks(block, grid.peak))
            self._n_frames += len(block)
            held = np.concatenate([held, block])
            full = grid.count_full(self._n_frames)
            if full > done:
                starts = range(done * grid.hop, full * grid.hop, grid.hop)
                yield Span(held, first, tuple((start, start + grid.window) for start in starts))
                held = held[full * grid.hop - first :].copy()
                done, first = full, full * grid.hop
        if grid.has_rest(done, self._n_frames):
            yield Span(held, first, ((first, self._n_frames),))

    def finished(self, windows: Iterable[Window]) -> Timeline:
        """Return the timeline of all windows, in any order, when all has been read.

        Raises
        ------
        UnusableError
            If none of them holds a voice.
        """
        ordered = sorted(windows, key=lambda window: (window.start_s, window.channel))
        reason = ordered[0].reason
        if reason and not any(window.emotion for window in ordered):
            raise UnusableError(reason, f"{reason}: no window of it holds a voice")
        peaks = np.concatenate(self._peaks).T
        return Timeline(
            duration_s=self._n_frames / self.grid.rate_hz,
            channels=self.grid.channels,
            windows=tuple(ordered),
            envelope=tuple(tuple(channel.tolist()) for channel in peaks),
        )


@contextmanager
def reading(
    content: bytes | mmap, window_s: float, hop_s: float, longest_s: float | None = None
) -> Iterator[Reading]:
    """Open a recording for the block, to be read in windows.

    Raises
    ------
    UnusableError
        If it can't be decoded, is cut short, or longer than `longest_s`.
    BenchmarkError
        If the windows would leave gaps.
    """
    if not 0 < hop_s <= window_s:
        raise BenchmarkError(
            f"windows of {window_s:g} s every {hop_s:g} s: the second must be above 0 and at most "
            "the first, or parts of the recording would not be heard."
        )
    with open_sound(content, longest_s) as file:
        if ends_early(content):
            raise UnusableError("damaged", TRUNCATED)
        rate_hz, channels = file.samplerate, file.channels
        window = max(1, round(window_s * rate_hz))
        if window * channels > MOST_SAMPLES:
            raise UnusableError(
                "too-long",
                f"{window * channels} samples in a window of {channels} channels at {rate_hz} Hz; "
                f"at most {MOST_SAMPLES}",
            )
        hop = min(window, max(1, round(hop_s * rate_hz)))
        grid = Grid(rate_hz, channels, window, hop)
        expected = 0 if file.frames == UNTOLD else grid.count(file.frames) * channels
        if longest_s is not None:
            _check_windows(expected, 2 * grid.count(round(longest_s * rate_hz)), channels)
        yield Reading(read_blocks(file, grid.block, longest_s), grid, expected)


def _check_windows(n_windows: int, most: int, channels: int) -> None:
    """Refuse more work than a stereo recording makes that is as long as may be."""
    if n_windows > most:
        raise UnusableError(
            "too-long", f"{n_windows} windows in {channels} channels; at most {most}"
        )


def measure_span(feature_set: FeatureSet, grid: Grid, span: Span) -> list[Measured]:
    """Return the rows of each window and channel of a span; what a worker does."""
    return [
        _measure(feature_set, grid, span, start, end, channel)
        for start, end in span.windows
        for channel in range(grid.channels)
    ]


def _measure(
    feature_set: FeatureSet, grid: Grid, span: Span, start: int, end: int, channel: int
) -> Measured:
    part = span.samples[start - span.first : end - span.first, channel]
    samples = np.ascontiguousarray(part)
    try:
        check_samples(samples)
        heard = resample(samples, grid.rate_hz, feature_set.sample_rate_hz)
        return Measured(start, end, channel, features_of(heard, feature_set), None)
    except UnusableError as error:
        return Measured(start, end, channel, None, error)


def answer(predictor: Predictor, grid: Grid, measured: Iterable[Measured]) -> list[Window]:
    """Return the windows of measured rows, those without a voice with the reason.

    Raises
    ------
    UnusableError
        If there are samples that are no numbers: a recording that is damaged in one place is.
    """
    windows: list[Window] = []
    heard: list[Measured] = []
    for one in measured:
        if one.unusable is None:
            heard.append(one)
        elif one.unusable.fault == "damaged":
            raise one.unusable
        else:
            windows.append(_window(grid, one, "", {}, one.unusable.fault))
    if heard:
        rows = np.stack([one.row for one in heard if one.row is not None])
        durations_s = [(one.end - one.start) / grid.rate_hz for one in heard]
        for one, said in zip(heard, predictor.answer(rows, durations_s), strict=True):
            windows.append(_window(grid, one, said.emotion, said.probabilities))
    return windows


def _window(
    grid: Grid,
    one: Measured,
    emotion: str,
    probabilities: dict[str, float],
    reason: Fault | Literal[""] = "",
) -> Window:
    start_s, end_s = one.start / grid.rate_hz, one.end / grid.rate_hz
    return Window(start_s, end_s, one.channel, emotion, probabilities, reason)


def _peaks(block: NDArray[np.float32], width: int) -> NDArray[np.float32]:
    """Return the largest absolute sample of each so many frames, (n_peaks, n_channels)."""
    starts = np.arange(0, len(block), width)
    peaks: NDArray[np.float32] = np.maximum.reduceat(np.abs(block), starts, axis=0)
    return peaks

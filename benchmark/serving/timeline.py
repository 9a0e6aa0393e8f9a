"""Emotion over time: predictions for the windows of a recording, for each channel separately."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
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
    Fault,
    UnusableError,
    check_samples,
    open_sound,
    read_blocks,
    resample,
    stated_frames,
)
from benchmark.features.extract import features_of
from benchmark.features.headers import ends_early
from benchmark.features.speech import check_speech, voiced_s
from benchmark.serving.limits import Limits
from benchmark.serving.predictor import Prediction, Predictor

WINDOW_S = 3.0
"""About the length of a training clip."""

HOP_S = 1.0

MIN_LAST_FRACTION = 0.5
"""Shortest last window, as a fraction of a full one."""

ENVELOPE_HZ = 50
BLOCK_WINDOWS = 16
MAX_BLOCK_SAMPLES = 1 << 22  # over all channels: 16 MB

CHANNEL_TITLES = {1: ("",), 2: ("left", "right")}
"""By number of channels. Who is on which differs between call centres."""


@dataclass(frozen=True)
class Window:
    """The prediction for one window of one channel.

    Attributes
    ----------
    channel : int
        Index from 0.
    emotion, probabilities, distance, familiarity
        As in `Prediction`; empty or None if there is no prediction.
    reason : str
        Why there is no prediction (`UnusableError.fault`), for example
        ``too-little-speech``; else empty.
    """

    start_s: float
    end_s: float
    channel: int
    emotion: str
    probabilities: dict[str, float]
    distance: float | None = None
    familiarity: str = ""
    reason: Fault | Literal[""] = ""


@dataclass(frozen=True)
class Timeline:
    """The predictions for a recording over time.

    Attributes
    ----------
    windows : tuple of Window
        Sorted by start, then by channel.
    envelope : tuple of tuples of float
        For each channel the largest absolute sample in each interval of 1 / `ENVELOPE_HZ` s.
    """

    duration_s: float
    channels: int
    windows: tuple[Window, ...]
    envelope: tuple[tuple[float, ...], ...] = field(default=(), repr=False)

    def segments(self, channel: int) -> list[tuple[float, float, Window]]:
        """Return start and end, in seconds, of the segment for which each window is shown.

        Windows overlap: each point in time belongs to the window with the nearest centre.
        """
        windows = [window for window in self.windows if window.channel == channel]
        centres_s = [(window.start_s + window.end_s) / 2 for window in windows]
        borders_s = [(left + right) / 2 for left, right in pairwise(centres_s)]
        return list(zip([0.0, *borders_s], [*borders_s, self.duration_s], windows, strict=True))

    def to_dict(self) -> dict[str, Any]:
        """Return the timeline for JSON, without the envelope."""
        return {
            "duration_s": self.duration_s,
            "channels": [channel_title(channel, self.channels) for channel in range(self.channels)],
            "windows": [asdict(window) for window in self.windows],
        }


@dataclass(frozen=True)
class Analysis:
    """What the page shows; the prediction is None for a recording longer than `Limits.clip_s`."""

    prediction: Prediction | None
    timeline: Timeline


class Grid(NamedTuple):
    """Positions of windows in a recording; `window` (length) and `hop` are in frames."""

    rate_hz: int
    channels: int
    window: int
    hop: int

    @property
    def peak(self) -> int:
        """Frames in an entry of the envelope."""
        return max(1, round(self.rate_hz / ENVELOPE_HZ))

    @property
    def block(self) -> int:
        """Frames read at once, a multiple of `peak`."""
        n_frames = min(BLOCK_WINDOWS * self.hop, MAX_BLOCK_SAMPLES // self.channels)
        return self.peak * max(1, n_frames // self.peak)

    def count(self, n_frames: int) -> int:
        """Return the number of windows in a channel of `n_frames` frames."""
        n_full = self.count_full(n_frames)
        return n_full + self.has_last(n_full, n_frames)

    def count_full(self, n_frames: int) -> int:
        """Return the number of full windows in a channel of `n_frames` frames."""
        return max(0, (n_frames - self.window) // self.hop + 1)

    def has_last(self, n_full: int, n_frames: int) -> bool:
        """Return whether a shorter window follows the full ones."""
        if not n_full:
            return True
        rest = n_frames - n_full * self.hop
        return rest > self.window - self.hop and rest >= MIN_LAST_FRACTION * self.window


class Span(NamedTuple):
    """Samples of consecutive windows.

    Attributes
    ----------
    samples : ndarray of float32, shape (n_frames, n_channels)
    first : int
        Index of the first frame in the recording.
    windows : tuple of (int, int)
        Start and stop of each window, in frames of the recording.
    """

    samples: NDArray[np.float32]
    first: int
    windows: tuple[tuple[int, int], ...]


def channel_title(channel: int, channels: int) -> str:
    """Return the title of a channel (index from 0); empty for a single channel.

    >>> channel_title(0, channels=2)
    'left'
    """
    titles = CHANNEL_TITLES.get(channels)
    return titles[channel] if titles else f"channel {channel + 1}"


def timeline(
    predictor: Predictor,
    content: bytes,
    *,
    window_s: float = WINDOW_S,
    hop_s: float = HOP_S,
    longest_s: float | None = None,
) -> Timeline:
    """Return the predictions for a recording over time, for each channel separately.

    Each window is resampled, and its features are extracted, like a clip of the same samples. A
    recording shorter than a window is a single window.

    Windows of `window_s` start every `hop_s`. `content` is that of an audio file; a recording
    longer than `longest_s` is refused.

    Raises
    ------
    UnusableError
        If the recording cannot be decoded, or no window can be used.
    BenchmarkError
        If there are gaps between the windows.
    """
    with open_recording(content, window_s, hop_s, longest_s) as recording:
        windows: list[Window] = []
        for span in recording.spans():
            rows = extract_span(predictor.features, recording.grid, span)
            windows += predict_windows(predictor, rows)
        return recording.timeline(windows)


def analyse(predictor: Predictor, content: bytes, limits: Limits) -> Analysis:
    """Return prediction and timeline of a recording.

    Raises
    ------
    UnusableError
        If the recording cannot be used.
    """
    result = timeline(predictor, content, longest_s=limits.timeline_s)
    short = result.duration_s <= limits.clip_s
    return Analysis(predictor.predict(content, limits.clip_s) if short else None, result)


class Recording:
    """A recording that is read once, from start to end, in spans of windows.

    Apart from a few numbers for each window, memory does not grow with its length.

    Parameters
    ----------
    blocks : iterator of ndarray of float32, shape (n_frames, n_channels)
        Consecutive samples; all blocks except the last are multiples of `Grid.peak` long.
    n_expected : int
        Number of windows over all channels; 0 if the header does not tell the length.
    """

    def __init__(self, blocks: Iterator[NDArray[np.float32]], grid: Grid, n_expected: int) -> None:
        self.grid = grid
        self.n_expected = n_expected
        self._blocks = blocks
        self._n_frames = 0
        self._peaks: list[NDArray[np.float32]] = []

    def spans(self) -> Iterator[Span]:
        """Yield the samples of all windows, a few windows at a time; spans overlap.

        Raises
        ------
        UnusableError
            If the recording is too long or truncated.
        """
        grid, n_done, first = self.grid, 0, 0
        samples = np.empty((0, grid.channels), dtype=np.float32)
        for block in self._blocks:
            self._peaks.append(_peaks(block, grid.peak))
            self._n_frames += len(block)
            samples = np.concatenate([samples, block])
            n_full = grid.count_full(self._n_frames)
            if n_full > n_done:
                starts = range(n_done * grid.hop, n_full * grid.hop, grid.hop)
                yield Span(samples, first, tuple((start, start + grid.window) for start in starts))
                samples = samples[n_full * grid.hop - first :].copy()
                n_done, first = n_full, n_full * grid.hop
        if grid.has_last(n_done, self._n_frames):
            yield Span(samples, first, ((first, self._n_frames),))

    def timeline(self, windows: Iterable[Window]) -> Timeline:
        """Return the timeline after all spans were read; `windows` may have any order.

        Raises
        ------
        UnusableError
            If no window can be used.
        """
        ordered = sorted(windows, key=lambda window: (window.start_s, window.channel))
        reason = ordered[0].reason
        if reason and not any(window.emotion for window in ordered):
            raise UnusableError(reason, f"{reason.replace('-', ' ')}: no window can be used")
        peaks = np.concatenate(self._peaks).T
        return Timeline(
            duration_s=self._n_frames / self.grid.rate_hz,
            channels=self.grid.channels,
            windows=tuple(ordered),
            envelope=tuple(tuple(channel.tolist()) for channel in peaks),
        )


@contextmanager
def open_recording(
    content: bytes | mmap, window_s: float, hop_s: float, longest_s: float | None = None
) -> Iterator[Recording]:
    """Open a recording that is read in windows.

    Raises
    ------
    UnusableError
        If it cannot be decoded, is truncated, or longer than `longest_s`.
    BenchmarkError
        If there are gaps between the windows.
    """
    if not 0 < hop_s <= window_s:
        raise BenchmarkError(
            f"windows of {window_s:g} s every {hop_s:g} s leave gaps: the hop must be above 0 and "
            "at most the window's length."
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
        n_stated = stated_frames(file)
        n_expected = grid.count(n_stated) * channels if n_stated else 0
        if longest_s is not None:
            # As many windows as the longest stereo recording has.
            n_allowed = 2 * grid.count(round(longest_s * rate_hz))
            if n_expected > n_allowed:
                reason = f"{n_expected} windows in {channels} channels; at most {n_allowed}"
                raise UnusableError("too-long", reason)
        yield Recording(read_blocks(file, grid.block, longest_s), grid, n_expected)


WindowRow = tuple[Window, NDArray[np.float32] | None]
"""A window without a prediction, and its feature row; None if the window has a reason."""


def extract_span(feature_set: FeatureSet, grid: Grid, span: Span) -> list[WindowRow]:
    """Return the feature rows of a span, by window and channel; runs in a worker process.

    Raises
    ------
    UnusableError
        If a window is damaged (samples that are not finite).
    """
    return [
        _extract_window(feature_set, grid, span, start, end, channel)
        for start, end in span.windows
        for channel in range(grid.channels)
    ]


def _extract_window(
    feature_set: FeatureSet, grid: Grid, span: Span, start: int, end: int, channel: int
) -> WindowRow:
    samples = np.ascontiguousarray(span.samples[start - span.first : end - span.first, channel])
    window = Window(start / grid.rate_hz, end / grid.rate_hz, channel, "", {})
    try:
        check_samples(samples)
        resampled = resample(samples, grid.rate_hz, feature_set.sample_rate_hz)
        row = features_of(resampled, feature_set)
        voiced = voiced_s(resampled, feature_set.sample_rate_hz)
        check_speech(voiced, window.end_s - window.start_s)
        return window, row
    except UnusableError as error:
        if error.fault == "damaged":
            raise
        return replace(window, reason=error.fault), None


def predict_windows(predictor: Predictor, rows: Sequence[WindowRow]) -> list[Window]:
    """Return the windows of a span with their predictions."""
    windows = [window for window, row in rows if row is None]
    usable = [(window, row) for window, row in rows if row is not None]
    if usable:
        durations_s = [window.end_s - window.start_s for window, _ in usable]
        predictions = predictor.predict_rows(np.stack([row for _, row in usable]), durations_s)
        windows += [
            replace(
                window,
                emotion=one.emotion,
                probabilities=one.probabilities,
                distance=one.distance,
                familiarity=one.familiarity,
            )
            for (window, _), one in zip(usable, predictions, strict=True)
        ]
    return windows


def _peaks(block: NDArray[np.float32], width: int) -> NDArray[np.float32]:
    """Return the largest absolute sample of each `width` frames, (n_peaks, n_channels)."""
    starts = np.arange(0, len(block), width)
    peaks: NDArray[np.float32] = np.maximum.reduceat(np.abs(block), starts, axis=0)
    return peaks

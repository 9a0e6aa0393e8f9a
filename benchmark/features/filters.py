"""Windows and filter banks, equal to librosa 0.11's.

Reimplemented because importing librosa.filters (numba, scipy.signal) takes each worker longer than
measuring a few hundred clips. Tests compare them with librosa's.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, TypeAlias

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.floating[Any]]

FRAME_LENGTH = 2048
MEL_BANDS = 128
CHROMA_BINS = 12

BLOCK_FRAMES = 32  # transformed at once: their spectra fit into the processor's cache

CONTRAST_FROM_HZ = 200.0  # as in librosa: the lowest band ends here, each next one an octave higher
CONTRAST_OCTAVES = 6
CONTRAST_FRACTION = 0.02  # of a band's bins form its peak, as many its valley

MEL_WIDTH_HZ = 200.0 / 3  # of a mel below 1 kHz (Slaney, Auditory Toolbox, 1998)
MEL_LOG_FROM_HZ = 1000.0
MEL_LOG_STEP = np.log(6.4) / 27.0  # above 1 kHz, growth of the log frequency per mel


@cache
def hann_window() -> Floats:
    """Return the periodic Hann window, (2048,)."""
    phase = np.linspace(-np.pi, np.pi, FRAME_LENGTH + 1, dtype=np.float64)[:-1]
    return 0.5 + 0.5 * np.cos(phase)


@cache
def bin_frequencies_hz(sample_rate_hz: int) -> Floats:
    """Return the centre frequency of each bin of the spectrum, (1025,)."""
    return np.fft.rfftfreq(FRAME_LENGTH, 1.0 / sample_rate_hz)


@cache
def mel_edges_hz(sample_rate_hz: int, bands: int = MEL_BANDS) -> Floats:
    """Return the edges of mel bands, equally spaced in mel: (bands + 2,).

    A band rises from one edge to the next, its centre, and falls to the one after.
    """
    log_from = MEL_LOG_FROM_HZ / MEL_WIDTH_HZ
    highest = log_from + np.log(sample_rate_hz / 2 / MEL_LOG_FROM_HZ) / MEL_LOG_STEP
    mels = np.linspace(0.0, highest, bands + 2)
    return np.where(
        mels < log_from,
        MEL_WIDTH_HZ * mels,
        MEL_LOG_FROM_HZ * np.exp(MEL_LOG_STEP * (mels - log_from)),
    )


@cache
def mel_bank(sample_rate_hz: int, bands: int = MEL_BANDS) -> Floats:
    """Return triangular filters of equal area, equally spaced in mel: (bands, 1025)."""
    edges = mel_edges_hz(sample_rate_hz, bands)
    widths = np.diff(edges)[:, np.newaxis]
    distances = np.subtract.outer(edges, bin_frequencies_hz(sample_rate_hz))
    rising, falling = -distances[:-2] / widths[:-1], distances[2:] / widths[1:]
    triangles = np.maximum(0.0, np.minimum(rising, falling)).astype(np.float32)
    areas = 2.0 / (edges[2:] - edges[:-2])
    return (triangles * areas[:, np.newaxis]).astype(np.float32)


@cache
def mel_blocks(sample_rate_hz: int) -> list[tuple[slice, Floats]]:
    """Return the mel filters in blocks of sixteen: the bins they cover, and weights (n_bins, 16).

    A filter covers few of the 1,025 bins: blocks avoid most multiplications by zero.
    """
    blocks = []
    for rows in mel_bank(sample_rate_hz).reshape(-1, 16, FRAME_LENGTH // 2 + 1):
        covered = np.flatnonzero(rows.any(axis=0))
        bins = slice(int(covered[0]), int(covered[-1]) + 1)
        blocks.append((bins, np.ascontiguousarray(rows[:, bins].T)))
    return blocks


@cache
def chroma_bank(sample_rate_hz: int, tuning: float) -> Floats:
    """Return the filters of the twelve pitch classes from C on, (1025, 12).

    Gaussians one semitone wide around each pitch class, normalised in each bin, and weighted by a
    Gaussian two octaves wide around the fifth octave (Ellis, Chroma Feature Analysis, 2007).

    Parameters
    ----------
    sample_rate_hz : int
    tuning : float
        Deviation from A440 in semitones, in hundredths.
    """
    frequencies = np.linspace(0, sample_rate_hz, FRAME_LENGTH, endpoint=False)[1:]
    lowest_a_hz = 440.0 * 2.0 ** (tuning / CHROMA_BINS) / 16
    pitches = CHROMA_BINS * np.log2(frequencies / lowest_a_hz)
    # Bin 0 has no pitch: it is placed one and a half octaves below bin 1.
    pitches = np.concatenate(([pitches[0] - 1.5 * CHROMA_BINS], pitches))
    widths = np.concatenate((np.maximum(np.diff(pitches), 1.0), [1.0]))
    half = CHROMA_BINS / 2
    classes = np.arange(CHROMA_BINS)[:, np.newaxis]
    distances = np.remainder(pitches - classes + half + 10 * CHROMA_BINS, CHROMA_BINS) - half
    bumps = np.exp(-0.5 * (2 * distances / widths) ** 2)
    bumps /= np.sqrt(np.sum(bumps**2, axis=0, keepdims=True))
    bumps *= np.exp(-0.5 * ((pitches / CHROMA_BINS - 5.0) / 2.0) ** 2)
    from_c = np.roll(bumps, -3, axis=0)[:, : FRAME_LENGTH // 2 + 1]
    return np.ascontiguousarray(from_c.T, dtype=np.float32)


@cache
def cosine_transform(count: int, n_bands: int = MEL_BANDS) -> Floats:
    """Return the first `count` columns of the orthonormal DCT-II of mel bands, (n_bands, count)."""
    bands, orders = np.arange(n_bands)[:, np.newaxis], np.arange(count)
    phase = np.pi * orders * (2 * bands + 1) / (2 * n_bands)
    transform: Floats = np.sqrt(2.0 / n_bands) * np.cos(phase)
    transform[:, 0] /= np.sqrt(2.0)
    return transform


@cache
def contrast_bands(sample_rate_hz: int) -> list[tuple[slice, int]]:
    """Return the bins of the seven bands of spectral contrast, and how many form a peak.

    As in librosa.feature.spectral_contrast, each band includes the bin below it; all but the
    highest exclude their last bin.
    """
    frequencies = bin_frequencies_hz(sample_rate_hz)
    edges = CONTRAST_FROM_HZ * 2.0 ** np.arange(CONTRAST_OCTAVES)
    lows = np.searchsorted(frequencies, edges, side="left") - 1
    highs = np.searchsorted(frequencies, edges, side="right")
    starts = [0, *lows.tolist()]
    ends = [*highs.tolist(), len(frequencies)]
    bands = []
    for number, (start, end) in enumerate(zip(starts, ends, strict=True)):
        count = max(1, round(CONTRAST_FRACTION * (end - start)))
        bands.append((slice(start, end - (number < CONTRAST_OCTAVES)), count))
    return bands


def framed(samples: Floats, hop_length: int, length: int = FRAME_LENGTH) -> Floats:
    """Return the centred frames of samples, zero-padded at both ends: (n_frames, length)."""
    return sliding_window_view(np.pad(samples, length // 2), length)[::hop_length]


def in_blocks(function: Callable[[Floats], NDArray[Any]], frames: Floats) -> NDArray[Any]:
    """Return the values of a frame-wise function, computed a few frames at a time: (n_frames, ...).

    Its intermediate arrays then fit into the processor's cache and are not allocated for each clip.
    """
    block = function(frames[:BLOCK_FRAMES])
    values = np.empty((len(frames), *block.shape[1:]), block.dtype)
    values[:BLOCK_FRAMES] = block
    for first in range(BLOCK_FRAMES, len(frames), BLOCK_FRAMES):
        values[first : first + BLOCK_FRAMES] = function(frames[first : first + BLOCK_FRAMES])
    return values


def power_of(frames: Floats, n_fft: int | None = None) -> Floats:
    """Return the power spectrum of each frame, zero-padded to `n_fft` samples."""
    spectrum = np.fft.rfft(frames, n=n_fft, axis=1)
    power: Floats = np.square(spectrum.real) + np.square(spectrum.imag)
    return power

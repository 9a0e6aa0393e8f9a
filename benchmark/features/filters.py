"""Windows and filter banks, equal to librosa 0.11's.

Written out, because librosa.filters brings numba and scipy.signal with it, which takes each worker
longer to import than a few hundred clips take to measure. The tests compare them with librosa's.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.floating[Any]]

FRAME_LENGTH = 2048
MEL_BANDS = 128
CHROMA_BINS = 12

BLOCK_FRAMES = 32  # transformed at once: their spectra stay in the processor's cache

CONTRAST_FROM_HZ = 200.0  # librosa's: the lowest band ends here, each next an octave higher
CONTRAST_OCTAVES = 6
CONTRAST_SHARE = 0.02  # of a band's bins are its peak, and as many its valley

MEL_WIDTH_HZ = 200.0 / 3  # of a mel below 1 kHz (Slaney, Auditory Toolbox, 1998)
MEL_LOG_FROM_HZ = 1000.0
MEL_LOG_STEP = np.log(6.4) / 27.0  # above 1 kHz the frequency grows by this for each mel


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
def mel_bank(sample_rate_hz: int, bands: int = MEL_BANDS) -> Floats:
    """Return triangular filters of equal area, evenly spaced in mel: (bands, 1025)."""
    log_from = MEL_LOG_FROM_HZ / MEL_WIDTH_HZ
    highest = log_from + np.log(sample_rate_hz / 2 / MEL_LOG_FROM_HZ) / MEL_LOG_STEP
    mels = np.linspace(0.0, highest, bands + 2)
    edges = np.where(
        mels < log_from,
        MEL_WIDTH_HZ * mels,
        MEL_LOG_FROM_HZ * np.exp(MEL_LOG_STEP * (mels - log_from)),
    )
    widths = np.diff(edges)[:, np.newaxis]
    distances = np.subtract.outer(edges, bin_frequencies_hz(sample_rate_hz))
    rising, falling = -distances[:-2] / widths[:-1], distances[2:] / widths[1:]
    triangles = np.maximum(0.0, np.minimum(rising, falling)).astype(np.float32)
    areas = 2.0 / (edges[2:] - edges[:-2])
    return (triangles * areas[:, np.newaxis]).astype(np.float32)


@cache
def mel_blocks(sample_rate_hz: int) -> list[tuple[slice, Floats]]:
    """Return the mel filters sixteen at a time: the bins they cover, and weights (n_bins, 16).

    A filter covers few of the 1,025 bins: this leaves out most of the multiplications by zero.
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

    Gaussian bumps a semitone wide around each pitch class, of unit length in each bin, and weighted
    by another one two octaves wide around the fifth octave (Ellis, Chroma Feature Analysis, 2007).

    Parameters
    ----------
    sample_rate_hz : int
        Of the samples.
    tuning : float
        Deviation from A440 in semitones; a hundred values are possible, each with a bank.
    """
    frequencies = np.linspace(0, sample_rate_hz, FRAME_LENGTH, endpoint=False)[1:]
    lowest_a_hz = 440.0 * 2.0 ** (tuning / CHROMA_BINS) / 16
    pitches = CHROMA_BINS * np.log2(frequencies / lowest_a_hz)
    # Bin 0 has no pitch: it is put one and a half octaves below bin 1, where its bump is broad.
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
    """Return the bins of each of the seven bands of spectral contrast, and how many make a peak.

    Bands as librosa.feature.spectral_contrast draws them: each takes in the bin below it, none but
    the highest its own last bin, and the highest goes up to half the sample rate.
    """
    frequencies = bin_frequencies_hz(sample_rate_hz)
    edges = CONTRAST_FROM_HZ * 2.0 ** np.arange(CONTRAST_OCTAVES)
    lows = np.searchsorted(frequencies, edges, side="left") - 1
    highs = np.searchsorted(frequencies, edges, side="right")
    starts = [0, *lows.tolist()]
    ends = [*highs.tolist(), len(frequencies)]
    bands = []
    for number, (start, end) in enumerate(zip(starts, ends, strict=True)):
        count = max(1, round(CONTRAST_SHARE * (end - start)))
        bands.append((slice(start, end - (number < CONTRAST_OCTAVES)), count))
    return bands


def in_blocks(function: Callable[[Floats], NDArray[Any]], frames: Floats) -> NDArray[Any]:
    """Return what a function makes of frames, one by one, given a few at a time: (n_frames, ...).

    What it needs on the way stays in the processor's cache, and in memory that the process has;
    that of a whole clip is given back to the system, and asked for page by page at the next clip.
    """
    made = function(frames[:BLOCK_FRAMES])
    values = np.empty((len(frames), *made.shape[1:]), made.dtype)
    values[:BLOCK_FRAMES] = made
    for first in range(BLOCK_FRAMES, len(frames), BLOCK_FRAMES):
        values[first : first + BLOCK_FRAMES] = function(frames[first : first + BLOCK_FRAMES])
    return values


def power_of(frames: Floats, n_fft: int | None = None) -> Floats:
    """Return the power spectrum of each frame, zeros behind it up to `n_fft` samples."""
    spectrum = np.fft.rfft(frames, n=n_fft, axis=1)
    power: Floats = np.square(spectrum.real) + np.square(spectrum.imag)
    return power

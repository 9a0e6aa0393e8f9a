"""Pitch tracking: fundamental frequency, periodicity and voicing of the frames of a clip.

Boersma's method (Accurate short-term analysis of the fundamental frequency and the
harmonics-to-noise ratio of a sampled sound, 1993) with Praat's default costs: candidates are the
peaks of the autocorrelation of a windowed frame divided by that of the window, beside an unvoiced
candidate; Viterbi decoding selects the best path over all frames. YIN (`prosody.yin`) decides frame
by frame and makes more octave errors in creaky or weak voices.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from benchmark.features import filters
from benchmark.features.filters import Floats

LOWEST_HZ, HIGHEST_HZ = 65.0, 650.0
WINDOW_S = 0.048  # three periods of the lowest pitch, as in Praat
CANDIDATES = 5  # per frame, beside the unvoiced one

SILENCE_THRESHOLD = 0.03
VOICING_THRESHOLD = 0.45
OCTAVE_COST = 0.01
OCTAVE_JUMP_COST = 0.35  # per octave in 10 ms, the hop for which these costs are defined
VOICING_COST = 0.14
LARGEST_PERIODICITY = 0.9999  # 40 dB of harmonics to noise; larger values are rounding errors


@dataclass(frozen=True)
class Track:
    """Pitch of frames.

    Attributes
    ----------
    f0_hz : ndarray of float64, shape (n_frames,)
        Fundamental frequency; of an unvoiced frame, that of its strongest candidate.
    periodicity : ndarray of float64, shape (n_frames,)
        Fraction of a frame's power that repeats after one period, 0 to 0.9999.
    voiced : ndarray of bool, shape (n_frames,)
    """

    f0_hz: Floats
    periodicity: Floats
    voiced: NDArray[np.bool_]


def track(samples: Floats, sample_rate_hz: int, hop_length: int) -> Track:
    """Return the pitch of centred frames, one every `hop_length` samples, zero-padded.

    Parameters
    ----------
    samples : ndarray of float32, shape (n_samples,)
        Mono, of any scale.
    sample_rate_hz : int
    hop_length : int
        In samples; 10 ms, the hop for which the costs are defined.
    """
    length = 2 * round(WINDOW_S * sample_rate_hz / 2)
    frames = filters.framed(samples, hop_length, length)
    centred = frames - frames.mean(axis=1, keepdims=True)
    longest = int(np.ceil(sample_rate_hz / LOWEST_HZ))
    found = filters.in_blocks(
        lambda block: _candidates(_normalised_autocorrelation(block, longest), sample_rate_hz),
        centred,
    )
    f0_hz, periodicity = np.moveaxis(found, 1, 0)
    peak = np.abs(centred).max(axis=1) / max(np.abs(samples).max(), np.finfo(np.float32).tiny)
    quiet = 2.0 - peak * (1.0 + VOICING_THRESHOLD) / SILENCE_THRESHOLD
    unvoiced = VOICING_THRESHOLD + np.maximum(0.0, quiet)
    strength = np.where(
        periodicity > 0.0, periodicity - OCTAVE_COST * np.log2(LOWEST_HZ / f0_hz), -np.inf
    )
    path = _likeliest_path(np.column_stack([unvoiced, strength]), f0_hz)
    voiced = path > 0
    chosen = np.where(voiced, path - 1, strength.argmax(axis=1))
    rows = np.arange(len(f0_hz))
    return Track(f0_hz[rows, chosen], periodicity[rows, chosen], voiced)


@cache
def _window(length: int) -> Floats:
    """Return the Hann window of a frame, (length,)."""
    return np.hanning(length + 2)[1:-1].astype(np.float32)


def _normalised_autocorrelation(frames: Floats, longest: int) -> Floats:
    """Return the autocorrelation of frames over that of the window, (n_frames, 2 * longest + 2).

    Lags are half samples, by zero-padding of the spectrum: the peak of a bright voice is narrower
    than a sample.
    """
    length = frames.shape[1]
    return _correlation(frames * _window(length), longest) / _window_correlation(length, longest)


@cache
def _window_correlation(length: int, longest: int) -> Floats:
    """Return the normalised autocorrelation of the window, (2 * longest + 2,)."""
    correlation: Floats = _correlation(_window(length)[np.newaxis], longest)[0]
    return correlation


def _correlation(frames: Floats, longest: int) -> Floats:
    """Return the autocorrelation of frames at lags of half samples, 1 at lag 0."""
    n_fft = 1 << (frames.shape[1] + longest).bit_length()
    power = filters.power_of(frames, n_fft)
    correlation = np.fft.irfft(power, n=2 * n_fft, axis=1)[:, : 2 * longest + 2]
    energy = correlation[:, :1].astype(np.float64)
    normalised: Floats = correlation / np.where(energy > np.finfo(np.float32).tiny, energy, np.inf)
    return normalised


def _candidates(correlation: Floats, sample_rate_hz: int) -> Floats:
    """Return frequencies and periodicities of each frame's strongest peaks: (n_frames, 2, 5).

    Missing candidates have periodicity 0 and the lowest frequency.
    """
    halves_hz = 2 * sample_rate_hz
    shortest = int(halves_hz / HIGHEST_HZ)
    left, centre, right = (correlation[:, shortest + step : step - 2 or None] for step in (0, 1, 2))
    peak = (centre > left) & (centre >= right) & (centre > 0.0)
    octaves = np.log2(LOWEST_HZ / halves_hz * (shortest + 1 + np.arange(centre.shape[1])))
    strength = np.where(peak, centre - OCTAVE_COST * octaves, -np.inf)
    index = np.argpartition(-strength, CANDIDATES, axis=1)[:, :CANDIDATES]
    found = np.take_along_axis(peak, index, axis=1)
    before, at, after = (
        np.take_along_axis(values, index, axis=1) for values in (left, centre, right)
    )
    curvature = np.where(found, before + after - 2.0 * at, -1.0)
    shift = np.where(found, 0.5 * (before - after) / curvature, 0.0)
    height = at - 0.25 * (before - after) * shift
    f0_hz = np.where(found, halves_hz / (shortest + 1 + index + shift), LOWEST_HZ)
    periodicity = np.where(found, np.clip(height, 0.0, LARGEST_PERIODICITY), 0.0)
    return np.stack([f0_hz, periodicity], axis=1)


def _likeliest_path(strength: Floats, f0_hz: Floats) -> NDArray[np.intp]:
    """Return the state of each frame on the path with the largest sum of strengths minus costs.

    State 0 is unvoiced, the others are pitch candidates (Viterbi decoding).
    """
    pitch = np.log2(f0_hz)
    jump = np.abs(pitch[1:, np.newaxis, :] - pitch[:-1, :, np.newaxis])
    cost = np.full((len(jump), 1 + pitch.shape[1], 1 + pitch.shape[1]), VOICING_COST)
    cost[:, 0, 0] = 0.0
    cost[:, 1:, 1:] = OCTAVE_JUMP_COST * jump
    best = strength[0]
    origins = np.empty((len(jump), strength.shape[1]), dtype=np.intp)
    for number, charged in enumerate(cost):
        reached = best[:, np.newaxis] - charged
        origins[number] = reached.argmax(axis=0)
        best = reached.max(axis=0) + strength[number + 1]
    path = np.empty(len(strength), dtype=np.intp)
    path[-1] = best.argmax()
    for number in range(len(jump) - 1, -1, -1):
        path[number] = origins[number, path[number + 1]]
    return path

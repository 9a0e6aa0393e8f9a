"""Spectral features of a clip, computed in one pass over its frames.

All numbers equal those of librosa 0.11's functions with their defaults (frames of 2,048 samples,
hop 512, Hann window, zero padding at both ends). The librosa functions would compute the spectrum
six times and search the tuning of the chroma in every bin of every frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.features import filters
from benchmark.features.filters import CHROMA_BINS, FRAME_LENGTH, Floats
from benchmark.features.recipe import FeatureSet, columns_of, numbered

HOP_LENGTH = 512
HOPS_A_FRAME = FRAME_LENGTH // HOP_LENGTH
ROLLOFF_FRACTION = 0.85
TUNING_RANGE_HZ = (150.0, 4000.0)  # range of librosa.piptrack
TUNING_EDGES = np.linspace(-0.5, 0.5, 101)  # hundredths of a semitone, as in librosa.pitch_tuning
SILENCE_POWER = 1e-10  # librosa's minimum of powers and of squared amplitudes
AUDIBLE_DB = 80.0  # relative to the clip's largest power; librosa's top_db
TINY = np.finfo(np.float32).tiny  # smaller sums are not divided by
SILENCE_AMPLITUDE = np.float32(1e-10)  # smaller samples count as zero for zero crossings


@dataclass(frozen=True)
class Frames:
    """Frames of one clip; each quantity is computed once, at its first use.

    Attributes
    ----------
    samples : ndarray of float32, shape (n_samples,)
        Mono, full scale 1.0.
    sample_rate_hz : int
        Their rate.
    """

    samples: Floats
    sample_rate_hz: int

    @cached_property
    def magnitude(self) -> Floats:
        """Magnitude spectrum, (n_frames, 1025).

        Computed in double precision and rounded once, as in librosa: rolloff and tuning select
        bins, and depend on the last digit of a magnitude.
        """
        frames = filters.framed(self.samples, HOP_LENGTH)
        return filters.in_blocks(lambda block: np.abs(_spectrum(block)), frames)

    @cached_property
    def mel(self) -> Floats:
        """Mel power spectrum, (n_frames, 128)."""
        power = np.square(self.magnitude)
        blocks = filters.mel_blocks(self.sample_rate_hz)
        return np.concatenate([power[:, bins] @ weights for bins, weights in blocks], axis=1)

    @cached_property
    def mel_db(self) -> Floats:
        """Mel power spectrum in dB, at most 80 dB below the clip's maximum, (n_frames, 128)."""
        return decibels(self.mel)

    def mfcc(self, count: int) -> Floats:
        """Return the first `count` MFCCs, (n_frames, count)."""
        coefficients: Floats = self.mel_db @ filters.cosine_transform(count)
        return coefficients

    def mfcc_mean(self, count: int) -> Floats:
        """Return the means over frames of the first `count` MFCCs, (count,).

        The transform is linear: its mean is the transform of the mean.
        """
        mean = self.mel_db.mean(axis=0, dtype=np.float64)
        coefficients: Floats = mean @ filters.cosine_transform(count)
        return coefficients

    @cached_property
    def rms(self) -> Floats:
        """Root mean square of the amplitude, (n_frames,)."""
        return frame_rms(self.samples)

    @cached_property
    def centroid_hz(self) -> Floats:
        """Centre of gravity of the magnitude spectrum, (n_frames,); 0 for an empty frame."""
        frequencies = filters.bin_frequencies_hz(self.sample_rate_hz)
        weights = np.stack([np.ones_like(frequencies), frequencies], axis=1, dtype=np.float32)
        total, weighted = (self.magnitude @ weights).T
        centroid: Floats = weighted / np.where(total < TINY, np.float32(1.0), total)
        return centroid

    @cached_property
    def rolloff_hz(self) -> Floats:
        """Frequency below which 85 % of the magnitudes lie, (n_frames,)."""
        cumulated = np.cumsum(self.magnitude, axis=1)
        first = np.argmax(cumulated >= ROLLOFF_FRACTION * cumulated[:, -1:], axis=1)
        rolloff: Floats = filters.bin_frequencies_hz(self.sample_rate_hz)[first]
        return rolloff

    @cached_property
    def zero_crossing_rate(self) -> Floats:
        """Fraction of a frame's samples whose sign differs from the previous one, (n_frames,)."""
        negative = self.samples < -SILENCE_AMPLITUDE
        # Padding repeats the first and last sample: no crossing there.
        crossings = _by_hops(negative[1:] != negative[:-1], lead=1)
        in_frame = _frame_sums(np.count_nonzero(crossings, axis=1))
        # The first sample of a frame has no previous sample.
        rate: Floats = (in_frame - crossings[: len(in_frame), 0]) / FRAME_LENGTH
        return rate

    @cached_property
    def tuning(self) -> float:
        """Deviation from A440 in hundredths of a semitone, as librosa.estimate_tuning.

        Interpolates only the peaks, some ten of the 1,025 bins of a frame.
        """
        bin_hz = self.sample_rate_hz / FRAME_LENGTH
        low, high = (int(np.ceil(hz / bin_hz)) for hz in TUNING_RANGE_HZ)
        magnitude = self.magnitude
        inner = magnitude[:, low:high]
        peak = inner > np.float32(0.1) * magnitude.max(axis=1, keepdims=True)
        peak &= inner > magnitude[:, low - 1 : high - 1]
        peak &= inner >= magnitude[:, low + 1 : high + 1]
        frame, offset = np.divmod(np.flatnonzero(peak), high - low)
        if not len(frame):
            return 0.0
        index = frame * magnitude.shape[1] + low + offset
        left, centre, right = (magnitude.ravel()[index + step] for step in (-1, 0, 1))
        shift, height = _parabola(left, centre, right)
        pitch_hz = ((low + offset + shift.astype(np.float64)) * bin_hz).astype(np.float32)
        return _most_frequent_tuning(pitch_hz[height >= np.median(height)])

    @cached_property
    def chroma(self) -> Floats:
        """Energy of the twelve pitch classes, the largest of a frame is 1: (n_frames, 12)."""
        raw = self.magnitude @ filters.chroma_bank(self.sample_rate_hz, self.tuning)
        largest = raw.max(axis=1, keepdims=True)
        return raw / np.where(largest < TINY, np.float32(1.0), largest)

    @cached_property
    def contrast_db(self) -> Floats:
        """Difference between peaks and valleys in each of seven bands, (n_frames, 7)."""
        return contrast_db(self.magnitude, self.sample_rate_hz)


def contrast_db(magnitude: Floats, sample_rate_hz: int) -> Floats:
    """Return the difference between peaks and valleys in each of seven bands: (n_frames, 7)."""
    bands = filters.contrast_bands(sample_rate_hz)
    peaks, valleys = np.empty((2, len(magnitude), len(bands)))
    for number, (bins, count) in enumerate(bands):
        band = magnitude[:, bins]
        ordered = np.partition(band, (count - 1, band.shape[1] - count), axis=1)
        valleys[:, number] = ordered[:, :count].mean(axis=1)
        peaks[:, number] = ordered[:, -count:].mean(axis=1)
    return decibels(peaks) - decibels(valleys)


def decibels(power: Floats) -> Floats:
    """Return powers in dB, at most 80 dB below the largest, as librosa.power_to_db."""
    level: Floats = 10.0 * np.log10(np.maximum(SILENCE_POWER, power))
    audible: Floats = np.maximum(level, level.max() - AUDIBLE_DB)
    return audible


def spectrum(samples: Floats) -> NDArray[np.complex64]:
    """Return the spectrum of each centred frame, zero-padded: (n_frames, 1025)."""
    return filters.in_blocks(_spectrum, filters.framed(samples, HOP_LENGTH))


def _spectrum(frames: Floats) -> NDArray[np.complex64]:
    """Return the spectrum of each frame, (n_frames, 1025)."""
    return np.fft.rfft(frames * filters.hann_window(), axis=1).astype(np.complex64)


def frame_rms(samples: Floats) -> Floats:
    """Return the root mean square of each centred frame, zero-padded: (n_frames,)."""
    energy = _by_hops(np.square(samples)).sum(axis=1, dtype=np.float64)
    return np.sqrt(_frame_sums(energy) / FRAME_LENGTH)


def trim(samples: Floats, top_db: float) -> Floats:
    """Return the clip without its silent ends, as librosa.effects.trim with its defaults."""
    power = np.maximum(SILENCE_POWER, np.square(frame_rms(samples)))
    loud = np.flatnonzero(10.0 * np.log10(power / power.max()) > -top_db)
    return samples[loud[0] * HOP_LENGTH : (loud[-1] + 1) * HOP_LENGTH]


def _by_hops(values: NDArray[Any], lead: int = 0) -> NDArray[Any]:
    """Return one value per sample as zero-padded rows of one hop: (n_frames + 3, 512).

    A frame is four rows, centred on its hop. `lead` is the number of samples before the first
    value.
    """
    n_samples = len(values) + lead
    rows = np.zeros((n_samples // HOP_LENGTH + HOPS_A_FRAME, HOP_LENGTH), dtype=values.dtype)
    start = FRAME_LENGTH // 2 + lead
    flat = rows.reshape(-1)[start:]
    flat[: len(values)] = values[: len(flat)]
    return rows


def _frame_sums(hops: NDArray[Any]) -> NDArray[Any]:
    """Return the sum over the four hops of each frame, (n_frames,)."""
    sums: NDArray[Any] = hops[:-3] + hops[1:-2] + hops[2:-1] + hops[3:]
    return sums


def _parabola(left: Floats, centre: Floats, right: Floats) -> tuple[Floats, Floats]:
    """Return offset (in bins) and height of the parabolas through three neighbouring magnitudes.

    Rounded as in librosa.piptrack, as the loudest half of the peaks is selected by height.
    """
    curvature = (right + left).astype(np.float64) - 2.0 * centre
    slope = (right - left) / np.float32(2)
    inside = np.abs(slope) < np.abs(curvature)
    offset = np.where(inside, -slope / np.where(inside, curvature, 1.0), 0.0).astype(np.float32)
    return offset, centre + np.float32(0.5) * slope * offset


def _most_frequent_tuning(pitch_hz: Floats) -> float:
    """Return the most frequent hundredth of a semitone, as librosa.pitch_tuning."""
    deviation = np.mod(CHROMA_BINS * np.log2(pitch_hz / np.float32(440.0 / 16)), np.float32(1.0))
    deviation[deviation >= 0.5] -= 1.0
    hundredth = np.searchsorted(TUNING_EDGES, deviation, side="right") - 1
    return float(TUNING_EDGES[np.argmax(np.bincount(hundredth, minlength=100))])


def means_184(samples: Floats, sample_rate_hz: int) -> Floats:
    """Return means of RMS, centroid, rolloff, crossings, chroma, MFCC 40 and mel 128: (184,)."""
    frames = Frames(samples, sample_rate_hz)
    single = (frames.rms, frames.centroid_hz, frames.rolloff_hz, frames.zero_crossing_rate)
    return np.concatenate(
        [
            [values.mean(dtype=np.float64) for values in single],
            frames.chroma.mean(axis=0),
            frames.mfcc_mean(40),
            frames.mel.mean(axis=0),
        ],
        dtype=np.float32,
    )


def means_180(samples: Floats, sample_rate_hz: int) -> Floats:
    """Return the means over frames of MFCC 40, chroma 12 and mel 128: (180,)."""
    frames = Frames(samples, sample_rate_hz)
    return np.concatenate(
        [frames.mfcc_mean(40), frames.chroma.mean(axis=0), frames.mel.mean(axis=0)],
        dtype=np.float32,
    )


def mfcc_stats(samples: Floats, sample_rate_hz: int) -> Floats:
    """Return mean, standard deviation and maximum over frames of 20 MFCCs: (60,)."""
    mfcc = Frames(samples, sample_rate_hz).mfcc(20)
    return np.concatenate([mfcc.mean(axis=0), mfcc.std(axis=0), mfcc.max(axis=0)], dtype=np.float32)


def stats_164(samples: Floats, sample_rate_hz: int) -> Floats:
    """Return mean, standard deviation, maximum and minimum over frames of 41 quantities: (164,).

    They are 20 MFCC, 12 chroma, 7 bands of spectral contrast, zero-crossing rate and RMS.
    """
    frames = Frames(samples, sample_rate_hz)
    single = (frames.zero_crossing_rate, frames.rms)
    rows = np.column_stack([frames.mfcc(20), frames.chroma, frames.contrast_db, *single])
    statistics = (rows.mean(axis=0), rows.std(axis=0), rows.max(axis=0), rows.min(axis=0))
    return np.concatenate(statistics, dtype=np.float32)


CHROMA, MEL = numbered("chroma", 12), numbered("mel", 128)
MFCC_20, MFCC_40 = numbered("mfcc", 20), numbered("mfcc", 40)

FEATURE_SETS = (
    FeatureSet(
        name="means-184",
        description=(
            "Means over frames of RMS, spectral centroid, rolloff, zero-crossing rate, 12 chroma, "
            "40 MFCC and 128 mel bands; silent ends removed."
        ),
        columns=columns_of(
            ("rms", "centroid", "rolloff", "zero_crossing_rate", *CHROMA, *MFCC_40, *MEL), "mean"
        ),
        compute=means_184,
        trim_top_db=60.0,
    ),
    FeatureSet(
        name="means-180",
        description="Means over frames of 40 MFCC, 12 chroma and 128 mel bands; no trimming.",
        columns=columns_of((*MFCC_40, *CHROMA, *MEL), "mean"),
        compute=means_180,
    ),
    FeatureSet(
        name="mfcc-stats",
        description="Mean, standard deviation and maximum over frames of 20 MFCC.",
        columns=columns_of(MFCC_20, "mean", "std", "max"),
        compute=mfcc_stats,
    ),
    FeatureSet(
        name="stats-164",
        description=(
            "Mean, standard deviation, maximum and minimum over frames of 20 MFCC, 12 chroma, 7 "
            "bands of spectral contrast, zero-crossing rate and RMS, of 2.5 s from 0.6 s on."
        ),
        columns=columns_of(
            (*MFCC_20, *CHROMA, *numbered("contrast", 7), "zero_crossing_rate", "rms"),
            *("mean", "std", "max", "min"),
        ),
        compute=stats_164,
        offset_s=0.6,
        duration_s=2.5,
    ),
)

"""Contours of a clip: what changes from frame to frame, and which of it is voiced.

Feature sets compute statistics of these contours. Recordings are scaled to one level first, so that
no contour depends on the recording level. Frames are 32 ms long with a hop of 10 ms.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from benchmark.features import filters, pitch, spectral
from benchmark.features.filters import FRAME_LENGTH, Floats
from benchmark.features.recipe import numbered

FRAMES_PER_SECOND = 100
WINDOW_S = 0.032
SILENCE_RMS = 1e-5  # -100 dB of full scale
LOWEST_DB = -80.0  # relative to the loudest bin of the clip; lower power is raised to it
REFERENCE_HZ = 55.0  # pitch in semitones is relative to it
SYLLABLE_DB = 2.0  # smaller dips of the level don't separate syllables
PAUSE_DB = 25.0  # an unvoiced frame this far below the loudest frame is a pause
LOUDNESS_POWER = 0.3  # of a mel band's power (Stevens, as in openSMILE's auditory spectra)
ROLLOFF_FRACTIONS = (0.25, 0.5, 0.75, 0.9)
SLOPE_BANDS_HZ = ((0.0, 500.0), (500.0, 1500.0), (1500.0, 5000.0))
N_MFCC, N_MEL_BANDS = 20, 40

SPECTRAL = (
    "level_db",
    "loudness",
    "centroid_hz",
    "bandwidth_hz",
    *("rolloff_25_hz", "rolloff_50_hz", "rolloff_75_hz", "rolloff_90_hz"),
    "flatness_db",
    "entropy",
    "flux",
    *("slope_below_500_hz", "slope_500_to_1500_hz", "slope_1500_to_5000_hz"),
    "alpha_ratio_db",
    "hammarberg_db",
    *numbered("contrast", 7),
)
"""Columns of `Contours.spectral`."""

EVERYWHERE = (*SPECTRAL, *numbered("mfcc", N_MFCC), *numbered("log_mel", N_MEL_BANDS))
"""Columns of `Contours.everywhere`."""

VOICE = (
    "pitch_semitones",
    "periodicity",
    "harmonicity_db",
    "pitch_jitter",
    "level_shimmer",
    "h1_h2_db",
    "h1_h3_db",
    "h1_1_to_2_khz_db",
    "h1_2_to_4_khz_db",
)
"""Columns of `Contours.voice`."""

BY_PART = (
    *("level_db", "pitch_semitones", "periodicity", "voiced"),
    *numbered("log_mel", N_MEL_BANDS),
)
"""Columns of `Contours.by_part`."""

LEVEL_BY_BAND = ("level", *numbered("mel_group", 8))
"""Columns of `Contours.level_by_band`."""

RHYTHM = (
    "duration_s",
    "duration_log",
    *(
        f"{kind}_{run}"
        for kind in ("voice", "gap", "pause")
        for run in ("share", "per_s", "mean_s", "std_s", "longest_s")
    ),
    "syllables_per_s",
    "syllables_std_db",
)
"""Names of `Contours.rhythm`."""


def rms(samples: Floats) -> float:
    """Return the root mean square of samples, at least that of silence (1e-5)."""
    return max(float(np.sqrt(np.mean(np.square(samples, dtype=np.float64)))), SILENCE_RMS)


def decibels(power: Floats) -> Floats:
    """Return powers, all above 0, in dB."""
    levels: Floats = np.log10(power)
    levels *= np.float32(10.0)
    return levels


def _bend(contour: Floats) -> Floats:
    """Return the absolute second difference of a contour, (n_frames,)."""
    return np.abs(np.diff(np.pad(contour, 1, mode="edge"), n=2))


@cache
def _window(length: int) -> Floats:
    """Return a Hann window, zero-padded on both sides: (2048,), float32."""
    window = np.hanning(length + 1)[:-1]
    before = (FRAME_LENGTH - length) // 2
    return np.pad(window, (before, FRAME_LENGTH - length - before)).astype(np.float32)


@cache
def _bins(sample_rate_hz: int, low_hz: float, high_hz: float) -> slice:
    """Return the bins of the spectrum in a band, at least one."""
    first, last = np.searchsorted(filters.bin_frequencies_hz(sample_rate_hz), (low_hz, high_hz))
    first = min(int(first), FRAME_LENGTH // 2)
    return slice(first, max(int(last), first + 1))


@cache
def _slopes(sample_rate_hz: int) -> Floats:
    """Return weights whose products with a spectrum in dB are slopes in dB/kHz: (1025, 3)."""
    weights = np.zeros((FRAME_LENGTH // 2 + 1, len(SLOPE_BANDS_HZ)), dtype=np.float32)
    for column, band in enumerate(SLOPE_BANDS_HZ):
        bins = _bins(sample_rate_hz, *band)
        kilohertz = filters.bin_frequencies_hz(sample_rate_hz)[bins] / 1000.0
        centred = kilohertz - kilohertz.mean()
        weights[bins, column] = centred / max(np.square(centred).sum(), 1e-9)
    return weights


def _rolloff_bins(fraction: Floats) -> NDArray[np.intp]:
    """Return the bins below which each rolloff fraction of the power lies: (n_frames, 4)."""
    cumulated = np.cumsum(fraction, axis=1)
    return np.column_stack([(cumulated >= part).argmax(axis=1) for part in ROLLOFF_FRACTIONS])


def _nats(fraction: Floats) -> Floats:
    """Return mean logarithm and entropy of fractions of the power: (n_frames, 2)."""
    nats = np.log(fraction)
    return np.column_stack([nats.mean(axis=1), -(fraction * nats).sum(axis=1)])


@dataclass(frozen=True)
class Contours:
    """Contours of a clip; each is computed once, at its first use.

    Attributes
    ----------
    samples : ndarray of float32, shape (n_samples,)
        Mono, scaled to an RMS of 1.
    sample_rate_hz : int
        Their rate.
    """

    samples: Floats
    sample_rate_hz: int

    @property
    def hop_length(self) -> int:
        """Samples from one frame to the next."""
        return round(self.sample_rate_hz / FRAMES_PER_SECOND)

    @cached_property
    def power(self) -> Floats:
        """Power spectrum of each frame, at most 80 dB below the largest: (n_frames, 1025)."""
        framed = filters.framed(self.samples, self.hop_length)
        window = _window(min(round(WINDOW_S * self.sample_rate_hz), FRAME_LENGTH))
        power = filters.in_blocks(lambda frames: filters.power_of(frames * window), framed)
        floor = max(float(power.max()) * 10.0 ** (LOWEST_DB / 10.0), spectral.SILENCE_POWER)
        audible: Floats = np.maximum(power, np.float32(floor), out=power)
        return audible

    @cached_property
    def power_db(self) -> Floats:
        """Power spectrum in dB, (n_frames, 1025)."""
        return decibels(self.power)

    @cached_property
    def mel(self) -> Floats:
        """Power in mel bands, (n_frames, 40)."""
        return self.power @ filters.mel_bank(self.sample_rate_hz, N_MEL_BANDS).T

    @cached_property
    def mel_db(self) -> Floats:
        """Power in mel bands in dB, (n_frames, 40)."""
        return decibels(self.mel.astype(np.float64))

    @cached_property
    def mfcc(self) -> Floats:
        """The second to the 21st MFCC; the first is the level: (n_frames, 20)."""
        return self.mel_db @ filters.cosine_transform(N_MFCC + 1, N_MEL_BANDS)[:, 1:]

    @cached_property
    def level_db(self) -> Floats:
        """Power of each frame, (n_frames,)."""
        return decibels(self.power.sum(axis=1, dtype=np.float64) / FRAME_LENGTH)

    @cached_property
    def spectral(self) -> Floats:
        """Level and shape of the spectrum, columns `SPECTRAL`: (n_frames, 23)."""
        rate_hz = self.sample_rate_hz
        frequencies = filters.bin_frequencies_hz(rate_hz)
        fraction = self.power / self.power.sum(axis=1, keepdims=True)
        moments = fraction @ np.column_stack([frequencies, np.square(frequencies)]).astype(
            np.float32
        )
        centroid = moments[:, 0]
        bandwidth = np.sqrt(np.maximum(moments[:, 1] - np.square(centroid), 0.0))
        rolloffs = frequencies[filters.in_blocks(_rolloff_bins, fraction)]
        mean_nats, entropy = filters.in_blocks(_nats, fraction).T
        flatness = 10.0 / np.log(10.0) * mean_nats + 10.0 * np.log10(fraction.shape[1])
        # Reuses the array `fraction`: allocating memory costs more than the square roots.
        direction = np.sqrt(fraction, out=fraction)
        turns = np.diff(direction, axis=0)
        flux = np.sqrt(np.square(turns, out=turns).sum(axis=1))
        magnitude = np.sqrt(self.power, out=fraction)
        return np.column_stack(
            [
                self.level_db,
                np.power(self.mel, LOUDNESS_POWER).sum(axis=1),
                centroid,
                bandwidth,
                rolloffs,
                flatness,
                entropy,
                np.append(0.0, flux),  # no flux at the first frame
                self.power_db @ _slopes(rate_hz),
                self._total_db(50.0, 1000.0) - self._total_db(1000.0, 5000.0),
                self._loudest_db(0.0, 2000.0) - self._loudest_db(2000.0, 5000.0),
                spectral.contrast_db(magnitude, rate_hz),
            ]
        )

    def _total_db(self, low_hz: float, high_hz: float) -> Floats:
        """Return the power in a band, (n_frames,)."""
        band = self.power[:, _bins(self.sample_rate_hz, low_hz, high_hz)]
        return decibels(band.sum(axis=1, dtype=np.float64))

    @cached_property
    def everywhere(self) -> Floats:
        """Contours defined in all frames, columns `EVERYWHERE`: (n_frames, 83)."""
        return np.column_stack([self.spectral, self.mfcc, self.mel_db])

    @cached_property
    def track(self) -> pitch.Track:
        """Pitch track of the clip."""
        return pitch.track(self.samples, self.sample_rate_hz, self.hop_length)

    @cached_property
    def voiced(self) -> NDArray[np.bool_]:
        """Mask of voiced frames; all frames if none is voiced: (n_frames,)."""
        voiced = self.track.voiced
        return voiced if voiced.any() else np.ones_like(voiced)

    @cached_property
    def linked(self) -> NDArray[np.bool_]:
        """Mask of voiced frames after a voiced frame; all if there is none: (n_frames,)."""
        following = self.voiced & np.append(False, self.voiced[:-1])
        return following if following.any() else np.ones_like(following)

    @cached_property
    def semitones(self) -> Floats:
        """Pitch, interpolated in unvoiced frames: (n_frames,)."""
        index = np.flatnonzero(self.voiced)
        semitones = 12.0 * np.log2(self.track.f0_hz[index] / REFERENCE_HZ)
        interpolated: Floats = np.interp(np.arange(len(self.track.f0_hz)), index, semitones)
        return interpolated

    @cached_property
    def voice(self) -> Floats:
        """Pitch and voice quality, columns `VOICE`: (n_frames, 9)."""
        periodicity = self.track.periodicity
        harmonic = np.clip(periodicity, 0.01, None)
        harmonics = self._harmonics_db
        return np.column_stack(
            [
                self.semitones,
                periodicity,
                10.0 * np.log10(harmonic / (1.0 - harmonic)),
                _bend(self.semitones),
                _bend(self.level_db),
                harmonics[:, 0] - harmonics[:, 1],
                harmonics[:, 0] - harmonics[:, 2],
                harmonics[:, 0] - self._loudest_db(1000.0, 2000.0),
                harmonics[:, 0] - self._loudest_db(2000.0, 4000.0),
            ]
        )

    @cached_property
    def _harmonics_db(self) -> Floats:
        """Level of the first three harmonics, (n_frames, 3)."""
        bin_hz = self.sample_rate_hz / FRAME_LENGTH
        harmonics = np.outer(self.track.f0_hz, np.arange(1, 4)) / bin_hz
        bins = np.minimum(np.rint(harmonics).astype(np.intp), FRAME_LENGTH // 2)
        return np.take_along_axis(self.power_db, bins, axis=1)

    def _loudest_db(self, low_hz: float, high_hz: float) -> Floats:
        """Return the level of the loudest bin of a band, (n_frames,)."""
        band = self.power_db[:, _bins(self.sample_rate_hz, low_hz, high_hz)]
        loudest: Floats = band.max(axis=1)
        return loudest

    @cached_property
    def by_part(self) -> Floats:
        """Contours that are averaged over parts of a clip, columns `BY_PART`: (n_frames, 44)."""
        return np.column_stack(
            [self.level_db, self.semitones, self.track.periodicity, self.track.voiced, self.mel_db]
        )

    @cached_property
    def rhythm(self) -> Floats:
        """Durations and rates of voiced runs, unvoiced gaps and pauses, as `RHYTHM`: (19,)."""
        duration_s = len(self.samples) / self.sample_rate_hz
        pauses = ~self.track.voiced & (self.level_db < self.level_db.max() - PAUSE_DB)
        syllables_db = self._syllables_db()
        return np.concatenate(
            [
                [duration_s, np.log(duration_s)],
                _runs(self.track.voiced, duration_s),
                _runs(~self.track.voiced, duration_s),
                _runs(pauses, duration_s),
                [len(syllables_db) / duration_s, syllables_db.std()],
            ]
        )

    def _syllables_db(self) -> Floats:
        """Return the levels of the peaks of the level, smoothed over 70 ms and quantised."""
        weights = np.hanning(9)[1:-1]
        smooth = np.convolve(np.pad(self.level_db, 3, mode="edge"), weights, "valid")
        stepped = np.rint(smooth / weights.sum() / SYLLABLE_DB) * SYLLABLE_DB
        steps = stepped[np.diff(stepped, prepend=np.inf) != 0.0]
        around = np.pad(steps, 1, constant_values=-np.inf)
        peak = (steps > around[:-2]) & (steps > around[2:]) & (steps > steps.max() - PAUSE_DB)
        levels_db: Floats = steps[peak]
        return levels_db

    @cached_property
    def level_by_band(self) -> Floats:
        """Level of all and of eight groups of mel bands in dB, `LEVEL_BY_BAND`: (n_frames, 9)."""
        groups = self.mel_db.reshape(len(self.mel_db), 8, -1).mean(axis=2)
        return np.column_stack([self.level_db, groups])


def contours_of(samples: Floats, sample_rate_hz: int) -> Contours:
    """Return the contours of samples scaled to one level; the last result is cached.

    So that joined feature sets compute the contours of a clip once.
    """
    levelled = (samples / np.float32(rms(samples))).astype(np.float32)
    return _contours(levelled.tobytes(), sample_rate_hz)


@lru_cache(maxsize=1)
def _contours(samples: bytes, sample_rate_hz: int) -> Contours:
    """Return the contours of float32 samples; the key is their bytes, as an array may change."""
    return Contours(np.frombuffer(samples, np.float32), sample_rate_hz)


def _runs(inside: NDArray[np.bool_], duration_s: float) -> Floats:
    """Return fraction, rate (1/s), mean, std and maximum duration (s) of runs of frames: (5,)."""
    edges = np.flatnonzero(np.diff(np.pad(inside.astype(np.int8), 1)))
    lengths_s = (edges[1::2] - edges[::2]) / FRAMES_PER_SECOND
    if not len(lengths_s):
        return np.zeros(5)
    durations = [lengths_s.mean(), lengths_s.std(), lengths_s.max()]
    return np.array([inside.mean(), len(lengths_s) / duration_s, *durations])

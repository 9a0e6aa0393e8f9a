"""Functionals: statistics over time of what changes from frame to frame.

Nothing but the two columns of level depends on how loud a recording is: it is brought to one level
first. Frames are 32 ms long, every 10 ms. What each number is called stands in `names`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from itertools import pairwise

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from benchmark.features import filters, names, pitch, spectral
from benchmark.features.filters import FRAME_LENGTH, Floats

FRAMES_A_SECOND = 100
WINDOW_S = 0.032
SILENCE_RMS = 1e-5  # -100 dB of full scale
FLOOR_DB = -80.0  # below a clip's loudest bin nothing is told apart
REFERENCE_HZ = 55.0  # pitch is counted in semitones above it
SYLLABLE_DB = 2.0  # a dip less deep parts no syllables
PAUSE_DB = 25.0  # a frame that far below the loudest, unvoiced, is a pause
LOUDNESS_POWER = 0.3  # of a mel band's power (Stevens, as in openSMILE's auditory spectra)
ROLLOFF_SHARES = (0.25, 0.5, 0.75, 0.9)
SLOPE_BANDS_HZ = ((0.0, 500.0), (500.0, 1500.0), (1500.0, 5000.0))
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
MODULATION_EDGES_HZ = (0.5, 2.0, 4.0, 8.0, 16.0, 32.0)
MODULATION_LENGTH = 512  # frames of which a clip's modulation is transformed, at least


def functionals(samples: Floats, sample_rate_hz: int) -> Floats:
    """Return statistics of level, spectrum, pitch, voice and rhythm, as `names.FUNCTIONALS`."""
    level = rms(samples)
    peak = max(float(np.abs(samples).max()), SILENCE_RMS)
    contours = contours_of(samples, sample_rate_hz)
    voiced = np.column_stack([contours.everywhere, contours.voice])[contours.voiced]
    row = np.concatenate(
        [
            20.0 * np.log10([level, peak]),
            statistics(contours.everywhere),
            course(contours.everywhere),
            statistics(voiced),
            course(voiced[:, -len(names.VOICE) :]),
            part_means(contours.by_part, names.PARTS),
            contours.rhythm,
            modulation(contours.level_by_band, MODULATION_EDGES_HZ),
        ]
    )
    return row.astype(np.float32)


def rms(samples: Floats) -> float:
    """Return the root mean square of samples, never less than that of silence."""
    return max(float(np.sqrt(np.mean(np.square(samples, dtype=np.float64)))), SILENCE_RMS)


def statistics(contours: Floats) -> Floats:
    """Return mean, standard deviation and five quantiles of columns, one after the other."""
    # numpy searches a column once for each of the two ranks about a quantile: sorted, in no time.
    ordered = np.sort(contours, axis=0)
    quantiles = np.quantile(ordered, QUANTILES, axis=0, overwrite_input=True)
    rows = [contours.mean(axis=0), contours.std(axis=0), *quantiles]
    return np.concatenate(rows)


def course(contours: Floats) -> Floats:
    """Return trend (slope over the clip) and mean change from frame to frame of columns."""
    time = np.linspace(-0.5, 0.5, len(contours)) if len(contours) > 1 else np.zeros(1)
    spread = np.square(time).sum()
    trend = time @ contours / (spread if spread else 1.0)
    change = np.abs(np.diff(contours, axis=0, append=contours[-1:])).mean(axis=0)
    return np.concatenate([trend, change])


def _decibels(power: Floats) -> Floats:
    """Return powers, none of them 0, in dB."""
    levels: Floats = np.log10(power)
    levels *= np.float32(10.0)
    return levels


def _bend(contour: Floats) -> Floats:
    """Return by how much each frame lies off the line between its neighbours, times two."""
    return np.abs(np.diff(np.pad(contour, 1, mode="edge"), n=2))


@cache
def _window(length: int) -> Floats:
    """Return the Hann window of a frame, in its middle: (2048,), float32."""
    window = np.hanning(length + 1)[:-1]
    before = (FRAME_LENGTH - length) // 2
    return np.pad(window, (before, FRAME_LENGTH - length - before)).astype(np.float32)


@cache
def _bins(sample_rate_hz: int, low_hz: float, high_hz: float) -> slice:
    """Return the bins of the spectrum in a band, one at least."""
    first, last = np.searchsorted(filters.bin_frequencies_hz(sample_rate_hz), (low_hz, high_hz))
    first = min(int(first), FRAME_LENGTH // 2)
    return slice(first, max(int(last), first + 1))


@cache
def _slopes(sample_rate_hz: int) -> Floats:
    """Return the weights that give slopes of the spectrum, in dB a kHz: (1025, 3)."""
    weights = np.zeros((FRAME_LENGTH // 2 + 1, len(SLOPE_BANDS_HZ)), dtype=np.float32)
    for column, band in enumerate(SLOPE_BANDS_HZ):
        bins = _bins(sample_rate_hz, *band)
        kilohertz = filters.bin_frequencies_hz(sample_rate_hz)[bins] / 1000.0
        centred = kilohertz - kilohertz.mean()
        weights[bins, column] = centred / max(np.square(centred).sum(), 1e-9)
    return weights


def _rolloff_bins(share: Floats) -> NDArray[np.intp]:
    """Return the bins below which so many shares of the power lie: (n_frames, 4)."""
    cumulated = np.cumsum(share, axis=1)
    return np.column_stack([(cumulated >= part).argmax(axis=1) for part in ROLLOFF_SHARES])


def _nats(share: Floats) -> Floats:
    """Return mean and entropy of logarithms of shares: (n_frames, 2)."""
    nats = np.log(share)
    return np.column_stack([nats.mean(axis=1), -(share * nats).sum(axis=1)])


@dataclass(frozen=True)
class Contours:
    """What changes from frame to frame; each is computed once, when first asked for.

    Attributes
    ----------
    samples : ndarray of float32, shape (n_samples,)
        Mono, brought to an RMS of 1.
    sample_rate_hz : int
        Their rate.
    """

    samples: Floats
    sample_rate_hz: int

    @property
    def hop_length(self) -> int:
        """Samples from one frame to the next."""
        return round(self.sample_rate_hz / FRAMES_A_SECOND)

    @cached_property
    def power(self) -> Floats:
        """Power spectrum of each frame, at most 80 dB below the largest: (n_frames, 1025)."""
        padded = np.pad(self.samples, FRAME_LENGTH // 2)
        framed = sliding_window_view(padded, FRAME_LENGTH)[:: self.hop_length]
        window = _window(min(round(WINDOW_S * self.sample_rate_hz), FRAME_LENGTH))
        power = filters.in_blocks(lambda frames: filters.power_of(frames * window), framed)
        floor = max(float(power.max()) * 10.0 ** (FLOOR_DB / 10.0), spectral.SILENCE_POWER)
        audible: Floats = np.maximum(power, np.float32(floor), out=power)
        return audible

    @cached_property
    def power_db(self) -> Floats:
        """Power spectrum in dB, (n_frames, 1025)."""
        return _decibels(self.power)

    @cached_property
    def mel(self) -> Floats:
        """Power in mel bands, (n_frames, 40)."""
        return self.power @ filters.mel_bank(self.sample_rate_hz, names.MEL_BANDS).T

    @cached_property
    def mel_db(self) -> Floats:
        """Power in mel bands in dB, (n_frames, 40)."""
        return _decibels(self.mel.astype(np.float64))

    @cached_property
    def mfcc(self) -> Floats:
        """The second to the 21st MFCC; the first is the level: (n_frames, 20)."""
        return self.mel_db @ filters.cosine_transform(names.MFCC + 1, names.MEL_BANDS)[:, 1:]

    @cached_property
    def level_db(self) -> Floats:
        """Power of each frame, (n_frames,)."""
        return _decibels(self.power.sum(axis=1, dtype=np.float64) / FRAME_LENGTH)

    @cached_property
    def spectral(self) -> Floats:
        """Level and shape of the spectrum, as `names.SPECTRAL`: (n_frames, 22)."""
        rate_hz = self.sample_rate_hz
        frequencies = filters.bin_frequencies_hz(rate_hz)
        share = self.power / self.power.sum(axis=1, keepdims=True)
        moments = share @ np.column_stack([frequencies, np.square(frequencies)]).astype(np.float32)
        centroid = moments[:, 0]
        bandwidth = np.sqrt(np.maximum(moments[:, 1] - np.square(centroid), 0.0))
        rolloffs = frequencies[filters.in_blocks(_rolloff_bins, share)]
        mean_nats, entropy = filters.in_blocks(_nats, share).T
        flatness = 10.0 / np.log(10.0) * mean_nats + 10.0 * np.log10(share.shape[1])
        # Written over what is done with: new pages of memory cost more than roots.
        direction = np.sqrt(share, out=share)
        turns = np.diff(direction, axis=0)
        flux = np.sqrt(np.square(turns, out=turns).sum(axis=1))
        magnitude = np.sqrt(self.power, out=share)
        return np.column_stack(
            [
                self.level_db,
                np.power(self.mel, LOUDNESS_POWER).sum(axis=1),
                centroid,
                bandwidth,
                rolloffs,
                flatness,
                entropy,
                np.append(0.0, flux),  # the first frame has none before it
                self.power_db @ _slopes(rate_hz),
                self._total_db(50.0, 1000.0) - self._total_db(1000.0, 5000.0),
                self._loudest_db(0.0, 2000.0) - self._loudest_db(2000.0, 5000.0),
                spectral.contrast_db(magnitude, rate_hz),
            ]
        )

    def _total_db(self, low_hz: float, high_hz: float) -> Floats:
        """Return the power in a band, (n_frames,)."""
        band = self.power[:, _bins(self.sample_rate_hz, low_hz, high_hz)]
        return _decibels(band.sum(axis=1, dtype=np.float64))

    @cached_property
    def everywhere(self) -> Floats:
        """What is told of every frame, voiced or not, as `names.EVERYWHERE`: (n_frames, 83)."""
        return np.column_stack([self.spectral, self.mfcc, self.mel_db])

    @cached_property
    def track(self) -> pitch.Track:
        """Pitch of each frame."""
        return pitch.track(self.samples, self.sample_rate_hz, self.hop_length)

    @cached_property
    def voiced(self) -> NDArray[np.bool_]:
        """Voiced frames; all, where none is voiced: (n_frames,)."""
        heard = self.track.voiced
        return heard if heard.any() else np.ones_like(heard)

    @cached_property
    def linked(self) -> NDArray[np.bool_]:
        """Voiced frames that follow on one; all, where there are none: (n_frames,)."""
        following = self.voiced & np.append(False, self.voiced[:-1])
        return following if following.any() else np.ones_like(following)

    @cached_property
    def semitones(self) -> Floats:
        """Pitch, interpolated where no voice is: (n_frames,)."""
        places = np.flatnonzero(self.voiced)
        heard = 12.0 * np.log2(self.track.f0_hz[places] / REFERENCE_HZ)
        filled: Floats = np.interp(np.arange(len(self.track.f0_hz)), places, heard)
        return filled

    @cached_property
    def voice(self) -> Floats:
        """Pitch and voice quality, as `names.VOICE`: (n_frames, 9)."""
        periodicity = self.track.periodicity
        share = np.clip(periodicity, 0.01, None)
        harmonics = self._harmonics_db
        return np.column_stack(
            [
                self.semitones,
                periodicity,
                10.0 * np.log10(share / (1.0 - share)),
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
        places = np.minimum(np.rint(harmonics).astype(np.intp), FRAME_LENGTH // 2)
        return np.take_along_axis(self.power_db, places, axis=1)

    def _loudest_db(self, low_hz: float, high_hz: float) -> Floats:
        """Return the level of the loudest bin of a band, (n_frames,)."""
        band = self.power_db[:, _bins(self.sample_rate_hz, low_hz, high_hz)]
        loudest: Floats = band.max(axis=1)
        return loudest

    @cached_property
    def by_part(self) -> Floats:
        """What is told part by part, as `names.BY_PART`: (n_frames, 44)."""
        return np.column_stack(
            [self.level_db, self.semitones, self.track.periodicity, self.track.voiced, self.mel_db]
        )

    @cached_property
    def rhythm(self) -> Floats:
        """Lengths and rates of voice, of its gaps and of pauses, as `names.RHYTHM`."""
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
        """Return the levels of peaks of the level, smoothed over 70 ms and taken in steps."""
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
        """Level, and that of eight groups of mel bands, in dB: (n_frames, 9)."""
        groups = self.mel_db.reshape(len(self.mel_db), 8, -1).mean(axis=2)
        return np.column_stack([self.level_db, groups])


def contours_of(samples: Floats, sample_rate_hz: int) -> Contours:
    """Return the contours of samples brought to one level; of one clip twice in a row, the same."""
    levelled = (samples / np.float32(rms(samples))).astype(np.float32)
    return _contours(levelled.tobytes(), sample_rate_hz)


@lru_cache(maxsize=1)
def _contours(samples: bytes, sample_rate_hz: int) -> Contours:
    """Return the contours of float32 samples.

    Known by the samples themselves and not by the array that held them, which may change.
    """
    return Contours(np.frombuffer(samples, np.float32), sample_rate_hz)


def part_means(contours: Floats, n_parts: int) -> Floats:
    """Return the means of columns over so many equal parts, of a frame at least, part by part."""
    edges = np.linspace(0, len(contours), n_parts + 1).astype(np.intp)
    return np.concatenate([contours[a : max(b, a + 1)].mean(axis=0) for a, b in pairwise(edges)])


def modulation(contours: Floats, edges_hz: tuple[float, ...]) -> Floats:
    """Return the power of slow changes of columns in dB, band by band."""
    n_fft = max(MODULATION_LENGTH, len(contours))
    spectrum = np.fft.rfft(contours - contours.mean(axis=0), n=n_fft, axis=0)
    power = np.square(np.abs(spectrum)) / len(contours)
    frequencies = np.fft.rfftfreq(n_fft, 1.0 / FRAMES_A_SECOND)
    edges = np.searchsorted(frequencies, edges_hz)
    bands = [power[a:b].mean(axis=0) for a, b in pairwise(edges)]
    return _decibels(np.maximum(np.concatenate(bands), 1e-3))


def _runs(inside: NDArray[np.bool_], duration_s: float) -> Floats:
    """Return share, rate (a second), mean, spread and longest (s) of runs of frames: (5,)."""
    edges = np.flatnonzero(np.diff(np.pad(inside.astype(np.int8), 1)))
    lengths_s = (edges[1::2] - edges[::2]) / FRAMES_A_SECOND
    if not len(lengths_s):
        return np.zeros(5)
    spread = [lengths_s.mean(), lengths_s.std(), lengths_s.max()]
    return np.array([inside.mean(), len(lengths_s) / duration_s, *spread])

"""Time stretch and pitch shift by the phase vocoder of librosa 0.11, from complex products alone.

Three ways were compared on 40 trimmed clips of the three corpora, on one core, in milliseconds a
clip. The means-184 features of the copies were the judge of likeness: how far, in standard
deviations over clips, they lie from those of librosa's copies.

    way                                   stretch 0.75    pitch 0.8    median distance
    librosa                               9.5             8.8          0
    audiomentations, Signalsmith Stretch  13              11           0.04, some above 100
    audiomentations, by librosa           as librosa      8.3          0
    this module                           4.2             4.2          0.00001

A change of pitch by 0.8 moves features by 0.056. What is left between librosa and this module is
librosa's own rounding: it sums phases in single precision, so that its samples lie 0.2 % from what
it computes in double precision; those of this module lie 0.0001 % from that.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmark.features import audio, spectral
from benchmark.features.filters import BLOCK_FRAMES, FRAME_LENGTH, Floats, hann_window
from benchmark.features.spectral import HOP_LENGTH, HOPS_A_FRAME, TINY


def time_stretch(samples: Floats, rate: float) -> Floats:
    """Return the clip `rate` times as fast at the same pitch: librosa.effects.time_stretch."""
    stretched = _phase_vocoder(spectral.spectrum(samples), rate)
    return _inverse(stretched, round(len(samples) / rate))


def pitch_shift(samples: Floats, sample_rate_hz: int, semitones: float) -> Floats:
    """Return the clip at another pitch and the same tempo: librosa.effects.pitch_shift."""
    rate = 2.0 ** (-semitones / 12)
    stretched = time_stretch(samples, rate)
    shifted = audio.resample(stretched, sample_rate_hz / rate, sample_rate_hz)[: len(samples)]
    return np.pad(shifted, (0, len(samples) - len(shifted)))


def _phase_vocoder(spectrum: NDArray[np.complex64], rate: float) -> NDArray[np.complex64]:
    """Return the spectrum at every `rate`-th of a frame, (n_steps, 1025).

    Magnitudes are interpolated between neighbouring frames, and the phase of each bin goes on by
    their difference (Ellis, A phase vocoder in Matlab, 2002). That is the product of one frame's
    direction and the conjugate of the other's: the expected advance, which librosa subtracts, wraps
    and adds again, cancels, and so do arctangent, sine and cosine.
    """
    padded = np.pad(spectrum, ((0, 2), (0, 0)))
    magnitude = np.abs(padded)
    direction = padded / np.maximum(magnitude, TINY)
    direction[magnitude < TINY] = 1.0  # a bin without magnitude has phase 0
    steps = np.arange(0, len(spectrum), rate)
    frame = steps.astype(np.intp)
    share = (steps - frame).astype(np.float32)[:, np.newaxis]
    stretched = np.empty((len(steps), spectrum.shape[1]), dtype=np.complex64)
    stretched[0] = direction[0]
    advance = direction[1:] * direction[:-1].conj()
    for step, before in enumerate(frame[:-1], start=1):
        np.multiply(stretched[step - 1], advance[before], out=stretched[step])
    stretched *= (np.float32(1.0) - share) * magnitude[frame] + share * magnitude[frame + 1]
    return stretched


def _inverse(spectrum: NDArray[np.complex64], n_samples: int) -> Floats:
    """Return the samples whose frames have these spectra, as librosa.istft does."""
    window = hann_window()
    sound = np.zeros((len(spectrum) + HOPS_A_FRAME - 1, HOP_LENGTH))
    weight = np.zeros_like(sound)
    for first in range(0, len(spectrum), BLOCK_FRAMES):
        frames = np.fft.irfft(
            spectrum[first : first + BLOCK_FRAMES].astype(np.complex128), n=FRAME_LENGTH, axis=1
        )
        _overlap(sound[first:], frames * window)
        _overlap(weight[first:], np.broadcast_to(np.square(window), frames.shape))
    sound /= np.where(weight > TINY, weight, 1.0)
    kept = sound.reshape(-1)[FRAME_LENGTH // 2 :][:n_samples].astype(np.float32)
    return np.pad(kept, (0, n_samples - len(kept)))


def _overlap(sound: Floats, frames: Floats) -> None:
    """Add frames, each a hop after the one before, to rows of a hop each."""
    hops = frames.reshape(len(frames), HOPS_A_FRAME, HOP_LENGTH)
    for part in range(HOPS_A_FRAME):
        sound[part : part + len(frames)] += hops[:, part]

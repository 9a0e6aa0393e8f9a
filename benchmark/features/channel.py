"""Channels: what a telephone line, a codec, a room or a loud place makes of a recording.

All of it is simulated. Codecs are those of libsndfile, so another version of it may give other
samples.
"""

from __future__ import annotations

import io
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark.features import audio

Samples = NDArray[np.float32]

TELEPHONE_BAND_HZ = (300.0, 3400.0)

OPUS_BITS_PER_S = (6_000.0, 256_000.0)
MP3_BITS_PER_S = (8_000.0, 160_000.0)
"""Lowest and highest rates between which libsndfile's level of compression goes, at 16 kHz."""


class Codec(NamedTuple):
    """A codec of libsndfile.

    Attributes
    ----------
    title : str
    container, subtype : str
        In libsndfile's words.
    sample_rate_hz : int
        At which it codes; recordings are resampled to it and back.
    """

    title: str
    container: str
    subtype: str
    sample_rate_hz: int

    @property
    def available(self) -> bool:
        """Whether the installed build of libsndfile has it."""
        import soundfile

        known = soundfile.available_formats()
        return self.container in known and self.subtype in soundfile.available_subtypes(
            self.container
        )


MU_LAW = Codec("µ-law", "WAV", "ULAW", 8_000)
GSM = Codec("GSM 6.10", "WAV", "GSM610", 8_000)
OPUS = Codec("Opus", "OGG", "OPUS", 16_000)
MP3 = Codec("MP3", "MP3", "MPEG_LAYER_III", 16_000)


def telephone(samples: Samples, rate_hz: int) -> Samples:
    """Return samples as a telephone line carries them: 300 to 3,400 Hz, 8 kHz, µ-law (G.711)."""
    from scipy.signal import butter, sosfilt

    narrow = audio.resample(samples, rate_hz, MU_LAW.sample_rate_hz)
    band = butter(4, TELEPHONE_BAND_HZ, "bandpass", fs=MU_LAW.sample_rate_hz, output="sos")
    passed = _decoded(sosfilt(band, narrow).astype(np.float32), MU_LAW)
    return _as_long(audio.resample(passed, MU_LAW.sample_rate_hz, rate_hz), len(samples))


def gsm(samples: Samples, rate_hz: int) -> Samples:
    """Return samples as a mobile telephone of GSM (full rate, 13 kbit/s) carries them."""
    return _through(samples, rate_hz, GSM)


def opus(samples: Samples, rate_hz: int, kbits_per_s: float) -> Samples:
    """Return samples coded by Opus at 16 kHz, at this rate."""
    return _through(samples, rate_hz, OPUS, _compression(kbits_per_s, OPUS_BITS_PER_S))


def mp3(samples: Samples, rate_hz: int, kbits_per_s: float) -> Samples:
    """Return samples coded as MP3 at 16 kHz, at this mean rate."""
    # Files of a constant low rate lack the tag by which decoders remove the codec's delay.
    return _through(samples, rate_hz, MP3, _compression(kbits_per_s, MP3_BITS_PER_S), "AVERAGE")


def add_noise(samples: Samples, snr_db: float, generator: np.random.Generator) -> Samples:
    """Return samples with white noise at this ratio of the recording's mean power to its own."""
    noise = generator.standard_normal(len(samples), dtype=np.float32)
    level = np.sqrt(np.mean(np.square(samples, dtype=np.float64)) / 10 ** (snr_db / 10))
    noisy: Samples = samples + np.float32(level) * noise
    return noisy


def reverberate(
    samples: Samples, rate_hz: int, decay_s: float, generator: np.random.Generator
) -> Samples:
    """Return samples as heard in a room, with as much power of reverberation as of direct sound.

    The reverberation is white noise that decays by 60 dB in `decay_s` (Polack 1988, La transmission
    de l'énergie sonore dans les salles). What sounds on after the end of the recording is cut off.
    """
    from scipy.signal import fftconvolve

    time_s = np.arange(1, round(decay_s * rate_hz) + 1) / rate_hz
    tail = generator.standard_normal(len(time_s)) * 10 ** (-3 * time_s / decay_s)
    response = np.concatenate([[1.0], tail / np.sqrt(np.square(tail).sum())])
    heard = fftconvolve(samples.astype(np.float64), response)[: len(samples)]
    as_loud: Samples = (heard / np.sqrt(2)).astype(np.float32)
    return as_loud


def clip_peaks(samples: Samples, fraction: float) -> Samples:
    """Return samples cut off above this fraction of the largest one."""
    limit = np.float32(fraction) * np.abs(samples).max(initial=0.0)
    clipped: Samples = np.clip(samples, -limit, limit)
    return clipped


def change_level(samples: Samples, level_db: float) -> Samples:
    """Return samples louder by this."""
    louder: Samples = samples * np.float32(10 ** (level_db / 20))
    return louder


def _compression(kbits_per_s: float, limits: tuple[float, float]) -> float:
    """Return libsndfile's level of compression, from 0 for the highest rate to 1 for the lowest."""
    lowest, highest = limits
    return (highest - 1000 * kbits_per_s) / (highest - lowest)


def _through(
    samples: Samples,
    rate_hz: int,
    codec: Codec,
    compression: float | None = None,
    bitrate_mode: str | None = None,
) -> Samples:
    """Return samples coded and decoded at the rate of a codec, as many as before."""
    coded = audio.resample(samples, rate_hz, codec.sample_rate_hz)
    decoded = _decoded(coded, codec, compression, bitrate_mode)
    return _as_long(audio.resample(decoded, codec.sample_rate_hz, rate_hz), len(samples))


def _decoded(
    samples: Samples,
    codec: Codec,
    compression: float | None = None,
    bitrate_mode: str | None = None,
) -> Samples:
    """Return samples at the codec's rate, coded and decoded."""
    import soundfile

    content = io.BytesIO()
    with soundfile.SoundFile(
        content,
        "w",
        codec.sample_rate_hz,
        1,
        format=codec.container,
        subtype=codec.subtype,
        compression_level=compression,
        bitrate_mode=bitrate_mode,
    ) as file:
        file.write(np.clip(samples, -1.0, 1.0))  # codecs know no samples above full scale
    content.seek(0)
    decoded: Samples = soundfile.read(content, dtype="float32")[0]
    return decoded


def _as_long(samples: Samples, length: int) -> Samples:
    """Return so many samples, cut or filled up with silence."""
    return np.pad(samples[:length], (0, max(0, length - len(samples))))

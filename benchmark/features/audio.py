"""Decoding: from a recording's bytes to mono samples at one rate, or to the reason why not."""

from __future__ import annotations

import io
from dataclasses import dataclass
from hashlib import sha256

import numpy as np

SILENCE_PEAK = 1e-4
"""A recording whose largest sample is below it (-80 dB of full scale) holds no voice."""


class UnusableError(Exception):
    """A recording that can't be used; the message is the reason, as the report shows it."""


@dataclass(frozen=True)
class Decoded:
    """A recording's samples.

    Attributes
    ----------
    samples : ndarray of float32, shape (n_samples,)
        Mono, full scale 1.0, at the rate that was asked for.
    sample_rate_hz : int
        The recording's own rate.
    duration_s : float
        Its length.
    """

    samples: np.ndarray
    sample_rate_hz: int
    duration_s: float

    @property
    def digest(self) -> str:
        """Digest of the samples: equal for the same recording in another lossless format."""
        return sha256(self.samples.tobytes()).hexdigest()


def decode(content: bytes, sample_rate_hz: int) -> Decoded:
    """Return a recording's samples, as librosa.load returns them (soxr_hq, channels averaged).

    Raises
    ------
    UnusableError
        If the bytes are empty, no audio, cut short, silent, or hold numbers that are none.
    """
    import soundfile

    if not content:
        raise UnusableError("empty file")
    try:
        with soundfile.SoundFile(io.BytesIO(content)) as file:
            own_rate_hz, promised = file.samplerate, file.frames
            samples = file.read(dtype="float32")
    except soundfile.LibsndfileError as error:
        raise UnusableError(_reason(content, str(error.error_string))) from error
    if len(samples) < promised or _ends_early(content):
        raise UnusableError("truncated: the file ends before its own header says")
    duration_s = len(samples) / own_rate_hz
    if not len(samples):
        raise UnusableError("no samples")
    if samples.ndim > 1:
        samples = np.mean(samples.T, axis=0)
    if not np.isfinite(samples).all():
        raise UnusableError("samples that are no numbers (NaN or infinite)")
    if np.abs(samples).max() < SILENCE_PEAK:
        raise UnusableError("silent: no sample above -80 dB of full scale")
    return Decoded(resample(samples, own_rate_hz, sample_rate_hz), own_rate_hz, duration_s)


def resample(samples: np.ndarray, from_hz: float, to_hz: float) -> np.ndarray:
    """Return samples at another rate, as librosa.resample with soxr_hq does."""
    import soxr

    if from_hz == to_hz:
        return samples
    length = int(np.ceil(len(samples) * (float(to_hz) / from_hz)))
    changed = soxr.resample(samples, from_hz, to_hz, quality="soxr_hq")[:length]
    return np.pad(changed, (0, length - len(changed)))


def _reason(content: bytes, message: str) -> str:
    """Return why libsndfile refused: cut short, or no audio at all."""
    if content[:4] in {b"RIFF", b"fLaC", b"OggS", b"FORM"}:
        return f"damaged or truncated ({message.strip().rstrip('.')})"
    return "not audio"


def _ends_early(content: bytes) -> bool:
    """Whether a file's own words say that more should follow; libsndfile forgives it silently."""
    kind = content[:4]
    if kind == b"OggS":
        return _ogg_ends_early(content)
    if kind not in {b"RIFF", b"FORM"}:
        return False
    order = "little" if kind == b"RIFF" else "big"
    sought = b"data" if kind == b"RIFF" else b"SSND"
    place = 12
    while place + 8 <= len(content):
        size = int.from_bytes(content[place + 4 : place + 8], order)  # type: ignore[arg-type]
        if content[place : place + 4] == sought:
            # Programs that write to a pipe can't know the size and say all ones.
            return size < 0xFFFFFF00 and place + 8 + size > len(content)
        place += 8 + size + size % 2
    return True


def _ogg_ends_early(content: bytes) -> bool:
    """Whether the last page is no end of stream (flag 4), or is itself cut."""
    page = content.rfind(b"OggS")
    if page + 27 > len(content) or not content[page + 5] & 4:
        return True
    segments = content[page + 26]
    table = content[page + 27 : page + 27 + segments]
    return len(table) < segments or page + 27 + segments + sum(table) > len(content)

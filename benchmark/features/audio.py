"""Decoding: from a recording's bytes to mono samples at one rate, or to the reason why not."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    import soundfile

TRUNCATED = "truncated: the file ends before its own header says"

SILENCE_PEAK = 1e-4
"""A recording whose largest sample is below it (-80 dB of full scale) holds no voice."""


MOST_SAMPLES = 60_000_000
"""Over all channels, of a recording whose length is bounded: 240 MB while it is decoded."""

Fault = Literal["not-audio", "damaged", "silent", "too-short", "too-long"]


class UnusableError(Exception):
    """A recording that can't be used; the message is the reason, as the report shows it.

    Attributes
    ----------
    fault : str
        The kind of reason, in a word for programs.
    """

    def __init__(self, fault: Fault, reason: str) -> None:
        super().__init__(reason)
        self.fault = fault


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


def decode(content: bytes, sample_rate_hz: int, longest_s: float | None = None) -> Decoded:
    """Return a recording's samples, as librosa.load returns them (soxr_hq, channels averaged).

    Parameters
    ----------
    content : bytes
        A file's, in any format that libsndfile reads.
    sample_rate_hz : int
        The rate to which the samples are brought.
    longest_s : float, optional
        A longer recording is refused before it is decoded: a small file may hold hours of silence.

    Raises
    ------
    UnusableError
        If the bytes are empty, no audio, cut short, silent, or hold numbers that are none.
    """
    with open_sound(content, longest_s) as file:
        own_rate_hz = file.samplerate
        samples = read_samples(file)
    if _ends_early(content):
        raise UnusableError("damaged", TRUNCATED)
    duration_s = len(samples) / own_rate_hz
    if samples.ndim > 1:
        samples = np.mean(samples.T, axis=0)
    check_samples(samples)
    return Decoded(resample(samples, own_rate_hz, sample_rate_hz), own_rate_hz, duration_s)


@contextmanager
def open_sound(content: bytes, longest_s: float | None = None) -> Iterator[soundfile.SoundFile]:
    """Open a recording for the block, and turn what libsndfile says of it into a reason.

    Raises
    ------
    UnusableError
        If the bytes are empty, no audio, damaged, or longer than `longest_s`.
    """
    import soundfile

    if not content:
        raise UnusableError("not-audio", "empty file")
    try:
        with soundfile.SoundFile(io.BytesIO(content)) as file:
            if longest_s is not None:
                _check_length(file, longest_s)
            yield file
    except soundfile.LibsndfileError as error:
        raise _unreadable(content, str(error.error_string)) from error


def _check_length(file: soundfile.SoundFile, longest_s: float) -> None:
    duration_s = file.frames / file.samplerate
    if duration_s > longest_s:
        raise UnusableError("too-long", f"{duration_s:.1f} s long; at most {longest_s:g} s")
    if file.frames * file.channels > MOST_SAMPLES:
        raise UnusableError(
            "too-long",
            f"{file.frames * file.channels} samples in {file.channels} channels; "
            f"at most {MOST_SAMPLES}",
        )


def read_samples(file: soundfile.SoundFile) -> np.ndarray:
    """Return all samples of an open recording, (n_frames,) or (n_frames, n_channels).

    Raises
    ------
    UnusableError
        If there are none, or fewer than its header promises.
    """
    promised = file.frames
    samples: np.ndarray = file.read(dtype="float32")
    if len(samples) < promised:
        raise UnusableError("damaged", TRUNCATED)
    if not len(samples):
        raise UnusableError("too-short", "no samples")
    return samples


def check_samples(samples: np.ndarray) -> None:
    """Refuse samples that are no numbers, or that hold no sound.

    Raises
    ------
    UnusableError
        For either.
    """
    if not np.isfinite(samples).all():
        raise UnusableError("damaged", "samples that are no numbers (NaN or infinite)")
    if np.abs(samples).max() < SILENCE_PEAK:
        raise UnusableError("silent", "silent: no sample above -80 dB of full scale")


def resample(samples: np.ndarray, from_hz: float, to_hz: float) -> np.ndarray:
    """Return samples at another rate, as librosa.resample with soxr_hq does."""
    import soxr

    if from_hz == to_hz:
        return samples
    length = int(np.ceil(len(samples) * (float(to_hz) / from_hz)))
    changed = soxr.resample(samples, from_hz, to_hz, quality="soxr_hq")[:length]
    return np.pad(changed, (0, length - len(changed)))


def _unreadable(content: bytes, message: str) -> UnusableError:
    """Return why libsndfile refused: cut short, or no audio at all."""
    if content[:4] in {b"RIFF", b"fLaC", b"OggS", b"FORM"}:
        return UnusableError("damaged", f"damaged or truncated ({message.strip().rstrip('.')})")
    return UnusableError("not-audio", "not audio")


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

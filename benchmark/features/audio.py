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
    from mmap import mmap

    import soundfile

TRUNCATED = "truncated: the file ends before its own header says"

SILENCE_PEAK = 1e-4
"""A recording whose largest sample is below it (-80 dB of full scale) holds no voice."""

LOUDEST_PEAK = 1e10
"""Above what any integer's scale gives; far beyond it, sums of squares are no float32 any more."""


MOST_SAMPLES = 60_000_000
"""Over all channels, of a recording whose length is bounded: 240 MB while it is decoded."""

UNTOLD = 2**63 - 1
"""Frames of a recording whose header does not tell them, in libsndfile's word: FLAC from a pipe."""

BLOCK_FRAMES = 1 << 20

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
        self.fault: Fault = fault

    def __reduce__(self) -> tuple[type[UnusableError], tuple[Fault, str]]:
        # An exception is otherwise made again from its message alone, when it comes from a worker.
        return UnusableError, (self.fault, str(self))


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
        if ends_early(content):
            raise UnusableError("damaged", TRUNCATED)
        own_rate_hz = file.samplerate
        samples = read_samples(file, longest_s)
    duration_s = len(samples) / own_rate_hz
    if samples.ndim > 1:
        samples = np.mean(samples.T, axis=0)
    check_samples(samples)
    return Decoded(resample(samples, own_rate_hz, sample_rate_hz), own_rate_hz, duration_s)


@contextmanager
def open_sound(
    content: bytes | mmap, longest_s: float | None = None
) -> Iterator[soundfile.SoundFile]:
    """Open a recording for the block, and turn what libsndfile says of it into a reason.

    Parameters
    ----------
    content : bytes or mmap
        A file's.
    longest_s : float, optional
        A longer recording is refused, where its header tells its length.

    Raises
    ------
    UnusableError
        If the bytes are empty, no audio, damaged, or longer than `longest_s`.
    """
    import soundfile

    if not content:
        raise UnusableError("not-audio", "empty file")
    try:
        source = _Source(content) if isinstance(content, bytes) else content
        with soundfile.SoundFile(source) as file:
            # soundfile seeks after each read it makes of a file that can seek: MP3 read by parts
            # then comes out otherwise, and FLAC from a pipe is refused.
            file.seekable = lambda: False
            if longest_s is not None and file.frames != UNTOLD:
                _check_length(file, file.frames, longest_s)
            yield file
    except soundfile.LibsndfileError as error:
        raise _unreadable(content, str(error.error_string)) from error


class _Source(io.BytesIO):
    """Bytes whose reader may ask for a place before their beginning, as damaged headers make it.

    It stays where it is then. An error would be lost between C and Python, but for its traceback on
    the terminal.
    """

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Go to a place, if there is such a one, and return where it is now."""
        try:
            return super().seek(offset, whence)
        except (OverflowError, ValueError):
            return self.tell()


def _check_length(file: soundfile.SoundFile, n_frames: int, longest_s: float) -> None:
    duration_s = n_frames / file.samplerate
    if duration_s > longest_s:
        raise UnusableError("too-long", f"{duration_s:.1f} s long; at most {longest_s:g} s")


def _check_size(file: soundfile.SoundFile, n_frames: int) -> None:
    n_samples = n_frames * file.channels
    if n_samples > MOST_SAMPLES:
        raise UnusableError(
            "too-long",
            f"{n_samples} samples in {file.channels} channels; at most {MOST_SAMPLES}",
        )


def read_samples(file: soundfile.SoundFile, longest_s: float | None = None) -> np.ndarray:
    """Return all samples of an open recording, (n_frames,) or (n_frames, n_channels).

    Raises
    ------
    UnusableError
        If there are none, fewer than its header promises, or, where the length is bounded, too
        many.
    """
    if longest_s is not None and file.frames != UNTOLD:
        _check_size(file, file.frames)
    if file.frames * file.channels > MOST_SAMPLES:
        return _read_as_it_comes(file, longest_s)
    promised = file.frames
    samples: np.ndarray = file.read(promised, dtype="float32")
    _check_end(len(samples), promised)
    return samples


def _read_as_it_comes(file: soundfile.SoundFile, longest_s: float | None) -> np.ndarray:
    """Return all samples; no memory is taken for what a header promises and the file hasn't."""
    blocks = []
    for block in read_blocks(file, BLOCK_FRAMES, longest_s):
        blocks.append(block)
        if longest_s is not None:
            _check_size(file, sum(map(len, blocks)))
    samples = np.concatenate(blocks)
    return samples if file.channels > 1 else samples[:, 0]


def read_blocks(
    file: soundfile.SoundFile, n_frames: int, longest_s: float | None = None
) -> Iterator[np.ndarray]:
    """Yield an open recording's samples, (n_frames, n_channels) at a time and fewer at its end.

    Parameters
    ----------
    file : SoundFile
    n_frames : int
    longest_s : float, optional
        A longer recording is refused when that is read.

    Raises
    ------
    UnusableError
        If there are none, or fewer than its header promises.
    """
    total = 0
    while len(block := file.read(n_frames, dtype="float32", always_2d=True)):
        total += len(block)
        if longest_s is not None:
            _check_length(file, total, longest_s)
        yield block
    _check_end(total, 0 if file.frames == UNTOLD else file.frames)


def _check_end(n_frames: int, promised: int) -> None:
    if n_frames < promised:
        raise UnusableError("damaged", TRUNCATED)
    if not n_frames:
        raise UnusableError("too-short", "no samples")


def check_samples(samples: np.ndarray) -> None:
    """Refuse samples that are no numbers, or that hold no sound.

    Raises
    ------
    UnusableError
        For either.
    """
    if not np.isfinite(samples).all():
        raise UnusableError("damaged", "samples that are no numbers (NaN or infinite)")
    peak = np.abs(samples).max()
    if peak > LOUDEST_PEAK:
        raise UnusableError("damaged", f"a sample of {peak:.0e}; full scale is 1")
    if peak < SILENCE_PEAK:
        raise UnusableError("silent", "silent: no sample above -80 dB of full scale")


def resample(samples: np.ndarray, from_hz: float, to_hz: float) -> np.ndarray:
    """Return samples at another rate, as librosa.resample with soxr_hq does."""
    import soxr

    if from_hz == to_hz:
        return samples
    length = int(np.ceil(len(samples) * (float(to_hz) / from_hz)))
    changed = soxr.resample(samples, from_hz, to_hz, quality="soxr_hq")[:length]
    return np.pad(changed, (0, length - len(changed)))


def _unreadable(content: bytes | mmap, message: str) -> UnusableError:
    """Return why libsndfile refused: cut short, or no audio at all."""
    if content[:4] in {b"RIFF", b"fLaC", b"OggS", b"FORM"}:
        return UnusableError("damaged", f"damaged or truncated ({message.strip().rstrip('.')})")
    return UnusableError("not-audio", "not audio")


def ends_early(content: bytes | mmap) -> bool:
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


def _ogg_ends_early(content: bytes | mmap) -> bool:
    """Whether the last page is no end of stream (flag 4), or is itself cut."""
    page = content.rfind(b"OggS")
    if page + 27 > len(content) or not content[page + 5] & 4:
        return True
    segments = content[page + 26]
    table = content[page + 27 : page + 27 + segments]
    return len(table) < segments or page + 27 + segments + sum(table) > len(content)

"""Decoding: from the bytes of a recording to mono samples at one rate, or a reason."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Literal

import numpy as np

from benchmark.features.foreign import foreign_kind
from benchmark.features.headers import CONTAINERS, ends_early, with_size
from benchmark.features.media import MediaError, NoSoundError, can_decode, to_sound_file

if TYPE_CHECKING:
    from mmap import mmap
    from pathlib import Path

    import soundfile

    from benchmark.corpora.clip import Segment

TRUNCATED = "truncated: the file ends before its own header says"

SILENCE_PEAK = 1e-4
"""A recording whose largest sample is below it (-80 dB of full scale) is silent."""

LOUDEST_PEAK = 16.0
"""24 dB above full scale: float recorders come near it. Larger samples are of an integer scale."""

MOST_SAMPLES = 60_000_000
"""Limit over all channels if the duration is limited: 240 MB while decoding."""

UNKNOWN_LENGTH = 2**63 - 1
"""libsndfile's number of frames if the header does not contain it: FLAC from a pipe."""

BLOCK_SAMPLES = 1 << 20
"""Decoded at once, over all channels: memory for a block is taken before it is read."""

HIGHEST_RATE_HZ = 1_000_000
"""Above it a header is damaged: resampling from such a rate takes seconds for a moment of sound."""

LATE_S = 0.1
"""Time by which a segment may end after its recording: other decoders pad, and tables round."""

Fault = Literal["not-audio", "damaged", "silent", "too-short", "too-long", "too-little-speech"]


class UnusableError(Exception):
    """A recording that can't be used; the message is the reason, as reports show it.

    Attributes
    ----------
    fault : str
        Kind of reason, for programs.
    """

    def __init__(self, fault: Fault, reason: str) -> None:
        super().__init__(reason)
        self.fault: Fault = fault

    def __reduce__(self) -> tuple[type[UnusableError], tuple[Fault, str]]:
        # By default, unpickling an exception passes only its message.
        return UnusableError, (self.fault, str(self))


@dataclass(frozen=True)
class Decoded:
    """Samples of a recording, or of a segment of it.

    Attributes
    ----------
    samples : ndarray of float32, shape (n_samples,)
        Mono, full scale 1.0, at the requested rate.
    sample_rate_hz : int
        Rate of the recording.
    duration_s : float
        Duration of the samples.
    channels : int
        Of the recording; the samples are their mean.
    """

    samples: np.ndarray
    sample_rate_hz: int
    duration_s: float
    channels: int = 1

    @property
    def digest(self) -> str:
        """Digest of the samples; equal for the same recording in other lossless formats."""
        return sha256(self.samples.tobytes()).hexdigest()


def decode(
    content: bytes,
    sample_rate_hz: int,
    longest_s: float | None = None,
    segment: Segment | None = None,
) -> Decoded:
    """Return the samples of a recording, equal to librosa.load's (soxr_hq, mean of channels).

    Parameters
    ----------
    content : bytes
        Of a file in any format that libsndfile reads.
    sample_rate_hz : int
        Rate to which the samples are resampled.
    longest_s : float, optional
        Maximum duration, checked before decoding: a small file may hold hours of silence.
    segment : Segment, optional
        The part that is decoded; by default all.

    Raises
    ------
    UnusableError
        If the bytes are empty, not audio, truncated, silent, or hold NaN or infinite samples, or if
        the segment is not within the recording.
    """
    with open_sound(content, longest_s) as file:
        if ends_early(content):
            raise UnusableError("damaged", TRUNCATED)
        own_rate_hz, channels = file.samplerate, file.channels
        samples = read_segment(file, segment) if segment else read_samples(file, longest_s)
    duration_s = len(samples) / own_rate_hz
    with np.errstate(all="ignore"):  # infinite samples are refused in words
        samples = np.mean(samples.T, axis=0)
    check_samples(samples)
    resampled = resample(samples, own_rate_hz, sample_rate_hz)
    return Decoded(resampled, own_rate_hz, duration_s, channels)


def channels_of(path: Path) -> int:
    """Return the number of channels of a recording; 1 if it can't be read."""
    try:
        with open_sound(path.read_bytes()) as file:
            return int(file.channels)
    except (OSError, UnusableError):
        return 1


@contextmanager
def open_sound(
    content: bytes | mmap, longest_s: float | None = None
) -> Iterator[soundfile.SoundFile]:
    """Open a recording, and turn errors of libsndfile into reasons.

    Parameters
    ----------
    content : bytes or mmap
        Of a file.
    longest_s : float, optional
        Maximum duration, checked if the header contains the duration.

    Raises
    ------
    UnusableError
        If the bytes are empty, not audio, damaged, or longer than `longest_s`.
    """
    import soundfile

    if not content:
        raise UnusableError("not-audio", "empty file")
    try:
        with _sound_file(content, longest_s) as file:
            # soundfile seeks after each read of a seekable file: that changes the samples of MP3
            # read in blocks, and fails for FLAC from a pipe.
            file.seekable = lambda: False
            if file.samplerate > HIGHEST_RATE_HZ:
                reason = f"{file.samplerate} samples a second; at most {HIGHEST_RATE_HZ}"
                raise UnusableError("damaged", reason)
            if longest_s is not None:
                _check_length(file, stated_frames(file), longest_s)
            yield file
    except soundfile.LibsndfileError as error:
        raise _unreadable(content, str(error.error_string)) from error


def _sound_file(content: bytes | mmap, longest_s: float | None) -> soundfile.SoundFile:
    """Return a recording, opened by libsndfile; one that it does not read is decoded before."""
    import soundfile

    known = with_size(content)
    try:
        return soundfile.SoundFile(_Source(known) if isinstance(known, bytes) else known)
    except soundfile.LibsndfileError:
        kind = foreign_kind(content)
        if kind is None or not kind.demuxer or not can_decode():
            raise
    try:
        return soundfile.SoundFile(to_sound_file(content, kind.demuxer, longest_s))
    except NoSoundError as error:
        raise UnusableError("not-audio", f"{kind.title} without sound") from error
    except MediaError as error:
        raise UnusableError("damaged", f"damaged or truncated {kind.title} ({error})") from error


class _Source(io.BytesIO):
    """Bytes that ignore a seek before their start, which damaged headers cause.

    An exception in a callback from C would only print a traceback to the terminal.
    """

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Move to an offset if it is valid, and return the current offset."""
        try:
            return super().seek(offset, whence)
        except (OverflowError, ValueError):
            return self.tell()


def stated_frames(file: soundfile.SoundFile) -> int:
    """Return the number of frames that the header of a recording states; 0 if it states none.

    Of MP3, libsndfile estimates it by the file's size and first bit rate, mostly too high.
    """
    estimated = file.subtype.startswith("MPEG")
    return 0 if estimated or file.frames == UNKNOWN_LENGTH else int(file.frames)


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


def _block_frames(file: soundfile.SoundFile) -> int:
    return max(1, BLOCK_SAMPLES // int(file.channels))


def read_samples(file: soundfile.SoundFile, longest_s: float | None = None) -> np.ndarray:
    """Return all samples of an open recording, (n_frames, n_channels).

    Raises
    ------
    UnusableError
        If there are none, fewer than its header states, or too many for a limited duration.
    """
    if longest_s is not None:
        _check_size(file, stated_frames(file))
    blocks = []
    # In blocks, so that no memory is allocated for samples that only the header states.
    for block in read_blocks(file, _block_frames(file), longest_s):
        blocks.append(block)
        if longest_s is not None:
            _check_size(file, sum(map(len, blocks)))
    return np.concatenate(blocks)


def read_segment(file: soundfile.SoundFile, segment: Segment) -> np.ndarray:
    """Return the samples of a segment of an open recording, (n_frames, n_channels).

    All before it is decoded, too: a seek is not exact in every format.

    Raises
    ------
    UnusableError
        If the recording ends before the segment does, by more than `LATE_S`.
    """
    first, end = segment.frames(file.samplerate)
    total, kept = 0, []
    for block in read_blocks(file, _block_frames(file)):
        kept.append(block[max(0, first - total) : None if end is None else max(0, end - total)])
        total += len(block)
        if end is not None and total >= end:
            break
    last = first + 1 if end is None else end
    if total <= first or total < last - LATE_S * file.samplerate:
        raise UnusableError(
            "too-short",
            f"the segment {segment.name} s is not within the recording of "
            f"{total / file.samplerate:.3f} s",
        )
    return np.concatenate(kept)


def read_blocks(
    file: soundfile.SoundFile, n_frames: int, longest_s: float | None = None
) -> Iterator[np.ndarray]:
    """Yield the samples of an open recording in blocks of at most (n_frames, n_channels).

    Parameters
    ----------
    file : SoundFile
    n_frames : int
    longest_s : float, optional
        Maximum duration, checked while reading.

    Raises
    ------
    UnusableError
        If there are none, or fewer than its header states.
    """
    total = 0
    while len(block := file.read(n_frames, dtype="float32", always_2d=True)):
        total += len(block)
        if longest_s is not None:
            _check_length(file, total, longest_s)
        yield block
    if total < stated_frames(file):
        raise UnusableError("damaged", TRUNCATED)
    if not total:
        raise UnusableError("too-short", "no samples")


def check_samples(samples: np.ndarray) -> None:
    """Raise UnusableError for samples that are not finite, out of scale, or silent."""
    if not np.isfinite(samples).all():
        raise UnusableError("damaged", "samples that are not numbers (NaN or infinite)")
    peak = np.abs(samples).max()
    if peak > LOUDEST_PEAK:
        raise UnusableError(
            "damaged",
            f"a sample of {peak:.6g}, where full scale is 1: a float file with an integer scale. "
            "Divide the samples by that scale (32768 for 16 bits), or write them as integers",
        )
    if peak < SILENCE_PEAK:
        raise UnusableError("silent", "silent: no sample above -80 dB of full scale")


def resample(samples: np.ndarray, from_hz: float, to_hz: float) -> np.ndarray:
    """Return samples at another rate, equal to librosa.resample's with soxr_hq."""
    import soxr

    if from_hz == to_hz:
        return samples
    length = int(np.ceil(len(samples) * (float(to_hz) / from_hz)))
    changed = soxr.resample(samples, from_hz, to_hz, quality="soxr_hq")[:length]
    return np.pad(changed, (0, length - len(changed)))


def _unreadable(content: bytes | mmap, message: str) -> UnusableError:
    """Return the reason for an error of libsndfile: another kind of file, damaged, or not audio."""
    kind = foreign_kind(content)
    if kind is not None and kind.demuxer:
        return UnusableError(
            "not-audio",
            f"{kind.title}, which needs the extra `media` (PyAV) or ffmpeg: install one of them, "
            "or convert the recording to WAV or FLAC",
        )
    if kind is not None:
        return UnusableError("not-audio", f"not audio but {kind.title}: {kind.advice}")
    if content[:4] in CONTAINERS:
        return UnusableError("damaged", f"damaged or truncated ({message.strip().rstrip('.')})")
    return UnusableError("not-audio", "not audio")

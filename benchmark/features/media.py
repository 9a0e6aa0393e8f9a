"""Decoding of what libsndfile does not read, by PyAV (the extra `media`) or by ffmpeg."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from mmap import mmap

FORMAT, SUBTYPE = "CAF", "FLOAT"
"""In which decoded samples are kept: as large as need be, and nothing is rounded.

libsndfile takes the floats of ffmpeg's W64 for integers.
"""

FFMPEG = "ffmpeg"

ADDRESS = re.compile(r"\[[^\]]* @ 0x[0-9a-f]+\] *")
"""What ffmpeg puts before a message: its part, with an address that differs from run to run."""

ENDS_EARLY = b"ended prematurely"
MICROSECONDS = 1e6
SHORTER_S = 0.5
"""By how much a recording may be shorter than its header says: encoders pad, and headers round."""


class MediaError(Exception):
    """A file that can't be decoded; the message says why."""


class NoSoundError(Exception):
    """A file that holds pictures or text alone."""


def can_decode() -> bool:
    """Whether PyAV or ffmpeg is installed."""
    return find_spec("av") is not None or shutil.which(FFMPEG) is not None


def to_sound_file(content: bytes | mmap, demuxer: str, longest_s: float | None) -> IO[bytes]:
    """Return the sound of a file as a file that libsndfile reads, in its own rate and channels.

    Parameters
    ----------
    content : bytes or mmap
        Of the file.
    demuxer : str
        FFmpeg's name of what reads it. No other is tried: some would open further files.
    longest_s : float, optional
        A little more is decoded, so that the reader refuses a longer recording. Without a limit,
        the samples are in a temporary file.

    Raises
    ------
    MediaError
        If the file is damaged.
    NoSoundError
        If it has no sound.
    """
    target: IO[bytes] = io.BytesIO()
    if longest_s is None:
        target = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the recording
    decode = _by_pyav if find_spec("av") is not None else _by_ffmpeg
    decode(content, demuxer, None if longest_s is None else longest_s + 1, target)
    target.seek(0)
    return target


def _by_pyav(
    content: bytes | mmap, demuxer: str, longest_s: float | None, target: IO[bytes]
) -> None:
    import av
    import soundfile

    source = io.BytesIO(content) if isinstance(content, bytes) else content
    source.seek(0)
    try:
        with av.open(source, format=demuxer, metadata_errors="ignore") as container:
            stream = next(iter(container.streams.audio), None)
            if stream is None:
                raise NoSoundError
            if stream.codec_context is None:
                raise MediaError("its codec is unknown")
            if not stream.rate:
                raise MediaError("no sample rate in it")
            with soundfile.SoundFile(
                target, "w", stream.rate, stream.channels, subtype=SUBTYPE, format=FORMAT
            ) as file:
                for block in _blocks(container, stream):
                    file.write(block)
                    if longest_s is not None and file.tell() > longest_s * stream.rate:
                        return
                duration_s = file.tell() / stream.rate
            if not duration_s:
                raise MediaError("no samples in it")
            if duration_s < _stated_s(container, stream) - SHORTER_S:
                raise MediaError("it ends before its own header says")
    except av.FFmpegError as error:
        raise MediaError(error.strerror) from error


def _stated_s(container: Any, stream: Any) -> float:
    """Return the duration that the header of a file states; 0 if it states none of the sound."""
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    alone = len(container.streams) == 1 and container.format.name.startswith("matroska")
    return container.duration / MICROSECONDS if alone and container.duration else 0.0


def _blocks(container: Any, stream: Any) -> Iterator[np.ndarray]:
    """Yield the samples of a stream, float32 of shape (n_frames, n_channels)."""
    import av

    one_kind = av.AudioResampler(format="flt", layout=stream.layout, rate=stream.rate)
    for frame in (*container.decode(stream), None):
        try:
            blocks = one_kind.resample(frame)
        except ValueError as error:
            raise MediaError("its rate or its channels change") from error
        for block in blocks:
            yield block.to_ndarray().reshape(-1, stream.channels)


def _by_ffmpeg(
    content: bytes | mmap, demuxer: str, longest_s: float | None, target: IO[bytes]
) -> None:
    limit = [] if longest_s is None else ["-t", str(longest_s)]
    with tempfile.TemporaryDirectory() as folder:
        source, decoded = Path(folder, "source"), Path(folder, "decoded")
        source.write_bytes(content)
        command = [
            *(FFMPEG, "-nostdin", "-v", "error", "-protocol_whitelist", "file", "-f", demuxer),
            *("-xerror", "-i", str(source), *limit, "-map", "0:a:0"),
            *("-c:a", "pcm_f32le", "-f", "caf", str(decoded)),
        ]
        done = subprocess.run(command, capture_output=True, check=False)
        cut = ENDS_EARLY in done.stderr  # of which its status tells nothing
        if done.returncode or cut or not decoded.exists():
            text = done.stderr.decode(errors="replace").replace(f"{source}: ", "").strip()
            if "matches no streams" in text:
                raise NoSoundError
            lines = ADDRESS.sub("", text).splitlines()
            raise MediaError(lines[-1] if lines else "ffmpeg gave no reason")
        with decoded.open("rb") as file:
            shutil.copyfileobj(file, target)

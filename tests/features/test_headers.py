from __future__ import annotations

import struct

import pytest

from benchmark.features import audio
from benchmark.features.headers import LAYOUTS, RF64_SIZE
from tests.support.sounds import RATE_HZ, audio_file, voice

SAMPLES = voice(200.0)

PLACEHOLDERS = {
    "all ones (ffmpeg)": 0xFFFFFFFF,
    "all ones less a header": 0xFFFFFFDB,
    "kaldi": 0xFFFF0000,
    "sox": 0x7FFFF000,
    "largest signed": 0x7FFFFFFF,
    "largest signed less a header": 0x7FFFFFDB,
    "one more (arecord)": 0x80000000,
    "nothing": 0,
}


def with_sizes(container: str, samples: int, whole: int | None = None) -> bytes:
    """Return a recording whose header states a size of its samples, and perhaps of the file."""
    content = bytearray(audio_file(SAMPLES, RATE_HZ, container, "PCM_16"))
    order = "<" if container == "WAV" else ">"
    chunk = content.index({"WAV": b"data", "AIFF": b"SSND"}[container])
    content[chunk + 4 : chunk + 8] = struct.pack(f"{order}I", samples)
    if whole is not None:
        content[4:8] = struct.pack(f"{order}I", whole)
    return bytes(content)


@pytest.mark.parametrize("whole", [0, 36, 0x7FFFF024, 0xFFFFFFFF])
@pytest.mark.parametrize("size", PLACEHOLDERS.values(), ids=PLACEHOLDERS)
def test_a_wav_from_a_pipe_is_read_to_its_end(size: int, whole: int) -> None:
    decoded = audio.decode(with_sizes("WAV", size, whole), RATE_HZ)
    assert decoded.digest == audio.decode(audio_file(SAMPLES), RATE_HZ).digest


@pytest.mark.parametrize("size", [0x7F000008, *PLACEHOLDERS.values()])
def test_an_aiff_from_a_pipe_is_read_to_its_end(size: int) -> None:
    assert len(audio.decode(with_sizes("AIFF", size), RATE_HZ).samples) == len(SAMPLES)


@pytest.mark.parametrize("size", PLACEHOLDERS.values(), ids=PLACEHOLDERS)
def test_a_sun_file_from_a_pipe_is_read_to_its_end(size: int) -> None:
    content = bytearray(audio_file(SAMPLES, RATE_HZ, "AU", "PCM_16"))
    content[8:12] = struct.pack(">I", size)
    assert len(audio.decode(bytes(content), RATE_HZ).samples) == len(SAMPLES)


@pytest.mark.parametrize("size", [0, 2**32 - 1, 2**63 - 1, 2**64 - 1])
def test_an_rf64_from_a_pipe_is_read_to_its_end(size: int) -> None:
    content = bytearray(audio_file(SAMPLES, RATE_HZ, "RF64", "PCM_16"))
    content[RF64_SIZE - 8 : RF64_SIZE + 8] = struct.pack("<QQ", size, size)
    assert len(audio.decode(bytes(content), RATE_HZ).samples) == len(SAMPLES)


def test_a_caf_from_a_pipe_is_read_to_its_end() -> None:
    content = bytearray(audio_file(SAMPLES, RATE_HZ, "CAF", "PCM_16"))
    chunk = content.index(b"data")
    content[chunk + 4 : chunk + 12] = struct.pack(">q", -1)
    assert len(audio.decode(bytes(content), RATE_HZ).samples) == len(SAMPLES)


def test_a_size_that_a_writer_can_mean_is_that_of_a_recording_cut_short() -> None:
    with pytest.raises(audio.UnusableError, match="truncated"):
        audio.decode(with_sizes("WAV", 1_000_000), RATE_HZ)


@pytest.mark.parametrize("container", ["WAV", "AIFF", "AU", "CAF", "W64", "RF64"])
def test_half_a_recording_is_called_truncated(container: str) -> None:
    content = audio_file(SAMPLES, RATE_HZ, container, "PCM_16")
    with pytest.raises(audio.UnusableError, match="truncated"):
        audio.decode(content[: len(content) // 2], RATE_HZ)


@pytest.mark.parametrize("container", LAYOUTS)
def test_a_header_alone_is_refused(container: bytes) -> None:
    with pytest.raises(audio.UnusableError):
        audio.decode(container + bytes(100), RATE_HZ)


@pytest.mark.parametrize("scale", [128.0, 32768.0, 2.0**31, 1e12])
def test_a_float_file_of_an_integer_scale_is_refused(scale: float) -> None:
    content = audio_file(scale * SAMPLES, subtype="FLOAT")
    with pytest.raises(audio.UnusableError, match="an integer scale"):
        audio.decode(content, RATE_HZ)


def test_a_float_file_may_go_beyond_full_scale() -> None:
    content = audio_file(10.0 * SAMPLES, subtype="FLOAT")
    assert audio.decode(content, RATE_HZ).samples.max() > 1.0


@pytest.mark.parametrize("container", ["SVX", "VOC", "NIST", "IRCAM", "PVF", "MAT5"])
def test_other_containers_have_no_size_that_is_checked(container: str) -> None:
    content = audio_file(SAMPLES, RATE_HZ, container, "PCM_16")
    assert len(audio.decode(content, RATE_HZ).samples) == len(SAMPLES)

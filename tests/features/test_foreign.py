from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest

from benchmark.features import audio, media
from tests.support.sounds import RATE_HZ, sine

MP4 = b"\0\0\0\x1cftyp%s \0\0\0\0mp42isom"
RECORDINGS = {
    "M4A": MP4 % b"M4A",
    "MP4": MP4 % b"isom"[:3],
    "3GP": b"\0\0\0\x18ftyp3gp4\0\0\0\0",
    "WebM": b"\x1aE\xdf\xa3\x9fB\x86\x81\x01B\xf7\x81\x01B\xf2\x81\x04B\xf3\x81\x08B\x82\x84webm",
    "AMR": b"#!AMR\n",
    "WMA": b"0&\xb2u\x8ef\xcf\x11\xa6\xd9\0\xaa\0b\xcel",
    "AAC": b"\xff\xf1\x50\x80",
}
OTHERS = {
    "a git-lfs pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n",
    "a git-annex pointer": b"/annex/objects/MD5E-s12--00.wav\n",
    "an HTML page": b"\n<!DOCTYPE html><title>Sign in</title>",
    "JSON": b'{"error": "not found"}',
    "an XML document": b"<?xml version='1.0'?><Error/>",
    "a ZIP archive": b"PK\x03\x04",
    "a Windows shortcut": b"L\0\0\0\x01\x14\x02\0",
}


def reason(content: bytes) -> str:
    """Return why the bytes of a file can't be used."""
    with pytest.raises(audio.UnusableError) as error:
        audio.decode(content, RATE_HZ)
    assert error.value.fault in {"not-audio", "damaged"}
    return str(error.value)


@pytest.mark.parametrize("kind", RECORDINGS)
def test_a_recording_of_a_phone_or_browser_is_named_with_the_way_out(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audio, "can_decode", lambda: False)
    said = reason(RECORDINGS[kind] + b"\x11" * 4000)
    assert said.startswith(f"{kind}, which needs")
    assert "`media`" in said
    assert "convert the recording to WAV" in said


@pytest.mark.parametrize("kind", OTHERS)
def test_a_file_that_is_no_recording_is_named(kind: str) -> None:
    assert reason(OTHERS[kind] + b" " * 100).startswith(f"not audio but {kind}: ")


@pytest.mark.parametrize("words", [b"[1] first we take", b"words about sound", b"<3", b"\0" * 99])
def test_other_bytes_are_not_audio(words: bytes) -> None:
    assert reason(words) == "not audio"


def encoded(container: str, codec: str, rate_hz: int, **options: str) -> bytes:
    """Return two seconds of a sine, encoded by PyAV."""
    av: Any = pytest.importorskip("av")
    target = io.BytesIO()
    with av.open(target, "w", format=container, options=options) as file:
        stream = file.add_stream(codec, rate=rate_hz, layout="mono")
        samples = sine(2.0, rate_hz=rate_hz).astype(np.float32)[np.newaxis]
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
        frame.rate = rate_hz
        fifo = av.AudioFifo()
        for one in av.AudioResampler(stream.codec_context.format, "mono", rate_hz).resample(frame):
            fifo.write(one)
        while (part := fifo.read(stream.codec_context.frame_size)) is not None:
            file.mux(stream.encode(part))
        file.mux(stream.encode(None))
    return target.getvalue()


ENCODINGS = {
    "M4A": ("ipod", "aac", 16_000),
    "WebM": ("webm", "libopus", 48_000),
    "AAC": ("adts", "aac", 16_000),
    "3GP": ("3gp", "aac", 16_000),
}


RARE = {
    "FLAC in Ogg": ("ogg", "flac", 16_000),
    "WAV with compressed sound": ("wav", "ac3", 32_000),
    "CAF with compressed sound": ("caf", "adpcm_ima_qt", 16_000),
    "MPEG transport stream": ("mpegts", "aac", 16_000),
    "AVI": ("avi", "libmp3lame", 16_000),
}


@pytest.mark.parametrize("kind", ENCODINGS | RARE)
def test_a_recording_of_a_phone_or_browser_is_read_with_the_extra(kind: str) -> None:
    of_kind = (ENCODINGS | RARE)[kind]
    content = encoded(*of_kind)
    decoded = audio.decode(content, 16_000, 60.0)
    assert decoded.duration_s == pytest.approx(2.0, abs=0.2)
    assert decoded.sample_rate_hz == of_kind[2]
    assert decoded.samples[8000:24_000].std() == pytest.approx(0.2 / np.sqrt(2), rel=0.1)
    with pytest.raises(audio.UnusableError, match="at most 1 s"):
        audio.decode(content, 16_000, 1.0)


@pytest.mark.parametrize("kind", ENCODINGS)
def test_half_of_it_is_called_damaged(kind: str) -> None:
    content = encoded(*ENCODINGS[kind])
    said = reason(content[: len(content) // 2])
    assert said.startswith(f"damaged or truncated {kind}")


@pytest.mark.skipif(not media.shutil.which(media.FFMPEG), reason="ffmpeg is not installed")
def test_ffmpeg_gives_the_samples_that_pyav_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    content = encoded(*ENCODINGS["M4A"])
    by_pyav = audio.decode(content, 16_000).samples
    monkeypatch.setattr(media, "find_spec", lambda _: None)
    assert audio.decode(content, 16_000).samples == pytest.approx(by_pyav, abs=1e-4)
    middle = len(content) // 2
    said = reason(content[:middle] + b"\xff" * 400 + content[middle + 400 :])
    assert said.startswith("damaged or truncated M4A")
    assert "0x" not in said  # an address would differ from run to run


def test_a_video_without_sound_is_called_so() -> None:
    av: Any = pytest.importorskip("av")
    target = io.BytesIO()
    with av.open(target, "w", format="mp4") as file:
        stream = file.add_stream("mpeg4", rate=10)
        stream.width, stream.height = 64, 48
        picture = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")
        file.mux(stream.encode(picture))
        file.mux(stream.encode(None))
    assert reason(target.getvalue()) == "MP4 without sound"


def test_mp3_from_a_pipe_is_whole_and_half_of_mp3_with_its_size_is_not() -> None:
    from_a_pipe = encoded("mp3", "libmp3lame", 16_000, write_xing="0")
    assert audio.decode(from_a_pipe, 16_000).duration_s == pytest.approx(2.0, abs=0.2)
    complete = encoded("mp3", "libmp3lame", 16_000)
    assert audio.decode(complete, 16_000, 60.0).duration_s == pytest.approx(2.0, abs=0.2)
    assert reason(complete[: len(complete) // 2]) == audio.TRUNCATED

"""Damaged recordings are decoded, or refused in words: no other error, and no time or memory."""

from __future__ import annotations

import tracemalloc
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmark.features import audio
from benchmark.features.headers import stated_size
from tests.hostile.uploads import Request, uploads, wav
from tests.support.sounds import RATE_HZ, audio_file, voice

COUNT = 400
FAMILIES = (
    "truncated",
    "flipped",
    "spliced",
    "misnumbered",
    "wrong WAV header",
    "odd rate, not WAV",
)


def file_of(request: Request) -> bytes:
    """Return the file in an upload."""
    body = request.parts[-1]
    return body[body.index(b"\r\n\r\n") + 4 : body.rindex(b"\r\n--")]


def accepted(content: bytes) -> bool:
    """Return whether a recording is decoded, and not refused with a reason."""
    try:
        decoded = audio.decode(content, RATE_HZ, 60.0)
    except audio.UnusableError:
        return False
    return bool(np.isfinite(decoded.samples).all())


@pytest.mark.parametrize("family", FAMILIES)
def test_a_damaged_recording_is_decoded_or_refused(family: str) -> None:
    verdicts = [accepted(file_of(one)) for one in islice(uploads(family, COUNT, 0), COUNT)]
    assert len(verdicts) == COUNT
    assert not all(verdicts)


def test_samples_that_begin_behind_the_end_of_a_file_are_truncated() -> None:
    content = bytearray(audio_file(voice(200.0), RATE_HZ, "AU", "PCM_16"))
    content[4:12] = b"\x7f\xff\xff\xff" + b"\xff\xff\xff\xff"
    stated = stated_size(bytes(content))
    assert stated is not None
    assert stated.first > len(content)
    assert not accepted(bytes(content))


def test_many_channels_take_no_more_memory_than_their_samples() -> None:
    samples = np.ones((390, 1024), dtype="<i2") * 1000
    content = wav(samples.tobytes(), channels=1024)
    tracemalloc.start()
    assert accepted(content)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 20 * len(content)


@pytest.mark.parametrize(("rate_hz", "used"), [(192_000, True), (2**31 - 1, False)])
def test_an_impossible_rate_is_refused(rate_hz: int, used: bool) -> None:
    samples = (9000 * np.sin(np.arange(400_000) / 20)).astype("<i2")
    assert accepted(wav(samples.tobytes(), rate_hz=rate_hz)) == used


def test_sound_whose_channels_change_is_refused(tmp_path: Path) -> None:
    av: Any = pytest.importorskip("av")
    parts = []
    for number, layout in enumerate(("mono", "stereo")):
        path = tmp_path / f"{number}.ac3"
        with av.open(str(path), "w") as file:
            stream = file.add_stream("ac3", rate=48_000, layout=layout)
            silent = np.zeros((1 + number, 1536), dtype=np.float32)
            for _ in range(20):
                frame = av.AudioFrame.from_ndarray(silent + 0.1, format="fltp", layout=layout)
                frame.rate = 48_000
                file.mux(stream.encode(frame))
            file.mux(stream.encode(None))
        parts.append(path.read_bytes())
    with pytest.raises(audio.UnusableError, match="its rate or its channels change"):
        audio.decode(b"".join(parts), RATE_HZ)

"""A generated recording, for trying things out."""

from __future__ import annotations

import io
import wave
from pathlib import Path

from benchmark.corpora import synthetic
from benchmark.corpora.clip import Clip

SPOKEN = Clip(
    corpus="synthetic",
    name="spk01_happy_s1_1",
    path=Path(),
    speaker="synthetic/spk01",
    gender="female",
    emotion="happy",
    statement="s1",
)


def sample(clip: Clip = SPOKEN) -> bytes:
    """Return a generated clip as a 16-bit WAV file; nothing is written to the disk."""
    signal = (synthetic.samples(clip) * 32767).round().astype("<i2")
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(synthetic.SAMPLE_RATE_HZ)
        file.writeframes(signal.tobytes())
    return content.getvalue()

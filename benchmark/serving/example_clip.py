"""Example clips of synthetic speech."""

from __future__ import annotations

from pathlib import Path

from benchmark.corpora import synthetic, synthetic_voice
from benchmark.corpora.clip import Clip

EMOTIONS = ("angry", "happy", "neutral", "sad")
"""Of the example clips on the page, if the model knows these emotions."""

EXAMPLE = Clip(
    corpus="synthetic",
    name="spk01_happy_s1_1",
    path=Path(),
    speaker="synthetic/spk01",
    gender="female",
    emotion="happy",
    statement="s1",
)


def example_wav(clip: Clip = EXAMPLE) -> bytes:
    """Return a clip of the synthetic corpus as a 16-bit WAV file in memory."""
    return synthetic.wav(synthetic_voice.samples(clip))


def example_clips(emotions: tuple[str, ...]) -> dict[str, bytes]:
    """Return up to four example clips as WAV files, by emotion.

    Only the given emotions of a model are chosen, unless the corpus has none of them.
    """
    known = [name for name in (*EMOTIONS, *synthetic.MANNERS) if name in emotions]
    chosen = list(dict.fromkeys(known))[: len(EMOTIONS)] or EMOTIONS
    return {
        emotion: example_wav(_clip(emotion, speaker))
        for emotion, speaker in zip(chosen, synthetic.SPEAKERS, strict=False)
    }


def _clip(emotion: str, speaker: str) -> Clip:
    # The name is not one of the corpus: no model was trained on this clip.
    name = f"{speaker}_{emotion}_s1_page"
    return Clip("synthetic", name, Path(), f"synthetic/{speaker}", "", emotion, "s1")

"""Toy corpus: file names such as ``ann_happy_01_s2.wav`` tell speaker, emotion and sentence."""

from __future__ import annotations

import re
from pathlib import Path

from benchmark.corpora import Clip, Corpus

GENDERS = {
    "ann": "female", "eva": "female", "mia": "female", "bob": "male", "max": "male", "tom": "male",
}  # fmt: skip
EMOTIONS = ("bored", "happy", "sad")
NAME = re.compile(r"(?P<speaker>[a-z]+)_(?P<emotion>[a-z]+)_(?P<take>\d\d)_(?P<sentence>s\d)")


def parse(name: str) -> Clip | str:
    """Return the clip of a file name, or the reason why it is not a clip of this corpus."""
    parts = NAME.fullmatch(name)
    if parts is None:
        return "not a name such as ann_happy_01_s2"
    if parts["speaker"] not in GENDERS or parts["emotion"] not in EMOTIONS:
        return "unknown speaker or emotion"
    return Clip(
        corpus="toy_voices",
        name=name,
        path=Path(),
        speaker=f"toy_voices/{parts['speaker']}",
        gender=GENDERS[parts["speaker"]],
        emotion=parts["emotion"],
        statement=parts["sentence"],
        more=(("microphone", "near" if int(parts["take"]) % 2 else "far"),),
    )


TOY_VOICES = Corpus(
    name="toy_voices",
    title="Toy voices",
    emotions=EMOTIONS,
    licence="public domain",
    how_to_get="The tests of ser-benchmark generate it.",
    language="none",
    speech="generated",
    parse=parse,
)

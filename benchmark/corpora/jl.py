"""JL: two women and two men of New Zealand speak with ten emotions (James, Tian & Watson 2018)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path

from benchmark.corpora.clip import Clip, Corpus

SPEAKERS = ("female1", "female2", "male1", "male2")
PRIMARY = ("angry", "excited", "happy", "neutral", "sad")
SECONDARY = ("anxious", "apologetic", "assertive", "concerned", "encouraging")
SYNONYMS = {"pensive": "assertive", "worried": "concerned", "enthusiastic": "encouraging"}
"""Words that papers, and copies named after them, use for three secondary emotions."""

NAME = re.compile(r"(?P<speaker>(fe)?male[12])_(?P<emotion>[a-z]+)_(?P<sentence>\d+)[ab]_[12]")
SECOND_COPY = re.compile(r".*\(\d+\)")


def official() -> Iterator[str]:
    """Yield the names of the 2,400 clips: 15 sentences, each as a and b, each spoken twice."""
    codes = product(SPEAKERS, PRIMARY + SECONDARY, range(1, 16), "ab", (1, 2))
    for speaker, emotion, sentence, letter, repetition in codes:
        yield f"{speaker}_{emotion}_{sentence}{letter}_{repetition}"


def parse(name: str) -> Clip | str:
    """Return the clip of a name such as ``male2_encouraging_10a_1``."""
    if SECOND_COPY.fullmatch(name):
        return "a second copy, by its name"
    found = NAME.fullmatch(name)
    if found is None or found["emotion"] not in PRIMARY + SECONDARY:
        return "not a JL name"
    return Clip(
        corpus="jl",
        name=name,
        path=Path(),
        speaker=f"jl/{found['speaker']}",
        gender="female" if found["speaker"].startswith("female") else "male",
        emotion=found["emotion"],
        # The corpus does not publish which emotions share a sentence, so the statement is unknown.
        more=(("sentence", f"{found['emotion']} {found['sentence']}"),),
    )


def name_of(path: Path) -> str:
    """Return the canonical name of a file: with the corpus's own word for the emotion."""
    return "_".join(SYNONYMS.get(part, part) for part in path.stem.casefold().split("_"))


JL = Corpus(
    name="jl",
    title="JL corpus of primary and secondary emotions in New Zealand English",
    emotions=tuple(sorted(PRIMARY + SECONDARY)),
    home_page="https://www.kaggle.com/datasets/tli725/jl-corpus",
    language="English (New Zealand)",
    speech="acted",
    licence="CC0, by its page",
    how_to_get="Download it from https://www.kaggle.com/datasets/tli725/jl-corpus and unpack it.",
    parse=parse,
    official=official,
    name_of=name_of,
)

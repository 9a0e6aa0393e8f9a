"""JL: two women and two men of New Zealand speak with ten emotions (James, Tian & Watson 2018)."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path

from benchmark.corpora.clip import Clip, Corpus, Recordings
from benchmark.corpora.folder import match_names

GENDERS = {"female1": "female", "female2": "female", "male1": "male", "male2": "male"}
PRIMARY = ("angry", "excited", "happy", "neutral", "sad")
SECONDARY = ("anxious", "apologetic", "assertive", "concerned", "encouraging")
OTHER_WORDS = {"pensive": "assertive", "worried": "concerned", "enthusiastic": "encouraging"}
"""What papers, and copies named after them, call three of the secondary emotions."""

SENTENCES = range(1, 16)
SECOND_COPY = re.compile(r".*\(\d+\)")


def _official() -> dict[str, Clip]:
    """Return the 2,400 clips by name: 15 sentences, each as a and b, each spoken twice."""
    clips: dict[str, Clip] = {}
    codes = product(GENDERS, PRIMARY + SECONDARY, SENTENCES, "ab", (1, 2))
    for speaker, emotion, sentence, letter, repetition in codes:
        name = f"{speaker}_{emotion}_{sentence}{letter}_{repetition}"
        clips[name] = Clip(
            corpus="jl",
            name=name,
            path=Path(),
            speaker=f"jl/{speaker}",
            gender=GENDERS[speaker],
            emotion=emotion,
            # Nobody says which emotions share a sentence.
            statement=f"{emotion} {sentence}",
        )
    return clips


def _name_of(path: Path) -> str:
    """Return the name that a file should be known by."""
    parts = path.stem.casefold().split("_")
    return "_".join(OTHER_WORDS.get(part, part) for part in parts)


def _reason(name: str) -> str:
    """Return why a file is no clip."""
    return "a second copy, by its name" if SECOND_COPY.fullmatch(name) else "not a name of JL"


def read(folder: Path) -> Recordings:
    """Return the recordings of JL below a folder."""
    return match_names(folder, _official(), _name_of, _reason)


JL = Corpus(
    name="jl",
    title="JL corpus of primary and secondary emotions in New Zealand English",
    emotions=tuple(sorted(PRIMARY + SECONDARY)),
    official_clips=2400,
    home_page="https://www.kaggle.com/datasets/tli725/jl-corpus",
    licence="CC0, by its page",
    how_to_get="Download it from https://www.kaggle.com/datasets/tli725/jl-corpus and unpack it.",
    read=read,
)

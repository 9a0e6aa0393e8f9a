"""SAVEE: four men speak 120 sentences each with seven emotions (Haq & Jackson 2009)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from benchmark.corpora.clip import Clip, Corpus

SPEAKERS = ("DC", "JE", "JK", "KL")
EMOTIONS = {
    "a": "angry",
    "d": "disgust",
    "f": "fearful",
    "h": "happy",
    "n": "neutral",
    "sa": "sad",
    "su": "surprised",
}
COMMON_SENTENCES = 3  # items 01 to 03 are the same sentences in every emotion
NAME = re.compile(rf"(?P<speaker>{'|'.join(SPEAKERS)})_(?P<code>[adfhn]|sa|su)(?P<item>\d\d)")


def official() -> Iterator[str]:
    """Yield the names of the 480 clips: of each speaker 30 neutral, 15 of each other emotion."""
    for speaker in SPEAKERS:
        for code, emotion in EMOTIONS.items():
            for item in range(1, 31 if emotion == "neutral" else 16):
                yield f"{speaker}_{code}{item:02d}"


def parse(name: str) -> Clip | str:
    """Return the clip of a name such as ``DC_sa01``."""
    found = NAME.fullmatch(name)
    if found is None:
        return "not a SAVEE name"
    common = int(found["item"]) <= COMMON_SENTENCES
    return Clip(
        corpus="savee",
        name=name,
        path=Path(),
        speaker=f"savee/{found['speaker']}",
        gender="male",
        emotion=EMOTIONS[found["code"]],
        statement=found["item"] if common else f"{found['code']}{found['item']}",
    )


def name_of(path: Path) -> str:
    """Return the canonical name of a file: ``DC_a01`` also for ``DC/a01``."""
    return path.stem if "_" in path.stem else f"{path.parent.name}_{path.stem}"


SAVEE = Corpus(
    name="savee",
    title="Surrey Audio-Visual Expressed Emotion",
    emotions=tuple(sorted(EMOTIONS.values())),
    home_page="http://kahlan.eps.surrey.ac.uk/savee/",
    language="English (British)",
    speech="acted",
    licence="free for research after registration; not to be passed on",
    how_to_get="Register at http://kahlan.eps.surrey.ac.uk/savee/ and unpack what it sends.",
    parse=parse,
    official=official,
    name_of=name_of,
)

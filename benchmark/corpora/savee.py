"""SAVEE: four men speak 120 sentences each with seven emotions (Haq & Jackson 2009).

Each emotion has 3 common, 2 specific and 10 generic sentences, and neutral 15 more: the common ones
again and the specific ones of the other emotions. So only the generic ones, and neutral's first 12
after the common ones, belong to one emotion. The order of neutral's items is not published; it was
transcribed from the recordings, where it is the same for all four men.
"""

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
COMMON = ("01", "02", "03")
SPECIFIC = tuple(
    f"{code}{item}" for code in ("a", "d", "f", "su", "sa", "h") for item in ("04", "05")
)
SENTENCES = {item: item for item in COMMON} | {
    f"n{number}": sentence for number, sentence in enumerate((*COMMON, *SPECIFIC), start=16)
}
"""Sentence of an item that shares it with items of other emotions."""

NAME = re.compile(rf"(?P<speaker>{'|'.join(SPEAKERS)})_(?P<code>[adfhn]|sa|su)(?P<item>\d\d)")


NUMBERED = re.compile(r"(?:[adfhn]|sa|su)\d\d *(?:\(\d+\)|- ?Copy.*|copy.*|_\d+)$")
"""Ending of an item that was put into one folder with those of the other speakers."""


def official() -> Iterator[str]:
    """Yield the names of the 480 clips: of each speaker 30 neutral, 15 of each other emotion."""
    for speaker in SPEAKERS:
        for code, emotion in EMOTIONS.items():
            for item in range(1, 31 if emotion == "neutral" else 16):
                yield f"{speaker}_{code}{item:02d}"


def parse(name: str) -> Clip | str:
    """Return the clip of a name such as ``DC_sa01``."""
    found = NAME.fullmatch(name)
    if found is None and NUMBERED.search(name):
        return "a clash of names, numbered: the folder, and so the speaker, is lost"
    if found is None:
        return "not a SAVEE name"
    code, number = found["code"], found["item"]
    item = number if number in COMMON else code + number
    return Clip(
        corpus="savee",
        name=name,
        path=Path(),
        speaker=f"savee/{found['speaker']}",
        gender="male",
        emotion=EMOTIONS[code],
        statement=SENTENCES.get(item, item),
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

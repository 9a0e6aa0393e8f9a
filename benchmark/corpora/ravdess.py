"""RAVDESS: 24 actors speak two sentences with eight emotions (Livingstone & Russo 2018)."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path

from benchmark.corpora.clip import Clip, Corpus, Recordings
from benchmark.corpora.folder import match_names

EMOTION_CODES = {
    "01": "neutral",
    "02": "calm",
    "03": "happy",
    "04": "sad",
    "05": "angry",
    "06": "fearful",
    "07": "disgust",
    "08": "surprised",
}
INTENSITY_CODES = {"01": "normal", "02": "strong"}
STATEMENT_CODES = {"01": "Kids are talking by the door", "02": "Dogs are sitting by the door"}
MODALITY_CODES = {"01": "video with sound", "02": "video"}

NAME = re.compile(r"(?P<modality>\d\d)-(?P<channel>\d\d)(-\d\d){5}")


def _official() -> dict[str, Clip]:
    """Return the 1,440 clips of spoken audio by name; neutral has no strong intensity."""
    clips: dict[str, Clip] = {}
    codes = product(EMOTION_CODES, INTENSITY_CODES, STATEMENT_CODES, ("01", "02"), range(1, 25))
    for emotion, intensity, statement, repetition, actor in codes:
        if (emotion, intensity) == ("01", "02"):
            continue
        name = f"03-01-{emotion}-{intensity}-{statement}-{repetition}-{actor:02d}"
        clips[name] = Clip(
            corpus="ravdess",
            name=name,
            path=Path(),
            speaker=f"ravdess/{actor:02d}",
            gender="male" if actor % 2 else "female",
            emotion=EMOTION_CODES[emotion],
            statement=STATEMENT_CODES[statement],
            intensity=INTENSITY_CODES[intensity],
        )
    return clips


def _reason(name: str) -> str:
    """Return why a file is no clip of spoken audio."""
    match = NAME.fullmatch(name)
    if match is None:
        return "not a name of RAVDESS"
    if match["channel"] == "02":
        return "song, not speech"
    if match["modality"] in MODALITY_CODES:
        return f"{MODALITY_CODES[match['modality']]}, not audio alone"
    return "not among the names that RAVDESS gave out"


def read(folder: Path) -> Recordings:
    """Return the recordings of RAVDESS below a folder."""
    return match_names(folder, _official(), lambda path: path.stem, _reason)


RAVDESS = Corpus(
    name="ravdess",
    title="Ryerson Audio-Visual Database of Emotional Speech and Song, spoken audio",
    emotions=tuple(sorted(EMOTION_CODES.values())),
    official_clips=1440,
    home_page="https://zenodo.org/records/1188976",
    licence="CC BY-NC-SA 4.0",
    how_to_get="Run `python -m benchmark fetch ravdess --into DIR` (208 MB from Zenodo).",
    read=read,
)

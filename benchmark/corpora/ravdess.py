"""RAVDESS: 24 actors speak two sentences with eight emotions (Livingstone & Russo 2018)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path

from benchmark.corpora.clip import Archive, Clip, Corpus
from benchmark.hints import command

EMOTIONS = {
    "01": "neutral",
    "02": "calm",
    "03": "happy",
    "04": "sad",
    "05": "angry",
    "06": "fearful",
    "07": "disgust",
    "08": "surprised",
}
INTENSITIES = {"01": "normal", "02": "strong"}
STATEMENTS = {"01": "Kids are talking by the door", "02": "Dogs are sitting by the door"}
OTHER_MODALITIES = {"01": "video with sound", "02": "video"}

NAME = re.compile(
    r"(?P<modality>\d\d)-(?P<channel>\d\d)-(?P<emotion>0[1-8])-(?P<intensity>0[12])"
    r"-(?P<statement>0[12])-(?P<repetition>\d\d)-(?P<actor>\d\d)"
)


def official() -> Iterator[str]:
    """Yield the names of the 1,440 clips of spoken audio; neutral has no strong intensity."""
    for codes in product(EMOTIONS, INTENSITIES, STATEMENTS, ("01", "02"), range(1, 25)):
        emotion, intensity, statement, repetition, actor = codes
        if (emotion, intensity) != ("01", "02"):
            yield f"03-01-{emotion}-{intensity}-{statement}-{repetition}-{actor:02d}"


def parse(name: str) -> Clip | str:
    """Return the clip of a name, or why it is not a clip of spoken audio."""
    codes = NAME.fullmatch(name)
    if codes is None:
        return "not a RAVDESS name"
    if codes["channel"] == "02":
        return "song, not speech"
    if codes["modality"] in OTHER_MODALITIES:
        return f"{OTHER_MODALITIES[codes['modality']]}, not audio alone"
    return Clip(
        corpus="ravdess",
        name=name,
        path=Path(),
        speaker=f"ravdess/{codes['actor']}",
        gender="male" if int(codes["actor"]) % 2 else "female",
        emotion=EMOTIONS[codes["emotion"]],
        statement=STATEMENTS[codes["statement"]],
        intensity=INTENSITIES[codes["intensity"]],
    )


RAVDESS = Corpus(
    name="ravdess",
    title="Ryerson Audio-Visual Database of Emotional Speech and Song, spoken audio",
    emotions=tuple(sorted(EMOTIONS.values())),
    home_page="https://zenodo.org/records/1188976",
    language="English (North American)",
    speech="acted",
    licence="CC BY-NC-SA 4.0",
    how_to_get=f"Run {command('fetch ravdess --into DIR')} (208 MB from Zenodo).",
    parse=parse,
    official=official,
    archive=Archive(
        "https://zenodo.org/records/1188976/files/Audio_Speech_Actors_01-24.zip?download=1",
        "md5:bc696df654c87fed845eb13823edef8a",
    ),
)

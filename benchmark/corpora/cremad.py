"""CREMA-D: 91 actors speak 12 sentences with six emotions (Cao et al. 2014).

Official names and gaps: SentenceFilenames.csv; gender: VideoDemographics.csv, both of the corpus's
repository. The sentence IEO is spoken at three levels of intensity, the others at none in
particular.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path

from benchmark.corpora.clip import Clip, Corpus

EMOTIONS = {
    "ANG": "angry",
    "DIS": "disgust",
    "FEA": "fearful",
    "HAP": "happy",
    "NEU": "neutral",
    "SAD": "sad",
}
SENTENCES = {
    "DFA": "Don't forget a jacket",
    "IEO": "It's eleven o'clock",
    "IOM": "I'm on my way to the meeting",
    "ITH": "I think I have a doctor's appointment",
    "ITS": "I think I've seen this before",
    "IWL": "I would like a new alarm clock",
    "IWW": "I wonder what this is about",
    "MTI": "Maybe tomorrow it will be cold",
    "TAI": "The airplane is almost full",
    "TIE": "That is exactly what happened",
    "TSI": "The surface is slick",
    "WSI": "We'll stop in a couple of minutes",
}
INTENSITIES = {"LO": "low", "MD": "medium", "HI": "high", "XX": ""}
ACTORS = range(1001, 1092)
WOMEN = frozenset(
    {
        *(1002, 1003, 1004, 1006, 1007, 1008, 1009, 1010, 1012, 1013, 1018, 1020, 1021, 1024),
        *(1025, 1028, 1029, 1030, 1037, 1043, 1046, 1047, 1049, 1052, 1053, 1054, 1055, 1056),
        *(1058, 1060, 1061, 1063, 1072, 1073, 1074, 1075, 1076, 1078, 1079, 1082, 1084, 1089),
        1091,
    }
)
GAPS = frozenset(
    {
        "1002_TIE_NEU_XX",
        "1076_ITS_NEU_XX",
        *(
            f"{actor_and_sentence}_{emotion}_XX"
            for actor_and_sentence in ("1008_WSI", "1009_MTI", "1019_ITH")
            for emotion in EMOTIONS
        ),
    }
)
MISSPELT = {"1040_ITH_SAD_X": "1040_ITH_SAD_XX"}
"""The one published file name that differs from the official list."""

NAME = re.compile(
    rf"(?P<actor>10\d\d)_(?P<sentence>{'|'.join(SENTENCES)})_(?P<emotion>{'|'.join(EMOTIONS)})"
    rf"_(?P<level>{'|'.join(INTENSITIES)})"
)


def official() -> Iterator[str]:
    """Yield the 7,462 names of the recording plan; 7,442 of them were published, see `GAPS`."""
    for actor, sentence, emotion in product(ACTORS, SENTENCES, EMOTIONS):
        three_levels = sentence == "IEO" and emotion != "NEU"
        for level in ("LO", "MD", "HI") if three_levels else ("XX",):
            yield f"{actor}_{sentence}_{emotion}_{level}"


def parse(name: str) -> Clip | str:
    """Return the clip of a name such as ``1001_IEO_ANG_HI``."""
    codes = NAME.fullmatch(name)
    if codes is None:
        return "not a CREMA-D name"
    return Clip(
        corpus="cremad",
        name=name,
        path=Path(),
        speaker=f"cremad/{codes['actor']}",
        gender="female" if int(codes["actor"]) in WOMEN else "male",
        emotion=EMOTIONS[codes["emotion"]],
        statement=SENTENCES[codes["sentence"]],
        intensity=INTENSITIES[codes["level"]],
    )


def name_of(path: Path) -> str:
    """Return the official name of a file."""
    return MISSPELT.get(path.stem.upper(), path.stem)


CREMAD = Corpus(
    name="cremad",
    title="Crowd-sourced Emotional Multimodal Actors Dataset, audio",
    emotions=tuple(sorted(EMOTIONS.values())),
    home_page="https://github.com/CheyneyComputerScience/CREMA-D",
    language="English (American)",
    speech="acted",
    licence="Open Database License (ODbL) 1.0, contents: Database Contents License (DbCL) 1.0",
    how_to_get=(
        "Clone https://github.com/CheyneyComputerScience/CREMA-D with Git LFS and give its folder "
        "AudioWAV."
    ),
    parse=parse,
    official=official,
    gaps=GAPS,
    name_of=name_of,
)

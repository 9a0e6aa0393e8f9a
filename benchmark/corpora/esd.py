"""ESD: ten Mandarin and ten English speakers, 350 sentences, five emotions (Zhou et al. 2022).

The number in a file name counts through the 350 sentences once for each emotion, in the same order
for all speakers of a language. So it tells emotion and sentence. The text files of the corpus tell
them too, but in four encodings and with misprints: one sentence would count as several.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path

from benchmark.corpora.clip import Clip, Corpus

EMOTIONS = ("neutral", "angry", "happy", "sad", "surprised")
"""In the order of the numbers: 1 to 350 are neutral."""

SENTENCES = 350
MEN = frozenset({4, 5, 6, 8, 10, 11, 12, 13, 14, 20})
"""As the corpus's ReadMe.txt lists them."""

NAME = re.compile(r"00(?P<speaker>0[1-9]|1\d|20)_00(?P<number>\d{4})")


def official() -> Iterator[str]:
    """Yield the names of the 35,000 clips."""
    for speaker, number in product(range(1, 21), range(1, len(EMOTIONS) * SENTENCES + 1)):
        yield f"{speaker:04d}_{number:06d}"


def parse(name: str) -> Clip | str:
    """Return the clip of a name such as ``0011_000351``."""
    found = NAME.fullmatch(name)
    if found is None or not 1 <= int(found["number"]) <= len(EMOTIONS) * SENTENCES:
        return "not an ESD name"
    speaker = int(found["speaker"])
    emotion, sentence = divmod(int(found["number"]) - 1, SENTENCES)
    language = "Mandarin" if speaker <= 10 else "English"
    return Clip(
        corpus="esd",
        name=name,
        path=Path(),
        speaker=f"esd/{speaker:04d}",
        gender="male" if speaker in MEN else "female",
        emotion=EMOTIONS[emotion],
        statement=f"{language} sentence {sentence + 1}",
        more=(("language", language),),
    )


ESD = Corpus(
    name="esd",
    title="Emotional Speech Dataset",
    emotions=tuple(sorted(EMOTIONS)),
    home_page="https://github.com/HLTSingapore/Emotional-Speech-Data",
    language="Mandarin and English",
    speech="acted",
    licence="research only, with a signed licence",
    how_to_get=(
        "Follow https://github.com/HLTSingapore/Emotional-Speech-Data: sign its licence, download "
        "the archive and unpack it."
    ),
    parse=parse,
    official=official,
)

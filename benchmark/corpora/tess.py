"""TESS: two women say 200 words with seven emotions (Pichora-Fuller & Dupuis 2020)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path

from benchmark.corpora.clip import Clip, Corpus

SPEAKERS = ("OAF", "YAF")  # the older (64 years) and the younger (26 years) adult female
EMOTIONS = {
    "angry": "angry",
    "disgust": "disgust",
    "fear": "fearful",
    "happy": "happy",
    "neutral": "neutral",
    "ps": "surprised",  # "pleasant surprise"
    "sad": "sad",
}
WORDS = (  # noqa: SIM905 - 200 quoted words would read worse
    "back bar base bath bean beg bite boat bone book bought burn cab calm came cause chain "
    "chair chalk chat check cheek chief choice cool dab date dead death deep dime dip ditch "
    "dodge dog doll door fail fall far fat fit five food gap gas gaze germ get gin goal good "
    "goose gun half hall hash hate have haze hire hit hole home hurl hush jail jar join judge "
    "jug juice keen keep keg kick kill king kite knock late laud lean learn lease lid life "
    "limb live loaf long lore lose lot love luck make match merge mess met mill mob mode mood "
    "moon mop mouse nag name near neat nice note numb pad page pain pass pearl peg perch "
    "phone pick pike pole pool puff rag raid rain raise rat reach read red ring ripe road "
    "room rose rot rough rush said sail search seize sell shack shall shawl sheep shirt "
    "should shout size soap soup sour south sub such sure take talk tape team tell thin third "
    "thought thumb time tip tire ton tool tough turn vine voice void vote wag walk wash week "
    "wheat when which whip white wife wire witch yearn yes young youth"
).split()
MISSPELT = {"OAF_bite_neutral": "OA_bite_neutral"}
"""The one published file name that breaks the rule; some copies correct it."""


def official() -> Iterator[str]:
    """Yield the names of the 2,800 clips."""
    for speaker, word, code in product(SPEAKERS, WORDS, EMOTIONS):
        name = f"{speaker}_{word}_{code}"
        yield MISSPELT.get(name, name)


def parse(name: str) -> Clip | str:
    """Return the clip of a name such as ``YAF_back_ps``."""
    speaker, word, code = name.split("_") if name.count("_") == 2 else ("", "", "")
    if code not in EMOTIONS:
        return "not a TESS name"
    return Clip(
        corpus="tess",
        name=name,
        path=Path(),
        speaker=f"tess/{'OAF' if speaker == 'OA' else speaker}",
        gender="female",
        emotion=EMOTIONS[code],
        statement=f"Say the word {word}",
    )


def name_of(path: Path) -> str:
    """Return the published name of a file, also if a copy corrects it."""
    misspelt = {name.casefold(): published for name, published in MISSPELT.items()}
    return misspelt.get(path.stem.casefold(), path.stem)


TESS = Corpus(
    name="tess",
    title="Toronto emotional speech set",
    emotions=tuple(sorted(EMOTIONS.values())),
    home_page="https://doi.org/10.5683/SP2/E8H2MF",
    language="English (Canadian)",
    speech="acted",
    licence="CC BY-NC-ND 4.0",
    how_to_get="Download it from https://doi.org/10.5683/SP2/E8H2MF and unpack it.",
    parse=parse,
    official=official,
    name_of=name_of,
)

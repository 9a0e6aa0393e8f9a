"""TESS: two women say 200 words with seven emotions (Pichora-Fuller & Dupuis 2020)."""

from __future__ import annotations

from itertools import product
from pathlib import Path

from benchmark.corpora.clip import Clip, Corpus, Recordings
from benchmark.corpora.folder import match_names

SPEAKERS = ("OAF", "YAF")  # the older (64 years) and the younger (26 years) adult female
EMOTION_CODES = {
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
"""The one file that its makers named unlike the others; some copies have it mended."""


def _official() -> dict[str, Clip]:
    """Return the 2,800 clips by name."""
    clips: dict[str, Clip] = {}
    for speaker, word, code in product(SPEAKERS, WORDS, EMOTION_CODES):
        regular = f"{speaker}_{word}_{code}"
        name = MISSPELT.get(regular, regular)
        clips[name] = Clip(
            corpus="tess",
            name=name,
            path=Path(),
            speaker=f"tess/{speaker}",
            gender="female",
            emotion=EMOTION_CODES[code],
            statement=f"Say the word {word}",
        )
    return clips


def _name_of(path: Path) -> str:
    """Return the name that a file should be known by."""
    mended = {name.casefold(): misspelt for name, misspelt in MISSPELT.items()}
    return mended.get(path.stem.casefold(), path.stem)


def read(folder: Path) -> Recordings:
    """Return the recordings of TESS below a folder."""
    return match_names(folder, _official(), _name_of, lambda _: "not a name of TESS")


TESS = Corpus(
    name="tess",
    title="Toronto emotional speech set",
    emotions=tuple(sorted(EMOTION_CODES.values())),
    official_clips=2800,
    home_page="https://doi.org/10.5683/SP2/E8H2MF",
    licence="CC BY-NC-ND 4.0",
    how_to_get="Download it from https://doi.org/10.5683/SP2/E8H2MF and unpack it.",
    read=read,
)

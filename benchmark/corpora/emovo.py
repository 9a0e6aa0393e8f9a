"""EMOVO: six Italian actors speak 14 sentences with seven emotions (Costantini et al. 2014)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path

from benchmark.corpora.clip import Clip, Corpus

EMOTIONS = {
    "dis": "disgust",  # disgusto
    "gio": "happy",  # gioia
    "neu": "neutral",
    "pau": "fearful",  # paura
    "rab": "angry",  # rabbia
    "sor": "surprised",  # sorpresa
    "tri": "sad",  # tristezza
}
SPEAKERS = ("f1", "f2", "f3", "m1", "m2", "m3")
SENTENCES = {
    # short
    "b1": "Gli operai si alzano presto.",
    "b2": "I vigili sono muniti di pistola.",
    "b3": "La cascata fa molto rumore.",
    # long
    "l1": "L'autunno prossimo Tony partirà per la Spagna: nella prima metà di ottobre.",
    "l2": "Ora prendo la felpa di là ed esco per fare una passeggiata.",
    "l3": "Un attimo dopo s'è incamminato ... ed è inciampato.",
    "l4": "Vorrei il numero telefonico del Signor Piatti.",
    # without meaning
    "n1": "La casa forte vuole col pane.",
    "n2": "La forza trova il passo e l'aglio rosso.",
    "n3": "Il gatto sta scorrendo nella pera.",
    "n4": "Insalata pastasciutta coscia d'agnello limoncello.",
    "n5": "Uno quarantatré dieci mille cinquantasette venti.",
    # questions
    "d1": "Sabato sera cosa farà?",
    "d2": "Porti con te quella cosa?",
}
NAME = re.compile(
    rf"(?P<emotion>{'|'.join(EMOTIONS)})-(?P<speaker>{'|'.join(SPEAKERS)})"
    rf"-(?P<sentence>{'|'.join(SENTENCES)})"
)


def official() -> Iterator[str]:
    """Yield the names of the 588 clips."""
    for codes in product(EMOTIONS, SPEAKERS, SENTENCES):
        yield "-".join(codes)


def parse(name: str) -> Clip | str:
    """Return the clip of a name such as ``dis-f1-b1``."""
    codes = NAME.fullmatch(name)
    if codes is None:
        return "not an EMOVO name"
    return Clip(
        corpus="emovo",
        name=name,
        path=Path(),
        speaker=f"emovo/{codes['speaker']}",
        gender="female" if codes["speaker"].startswith("f") else "male",
        emotion=EMOTIONS[codes["emotion"]],
        statement=SENTENCES[codes["sentence"]],
    )


EMOVO = Corpus(
    name="emovo",
    title="EMOVO Corpus: an Italian emotional speech database",
    emotions=tuple(sorted(EMOTIONS.values())),
    home_page="http://voice.fub.it/activities/corpora/emovo/index.html",
    language="Italian",
    speech="acted",
    licence="free for research; its authors state the terms",
    how_to_get=(
        "Get it from http://voice.fub.it/activities/corpora/emovo/index.html or from its authors, "
        "and unpack it."
    ),
    parse=parse,
    official=official,
)

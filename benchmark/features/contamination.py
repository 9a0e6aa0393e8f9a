"""Contamination: which encoders were tuned on the emotion labels of which corpora.

A test on such a corpus measures what the encoder remembers. Tuned encoders are recognised by name.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmark.corpora import CORPORA
from benchmark.features import names_of
from benchmark.features.encoders import ENCODERS, folders

EMOBOX = (
    "ravdess", "tess", "savee", "jl", "cremad", "emodb", "iemocap", "msp_podcast", "emovo", "esd",
    "meld",
)  # fmt: skip
"""Our corpora that are part of EmoBox (arXiv 2406.07162)."""

NOT_A_NAME = re.compile(r"snapshots|checkpoint-\d+|[0-9a-f]{40}|\.*|")
"""Folders of caches and trainers that hold a network and do not name it."""


@dataclass(frozen=True)
class Tuned:
    """A network that was tuned on the emotion labels of corpora.

    Attributes
    ----------
    name : str
        Its own name; any name of which it is a part, as whole words, is one of the same weights.
    corpora : tuple of str
        By our names.
    address : str
        Where its authors say so; empty for our presets.
    """

    name: str
    corpora: tuple[str, ...]
    address: str = ""

    def knows(self, corpus: str) -> bool:
        """Whether it was tuned on a corpus, in whatever writing."""
        return any(_joined(corpus) == _joined(one) for one in self.corpora)


TUNED = (
    *(Tuned(one.name, one.tuned_on) for one in ENCODERS.values() if one.tuned_on),
    # Seed was tuned on EmoBox; base and large on labels that their predecessors gave.
    Tuned("emotion2vec_plus", EMOBOX, "https://huggingface.co/emotion2vec/emotion2vec_plus_seed"),
    # "Academic datasets of speech emotion recognition", none of which is named.
    Tuned("emotion2vec_base_finetuned", EMOBOX, "https://github.com/ddlBoJack/emotion2vec"),
    Tuned(
        "wav2vec2-lg-xlsr-en-speech-emotion-recognition",
        ("ravdess",),
        "https://huggingface.co/ehcalabres/wav2vec2-lg-xlsr-en-speech-emotion-recognition",
    ),
    Tuned(
        "wav2vec-english-speech-emotion-recognition",
        ("ravdess", "savee", "tess"),
        "https://huggingface.co/r-f/wav2vec-english-speech-emotion-recognition",
    ),
    Tuned(
        "wav2vec2-xlsr-english-speech-emotion-recognition",
        ("ravdess",),
        "https://huggingface.co/AreejB/wav2vec2-xlsr-english-speech-emotion-recognition",
    ),
    Tuned(
        "emotion-msp-dim",
        ("msp_podcast",),
        "https://huggingface.co/audeering/wav2vec2-large-robust-12-ft-emotion-msp-dim",
    ),
    Tuned("superb-er", ("iemocap",), "https://huggingface.co/superb/hubert-large-superb-er"),
)
"""Networks that are known to be tuned on emotion labels, as their authors say."""


def contaminated_encoders(encoders: Iterable[Tuned], tested: Collection[str]) -> str:
    """Return which encoder was tuned on the emotion labels of which tested corpora."""
    for encoder in encoders:
        if seen := [name for name in tested if encoder.knows(name)]:
            source = f" ({encoder.address})" if encoder.address else ""
            return (
                f"the encoder {encoder.name} was tuned on emotion labels of {', '.join(seen)}"
                f"{source}: tests of {'it' if len(seen) == 1 else 'them'} would measure what the "
                "encoder remembers. Choose another encoder or another corpus."
            )
    return ""


def tuned_encoders(features: str) -> Iterator[Tuned]:
    """Yield the encoders of a feature set that were tuned on emotion labels of our corpora.

    They are known by name, or a hub name or folder after ``embedding:`` has a corpus's name in it.
    The name of a table tells an encoder only if it is a known one, since a table may well be named
    after the corpus that it describes.

    Examples
    --------
    >>> [one.corpora for one in tuned_encoders("prosody+embedding:me/wav2vec2-ravdess@layers=3")]
    [('ravdess',)]
    >>> [one.name for one in tuned_encoders("table:emotion2vec_plus_base.parquet")]
    ['emotion2vec_plus']
    """
    for part in names_of(features):
        kind, _, argument = part.partition(":")
        if kind == "table":
            yield from known_as_tuned(Path(argument).stem)
        elif kind == "embedding":
            yield from _tuned_network(argument.partition("@")[0])


def known_as_tuned(name: str) -> Iterator[Tuned]:
    """Yield the known tuned networks whose name is part of a name, as whole words."""
    yield from (one for one in TUNED if _contains(name, one.name))


def _tuned_network(written: str) -> Iterator[Tuned]:
    """Yield what is known of a network, and what its own name says; perhaps it is a folder."""
    paths = [written, *map(str, folders(written))]
    for name in dict.fromkeys(map(_own_name, paths)):
        yield from known_as_tuned(name)
        if corpora := tuple(_corpora_in(name)):
            yield Tuned(name, corpora)


def _own_name(path: str) -> str:
    """Return the part of a hub name or path that names the network.

    Examples
    --------
    >>> _own_name("/cache/models--me--wav2vec2-ravdess/snapshots/" + 40 * "0")
    'wav2vec2-ravdess'
    >>> _own_name("ravdess/whisper-base/checkpoint-500")
    'whisper-base'
    """
    parts = [part for part in re.split(r"[/\\]", path) if not NOT_A_NAME.fullmatch(part)]
    return parts[-1].rpartition("--")[2] if parts else ""


def _corpora_in(name: str) -> Iterator[str]:
    """Yield the corpora of recorded speech whose name is part of a name."""
    for corpus in CORPORA.values():
        if corpus.speech in ("acted", "natural") and _contains(name, corpus.name):
            yield corpus.name


def _contains(name: str, part: str) -> bool:
    """Whether a name has another one in it as whole words, in whatever writing.

    Examples
    --------
    >>> _contains("HuBERT_MSP-Podcast", "msp_podcast"), _contains("hubert-resd", "esd")
    (True, False)
    """
    words, wanted = _words(name), _joined(part)
    return any(
        "".join(words[first:end]) == wanted
        for first in range(len(words))
        for end in range(first + 1, len(words) + 1)
    )


def _joined(name: str) -> str:
    return "".join(_words(name))


def _words(name: str) -> list[str]:
    """Return the words of a name, in lower case: runs of letters, of capitals, and of digits."""
    spelt = name.replace("+", " plus ")
    return [run.lower() for run in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[A-Z]|\d+", spelt)]

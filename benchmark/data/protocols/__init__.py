"""Protocols by name: who may be on both sides of a split. A new one is one file and its entry."""

from __future__ import annotations

from benchmark.data.protocols.cross_corpus import CROSS_CORPUS, CROSS_CORPUS_PAIRS
from benchmark.data.protocols.given import GIVEN
from benchmark.data.protocols.protocol import INNER, OUTER, Folds, Mask, Positions, Protocol, Sides
from benchmark.data.protocols.speaker_dependent import SPEAKER_DEPENDENT
from benchmark.data.protocols.speaker_independent import SPEAKER_INDEPENDENT
from benchmark.data.protocols.text_independent import SPEAKER_TEXT_INDEPENDENT, TEXT_INDEPENDENT
from benchmark.engine.registry import Registry

__all__ = [
    "INNER",
    "OUTER",
    "PROTOCOLS",
    "RENAMED_PROTOCOLS",
    "Folds",
    "Mask",
    "Positions",
    "Protocol",
    "Sides",
    "protocol_of",
    "stream",
]

PROTOCOLS: Registry[Protocol] = Registry(
    "protocol",
    "protocols",
    Protocol,
    (
        SPEAKER_DEPENDENT,
        SPEAKER_INDEPENDENT,
        TEXT_INDEPENDENT,
        SPEAKER_TEXT_INDEPENDENT,
        CROSS_CORPUS,
        CROSS_CORPUS_PAIRS,
        GIVEN,
    ),
)
"""By name in study files."""

RENAMED_PROTOCOLS = {
    "random": "speaker-dependent",
    "speaker": "speaker-independent",
    "corpus": "cross-corpus",
    "corpus-pairs": "cross-corpus-pairs",
}
"""Protocols by the names that earlier versions gave them."""


def protocol_of(name: str) -> Protocol:
    """Return a protocol by its name; one that is not registered is known by its name alone."""
    if name in PROTOCOLS:
        return PROTOCOLS[name]
    return Protocol(
        name=name,
        title=name,
        abbreviation=name,
        description=f"protocol {name}, which is not registered here",
        tested_on=f"the test clips of protocol {name}",
        divide=SPEAKER_INDEPENDENT.divide,
        kept_apart=(),
    )


def stream(protocol: str) -> str:
    """Return the name of a protocol's random streams, from which seeds derive."""
    return protocol_of(protocol).stream or protocol

"""Toy check of the audit: an emotion that only a few speakers act."""

from __future__ import annotations

from collections.abc import Iterator

from benchmark.audit.evidence import Check, Evidence, Finding, nothing

FEW = 4


def few_speakers(evidence: Evidence) -> Iterator[Finding]:
    """Yield the emotions of fewer than four speakers."""
    for emotion, count in evidence.clips.groupby("emotion")["speaker"].nunique().items():
        if count < FEW:
            yield Finding(
                check="toy-few-speakers",
                severity="doubt",
                where=str(emotion),
                problem=f"Only {count} speakers have the emotion {emotion}.",
                advice="Do not compare its recall across speakers.",
            )


TOY_FEW_SPEAKERS = Check(
    name="toy-few-speakers",
    title="An emotion of a few speakers",
    find=few_speakers,
    needs=nothing,
)

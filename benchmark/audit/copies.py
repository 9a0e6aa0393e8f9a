"""Checks of recordings and rows that are there twice."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from benchmark.audit.effect import effect_of
from benchmark.audit.evidence import (
    SPEAKER,
    Check,
    Evidence,
    Finding,
    Severity,
    nothing,
    recordings,
)
from benchmark.corpora import Clip
from benchmark.data.near_duplicates import MOST_COPIED, across

Pairs = list[tuple[int, int]]

SHARED_S = 0.1
"""Segments that share less of a recording are neighbours whose times were rounded."""


def exact_duplicates(evidence: Evidence) -> Iterator[Finding]:
    """Yield recordings, or rows of features, that are there twice."""
    noun = "rows of features" if evidence.rows_only else "recordings"
    yield from _twice(
        evidence, _equal(evidence.clips["samples"]), "exact-duplicates", f"equal {noun}"
    )


def one_clip_twice(evidence: Evidence) -> Iterator[Finding]:
    """Yield clips that are there several times by their name, as augmented copies are."""
    yield from _twice(
        evidence,
        _equal(evidence.clips["clip"]),
        "same-clip",
        "rows, or augmented copies, of one clip",
    )


def _equal(values: pd.Series) -> Pairs:
    """Return the positions of equal values; an empty value is unknown."""
    known = values.reset_index(drop=True)
    known = known[known.duplicated(keep=False) & (known != "")]
    groups = known.groupby(known).groups.values()
    return [(int(rows[0]), int(other)) for rows in groups for other in rows[1:]]


def changed_copies(evidence: Evidence) -> Iterator[Finding]:
    """Yield recordings that are changed copies of others."""
    assert evidence.sound is not None, "the check needs recordings"
    copies = evidence.sound.copies
    pairs = [(pair.first, pair.second) for pair in copies]
    similarity = [pair.similarity for pair in copies]
    yield from _twice(
        evidence, pairs, "near-duplicates", "recordings that are changed copies", similarity
    )


def overlapping_segments(evidence: Evidence) -> Iterator[Finding]:
    """Yield segments that share a part of one recording."""
    assert evidence.sound is not None, "the check needs recordings"
    pairs = list(evidence.sound.overlaps)
    yield from _twice(
        evidence, pairs, "overlapping-segments", "segments that share a part of one recording"
    )


def overlapping(clips: Sequence[Clip]) -> Iterator[tuple[int, int]]:
    """Yield the positions of each two clips that share more than `SHARED_S` of one recording."""
    by_file: dict[Path, list[tuple[float, float, int]]] = {}
    for position, clip in enumerate(clips):
        segment = clip.segment
        start_s = 0.0 if segment is None else segment.start_s
        end_s = math.inf if segment is None or segment.end_s is None else segment.end_s
        by_file.setdefault(clip.path, []).append((start_s, end_s, position))
    for parts in by_file.values():
        parts.sort()
        for number, (_, end_s, first) in enumerate(parts):
            for start_s, other_end_s, second in parts[number + 1 :]:
                if start_s >= end_s - SHARED_S:
                    break
                if other_end_s - start_s > SHARED_S:
                    yield first, second


def _twice(
    evidence: Evidence, pairs: Pairs, check: str, what: str, similarity: Sequence[float] = ()
) -> Iterator[Finding]:
    """Yield pairs: on both sides of each protocol, or anywhere without sides."""
    if not pairs:
        return
    header, rows = _listed(evidence.clips, pairs, similarity)
    advice = "Keep one of each pair, or keep both on the same side."
    crossing = {}
    for protocol, splits in evidence.protocols.items():
        copied = [across(split, pairs) for split in splits]
        tested = sum(int(split.test.sum()) for split in splits)
        n_copied = sum(int(test.sum()) for test, _ in copied)
        if n_copied:
            severity: Severity = "leak" if n_copied > MOST_COPIED * tested else "doubt"
            problem = (
                f"{n_copied:,} of {tested:,} test clips are in training, too: {what}. A model that "
                "remembers them has no need to recognise emotion."
            )
            effect = effect_of(evidence, splits, [train for _, train in copied])
            crossing[protocol] = Finding(
                check, severity, protocol, problem, advice, effect, header, rows
            )
    yield from crossing.values()
    if not crossing:
        problem = f"{len(pairs):,} {'pair' if len(pairs) == 1 else 'pairs'} of {what}."
        if evidence.splits:
            problem += " No pair is on both sides of a split."
        severity = "note" if evidence.splits else "doubt"
        yield Finding(check, severity, "", problem, advice, None, header, rows)


def _listed(
    clips: pd.DataFrame, pairs: Pairs, similarity: Sequence[float]
) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    names, speakers = clips["clip"].to_numpy(), clips[SPEAKER].to_numpy()
    header = ("Clip", "Copy", "Speaker", "Speaker of the copy", *["Similarity"] * bool(similarity))
    shown = [[f"{one:.3f}"] for one in similarity] or [[] for _ in pairs]
    rows = [
        (str(names[a]), str(names[b]), str(speakers[a]), str(speakers[b]), *more)
        for (a, b), more in zip(pairs, shown, strict=True)
    ]
    return header, tuple(rows)


CHECKS = (
    Check("exact-duplicates", "The same recording twice", exact_duplicates, nothing),
    Check("same-clip", "One clip, or augmented copies of it, twice", one_clip_twice, nothing),
    Check("near-duplicates", "Changed copies of a recording", changed_copies, recordings),
    Check("overlapping-segments", "Segments that overlap", overlapping_segments, recordings),
)

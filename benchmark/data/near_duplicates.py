"""Near-duplicates: recordings that are changed copies of others, found by their fingerprints."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.console import Bars
from benchmark.corpora import Clip
from benchmark.data.protocols import Mask
from benchmark.data.splits import Split
from benchmark.engine import npz_cache
from benchmark.engine.processes import Workers
from benchmark.features import extract
from benchmark.features.fingerprint import BANDS, FINGERPRINT, FRAMES
from benchmark.study import digest_of

Floats = NDArray[np.float32]
Names = NDArray[np.str_]

OTHER_SPEAKER, SAME_SPEAKER = 0.9, 0.965
"""Similarity from which two recordings are copies. Two takes of one sentence by one speaker are
more alike than recordings of two speakers ever are; ``reports/audits.md`` has the measured rates of
found copies and of false alarms."""

BESIDE_THE_BEST = 0.05
"""A recording that has a much more similar copy is no copy of others."""

VERSION = 2
"""Increase it whenever other pairs are found, or stored otherwise."""

STEADY_DB = 1.2
"""A sound whose levels deviate less over time is no speech, such as a tone, and all such sounds are
alike: it is no copy. Recordings of acted speech deviate by 1.6 dB at least."""

MOST_COPIED = 0.01
"""Fraction of test clips with a copy in training above which a protocol's name is untrue."""

CANDIDATES = 3
"""Most similar recordings, of the own and of other speakers each, that are compared exactly."""

CANDIDATE = 0.5  # roughly compared, copies are at least this similar
ROWS_AT_ONCE = 500
MARGIN = 4  # bands at the top and bottom, and parts at both ends, by which copies are shifted
STEPS = (-4, -2, 0, 2, 4)  # parts by which the start and the end of a copy may differ
ROUGH_MARGIN = (2, 1)  # the same of the rough fingerprint, which has half the bands and parts


@dataclass(frozen=True, slots=True)
class Pair:
    """Two recordings of which one is a copy: their positions, and how similar they are (to 1)."""

    first: int
    second: int
    similarity: float


def find_copies(
    clips: Sequence[Clip], frame: pd.DataFrame, cache: Path, workers: Workers, bars: Bars
) -> list[Pair]:
    """Return the near-duplicates among the clips of a study, whose recordings are not equal.

    Parameters
    ----------
    clips : sequence of Clip
    frame : DataFrame
        One row for each of them.
    cache : Path
        Folder of the fingerprints, and of the pairs that were found before.
    workers : Workers
    bars : Bars

    Returns
    -------
    list of Pair
        Positions in `frame`. A clip that is too short for a fingerprint is in none.
    """
    path = (
        cache / "copies" / f"{digest_of([VERSION, list(frame.samples), list(frame.speaker)])}.npz"
    )
    stored = npz_cache.load(path)
    if stored is None:
        bar = bars.add("fingerprints", len(clips))
        prints = extract(clips, FINGERPRINT, cache=cache, workers=workers, progress=bar.update)
        row_of = {clip: row for row, clip in enumerate(frame["clip"])}
        rows = np.array([row_of[clip.id] for clip in prints.clips], dtype=np.intp)
        speakers = frame["speaker"].to_numpy(dtype=np.str_)[rows]
        found = near_duplicates(prints.values, speakers)
        pairs = np.array([(one.first, one.second) for one in found], dtype=np.intp).reshape(-1, 2)
        stored = {
            "pairs": rows[pairs],
            "similarity": np.array([one.similarity for one in found]),
        }
        npz_cache.save(path, **stored)
    samples = frame["samples"].to_numpy()
    return [
        Pair(int(first), int(second), float(similarity))
        for (first, second), similarity in zip(stored["pairs"], stored["similarity"], strict=True)
        if samples[first] != samples[second]
    ]


def across(split: Split, pairs: Sequence[tuple[int, int]]) -> tuple[Mask, Mask]:
    """Return the test clips that have a copy in training, and these copies."""
    first, second = np.array(pairs, dtype=np.intp).reshape(-1, 2).T
    tested, copies = np.zeros_like(split.test), np.zeros_like(split.test)
    for one, other in ((first, second), (second, first)):
        crosses = split.test[one] & split.train[other]
        tested[one[crosses]] = True
        copies[other[crosses]] = True
    return tested, copies


def near_duplicates(fingerprints: Floats, speakers: Names) -> list[Pair]:
    """Return all pairs of near-duplicates, the most similar first.

    Two fingerprints are compared by their correlation, after the mean of each band over time is
    removed (so that level and band do not matter), at nine shifts over the bands (speed and pitch)
    and 25 pairs of start and end (cuts and padding); the highest counts.

    Parameters
    ----------
    fingerprints : ndarray of float32, shape (n_recordings, 3840)
    speakers : ndarray of str, shape (n_recordings,)
        As named; `OTHER_SPEAKER` and `SAME_SPEAKER` are the limits.
    """
    prints = fingerprints.reshape(len(fingerprints), BANDS, FRAMES)
    changing = (prints - prints.mean(axis=2, keepdims=True)).std(axis=(1, 2)) > STEADY_DB
    prints = prints * changing[:, None, None]  # what is constant is like nothing
    exact = _standardised(_inner(prints, MARGIN, MARGIN))
    found: dict[tuple[int, int], float] = {}
    highest = np.zeros(len(prints))
    for row, candidates in _candidates(prints, speakers):
        similar = (_variants(prints[row]) @ exact[candidates].T).max(axis=0).clip(max=1)
        for other, similarity in zip(candidates.tolist(), similar.tolist(), strict=True):
            pair = (min(row, other), max(row, other))
            found[pair] = max(found.get(pair, 0.0), similarity)
            for one in pair:
                highest[one] = max(highest[one], similarity)
    return [
        Pair(*pair, similarity)
        for pair, similarity in sorted(found.items(), key=lambda one: (-one[1], one[0]))
        if similarity >= (SAME_SPEAKER if speakers[pair[0]] == speakers[pair[1]] else OTHER_SPEAKER)
        and similarity > max(highest[one] for one in pair) - BESIDE_THE_BEST
    ]


def _candidates(prints: Floats, speakers: Names) -> Iterator[tuple[int, NDArray[np.intp]]]:
    """Yield each recording with those to compare it with: the nearest by rough fingerprints."""
    rough = prints.reshape(len(prints), BANDS // 2, 2, FRAMES // 2, 2).mean(axis=(2, 4))
    bands, parts = ROUGH_MARGIN
    target = _standardised(_inner(rough, bands, parts))
    codes = np.unique(speakers, return_inverse=True)[1]
    for start in range(0, len(prints), ROWS_AT_ONCE):
        block = rough[start : start + ROWS_AT_ONCE]
        best = np.full((len(block), len(prints)), -1, dtype=np.float32)
        for band in range(-bands, bands + 1):
            for part in range(-parts, parts + 1):
                moved = np.roll(block, (-band, -part), axis=(1, 2))
                shifted = _standardised(_inner(moved, bands, parts))
                np.maximum(best, shifted @ target.T, out=best)
        for index, row in enumerate(range(start, start + len(block))):
            best[index, row] = -1
            same = codes == codes[row]
            nearest = [_nearest(best[index], part) for part in (same, ~same)]
            if len(chosen := np.concatenate(nearest)):
                yield row, chosen


def _nearest(similarity: Floats, among: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return the most similar recordings among some, no more than `CANDIDATES`."""
    positions = np.flatnonzero(among & (similarity >= CANDIDATE))
    order = np.argsort(-similarity[positions], kind="stable")
    return positions[order[:CANDIDATES]]


def _inner(prints: Floats, bands: int, parts: int) -> Floats:
    """Return fingerprints without the bands and parts at their edges."""
    return prints[..., bands : prints.shape[-2] - bands, parts : prints.shape[-1] - parts]


def _standardised(prints: Floats) -> Floats:
    """Return fingerprints as rows whose product is their correlation."""
    centred = prints - prints.mean(axis=-1, keepdims=True)
    rows = centred.reshape(len(centred), -1)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    standard: Floats = rows / np.maximum(lengths, 1e-9)
    return standard


def _variants(fingerprint: Floats) -> Floats:
    """Return a fingerprint at all shifts, starts and ends, as standardised rows."""
    n_parts = FRAMES - 2 * MARGIN
    stretched = (fingerprint @ _stretches()).reshape(BANDS, -1, n_parts).transpose(1, 0, 2)
    shifts = range(2 * MARGIN + 1)
    return np.concatenate(
        [_standardised(stretched[:, shift : BANDS - 2 * MARGIN + shift]) for shift in shifts]
    )


@cache
def _stretches() -> Floats:
    """Return the matrix from the parts of a fingerprint to those between all starts and ends."""
    n_parts = FRAMES - 2 * MARGIN
    matrices = []
    for start in STEPS:
        for end in STEPS:
            at = np.linspace(MARGIN + start, FRAMES - 1 - MARGIN + end, n_parts)
            below = np.clip(np.floor(at).astype(np.intp), 0, FRAMES - 2)
            matrix = np.zeros((FRAMES, n_parts), dtype=np.float32)
            matrix[below, np.arange(n_parts)] = 1 - (at - below)
            matrix[below + 1, np.arange(n_parts)] = at - below
            matrices.append(matrix)
    return np.concatenate(matrices, axis=1)

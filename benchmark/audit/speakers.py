"""Checks of who speaks: speakers on both sides, under two names, or with one clip."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.audit.effect import effect_of, effect_of_random_folds
from benchmark.audit.evidence import (
    SPEAKER,
    Check,
    Evidence,
    Finding,
    Severity,
    keeps_apart,
    nothing,
    two_sides,
)
from benchmark.data.guards import clips_as_speakers, speakers_alike
from benchmark.data.protocols.given import GIVEN

SAME_VOICE = 0.75
"""Distance of two speakers' means below which they may be one person. Two halves of one speaker's
clips are at most 0.7 apart, two people at least 1.5; see ``reports/audits.md``."""

FEWEST_CLIPS = 10
"""A speaker with fewer clips has no reliable mean."""

SHRINKAGE = 0.1

MOSTLY = 0.5
"""With more speakers of one clip, a random split has few speakers on both sides."""


def shared_speakers(evidence: Evidence) -> Iterator[Finding]:
    """Yield protocols in which speakers are on both sides."""
    speakers = evidence.clips[SPEAKER].to_numpy()
    for protocol, splits in evidence.protocols.items():
        shared = [np.intersect1d(speakers[one.test], speakers[one.train]) for one in splits]
        of_shared = [np.isin(speakers, some) for some in shared]
        pairs = zip(splits, of_shared, strict=True)
        known = Counter(str(name) for split, both in pairs for name in speakers[split.test & both])
        n_tested = sum(int(split.test.sum()) for split in splits)
        if not known:
            continue
        problem = (
            f"{known.total():,} of {n_tested:,} test clips are of speakers who are in training, "
            f"too ({_count(len(known), 'speaker')}). A score of these clips is speaker-dependent: "
            "it does not hold for other speakers."
        )
        effect = effect_of(evidence, splits, of_shared) or effect_of_random_folds(evidence)
        yield Finding(
            "shared-speakers",
            _severity_of_sharing(protocol),
            protocol,
            problem,
            "Test on speakers who are not in training, or state beside the figure that it is "
            "speaker-dependent.",
            effect,
            ("Speaker", "Test clips"),
            tuple(
                (name, f"{n_clips:,}")
                for name, n_clips in sorted(known.items(), key=lambda pair: (-pair[1], pair[0]))
            ),
        )


def _severity_of_sharing(protocol: str) -> Severity:
    """Return how bad shared speakers are: what a protocol allows by its name is only noted."""
    if keeps_apart(protocol, SPEAKER):
        return "leak"
    return "doubt" if protocol == GIVEN.name else "note"


def unknown_split(evidence: Evidence) -> Iterator[Finding]:
    """Yield what a random split of the clips would add, where none is given."""
    if (evidence.clips[SPEAKER].value_counts() == 1).mean() > MOSTLY:
        return
    effect = effect_of_random_folds(evidence)
    if effect is not None:
        yield Finding(
            "random-split",
            "note",
            "",
            "No split is given. In a random split, nearly all speakers are on both sides.",
            "Keep speakers apart: `folds` and the protocol speaker-independent in a study.",
            effect,
        )


def similar_names(evidence: Evidence) -> Iterator[Finding]:
    """Yield speakers whose names differ in their writing only."""
    groups = list(speakers_alike(evidence.clips))
    if groups:
        yield Finding(
            "similar-speakers",
            _if_apart(evidence, "doubt"),
            "",
            f"{_count(len(groups), 'group')} of speakers whose names differ only in case, blanks, "
            "punctuation or leading zeros. One person may be on both sides of a split.",
            "Write each speaker's name in one way.",
            None,
            ("Speakers",),
            tuple((", ".join(map(str, group)),) for group in groups),
        )


def single_clips(evidence: Evidence) -> Iterator[Finding]:
    """Yield corpora in which most speakers have one clip."""
    for corpus, problem in clips_as_speakers(evidence.clips):
        yield Finding(
            "single-clip-speakers",
            _if_apart(evidence, "doubt"),
            corpus,
            problem,
            "Name each clip's speaker.",
        )


def _if_apart(evidence: Evidence, otherwise: Severity) -> Severity:
    """Return that a wrong name is a leak, where a protocol promises to keep speakers apart."""
    promised = any(keeps_apart(protocol, SPEAKER) for protocol in evidence.protocols)
    return "leak" if promised else otherwise


def same_voices(evidence: Evidence) -> Iterator[Finding]:
    """Yield speakers of a corpus whose voices are as alike as those of one person."""
    assert evidence.features is not None, "the check needs features of the recordings"
    for corpus, rows in evidence.clips.reset_index(drop=True).groupby("corpus"):
        at = rows.index.to_numpy()
        pairs = [
            (one, other, distance)
            for one, other, distance in voice_distances(evidence.features[at], rows[SPEAKER])
            if distance < SAME_VOICE
        ]
        if pairs:
            yield Finding(
                "same-voice",
                "doubt",
                str(corpus),
                f"{_count(len(pairs), 'pair')} of speakers with voices as alike as one speaker's "
                "own. They may be one person, or one person's recordings under two names.",
                "Listen to a few clips of each pair.",
                None,
                ("Speaker", "Speaker", "Distance"),
                tuple((one, other, f"{distance:.2f}") for one, other, distance in pairs),
            )


def voice_distances(
    features: NDArray[np.float32], speakers: pd.Series
) -> list[tuple[str, str, float]]:
    """Return the distance of the means of each two speakers, the nearest first.

    It is the squared Mahalanobis distance by the scatter within speakers, per feature, divided by
    its expectation if both means are of one population: 1 for two speakers whose clips are drawn
    from one, less where a speaker's clips of all emotions and sentences are on both.

    Parameters
    ----------
    features : ndarray of float32, shape (n_clips, n_features)
        Of one corpus.
    speakers : Series of str, shape (n_clips,)
        Those with fewer than `FEWEST_CLIPS` clips are left out.
    """
    codes, names = pd.factorize(speakers, sort=True)
    numbers = np.bincount(codes)
    enough = np.flatnonzero(numbers >= FEWEST_CLIPS)
    if len(enough) < 2:
        return []
    scaled = features.astype(np.float64)
    scaled = (scaled - scaled.mean(axis=0)) / np.maximum(scaled.std(axis=0), 1e-9)
    means = np.stack([scaled[codes == code].mean(axis=0) for code in range(len(names))])
    within = scaled - means[codes]
    scatter = within.T @ within / max(1, len(scaled) - len(names))
    n_features = len(scatter)
    typical = np.trace(scatter) / n_features
    scatter = (1 - SHRINKAGE) * scatter + SHRINKAGE * typical * np.eye(n_features)
    white = np.linalg.solve(np.linalg.cholesky(scatter), means[enough].T).T
    squares = (white**2).sum(axis=1)
    distances = squares[:, None] + squares[None, :] - 2 * white @ white.T
    expected = n_features * (1 / numbers[enough, None] + 1 / numbers[None, enough])
    ratios = distances / expected
    first, second = np.triu_indices(len(enough), k=1)
    found = [
        (str(names[enough[a]]), str(names[enough[b]]), float(ratios[a, b]))
        for a, b in zip(first, second, strict=True)
    ]
    return sorted(found, key=lambda pair: pair[2])


def _needs_voices(evidence: Evidence) -> str:
    return "" if evidence.sound is not None and evidence.features is not None else "recordings"


def _needs_no_sides(evidence: Evidence) -> str:
    return "data without a given split" if evidence.splits else ""


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


CHECKS = (
    Check("shared-speakers", "Speakers on both sides", shared_speakers, two_sides),
    Check("random-split", "What a random split would add", unknown_split, _needs_no_sides),
    Check("similar-speakers", "One speaker under two names, by the name", similar_names, nothing),
    Check("same-voice", "One speaker under two names, by the voice", same_voices, _needs_voices),
    Check("single-clip-speakers", "Names of clips in place of speakers", single_clips, nothing),
)

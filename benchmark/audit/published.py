"""Audits of published protocols on real corpora, and how often the audit itself is right.

``reports/audits/audits.json`` holds the result; ``reports/audits.md`` is made from it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.audit.effect import FEATURES, predicted_by
from benchmark.audit.evidence import SPEAKER
from benchmark.audit.speakers import voice_distances
from benchmark.console import Console
from benchmark.corpora import Clip
from benchmark.data.near_duplicates import near_duplicates
from benchmark.data.prepare import clip_frame, read_named
from benchmark.engine.processes import Workers
from benchmark.evaluation.records import read_record, write_record
from benchmark.features import Extracted, extract, feature_set
from benchmark.features.fingerprint import FINGERPRINT
from benchmark.hints import command
from benchmark.models import MODELS
from benchmark.project import Job

CORPORA = ("ravdess", "savee", "tess")

BOARD_FEATURES = ("means-184", FEATURES)
BOARD_FOLDS, CLIPS_PER_EMOTION, ITERATIONS = 5, 8, 100
"""As MTEB's ``AbsTaskClassification`` has them, with ``is_cross_validation``."""

DRAWS = 20
FIRST_SEED = 42  # MTEB's

TEST_SIZE = 0.25  # of EmoBox's list of TESS: 700 of 2,800 clips

COPIED = 60
"""Clips of each corpus that are copied, for the rate of found copies."""

CHANGES = (
    "level=-20", "trim=30", "snr=20", "snr=10", "telephone", "gsm", "mp3", "opus",
    "reverberation", "speed=0.9", "speed=1.1", "stretch=0.8", "pitch=1", "pitch=-2",
)  # fmt: skip
"""Changes of a copy, as `augment` names them."""

FORMAT = 1
FOLDER, RECORD = "audits", "audits.json"


@dataclass(frozen=True)
class Board:
    """UAR under a protocol that shares speakers, and with speakers apart, on the same clips.

    Attributes
    ----------
    corpus, features : str
    clips, speakers, emotions : int
    shared, apart : float
        Means over draws.
    shared_std, apart_std : float
        Standard deviations over draws.
    """

    corpus: str
    features: str
    clips: int
    speakers: int
    emotions: int
    shared: float
    apart: float
    shared_std: float
    apart_std: float


@dataclass(frozen=True)
class Found:
    """How many changed copies are found.

    Attributes
    ----------
    change : str
    copies : int
    other, same : int
        Found under another speaker's name, and under the own.
    """

    change: str
    copies: int
    other: int
    same: int


@dataclass(frozen=True)
class Alarms:
    """What the fingerprint calls a copy in a corpus, beside equal recordings.

    Attributes
    ----------
    corpus : str
    pairs : int
        Of recordings.
    false : int
        Pairs that are called copies and are none.
    """

    corpus: str
    pairs: int
    false: int


@dataclass(frozen=True)
class Voices:
    """Distances of speakers by voice.

    Attributes
    ----------
    corpus : str
    speakers : int
    same : float
        The largest distance of two halves of one speaker's clips.
    other : float
        The smallest distance of halves of two speakers.
    """

    corpus: str
    speakers: int
    same: float
    other: float


@dataclass(frozen=True)
class PublishedAudits:
    """All measurements of the page.

    Attributes
    ----------
    board : tuple of Board
        MTEB's protocol.
    emobox : tuple of Board
        EmoBox's random test side of TESS.
    found : tuple of Found
    alarms : tuple of Alarms
    voices : tuple of Voices
    libraries : str
        That decide the fits, with their versions.
    """

    board: tuple[Board, ...]
    emobox: tuple[Board, ...]
    found: tuple[Found, ...]
    alarms: tuple[Alarms, ...]
    voices: tuple[Voices, ...]
    libraries: str


def measure_audits(job: Job, console: Console) -> PublishedAudits:
    """Return the audits of published protocols, measured on RAVDESS, SAVEE and TESS.

    Raises
    ------
    BenchmarkError
        If a corpus is missing or incomplete.
    """
    recordings = read_named(CORPORA, job.sources, console)
    board: list[Board] = []
    emobox: list[Board] = []
    alarms: list[Alarms] = []
    voices: list[Voices] = []
    found = dict.fromkeys(CHANGES, Found("", 0, 0, 0))
    with Workers(job.workers) as workers, console.bars() as bars:
        bar = bars.add("corpora", len(CORPORA))

        def measured(clips: Sequence[Clip], features: str, change: str = "") -> Extracted:
            one = FINGERPRINT if features == FINGERPRINT.name else feature_set(features)
            return extract(
                clips, one, augmentation=change, cache=job.sources.cache, workers=workers
            )

        for number, corpus in enumerate(CORPORA, start=1):
            clips = recordings[corpus].clips
            for features in BOARD_FEATURES:
                rows = measured(clips, features)
                frame = clip_frame(rows.clips, rows.samples_digests)
                board.append(_board(corpus, features, frame, rows.values))
            if corpus == "tess":
                emobox.append(_random_test_side(corpus, frame, rows.values))
            voices.append(_voices(corpus, frame, rows.values))
            prints = measured(clips, FINGERPRINT.name)
            frame = clip_frame(prints.clips, prints.samples_digests)
            alarms.append(_alarms(corpus, frame, prints.values))
            chosen = _chosen(prints.clips)
            for change in CHANGES:
                copies = measured(chosen, FINGERPRINT.name, change)
                found[change] = _added(found[change], change, frame, prints, copies)
            bar.update(number, len(CORPORA))
    libraries = MODELS["lda"].engine_version()
    return PublishedAudits(
        tuple(board), tuple(emobox), tuple(found.values()), tuple(alarms), tuple(voices), libraries
    )


def _board(corpus: str, features: str, clips: pd.DataFrame, values: NDArray[np.float32]) -> Board:
    """Return UAR by MTEB's protocol: shuffled folds, and eight training clips of each emotion."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GroupKFold, KFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    emotions = clips["emotion"].to_numpy(dtype=np.str_)
    speakers = clips[SPEAKER]
    scores: dict[str, list[float]] = {"shared": [], "apart": []}
    for seed in range(FIRST_SEED, FIRST_SEED + DRAWS):
        shuffled = KFold(BOARD_FOLDS, shuffle=True, random_state=seed).split(values)
        n_folds = min(BOARD_FOLDS, speakers.nunique())
        grouped = GroupKFold(n_folds, shuffle=True, random_state=seed)
        for name, folds in (
            ("shared", shuffled),
            ("apart", grouped.split(values, groups=speakers)),
        ):
            predicted = np.empty_like(emotions)
            for train, test in folds:
                few = _few_of_each(train, emotions, seed)
                model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=ITERATIONS))
                predicted[test] = model.fit(values[few], emotions[few]).predict(values[test])
            scores[name].append(_uar(emotions, predicted))
    return _compared(corpus, features, clips, scores)


def _random_test_side(corpus: str, clips: pd.DataFrame, values: NDArray[np.float32]) -> Board:
    """Return UAR of a random quarter of the clips, and of one speaker after the other."""
    from sklearn.model_selection import StratifiedShuffleSplit

    emotions = clips["emotion"].to_numpy(dtype=np.str_)
    draws = StratifiedShuffleSplit(DRAWS, test_size=TEST_SIZE, random_state=FIRST_SEED)
    shared = [
        _uar(emotions[test], predicted_by(values, emotions, train, test))
        for train, test in draws.split(values, emotions)
    ]
    predicted = np.empty_like(emotions)
    for speaker in sorted(set(clips[SPEAKER])):
        test = np.flatnonzero(clips[SPEAKER] == speaker)
        train = np.flatnonzero(clips[SPEAKER] != speaker)
        predicted[test] = predicted_by(values, emotions, train, test)
    scores = {"shared": shared, "apart": [_uar(emotions, predicted)]}
    return _compared(corpus, FEATURES, clips, scores)


def _compared(
    corpus: str, features: str, clips: pd.DataFrame, scores: dict[str, list[float]]
) -> Board:
    return Board(
        corpus,
        features,
        len(clips),
        int(clips[SPEAKER].nunique()),
        int(clips["emotion"].nunique()),
        float(np.mean(scores["shared"])),
        float(np.mean(scores["apart"])),
        float(np.std(scores["shared"])),
        float(np.std(scores["apart"])),
    )


def _few_of_each(
    train: NDArray[np.intp], emotions: NDArray[np.str_], seed: int
) -> NDArray[np.intp]:
    """Return eight training clips of each emotion, drawn at random."""
    shuffled = np.random.default_rng(seed).permutation(train)
    return np.concatenate(
        [
            shuffled[emotions[shuffled] == name][:CLIPS_PER_EMOTION]
            for name in np.unique(emotions[train])
        ]
    )


def _uar(emotions: NDArray[np.str_], predicted: NDArray[np.str_]) -> float:
    from sklearn.metrics import recall_score

    return float(recall_score(emotions, predicted, average="macro", zero_division=0))


def _voices(corpus: str, clips: pd.DataFrame, values: NDArray[np.float32]) -> Voices:
    """Return distances of halves: every other clip of a speaker, in the order of their names."""
    turns = clips.groupby(SPEAKER).cumcount() % 2
    halves = clips[SPEAKER] + turns.map({0: "\0a", 1: "\0b"})
    distances = voice_distances(values, halves)
    of_one = [d for one, other, d in distances if one.split("\0")[0] == other.split("\0")[0]]
    of_two = [d for one, other, d in distances if one.split("\0")[0] != other.split("\0")[0]]
    return Voices(corpus, int(clips[SPEAKER].nunique()), max(of_one), min(of_two))


def _alarms(corpus: str, clips: pd.DataFrame, prints: NDArray[np.float32]) -> Alarms:
    """Return how many pairs of different recordings are called copies."""
    samples = clips["samples"].to_numpy()
    called = near_duplicates(prints, clips[SPEAKER].to_numpy(dtype=np.str_))
    false = [pair for pair in called if samples[pair.first] != samples[pair.second]]
    return Alarms(corpus, len(clips) * (len(clips) - 1) // 2, len(false))


def _chosen(clips: Sequence[Clip]) -> list[Clip]:
    """Return the clips that are copied."""
    drawn = np.random.default_rng(FIRST_SEED).choice(len(clips), COPIED, replace=False)
    return [clips[one] for one in sorted(drawn)]


def _added(
    before: Found, change: str, clips: pd.DataFrame, prints: Extracted, copies: Extracted
) -> Found:
    """Return the found copies, those of one more corpus included."""
    row_of = {clip: row for row, clip in enumerate(clips["clip"])}
    originals = [row_of[clip.id] for clip in copies.clips]
    names = clips[SPEAKER].to_numpy(dtype=np.str_)
    both = np.concatenate([prints.values, copies.values])
    counts = []
    for renamed in (True, False):
        copied = np.char.add("copy of ", names[originals]) if renamed else names[originals]
        called = near_duplicates(both, np.concatenate([names, copied]))
        pairs = {(pair.first, pair.second) for pair in called}
        counts.append(sum((row, len(clips) + n) in pairs for n, row in enumerate(originals)))
    return Found(
        change, before.copies + len(originals), before.other + counts[0], before.same + counts[1]
    )


def write_audits(audits: PublishedAudits, reports: Path) -> None:
    """Write the record below the folder of the reports."""
    write_record(reports / FOLDER / RECORD, {"format": FORMAT, **asdict(audits)}, {})


def read_audits(reports: Path) -> PublishedAudits | None:
    """Return the record that `write_audits` wrote; None without one.

    Raises
    ------
    BenchmarkError
        If the file is corrupt, or in an unknown format.
    """
    path = reports / FOLDER / RECORD
    advice = f"Run {command('published-audits')} again."
    return read_record(path, [FORMAT], _audits, advice) if path.is_file() else None


def _audits(record: dict[str, Any], _: dict[str, bytes]) -> PublishedAudits:
    def rows(kind: Any, name: str) -> Iterator[Any]:
        return (kind(**row) for row in record[name])

    return PublishedAudits(
        tuple(rows(Board, "board")),
        tuple(rows(Board, "emobox")),
        tuple(rows(Found, "found")),
        tuple(rows(Alarms, "alarms")),
        tuple(rows(Voices, "voices")),
        record["libraries"],
    )

"""Extraction: features of many clips, from the cache where known, in parallel where not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.features.augment import Chain, parse_chain
from benchmark.features.cache import Cache, Row, row_key
from benchmark.workers import WorkerLostError

if TYPE_CHECKING:
    import numpy as np

    from benchmark.corpora.clip import Clip
    from benchmark.features import FeatureSet
    from benchmark.workers import Workers

CLIPS_A_TASK = 12
"""Half a hundredth of a second each: few enough that little is lost when a run is killed."""

UNCHANGED = Chain(())

FILES_AT_ONCE = 1000
"""Queued for the threads that read them, so that memory does not grow with the number of clips."""


@dataclass(frozen=True)
class Extracted:
    """Features of clips.

    Attributes
    ----------
    clips : tuple of Clip
        The usable ones, in the order in which they were given.
    values : ndarray of float32, shape (n_clips, n_features)
        A row for each of them.
    unusable : tuple of (str, str)
        Identity of each other clip, and why it can't be used.
    samples_digests : tuple of str
        Of each usable clip's own samples, before trimming and augmentation; equal where two clips
        are the same recording, whatever their files' formats.
    durations_s : tuple of float
        Length of each usable recording.
    computed, cached : int
        How many rows were computed now, and how many were known.
    """

    clips: tuple[Clip, ...]
    values: np.ndarray
    unusable: tuple[tuple[str, str], ...]
    samples_digests: tuple[str, ...]
    durations_s: tuple[float, ...]
    computed: int
    cached: int


def extract(  # noqa: PLR0913 - what, how, and where; each by its name
    clips: Sequence[Clip],
    feature_set: FeatureSet,
    *,
    augmentation: str = "",
    seed: int = 0,
    cache: Path,
    workers: Workers,
    progress: Callable[[int, int], None] | None = None,
) -> Extracted:
    """Return the features of clips, each under one augmentation.

    A clip is cut and trimmed by the recipe, changed by the augmentation, then measured. What is
    computed goes to the cache as soon as it is there; a clip that can't be used is listed and stops
    nothing.

    Parameters
    ----------
    clips : sequence of Clip
        Whose features are asked for.
    feature_set : FeatureSet
        The recipe.
    augmentation : str
        A chain such as ``stretch+pitch``; empty for the clips as they are.
    seed : int
        The study's; with the clip's identity and the augmentation it decides what is random.
    cache : Path
        Folder of the cache; made where it is missing.
    workers : Workers
        Where rows are computed; not started when all are known.
    progress : callable, optional
        Told how many clips are done, and of how many.

    Raises
    ------
    BenchmarkError
        If the augmentation is unknown, or the cache can't be written.
    """
    chain = parse_chain(augmentation) if augmentation else UNCHANGED
    seeds = [chain.seed(seed, clip.id) for clip in clips]
    table = _Table(clips, len(feature_set.columns))
    with Cache(cache, feature_set) as store:
        unknown = _look_up(table, store, chain, seeds)
        table.cached = table.done
        _tell(progress, table)
        orders = [(clips[places[0]].path, seeds[places[0]]) for places in unknown]
        for rows in _compute_all(workers, feature_set, chain, orders):
            store.write(
                (row_key(digest, chain.identity, orders[number][1]), row)
                for number, digest, row in rows
                if digest
            )
            for number, _, row in rows:
                for place in unknown[number]:
                    table.put(place, row)
            _tell(progress, table)
    return table.finished()


class _Table:
    """The rows of all clips, filled in any order."""

    def __init__(self, clips: Sequence[Clip], n_features: int) -> None:
        import numpy as np

        self.clips = clips
        self.values = np.zeros((len(clips), n_features), dtype=np.float32)
        self.reasons = [""] * len(clips)
        self.samples_digests = [""] * len(clips)
        self.durations_s = [0.0] * len(clips)
        self.done = 0
        self.cached = 0

    def put(self, place: int, row: Row) -> None:
        """Fill one clip's row."""
        import numpy as np

        if row.reason:
            self.reasons[place] = row.reason
        else:
            self.values[place] = np.frombuffer(row.numbers, dtype="<f4")
        self.samples_digests[place] = row.samples_digest
        self.durations_s[place] = row.duration_s
        self.done += 1

    def finished(self) -> Extracted:
        """Return what is usable, and what is not."""
        usable = [place for place, reason in enumerate(self.reasons) if not reason]
        complete = len(usable) == len(self.clips)
        return Extracted(
            clips=tuple(self.clips[place] for place in usable),
            values=self.values if complete else self.values[usable],
            unusable=tuple(
                (clip.id, reason)
                for clip, reason in zip(self.clips, self.reasons, strict=True)
                if reason
            ),
            samples_digests=tuple(self.samples_digests[place] for place in usable),
            durations_s=tuple(self.durations_s[place] for place in usable),
            computed=self.done - self.cached,
            cached=self.cached,
        )


def _tell(progress: Callable[[int, int], None] | None, table: _Table) -> None:
    if progress is not None:
        progress(table.done, len(table.clips))


def _look_up(table: _Table, store: Cache, chain: Chain, seeds: Sequence[bytes]) -> list[list[int]]:
    """Fill in what is known; return the places of all else, those of equal rows together."""
    unknown: dict[bytes, list[int]] = {}
    for place, digest in enumerate(_file_digests([clip.path for clip in table.clips])):
        if isinstance(digest, str):
            table.put(place, Row(reason=digest))
            continue
        key = row_key(digest, chain.identity, seeds[place])
        row = None if key in unknown else store.read(key)
        if row is None:
            unknown.setdefault(key, []).append(place)
        else:
            table.put(place, row)
    return list(unknown.values())


def _file_digests(paths: Sequence[Path]) -> Iterator[bytes | str]:
    """Yield the digest of each file's bytes, or why it can't be read.

    Bytes and not dates: a recording may be edited, or put back, within the resolution of its date.
    """
    with ThreadPoolExecutor() as threads:
        for first in range(0, len(paths), FILES_AT_ONCE):
            yield from threads.map(file_digest, paths[first : first + FILES_AT_ONCE])


def file_digest(path: Path) -> bytes | str:
    """Return the digest of a file's bytes, or why it can't be read."""
    try:
        return _digest(path.read_bytes())
    except OSError as error:
        return _unreadable(error)


def _digest(content: bytes) -> bytes:
    return blake2b(content, digest_size=16).digest()


def _unreadable(error: OSError) -> str:
    return f"can't be read ({error.strerror})"


def _compute_all(
    workers: Workers,
    feature_set: FeatureSet,
    chain: Chain,
    orders: Sequence[tuple[Path, bytes]],
) -> Iterator[list[tuple[int, bytes, Row]]]:
    """Yield computed rows as they come: number of the order, digest of the file, row.

    A recording that takes its worker with it is found by trying the clips of its task one by one.
    """
    chunks = [
        range(n, min(n + CLIPS_A_TASK, len(orders))) for n in range(0, len(orders), CLIPS_A_TASK)
    ]
    while chunks:
        lost: list[range] = []
        arguments = ((feature_set, chain, [orders[n] for n in chunk]) for chunk in chunks)
        for task in workers.map(measure, arguments):
            chunk = chunks[task.label]
            if task.error is None:
                yield [(n, *measured) for n, measured in zip(chunk, task.result, strict=True)]
            elif not isinstance(task.error, WorkerLostError):
                raise task.error
            elif len(chunk) == 1:
                yield [(chunk[0], b"", Row(reason=f"can't be decoded: {task.error}"))]
            else:
                lost += [range(n, n + 1) for n in chunk]
        chunks = lost


def measure(
    feature_set: FeatureSet, chain: Chain, orders: Sequence[tuple[Path, bytes]]
) -> list[tuple[bytes, Row]]:
    """Return the digest of each file and its row; what a worker does.

    The digest is that of the bytes that were decoded: the file may have changed since it was
    looked up.
    """
    measured = []
    for path, seed in orders:
        try:
            content = path.read_bytes()
        except OSError as error:
            measured.append((b"", Row(reason=_unreadable(error))))
        else:
            measured.append((_digest(content), _measure_one(content, feature_set, chain, seed)))
    return measured


def _measure_one(content: bytes, feature_set: FeatureSet, chain: Chain, seed: bytes) -> Row:
    """Return one recording's row, with the reason where it can't be used."""
    from benchmark.features import audio

    try:
        decoded = audio.decode(content, feature_set.sample_rate_hz)
    except audio.UnusableError as error:
        return Row(reason=str(error))
    facts = decoded.digest, decoded.duration_s, decoded.sample_rate_hz
    try:
        row = features_of(decoded.samples, feature_set, chain, seed)
    except audio.UnusableError as error:
        return Row(*facts, reason=str(error))
    return Row(*facts, numbers=row.astype("<f4").tobytes())


def features_of(
    samples: np.ndarray, feature_set: FeatureSet, chain: Chain = UNCHANGED, seed: bytes = b""
) -> np.ndarray:
    """Return the row of features of one recording, cut, trimmed and changed as its recipe says.

    Whatever is learned from, tested on or heard by a service has gone through this function.

    Parameters
    ----------
    samples : ndarray of float32, shape (n_samples,)
        Mono, full scale 1.0, at the feature set's rate, with some sound in them.
    feature_set : FeatureSet
        The recipe.
    chain : Chain
        How the samples are changed first; by default not at all.
    seed : bytes
        Of what is random in that change.

    Raises
    ------
    UnusableError
        If what is left of the samples is shorter than a frame.
    """
    from benchmark.features import audio, spectral
    from benchmark.features.filters import FRAME_LENGTH

    samples = samples[feature_set.part]
    if feature_set.trim_top_db is not None:
        samples = spectral.trim(samples, feature_set.trim_top_db)
    if len(samples) >= FRAME_LENGTH:
        samples = chain.apply(samples, feature_set.sample_rate_hz, seed)
    if len(samples) < FRAME_LENGTH:
        seconds = len(samples) / feature_set.sample_rate_hz
        raise audio.UnusableError("too-short", f"shorter than a frame: {seconds:.3f} s of sound")
    return feature_set.compute(samples, feature_set.sample_rate_hz)

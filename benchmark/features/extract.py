"""Extraction: features of many clips, read from the cache or computed in parallel."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from hashlib import blake2b
from itertools import accumulate, compress, groupby
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np

from benchmark.engine.processes import WorkerLostError
from benchmark.errors import BenchmarkError
from benchmark.features import audio, spectral
from benchmark.features.augmentation import Chain, parse_chain
from benchmark.features.cache import Cache, Row, row_key
from benchmark.features.filters import FRAME_LENGTH
from benchmark.features.recipe import FeatureSet, join

if TYPE_CHECKING:
    from benchmark.corpora.clip import Clip, Segment
    from benchmark.engine.processes import Workers

CLIPS_PER_TASK = 12
"""A twentieth of a second of work: little is lost when a run is killed."""

SENT_BYTES = 2**20
"""Maximum bytes of recordings sent with a task of more than one clip."""

FILES_AT_ONCE = 50
"""Files that a reading thread takes at a time."""

ROWS_AT_ONCE = 500
"""Cached rows that are read at a time, so that memory does not grow with the number of clips."""

UNCHANGED = Chain(())

Computed = tuple[int, bytes, Row]
"""Index of a recording, digest of its file (empty if it has none), and its row."""


@dataclass(frozen=True)
class Extracted:
    """Features of clips.

    Attributes
    ----------
    features : FeatureSet
    clips : tuple of Clip
        The usable clips, in the given order.
    values : ndarray of float32, shape (n_clips, n_features)
        One row for each usable clip.
    unusable : tuple of (str, str)
        Identity of each other clip, and the reason.
    samples_digests : tuple of str
        Digest of each usable clip's samples before trimming and augmentation; equal for the same
        recording in different file formats.
    durations_s : tuple of float
        Duration of each usable recording.
    computed, cached : int
        Number of rows that were computed, and that were read from the cache.
    notes : tuple of str
        What else a user needs to know of own tables.
    """

    features: FeatureSet
    clips: tuple[Clip, ...]
    values: np.ndarray
    unusable: tuple[tuple[str, str], ...]
    samples_digests: tuple[str, ...]
    durations_s: tuple[float, ...]
    computed: int
    cached: int
    notes: tuple[str, ...] = ()

    def select(self, kept: np.ndarray) -> Extracted:
        """Return the features of those clips for which `kept`, shape (n_clips,), is true."""
        return replace(
            self,
            clips=tuple(compress(self.clips, kept)),
            values=self.values if kept.all() else self.values[kept],
            samples_digests=tuple(compress(self.samples_digests, kept)),
            durations_s=tuple(compress(self.durations_s, kept)),
        )


@dataclass(frozen=True, slots=True)
class RecordingFile:
    """A recording, or a segment of it, to measure; what a worker receives.

    Attributes
    ----------
    path : Path
        Path on the driver's machine; perhaps also on the worker's.
    digest : bytes
        Digest of the file, and of the segment, when it was looked up.
    seed : bytes
        Seed of the random augmentations.
    content : bytes, str or None
        Bytes of the file, or why they can't be read; None if the worker reads the path itself.
    segment : Segment or None
        The part to measure; None for all.
    """

    path: Path
    digest: bytes
    seed: bytes
    content: bytes | str | None = None
    segment: Segment | None = None


@dataclass(frozen=True)
class _Missing:
    """Recordings that lack the same parts of a joined feature set in the cache.

    Attributes
    ----------
    parts : tuple of int
        Indices of those parts; a feature set that is not joined is its own part 0.
    recordings : list of RecordingFile
    positions : list of list of int
        Positions of the clips of each recording.
    """

    parts: tuple[int, ...]
    recordings: list[RecordingFile]
    positions: list[list[int]]


def extract(  # noqa: PLR0913 - keyword arguments
    clips: Sequence[Clip],
    feature_set: FeatureSet,
    *,
    augmentation: str = "",
    seed: int = 0,
    cache: Path,
    workers: Workers,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> Extracted:
    """Return the features of clips under one augmentation.

    A clip is cut and trimmed as the feature set says, augmented, then measured; what happens to a
    recording on its way (`Chain.of_recording`) comes before cutting and trimming. Rows are cached
    as soon as they are computed, those of a joined feature set in the caches of its parts. Rows of
    own tables are looked up. A clip that can't be used is listed with its reason.

    Parameters
    ----------
    clips : sequence of Clip
    feature_set : FeatureSet
    augmentation : str
        A chain such as ``stretch+pitch``; empty for the clips as recorded.
    seed : int
        Seed of the study; random augmentations derive theirs from it, the clip and the chain.
    cache : Path
        Folder of the cache.
    workers : Workers
        Compute the rows; not started if all rows are cached.
    progress : callable, optional
        Called with the number of finished clips and of all clips.

    Raises
    ------
    BenchmarkError
        If the augmentation is unknown, the cache can't be written, a recording changed between
        the computation of parts, or an own table has no row, or several, for a clip.
    """
    measure = partial(_measured, seed=seed, cache=cache, workers=workers)
    if not feature_set.tables:
        return measure(clips, feature_set, augmentation=augmentation, progress=progress)
    if augmentation:
        raise no_copies(feature_set, "augment")
    found = [table.find(clips) for table in feature_set.tables]
    for table, rows in zip(feature_set.tables, found, strict=True):
        absent = [clip for clip in clips if clip.id not in rows]
        # A recording that can't be used needs no row.
        if any(measure([clip], feature_set.measured).clips for clip in absent):
            raise table.without_rows(absent, len(clips))
    return _with_tables(measure(clips, feature_set.measured, progress=progress), feature_set, found)


def no_copies(feature_set: FeatureSet, key: str) -> BenchmarkError:
    """Return the error for the augmentation of own tables, which a key of a study asks for."""
    return BenchmarkError(
        f"{key}: {feature_set.tables[0].name} has no rows for augmented copies of clips. Remove "
        f"{key}, or the table from features."
    )


def _with_tables(
    measured: Extracted, feature_set: FeatureSet, found: Sequence[Mapping[str, int]]
) -> Extracted:
    """Return measured features joined with the rows of own tables, given by clip id."""
    blocks, first, looked_up = [], 0, iter(found)
    for part in feature_set.parts or (feature_set,):
        if part.table is None:
            blocks.append(measured.values[:, first : first + len(part.columns)])
            first += len(part.columns)
        else:
            rows = next(looked_up)
            blocks.append(part.table.values[[rows[clip.id] for clip in measured.clips]])
    notes = [
        f"{table.name}: {len(table.clips) - len(rows):,} of {len(table.clips):,} rows are of clips "
        "that the study does not use"
        for table, rows in zip(feature_set.tables, found, strict=True)
        if len(rows) < len(table.clips)
    ]
    return replace(
        measured, features=feature_set, values=np.hstack(blocks), notes=(*measured.notes, *notes)
    )


def _measured(  # noqa: PLR0913 - as `extract`
    clips: Sequence[Clip],
    feature_set: FeatureSet,
    *,
    augmentation: str = "",
    seed: int,
    cache: Path,
    workers: Workers,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> Extracted:
    """Return the features of clips that are computed from their samples."""
    chain = parse_chain(augmentation) if augmentation else UNCHANGED
    seeds = [chain.seed(seed, clip.id) for clip in clips]
    parts = feature_set.parts or (feature_set,)
    with ExitStack() as stack:
        caches = [stack.enter_context(Cache(cache, part)) for part in parts]
        with _disk_errors(cache):
            file = stack.enter_context(tempfile.TemporaryFile(dir=cache, prefix=".rows."))
        table = _Table(clips, [4 * len(part.columns) for part in parts], file, cache)
        missing = _read_cached(table, caches, chain, seeds)
        n_cached = table.n_done
        progress(table.n_done, len(clips))
        for group in missing:
            absent = tuple(parts[part] for part in group.parts)
            needed = feature_set if absent == parts else join(absent)
            for rows in _compute(workers, needed, chain, group.recordings):
                _store(table, caches, chain, group, rows)
                progress(table.n_done, len(clips))
        if table.inconsistent:
            raise BenchmarkError(
                f"features: {feature_set.name}: a recording changed, or ended its worker, during "
                "extraction. Run the command again."
            )
        return table.extracted(feature_set, n_cached)


def _store(
    table: _Table,
    caches: Sequence[Cache],
    chain: Chain,
    missing: _Missing,
    rows: Sequence[Computed],
) -> None:
    """Write computed rows to the caches of their parts, then to the table."""
    widths = [table.widths[part] for part in missing.parts]
    for part, width, end in zip(missing.parts, widths, accumulate(widths), strict=True):
        own = [
            (index, digest, replace(row, numbers=row.numbers[end - width : end]))
            for index, digest, row in rows
        ]
        caches[part].write(
            (row_key(digest, chain.identity, missing.recordings[index].seed), row)
            for index, digest, row in own
            if digest and not row.reason
        )
        for index, _, row in own:
            for position in missing.positions[index]:
                table.put(position, part, row)


@contextmanager
def _disk_errors(folder: Path) -> Iterator[None]:
    """Turn an error of the file system into a message for the user."""
    try:
        yield
    except OSError as error:
        raise BenchmarkError(
            f"{folder}: can't write the extracted features ({error.strerror or error}). Free some "
            "space; the rows computed so far are cached."
        ) from error


class _Table:
    """Rows of all clips, filled in any order, with their numbers in a temporary file.

    Memory does not grow with the number of features. Rows are written, not assigned to a memory
    map: with a full disk, a write raises an error, but a map would kill the process.
    """

    def __init__(
        self, clips: Sequence[Clip], widths: Sequence[int], file: IO[bytes], folder: Path
    ) -> None:
        self.clips = clips
        self.widths = widths  # bytes of each part's row
        self.width = sum(widths)
        self.file = file
        self.folder = folder
        self.reasons = [""] * len(clips)
        self.samples_digests = [""] * len(clips)
        self.durations_s = [0.0] * len(clips)
        self.n_parts_missing = [len(widths)] * len(clips)
        self.n_done = 0
        self.inconsistent = False  # whether the parts of a clip are of different recordings

    def put(self, position: int, part: int, row: Row) -> None:
        """Fill one part of a clip's row."""
        if self.n_parts_missing[position] == len(self.widths):
            self.reasons[position] = row.reason
            self.samples_digests[position] = row.samples_digest
            self.durations_s[position] = row.duration_s
        known = self.samples_digests[position], bool(self.reasons[position])
        self.inconsistent |= known != (row.samples_digest, bool(row.reason))
        if not row.reason:
            with _disk_errors(self.folder):
                self.file.seek(position * self.width + sum(self.widths[:part]))
                self.file.write(row.numbers)
        self.n_parts_missing[position] -= 1
        self.n_done += not self.n_parts_missing[position]

    def extracted(self, feature_set: FeatureSet, n_cached: int) -> Extracted:
        """Return the usable clips with their features, and the others with their reasons."""
        usable = [position for position, reason in enumerate(self.reasons) if not reason]
        return Extracted(
            features=feature_set,
            clips=tuple(self.clips[position] for position in usable),
            values=self._values(usable),
            unusable=tuple(
                (clip.id, reason)
                for clip, reason in zip(self.clips, self.reasons, strict=True)
                if reason
            ),
            samples_digests=tuple(self.samples_digests[position] for position in usable),
            durations_s=tuple(self.durations_s[position] for position in usable),
            computed=self.n_done - n_cached,
            cached=n_cached,
        )

    def _values(self, usable: Sequence[int]) -> np.ndarray:
        """Return the rows of usable clips as a memory map, after removing the others."""
        shape = (len(usable), self.width // 4)
        with _disk_errors(self.folder):
            for target, position in enumerate(usable):
                if target != position:
                    self.file.seek(position * self.width)
                    row = self.file.read(self.width)
                    self.file.seek(target * self.width)
                    self.file.write(row)
            self.file.flush()
        if 0 in shape:
            return np.zeros(shape, dtype=np.float32)
        return np.memmap(self.file, dtype="<f4", mode="r", shape=shape)


def _read_cached(
    table: _Table, caches: Sequence[Cache], chain: Chain, seeds: Sequence[bytes]
) -> list[_Missing]:
    """Fill the table with cached rows, and return the recordings of the others."""
    absent: dict[tuple[int, ...], dict[bytes, tuple[RecordingFile, list[int]]]] = {}
    paths = list(dict.fromkeys(clip.path for clip in table.clips))
    digest_of = dict(zip(paths, _file_digests(paths), strict=True))
    recordings: list[tuple[int, bytes, RecordingFile]] = []  # with position and key
    for position, clip in enumerate(table.clips):
        of_file, seed = digest_of[clip.path], seeds[position]
        if isinstance(of_file, str):
            for part in range(len(caches)):
                table.put(position, part, Row(reason=of_file))
            continue
        digest = _with_segment(of_file, clip.segment)
        recording = RecordingFile(clip.path, digest, seed, segment=clip.segment)
        recordings.append((position, row_key(digest, chain.identity, seed), recording))
    for first in range(0, len(recordings), ROWS_AT_ONCE):
        some = recordings[first : first + ROWS_AT_ONCE]
        cached = [cache.read([key for _, key, _ in some]) for cache in caches]
        for position, key, recording in some:
            for part, rows in enumerate(cached):
                if key in rows:
                    table.put(position, part, rows[key])
            parts = tuple(part for part, rows in enumerate(cached) if key not in rows)
            if parts:
                absent.setdefault(parts, {}).setdefault(key, (recording, []))[1].append(position)
    return [
        _Missing(parts, [one for one, _ in found.values()], [at for _, at in found.values()])
        for parts, found in absent.items()
    ]


def _file_digests(paths: Sequence[Path]) -> Iterator[bytes | str]:
    """Yield the digest of each file, or why it can't be read.

    Modification times are not enough: a recording may change within their resolution.
    """
    parts = [paths[first : first + FILES_AT_ONCE] for first in range(0, len(paths), FILES_AT_ONCE)]
    with ThreadPoolExecutor() as threads:
        for digests in threads.map(lambda some: [file_digest(path) for path in some], parts):
            yield from digests


def file_digest(path: Path) -> bytes | str:
    """Return the digest of a file, or why it can't be read."""
    content = _read(path)
    return content if isinstance(content, str) else _digest(content)


def _read(path: Path) -> bytes | str:
    """Return the bytes of a file, or why it can't be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        return f"can't be read ({error.strerror})"


def _digest(content: bytes) -> bytes:
    return blake2b(content, digest_size=16).digest()


def _with_segment(file: bytes, segment: Segment | None) -> bytes:
    """Return the digest of a segment of a file with a digest; of all of it, that of the file."""
    return file if segment is None else _digest(file + repr(segment).encode())


def _compute(
    workers: Workers, feature_set: FeatureSet, chain: Chain, recordings: Sequence[RecordingFile]
) -> Iterator[list[Computed]]:
    """Yield computed rows in batches.

    Recordings that a remote worker can't read at their path are sent to it in a second round. If a
    worker is lost, the clips of its task are tried one by one, to find the one that ended it.
    """
    # Workers don't need the thousands of column names.
    feature_set = replace(feature_set, columns=(), parts=())
    indices = list(range(len(recordings)))
    chunks = [indices[i : i + CLIPS_PER_TASK] for i in indices[::CLIPS_PER_TASK]]
    send = False
    while chunks:
        lost: list[list[int]] = []
        unread: list[int] = []
        for task in workers.map(measure, _arguments(feature_set, chain, recordings, chunks, send)):
            chunk = chunks[task.label]
            if task.error is None:
                found = list(zip(chunk, task.result, strict=True))
                yield [(index, *measured) for index, measured in found if measured is not None]
                unread += [index for index, measured in found if measured is None]
            elif isinstance(task.error, MemoryError):
                raise task.failure("recordings could not be measured") from task.error
            elif not isinstance(task.error, WorkerLostError):
                raise task.error
            elif len(chunk) == 1:
                yield [(chunk[0], b"", Row(reason=f"can't be decoded: {task.error}"))]
            else:
                lost += [[index] for index in chunk]
        # With their bytes, all recordings are answered: the loop ends.
        send = True
        chunks = lost + _chunks_to_send(recordings, sorted(unread))


def _arguments(
    feature_set: FeatureSet,
    chain: Chain,
    recordings: Sequence[RecordingFile],
    chunks: Sequence[Sequence[int]],
    send: bool,
) -> Iterator[tuple[FeatureSet, Chain, list[RecordingFile]]]:
    """Yield the arguments of each task; files to send are read only then."""
    for chunk in chunks:
        batch = [recordings[index] for index in chunk]
        if send:
            batch = [replace(one, content=_read(one.path)) for one in batch]
        yield feature_set, chain, batch


def _chunks_to_send(recordings: Sequence[RecordingFile], indices: Sequence[int]) -> list[list[int]]:
    """Return indices of recordings in chunks of few clips and few bytes."""
    chunks: list[list[int]] = []
    room = 0
    for index in indices:
        try:
            size = recordings[index].path.stat().st_size
        except OSError:
            size = 0  # the worker reports the reason
        if not chunks or len(chunks[-1]) == CLIPS_PER_TASK or size > room:
            chunks.append([])
            room = SENT_BYTES
        chunks[-1].append(index)
        room -= size
    return chunks


def measure(
    feature_set: FeatureSet, chain: Chain, recordings: Sequence[RecordingFile]
) -> list[tuple[bytes, Row] | None]:
    """Return the digest of each recording and its row; runs in a worker.

    None for a recording whose bytes are not at its path on this machine. The digest is that of the
    decoded bytes, as the file may have changed since it was looked up. Segments that follow one
    another in a file share one reading of it.
    """
    rows: list[tuple[bytes, Row] | None] = []
    for _, same in groupby(recordings, key=lambda recording: recording.path):
        segments = list(same)
        content = _content(segments[0])
        digest = _digest(content) if isinstance(content, bytes) else b""
        rows += [_measure_one(feature_set, chain, one, content, digest) for one in segments]
    return rows


def _content(recording: RecordingFile) -> bytes | str | None:
    """Return the bytes of a recording, or why they can't be read; None if they are not here."""
    if recording.content is not None:
        return recording.content
    try:
        content = recording.path.read_bytes() if recording.path.is_file() else b""
    except OSError:
        return None
    digest = _with_segment(_digest(content), recording.segment)
    return content if digest == recording.digest else None


def _measure_one(
    feature_set: FeatureSet,
    chain: Chain,
    recording: RecordingFile,
    content: bytes | str | None,
    digest: bytes,
) -> tuple[bytes, Row] | None:
    """Return digest and row of one recording, with the reason if it can't be used.

    `content` is what its file holds, and `digest` that of the file.
    """
    if content is None:
        return None
    if isinstance(content, str):
        return b"", Row(reason=content)
    digest = _with_segment(digest, recording.segment)
    facts: tuple[str, float, int] = ("", 0.0, 0)
    try:
        decoded = audio.decode(content, feature_set.sample_rate_hz, segment=recording.segment)
        facts = decoded.digest, decoded.duration_s, decoded.sample_rate_hz
        row = features_of(decoded.samples, feature_set, chain, recording.seed)
    except audio.UnusableError as error:
        return digest, Row(*facts, reason=str(error))
    return digest, Row(*facts, numbers=row.astype("<f4").tobytes())


def features_of(
    samples: np.ndarray, feature_set: FeatureSet, chain: Chain = UNCHANGED, seed: bytes = b""
) -> np.ndarray:
    """Return the features of one recording, cut, trimmed and augmented.

    What happens to a recording on its way comes first, see `Chain.of_recording`. Training, testing
    and serving all compute features with this function.

    Parameters
    ----------
    samples : ndarray of float32, shape (n_samples,)
        Mono, full scale 1.0, at the sample rate of the feature set, not silent.
    feature_set : FeatureSet
    chain : Chain
        Augmentations; none by default.
    seed : bytes
        Seed of the random augmentations.

    Raises
    ------
    UnusableError
        If the remaining samples are shorter than a frame.
    """
    if chain.of_recording:
        samples = chain.apply(samples, feature_set.sample_rate_hz, seed)
    samples = samples[feature_set.part]
    if feature_set.trim_top_db is not None:
        samples = spectral.trim(samples, feature_set.trim_top_db)
    if len(samples) >= FRAME_LENGTH and not chain.of_recording:
        samples = chain.apply(samples, feature_set.sample_rate_hz, seed)
    if len(samples) < FRAME_LENGTH:
        seconds = len(samples) / feature_set.sample_rate_hz
        raise audio.UnusableError("too-short", f"shorter than a frame: {seconds:.3f} s of sound")
    return feature_set.compute(samples, feature_set.sample_rate_hz)

"""Extraction: features of many clips, from the cache where known, in parallel where not."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from hashlib import blake2b
from itertools import accumulate
from pathlib import Path
from typing import IO, TYPE_CHECKING

from benchmark.engine.processes import WorkerLostError
from benchmark.errors import BenchmarkError
from benchmark.features.augmentation import Chain, parse_chain
from benchmark.features.cache import Cache, Row, row_key
from benchmark.features.recipe import join

if TYPE_CHECKING:
    import numpy as np

    from benchmark.corpora.clip import Clip
    from benchmark.engine.processes import Workers
    from benchmark.features import FeatureSet

CLIPS_A_TASK = 12
"""Half a hundredth of a second each: few enough that little is lost when a run is killed."""

SENT_BYTES = 2**20
"""A task whose recordings are sent with it has no more of them than this, but one at least."""

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
    computed goes to the cache as soon as it is there, that of a joined set to the caches of its
    parts; a clip that can't be used is listed and stops nothing.

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
        If the augmentation is unknown, the cache can't be written, or the parts of a joined set
        were not measured of the same recordings.
    """
    chain = parse_chain(augmentation) if augmentation else UNCHANGED
    seeds = [chain.seed(seed, clip.id) for clip in clips]
    parts = feature_set.parts or (feature_set,)
    with ExitStack() as opened:
        stores = [opened.enter_context(Cache(cache, part)) for part in parts]
        table = opened.enter_context(_mapped_rows(clips, parts, cache))
        missing = _look_up(table, stores, chain, seeds)
        table.cached = table.done
        _tell(progress, table)
        for one in missing:
            lacking = tuple(parts[number] for number in one.parts)
            asked = feature_set if lacking == parts else join(lacking)
            for rows in _compute_all(workers, asked, chain, one.orders):
                _keep(table, stores, chain, one, rows)
                _tell(progress, table)
        if table.torn:
            raise BenchmarkError(
                f"features: {feature_set.name}: a recording changed, or took a worker with it, "
                "while it was measured. Run it once more."
            )
        return table.finished()


@dataclass(frozen=True)
class _Missing:
    """Rows that no cache has, of recordings that lack the same parts of a joined set.

    Attributes
    ----------
    parts : tuple of int
        Numbers of those parts; a set that is not joined is its own part 0.
    orders : list of Order
        One for each recording.
    places : list of list of int
        The places of the clips that are this recording.
    """

    parts: tuple[int, ...]
    orders: list[Order]
    places: list[list[int]]


def _keep(
    table: _Table,
    stores: Sequence[Cache],
    chain: Chain,
    missing: _Missing,
    rows: Sequence[tuple[int, bytes, Row]],
) -> None:
    """Write computed rows to the caches of their parts, then to the table."""
    cuts = _cuts([table.widths[part] for part in missing.parts])
    for part, cut in zip(missing.parts, cuts, strict=True):
        own = [
            (number, digest, replace(row, numbers=row.numbers[cut])) for number, digest, row in rows
        ]
        stores[part].write(
            (row_key(digest, chain.identity, missing.orders[number].seed), row)
            for number, digest, row in own
            if digest
        )
        for number, _, row in own:
            for place in missing.places[number]:
                table.put(place, part, row)


def _cuts(widths: Sequence[int]) -> list[slice]:
    """Return where parts of so many bytes lie, one after the other."""
    return [slice(end - width, end) for width, end in zip(widths, accumulate(widths), strict=True)]


def _mapped(file: IO[bytes], n_rows: int, n_features: int) -> np.ndarray:
    """Return the rows of a file, which stays as long as they do."""
    import numpy as np

    if not n_rows:
        return np.zeros((0, n_features), dtype=np.float32)
    return np.memmap(file, dtype="<f4", mode="r", shape=(n_rows, n_features))


@contextmanager
def _mapped_rows(
    clips: Sequence[Clip], parts: Sequence[FeatureSet], folder: Path
) -> Iterator[_Table]:
    """Yield an empty table in a folder."""
    with ExitStack() as opened:
        with _refusals(folder):
            file = opened.enter_context(tempfile.TemporaryFile(dir=folder, prefix=".rows."))
        yield _Table(clips, [4 * len(part.columns) for part in parts], file, folder)


@contextmanager
def _refusals(folder: Path) -> Iterator[None]:
    """Turn what the disk refuses into one line."""
    try:
        yield
    except OSError as error:
        raise BenchmarkError(
            f"{folder}: the features can't be gathered ({error.strerror or error}). Make room; "
            "what was extracted so far is kept."
        ) from error


class _Table:
    """The rows of all clips, filled in any order; numbers lie in a file without a name.

    So memory does not grow with the features. Rows are written, not mapped: a full disk would kill
    whoever writes to a map, and here it is an error.
    """

    def __init__(
        self, clips: Sequence[Clip], widths: Sequence[int], file: IO[bytes], folder: Path
    ) -> None:
        self.clips = clips
        self.widths = widths  # bytes of each part's row
        self.file = file
        self.folder = folder
        self.reasons = [""] * len(clips)
        self.samples_digests = [""] * len(clips)
        self.durations_s = [0.0] * len(clips)
        self.lacking = [len(widths)] * len(clips)
        self.done = 0
        self.cached = 0
        self.torn = False  # whether the parts of some clip are not of the same recording

    def put(self, place: int, part: int, row: Row) -> None:
        """Fill one part of a clip's row."""
        if self.lacking[place] == len(self.widths):
            self.reasons[place] = row.reason
            self.samples_digests[place] = row.samples_digest
            self.durations_s[place] = row.duration_s
        told = self.samples_digests[place], bool(self.reasons[place])
        self.torn |= told != (row.samples_digest, bool(row.reason))
        if not row.reason:
            with _refusals(self.folder):
                self.file.seek(place * self.width + sum(self.widths[:part]))
                self.file.write(row.numbers)
        self.lacking[place] -= 1
        self.done += not self.lacking[place]

    def finished(self) -> Extracted:
        """Return what is usable, and what is not."""
        usable = [place for place, reason in enumerate(self.reasons) if not reason]
        return Extracted(
            clips=tuple(self.clips[place] for place in usable),
            values=self._values(usable),
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

    @property
    def width(self) -> int:
        """Bytes of a row."""
        return sum(self.widths)

    def _values(self, usable: Sequence[int]) -> np.ndarray:
        """Return the rows of usable clips, mapped from the file; others are pushed out of it."""
        with _refusals(self.folder):
            for target, place in enumerate(usable):
                if target != place:
                    self.file.seek(place * self.width)
                    row = self.file.read(self.width)
                    self.file.seek(target * self.width)
                    self.file.write(row)
            self.file.flush()
        return _mapped(self.file, len(usable), self.width // 4)


def _tell(progress: Callable[[int, int], None] | None, table: _Table) -> None:
    if progress is not None:
        progress(table.done, len(table.clips))


@dataclass(frozen=True, slots=True)
class Order:
    """What a worker is asked to measure.

    Attributes
    ----------
    path : Path
        Where the recording lies on the driver's machine, and perhaps on the worker's.
    digest : bytes
        Of its bytes when it was looked up.
    seed : bytes
        Of what is random in its augmentation.
    content : bytes, str or None
        Its bytes, or why they can't be read, for a worker that has not found them at the path.
    """

    path: Path
    digest: bytes
    seed: bytes
    content: bytes | str | None = None


def _look_up(
    table: _Table, stores: Sequence[Cache], chain: Chain, seeds: Sequence[bytes]
) -> list[_Missing]:
    """Fill in what is known, and return what is not."""
    unknown: dict[tuple[int, ...], dict[bytes, tuple[Order, list[int]]]] = {}
    for place, digest in enumerate(_file_digests([clip.path for clip in table.clips])):
        if isinstance(digest, str):
            for part in range(len(stores)):
                table.put(place, part, Row(reason=digest))
            continue
        key = row_key(digest, chain.identity, seeds[place])
        rows = [store.read(key) for store in stores]
        for part, row in enumerate(rows):
            if row is not None:
                table.put(place, part, row)
        lacking = tuple(part for part, row in enumerate(rows) if row is None)
        if lacking:
            order = Order(table.clips[place].path, digest, seeds[place])
            unknown.setdefault(lacking, {}).setdefault(key, (order, []))[1].append(place)
    return [
        _Missing(parts, [order for order, _ in found.values()], [at for _, at in found.values()])
        for parts, found in unknown.items()
    ]


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
    workers: Workers, feature_set: FeatureSet, chain: Chain, orders: Sequence[Order]
) -> Iterator[list[tuple[int, bytes, Row]]]:
    """Yield computed rows as they come: number of the order, digest of the file, row.

    Recordings that a worker does not find, on a machine of its own, are sent in a second round. One
    that takes its worker with it is found by trying the clips of its task one by one.
    """
    # A worker needs no names of numbers, of which some sets have thousands.
    feature_set = replace(feature_set, columns=(), parts=())
    everything = list(range(len(orders)))
    chunks = [everything[n : n + CLIPS_A_TASK] for n in everything[::CLIPS_A_TASK]]
    sent = False
    while chunks:
        lost: list[list[int]] = []
        lacking: list[int] = []
        for task in workers.map(measure, _arguments(feature_set, chain, orders, chunks, sent)):
            chunk = chunks[task.label]
            if task.error is None:
                found = zip(chunk, task.result, strict=True)
                yield [(number, *measured) for number, measured in found if measured is not None]
                lacking += [n for n, row in zip(chunk, task.result, strict=True) if row is None]
            elif isinstance(task.error, MemoryError):
                raise task.failure("recordings could not be measured") from task.error
            elif not isinstance(task.error, WorkerLostError):
                raise task.error
            elif len(chunk) == 1:
                yield [(chunk[0], b"", Row(reason=f"can't be decoded: {task.error}"))]
            else:
                lost += [[number] for number in chunk]
        # Asked for by path alone, lost ones could be lacking once more: sent, all are answered.
        sent = True
        chunks = lost + _sendable(orders, sorted(lacking))


def _arguments(
    feature_set: FeatureSet,
    chain: Chain,
    orders: Sequence[Order],
    chunks: Sequence[Sequence[int]],
    sent: bool,
) -> Iterator[tuple[FeatureSet, Chain, list[Order]]]:
    """Yield the arguments of one task after another; recordings are read as they are sent."""
    for chunk in chunks:
        asked = [orders[number] for number in chunk]
        yield feature_set, chain, [_with_content(order) for order in asked] if sent else asked


def _with_content(order: Order) -> Order:
    try:
        return replace(order, content=order.path.read_bytes())
    except OSError as error:
        return replace(order, content=_unreadable(error))


def _sendable(orders: Sequence[Order], numbers: Sequence[int]) -> list[list[int]]:
    """Return numbers of orders in chunks of few clips and few bytes."""
    chunks: list[list[int]] = []
    room = 0
    for number in numbers:
        try:
            size = orders[number].path.stat().st_size
        except OSError:
            size = 0  # a worker answers why
        if not chunks or len(chunks[-1]) == CLIPS_A_TASK or size > room:
            chunks.append([])
            room = SENT_BYTES
        chunks[-1].append(number)
        room -= size
    return chunks


def measure(
    feature_set: FeatureSet, chain: Chain, orders: Sequence[Order]
) -> list[tuple[bytes, Row] | None]:
    """Return the digest of each recording and its row; what a worker does.

    None for a recording whose bytes this machine does not have at its path. The digest is that of
    the bytes that were decoded: the file may have changed since it was looked up, and is then sent.
    """
    measured: list[tuple[bytes, Row] | None] = []
    for order in orders:
        content = _content(order)
        if content is None:
            measured.append(None)
        elif isinstance(content, str):
            measured.append((b"", Row(reason=content)))
        else:
            row = _measure_one(content, feature_set, chain, order.seed)
            measured.append((_digest(content), row))
    return measured


def _content(order: Order) -> bytes | str | None:
    """Return a recording's bytes, or why nobody can read it; None if it is not here."""
    if order.content is not None:
        return order.content
    try:
        content = order.path.read_bytes() if order.path.is_file() else b""
    except OSError:
        return None
    return content if _digest(content) == order.digest else None


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

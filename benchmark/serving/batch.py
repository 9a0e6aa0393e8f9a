"""Prediction of many files: find them, extract their features in parallel, and predict."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any

from benchmark.console import Bar, Bars, Console
from benchmark.corpora.clip import Clip, Segment
from benchmark.corpora.folder import AUDIO_SUFFIXES, files_below
from benchmark.corpora.manifest import PATHS
from benchmark.corpora.segments import segments_of
from benchmark.engine.files import user_path
from benchmark.engine.processes import Task, WorkerLostError, Workers
from benchmark.engine.table_file import TABLE_SUFFIXES, our_names, read_table
from benchmark.errors import BenchmarkError
from benchmark.features.audio import UnusableError, channels_of
from benchmark.features.extract import Extracted, extract
from benchmark.features.speech import VOICED, check_speech
from benchmark.serving.formats import FileResult
from benchmark.serving.predictor import Prediction, Predictor, hint
from benchmark.serving.timeline import (
    HOP_S,
    WINDOW_S,
    Timeline,
    Window,
    extract_span,
    open_recording,
    predict_windows,
)
from benchmark.tracking.cards import feature_set_of, read_card

PATH_COLUMN = "path"

FEW_FILES, FEW_WINDOWS = 24, 100
"""Processed in this process, in about the time that a worker needs to start."""

ROWS_PER_STEP = 256
"""Predicted between two updates of the progress bar."""


@dataclass(frozen=True, slots=True)
class Part:
    """A recording to predict, or a segment of it; None for all of it."""

    file: Path
    segment: Segment | None = None

    @property
    def clip(self) -> Clip:
        """The part as a clip without metadata, whose name is its own."""
        name = f"{self.file} {self.segment.name}" if self.segment else str(self.file)
        return Clip("", name, self.file, "", "unknown", "", segment=self.segment)


class ThisProcess(Workers):
    """Runs tasks in this process, without workers."""

    def __init__(self) -> None:
        super().__init__(0)

    def map(
        self, function: Callable[..., Any], arguments: Iterable[tuple[Any, ...]]
    ) -> Iterator[Task]:
        """Yield the completed tasks of a function over many arguments, in order."""
        for position, values in enumerate(arguments):
            yield Task(function, values, position, result=function(*values))


def predict_files(
    parts: Sequence[Part],
    card: Path,
    cache: Path,
    workers: Workers,
    console: Console,
) -> tuple[FileResult[Prediction], ...]:
    """Return the predictions for recordings, in the given order.

    Features are extracted in parallel and cached, while the model is loaded. A recording that
    cannot be used, or has too little speech, has a reason in its result. The parts have no
    duplicates, as those of `find_files`.

    Raises
    ------
    BenchmarkError
        If the model cannot be loaded, or the cache cannot be written.
    """
    loaded = read_card(card)
    features = feature_set_of(loaded, str(card))
    few = len(parts) <= FEW_FILES
    measure = partial(extract, cache=cache, workers=ThisProcess() if few else workers)
    with ThreadPoolExecutor(1) as thread, console.bars() as bars:
        loading = thread.submit(Predictor.load, card)

        def progress(bar: Bar, completed: int, total: int) -> None:
            if loading.done():
                loading.result()  # raises at once if the model cannot be loaded
            bar.update(completed, total)

        voiced = measure(
            [part.clip for part in parts],
            replace(VOICED, sample_rate_hz=features.sample_rate_hz),
            progress=partial(progress, bars.add("speech", len(parts))),
        )
        reasons = dict(voiced.unusable) | _without_speech(voiced)
        spoken = [clip for clip in voiced.clips if clip.id not in reasons]
        bar = bars.add(f"features {features.name}", len(spoken))
        extracted = measure(spoken, features, progress=partial(progress, bar))
        reasons |= dict(extracted.unusable)
        rows = _predict_rows(extracted, loading.result(), bars)
    predictions = {
        clip.id: replace(row, hint=hint(loaded, row.duration_s, channels_of(clip.path)))
        for clip, row in zip(extracted.clips, rows, strict=True)
    }
    return tuple(
        FileResult(
            str(part.file),
            predictions.get(part.clip.id),
            reasons.get(part.clip.id, ""),
            part.segment,
        )
        for part in parts
    )


def _without_speech(voiced: Extracted) -> dict[str, str]:
    """Return why recordings have too little speech, by the ids of their clips."""
    reasons = {}
    for clip, row, duration_s in zip(voiced.clips, voiced.values, voiced.durations_s, strict=True):
        try:
            check_speech(float(row[0]), duration_s)
        except UnusableError as error:
            reasons[clip.id] = str(error)
    return reasons


def _predict_rows(extracted: Extracted, predictor: Predictor, bars: Bars) -> list[Prediction]:
    """Return the predictions for all rows, in steps that show the progress of a slow model."""
    total = len(extracted.clips)
    bar = bars.add("emotions", total)
    predictions: list[Prediction] = []
    while (first := len(predictions)) < total:
        step = slice(first, first + ROWS_PER_STEP)
        durations_s = list(extracted.durations_s[step])
        predictions += predictor.predict_rows(extracted.values[step], durations_s)
        bar.update(len(predictions), total)
    return predictions


def timeline_files(
    parts: Sequence[Part], predictor: Predictor, workers: Workers, console: Console
) -> tuple[FileResult[Timeline], ...]:
    """Return the timelines of recordings, in the given order; unusable files have a reason.

    Raises
    ------
    BenchmarkError
        If a part is a segment of a recording.
    """
    for part in parts:
        if part.segment is not None:
            raise BenchmarkError(
                f"{part.file}: the segment {part.segment.name} s. Timelines are of whole "
                "recordings: leave --timeline out, or remove start and end from the table."
            )
    timelines: list[FileResult[Timeline]] = []
    with console.bars() as bars:
        for part in parts:
            try:
                timeline = timeline_file(part.file, predictor, workers, bars)
                timelines.append(FileResult(str(part.file), timeline))
            except UnusableError as error:
                timelines.append(FileResult(str(part.file), None, str(error)))
    return tuple(timelines)


def timeline_file(file: Path, predictor: Predictor, workers: Workers, bars: Bars) -> Timeline:
    """Return the timeline of a file, with the features of its windows extracted in parallel.

    The file is read in blocks: memory does not grow with its length.

    Raises
    ------
    UnusableError
        If it cannot be read or decoded, or no window can be used.
    """
    with _content(file) as content, open_recording(content, WINDOW_S, HOP_S) as recording:
        if 0 < recording.n_expected <= FEW_WINDOWS:
            workers = ThisProcess()
        bar = bars.add(file.name, recording.n_expected)
        windows: list[Window] = []
        arguments = ((predictor.features, recording.grid, span) for span in recording.spans())
        try:
            for task in workers.map(extract_span, arguments):
                if isinstance(task.error, WorkerLostError):
                    raise UnusableError("damaged", f"features can't be extracted: {task.error}")
                if task.error is not None:
                    raise task.error
                windows += predict_windows(predictor, task.result)
                bar.update(len(windows), recording.n_expected or len(windows))
        finally:
            # The remaining tasks of a failed recording must not be taken for the next one's.
            for _ in workers.drain():
                pass
        return recording.timeline(windows)


@contextmanager
def _content(file: Path) -> Iterator[bytes | mmap]:
    """Yield the content of a file, mapped into memory if possible."""
    try:
        opened = file.open("rb")
    except OSError as error:
        raise UnusableError("not-audio", f"can't be read ({error.strerror})") from error
    with opened:
        if not os.fstat(opened.fileno()).st_size:  # an empty file or a pipe
            yield opened.read()
        else:
            with mmap(opened.fileno(), 0, access=ACCESS_READ) as content:
                yield content


def find_files(arguments: Sequence[str]) -> tuple[Part, ...]:
    """Return the recordings named by command-line arguments, without duplicates, in order.

    An argument is a recording, a folder (searched at any depth, sorted by path), or a table whose
    column ``path`` has paths relative to the table's folder; with columns ``start`` and ``end``, a
    row is a segment of its recording.

    Raises
    ------
    BenchmarkError
        If a file or folder does not exist, or a folder or table has no recordings.
    """
    parts: dict[tuple[str, Segment | None], Part] = {}
    for argument in arguments:
        for part in _expand(user_path(argument)):
            whole = os.path.abspath(part.file)  # noqa: PTH100 - links are not resolved
            parts.setdefault((whole, part.segment), part)
    return tuple(parts.values())


def _expand(path: Path) -> list[Part]:
    if path.is_dir():
        files = files_below(path, AUDIO_SUFFIXES)
        if not files:
            raise BenchmarkError(
                f"{path}: no recordings in this folder or below it. Suffixes: "
                f"{', '.join(AUDIO_SUFFIXES)}; other files must be named one by one."
            )
        return [Part(file) for file in files]
    if not path.exists():
        raise BenchmarkError(
            f"{path}: no such file or folder. Allowed: recordings, folders of recordings, and "
            f"tables ({', '.join(TABLE_SUFFIXES)}) with a column {PATH_COLUMN!r}."
        )
    return _listed(path) if path.suffix.lower() in TABLE_SUFFIXES else [Part(path)]


def _listed(table: Path) -> list[Part]:
    """Return the recordings that a table lists, or segments of them."""
    content = read_table(table)
    content.columns = content.columns.str.lower()
    content = content.rename(columns=our_names(content, {PATH_COLUMN: (*PATHS, "wav")}))
    if PATH_COLUMN not in content:
        columns = ", ".join(content) or "none"
        raise BenchmarkError(f"{table}: row 1: no column {PATH_COLUMN!r}. Columns: {columns}.")
    for number, name in content[PATH_COLUMN].items():
        if not name or "\0" in name:
            raise BenchmarkError(
                f"{table}: row {number}, column {PATH_COLUMN!r}: {name!r} is not a file name."
            )
    if content.empty:
        raise BenchmarkError(f"{table}: lists no recordings.")
    segments = segments_of(table, content)
    names = content[PATH_COLUMN]
    return [Part(table.parent / name, one) for name, one in zip(names, segments, strict=True)]

"""Prediction of many files: find them, extract their features in parallel, and predict."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.console import Bars, Console
from benchmark.corpora.clip import Clip
from benchmark.corpora.folder import AUDIO_SUFFIXES, files_below
from benchmark.corpora.manifest import TIMES, segment_of
from benchmark.engine.files import user_path
from benchmark.engine.processes import Task, WorkerLostError, Workers
from benchmark.engine.table_file import read_table
from benchmark.errors import BenchmarkError
from benchmark.features.audio import UnusableError
from benchmark.features.extract import Extracted, extract
from benchmark.serving.formats import FileResult
from benchmark.serving.predictor import Prediction, Predictor
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

if TYPE_CHECKING:
    import pandas as pd

TABLE_SUFFIX = ".csv"
PATH_COLUMN = "path"

FEW_FILES, FEW_WINDOWS = 24, 100
"""Processed in this process, in about the time that a worker needs to start."""

ROWS_PER_STEP = 256
"""Predicted between two updates of the progress bar."""


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
    files: Sequence[Path],
    card: Path,
    cache: Path,
    workers: Workers,
    console: Console,
) -> tuple[FileResult[Prediction], ...]:
    """Return the predictions for recordings, in the given order.

    Features are extracted in parallel and cached, while the model is loaded. A file that cannot be
    used has a reason in its result. The files have no duplicates, as those of `find_files`.

    Raises
    ------
    BenchmarkError
        If the model cannot be loaded, or the cache cannot be written.
    """
    features = feature_set_of(read_card(card), str(card))
    with ThreadPoolExecutor(1) as thread, console.bars() as bars:
        loading = thread.submit(Predictor.load, card)
        bar = bars.add(f"features {features.name}", len(files))

        def progress(completed: int, total: int) -> None:
            if loading.done():
                loading.result()  # raises at once if the model cannot be loaded
            bar.update(completed, total)

        extracted = extract(
            [_clip(file) for file in files],
            features,
            cache=cache,
            workers=workers if len(files) > FEW_FILES else ThisProcess(),
            progress=progress,
        )
        rows = _predict_rows(extracted, loading.result(), bars)
    predictions = {clip.name: row for clip, row in zip(extracted.clips, rows, strict=True)}
    reasons = dict(extracted.unusable)
    return tuple(
        FileResult(str(file), predictions.get(str(file)), reasons.get(_clip(file).id, ""))
        for file in files
    )


def _clip(file: Path) -> Clip:
    """Return a file as a clip without metadata."""
    return Clip("", str(file), file, speaker="", gender="unknown", emotion="")


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
    files: Sequence[Path], predictor: Predictor, workers: Workers, console: Console
) -> tuple[FileResult[Timeline], ...]:
    """Return the timelines of recordings, in the given order; unusable files have a reason."""
    timelines: list[FileResult[Timeline]] = []
    with console.bars() as bars:
        for file in files:
            try:
                timeline = timeline_file(file, predictor, workers, bars)
                timelines.append(FileResult(str(file), timeline))
            except UnusableError as error:
                timelines.append(FileResult(str(file), None, str(error)))
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


def find_files(arguments: Sequence[str]) -> tuple[Path, ...]:
    """Return the recordings named by command-line arguments, without duplicates, in order.

    An argument is a recording, a folder (searched at any depth, sorted by path), or a ``.csv``
    table whose column ``path`` has paths relative to the table's folder.

    Raises
    ------
    BenchmarkError
        If a file or folder does not exist, or a folder or table has no recordings.
    """
    files: dict[str, Path] = {}
    for argument in arguments:
        for file in _expand(user_path(argument)):
            files.setdefault(os.path.abspath(file), file)  # noqa: PTH100 - links are not resolved
    return tuple(files.values())


def _expand(path: Path) -> Sequence[Path]:
    if path.is_dir():
        files = files_below(path, AUDIO_SUFFIXES)
        if not files:
            raise BenchmarkError(
                f"{path}: no recordings in this folder or below it. Suffixes: "
                f"{', '.join(AUDIO_SUFFIXES)}; other files must be named one by one."
            )
        return files
    if not path.exists():
        raise BenchmarkError(
            f"{path}: no such file or folder. Allowed: recordings, folders of recordings, and "
            f"tables ({TABLE_SUFFIX}) with a column {PATH_COLUMN!r}."
        )
    return _listed(path) if path.suffix.lower() == TABLE_SUFFIX else [path]


def _listed(table: Path) -> list[Path]:
    """Return the recordings that a table lists."""
    content = read_table(table)
    content.columns = content.columns.str.lower()
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
    _refuse_segments(table, content)
    return [table.parent / name for name in content[PATH_COLUMN]]


def _refuse_segments(table: Path, content: pd.DataFrame) -> None:
    """Refuse a table that lists parts of recordings: each file is predicted as a whole."""
    times = [name for name in TIMES if name in content]
    for number, *cells in content[times].itertuples():
        segment = segment_of(table, number, dict(zip(times, cells, strict=True)))
        if segment is not None:
            raise BenchmarkError(
                f"{table}: row {number}, {' and '.join(times)}: the segment {segment.name} s. "
                "Only whole recordings are predicted: cut segments into files of their own, or "
                f"remove {' and '.join(times)} from the table."
            )

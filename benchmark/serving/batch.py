"""Predictions of files: what the command line names, found and answered in order."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any

from benchmark.console import Bars, Console
from benchmark.corpora.clip import Clip
from benchmark.corpora.folder import audio_files
from benchmark.corpora.manifest import delimiter
from benchmark.engine.processes import Task, WorkerLostError, Workers
from benchmark.errors import BenchmarkError
from benchmark.features.audio import UnusableError
from benchmark.features.extract import Extracted, extract
from benchmark.serving.answers import Answer, FileTimeline
from benchmark.serving.predictor import Prediction, Predictor
from benchmark.serving.timeline import (
    HOP_S,
    WINDOW_S,
    Timeline,
    Window,
    answer,
    measure_span,
    reading,
)
from benchmark.tracking.cards import read_card, recipe_of

ENDINGS = (".wav", ".flac", ".ogg", ".opus", ".mp3", ".aif", ".aiff", ".au", ".caf")
"""Of the recordings that are looked for in a folder; a file that is named may have any."""

TABLE_ENDING = ".csv"
PATH_COLUMN = "path"

FEW_FILES, FEW_WINDOWS = 24, 100
"""Measured in this process, in about the time that a worker takes to start."""

ROWS_AT_ONCE = 256
"""Answered between two steps of the bar: a second for a network of milliseconds a row."""


class ThisProcess(Workers):
    """No workers: tasks run where they are asked for."""

    def __init__(self) -> None:
        super().__init__(0)

    def map(
        self, function: Callable[..., Any], arguments: Iterable[tuple[Any, ...]]
    ) -> Iterator[Task]:
        """Yield the tasks of one function over many arguments, each done, in their order."""
        for position, values in enumerate(arguments):
            yield Task(function, values, position, result=function(*values))


def predict_files(
    files: Sequence[Path],
    card: Path,
    cache: Path,
    workers: Workers,
    console: Console,
) -> tuple[Answer, ...]:
    """Return what a model says of recordings, in the order in which they are given.

    Features are extracted in parallel and kept; the model is loaded meanwhile. A file that can't be
    used is an answer with its reason, and stops nothing.

    Parameters
    ----------
    files : sequence of Path
        Each once, as `find_files` returns them.
    card : Path
        Of the model.
    cache : Path
        Folder of the features cache.
    workers : Workers
    console : Console

    Raises
    ------
    BenchmarkError
        If the model can't be loaded, or the cache can't be written.
    """
    features = recipe_of(read_card(card), str(card))
    with ThreadPoolExecutor(1) as thread, console.bars() as bars:
        loading = thread.submit(Predictor.load, card)
        bar = bars.add(f"features {features.name}", len(files))

        def tell(done: int, total: int) -> None:
            if loading.done():
                loading.result()  # a model that can't be loaded ends the work at once
            bar.update(done, total)

        extracted = extract(
            [_clip(file) for file in files],
            features,
            cache=cache,
            workers=workers if len(files) > FEW_FILES else ThisProcess(),
            progress=tell,
        )
        predictions = _predictions(extracted, loading.result(), bars)
    said = {clip.name: one for clip, one in zip(extracted.clips, predictions, strict=True)}
    reasons = dict(extracted.unusable)
    return tuple(
        Answer(str(file), said.get(str(file)), reasons.get(_clip(file).id, "")) for file in files
    )


def _clip(file: Path) -> Clip:
    """Return a file as a clip of which nothing is known."""
    return Clip("", str(file), file, speaker="", gender="unknown", emotion="")


def _predictions(extracted: Extracted, predictor: Predictor, bars: Bars) -> list[Prediction]:
    """Return the model's answers, some rows at a time so that a slow model shows how far it is."""
    total = len(extracted.clips)
    bar = bars.add("emotions", total)
    predictions: list[Prediction] = []
    for first in range(0, total, ROWS_AT_ONCE):
        some = slice(first, first + ROWS_AT_ONCE)
        predictions += predictor.answer(extracted.values[some], list(extracted.durations_s[some]))
        bar.update(len(predictions), total)
    return predictions


def timeline_files(
    files: Sequence[Path], predictor: Predictor, workers: Workers, console: Console
) -> tuple[FileTimeline, ...]:
    """Return what a model says of recordings over time, in the order in which they were named.

    A file that can't be used is an answer with its reason, and stops nothing.
    """
    timelines = []
    with console.bars() as bars:
        for file in files:
            try:
                timelines.append(
                    FileTimeline(str(file), timeline_file(file, predictor, workers, bars))
                )
            except UnusableError as error:
                timelines.append(FileTimeline(str(file), None, str(error)))
    return tuple(timelines)


def timeline_file(file: Path, predictor: Predictor, workers: Workers, bars: Bars) -> Timeline:
    """Return what `timeline.timeline` does, windows measured in parallel.

    The file is read bit by bit: one of hours takes no more memory than one of seconds.

    Raises
    ------
    UnusableError
        If it can't be read or decoded, or no window of any channel holds a voice.
    """
    with _content(file) as content, reading(content, WINDOW_S, HOP_S) as sound:
        if 0 < sound.expected <= FEW_WINDOWS:
            workers = ThisProcess()
        bar = bars.add(file.name, sound.expected)
        windows: list[Window] = []
        orders = ((predictor.features, sound.grid, span) for span in sound.spans())
        try:
            for task in workers.map(measure_span, orders):
                if isinstance(task.error, WorkerLostError):
                    raise UnusableError("damaged", f"can't be measured: {task.error}")
                if task.error is not None:
                    raise task.error
                windows += answer(predictor, sound.grid, task.result)
                bar.update(len(windows), sound.expected or len(windows))
        finally:
            # What is left of a recording that was given up must not be taken for the next one's.
            for _ in workers.drain():
                pass
        return sound.finished(windows)


@contextmanager
def _content(file: Path) -> Iterator[bytes | mmap]:
    """Give the block a file's content, which is not read until it is asked for."""
    try:
        opened = file.open("rb")
    except OSError as error:
        raise UnusableError("not-audio", f"can't be read ({error.strerror})") from error
    with opened:
        if not os.fstat(opened.fileno()).st_size:  # nothing, or a pipe
            yield opened.read()
        else:
            with mmap(opened.fileno(), 0, access=ACCESS_READ) as content:
                yield content


def find_files(arguments: Sequence[str]) -> tuple[Path, ...]:
    """Return the recordings that arguments name, each once, in the order of the arguments.

    Parameters
    ----------
    arguments : sequence of str
        Each a recording; a folder, searched at any depth and sorted by path; or a table that ends
        in ``.csv`` with a column ``path``, relative to the table's folder.

    Raises
    ------
    BenchmarkError
        If there is no such file or folder, a folder holds no recordings, or a table names none.
    """
    files: dict[str, Path] = {}
    for argument in arguments:
        for file in _expanded(_path(argument)):
            files.setdefault(os.path.abspath(file), file)  # noqa: PTH100 - links are kept
    return tuple(files.values())


def _path(argument: str) -> Path:
    """Return the file or folder that an argument names, which need not be there."""
    try:
        path = Path(argument).expanduser()
        path.exists()
    except (OSError, RuntimeError) as error:  # a name too long, or a user whom nobody knows
        reason = error.strerror if isinstance(error, OSError) else error
        raise BenchmarkError(f"{argument}: can't be looked for ({reason}).") from error
    return path


def _expanded(path: Path) -> Sequence[Path]:
    if path.is_dir():
        files = audio_files(path, ENDINGS)
        if not files:
            raise BenchmarkError(
                f"{path}: no recordings are in this folder, nor below it. Looked for "
                f"{', '.join(ENDINGS)}; name files of other endings one by one."
            )
        return files
    if not path.exists():
        raise BenchmarkError(
            f"{path}: there is no such file or folder. Allowed: recordings, folders of recordings, "
            f"and tables ({TABLE_ENDING}) with a column {PATH_COLUMN!r}."
        )
    return _listed(path) if path.suffix.lower() == TABLE_ENDING else [path]


def _listed(table: Path) -> list[Path]:
    """Return the recordings that a table names."""
    try:
        text = table.read_text(encoding="utf-8-sig")
        header, *lines = csv.reader(io.StringIO(text), delimiter=delimiter(text))
    except OSError as error:
        raise BenchmarkError(f"{table}: can't read the table ({error.strerror}).") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise BenchmarkError(f"{table}: not a CSV file in UTF-8 ({error}).") from error
    except ValueError:  # nothing to unpack: not even a header
        header, lines = [], []
    names = [name.strip().lower() for name in header]
    if PATH_COLUMN not in names:
        found = ", ".join(names) or "none"
        raise BenchmarkError(f"{table}: row 1: no column {PATH_COLUMN!r}. Found: {found}.")
    place = names.index(PATH_COLUMN)
    files = []
    for number, line in enumerate(lines, start=2):
        if not any(cell.strip() for cell in line):
            continue
        name = line[place].strip() if len(line) > place else ""
        if not name or "\0" in name:
            raise BenchmarkError(
                f"{table}: row {number}, column {PATH_COLUMN!r}: {name!r} is no file's name."
            )
        files.append(table.parent / name)
    if not files:
        raise BenchmarkError(f"{table}: the table names no recordings; it has a header alone.")
    return files

"""Label files of corpora whose file names do not tell speaker and emotion."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from benchmark.corpora.clip import Clip, Recordings, file_stem
from benchmark.corpora.folder import files_below, match_files
from benchmark.engine.table_file import read_table
from benchmark.errors import BenchmarkError


@dataclass(frozen=True, slots=True)
class Label:
    """What a label file says about one recording.

    Attributes
    ----------
    name : str
        Name of the recording.
    clip : Clip or str
        The clip (without a path), or the reason why it is set aside.
    where : str
        Place in the label file: ``labels.csv: row 7``.
    """

    name: str
    clip: Clip | str
    where: str


def match_labels(
    folder: Path,
    labels: Iterable[Label],
    unlabelled: str,
    name_of: Callable[[Path], str] = file_stem,
    n_official: int = 0,
) -> Recordings:
    """Return the labelled recordings of a folder; a label without a recording is a missing clip.

    Parameters
    ----------
    folder : Path
        Searched at any depth.
    labels : iterable of Label
    unlabelled : str
        Reason why a recording without a label is set aside.
    name_of : callable
        From the path of a recording to its name.
    n_official : int
        Number of labels of the release; 0 if releases differ.

    Raises
    ------
    BenchmarkError
        If a recording has two labels, or two different files are the same clip.
    """
    found: dict[str, Label] = {}
    for label in labels:
        if label.name in found:
            raise BenchmarkError(
                f"{label.where}: {label.name} has a label already, in {found[label.name].where}. "
                "Keep one of the two."
            )
        found[label.name] = label
    clips = {name: label.clip for name, label in found.items()}
    recordings = match_files(
        folder,
        lambda name: clips.get(name, unlabelled),
        [name for name, clip in clips.items() if isinstance(clip, Clip)],
        name_of,
    )
    return replace(recordings, missing_labels=max(0, n_official - len(found)))


def label_file(folder: Path, *names: str) -> Path:
    """Return the label file with one of `names` that is nearest to a folder.

    Releases keep the label files of earlier releases in subfolders.

    Raises
    ------
    BenchmarkError
        If there is none, or if two are equally near.
    """
    suffixes = {Path(name).suffix for name in names}
    found = [path for path in files_below(folder, sorted(suffixes)) if path.name in names]
    if not found:
        raise BenchmarkError(
            f"{folder}: the label file {' or '.join(names)} is missing. Give the folder that holds "
            "it together with the recordings."
        )
    found.sort(key=lambda path: (len(path.parts), path))
    if len(found) > 1 and len(found[0].parts) == len(found[1].parts):
        raise BenchmarkError(
            f"{folder}: two label files: {found[0].relative_to(folder)} and "
            f"{found[1].relative_to(folder)}. Give the folder of one copy only."
        )
    return found[0]


def read_rows(table: Path, columns: tuple[str, ...]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield each row of a table as its place (``labels.csv: row 7``) and the cells of `columns`.

    Raises
    ------
    BenchmarkError
        If the table can't be read or lacks a column.
    """
    content = read_table(table)
    for column in columns:
        if column not in content:
            raise BenchmarkError(
                f"{table}: row 1: no column {column!r}. Required: {', '.join(columns)}. "
                f"Found: {', '.join(content) or 'none'}."
            )
    cells = zip(*(content[column] for column in columns), strict=True)
    for number, row in zip(content.index, cells, strict=True):
        yield f"{table}: row {number}", row


def wrong_label(where: str, what: str, value: str, allowed: Iterable[str]) -> BenchmarkError:
    """Return the error for a cell whose value is not among those that the corpus uses."""
    return BenchmarkError(
        f"{where}: {what} {value!r} is not one of this corpus: {', '.join(allowed)}."
    )

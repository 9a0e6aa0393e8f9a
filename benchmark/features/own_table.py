"""Own tables: features of a user's own file. Their rows are looked up by clip, not computed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmark.corpora import CORPORA
from benchmark.corpora.manifest import PATHS
from benchmark.corpora.segments import TIMES, named_segments
from benchmark.engine.files import user_path
from benchmark.engine.table_file import read_list, read_numbers
from benchmark.errors import BenchmarkError
from benchmark.features.recipe import Block, FeatureSet, OptionalFeatureSet, numbered

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from benchmark.corpora import Clip

DESCRIPTION = (
    "Your own numbers: a table (Parquet, CSV or JSON) with a column clip, file or path, and any "
    "numbers beside it, or an array (.npy) with a list of its clips beside it (.csv or .txt); a "
    "relative path starts at the current folder."
)
OWN_TABLE = "table"
"""What a study file calls it, with the file after a colon."""

CLIP_COLUMNS = ("clip", "file", "path")
"""Columns that may name the clips; the first of them that a table has does."""

NOT_FEATURES = ("corpus", "speaker", "gender", "emotion", "augmentation")
"""Columns that tell of a clip what no feature may."""

SHOWN = 3  # clips named in a message


@dataclass(frozen=True, eq=False)
class OwnTable:
    """A user's own features, one row per clip.

    Attributes
    ----------
    name : str
        Of the feature set in study files.
    clips : Series of str
        What the file calls the clip of each row; the index is the row's number in the file.
    columns : tuple of str
    values : ndarray of float32, shape (n_rows, n_columns)
    digest : str
        Digest of clips, columns and values, whatever the order of rows and the kind of file.
    """

    name: str
    clips: pd.Series[str]
    columns: tuple[str, ...]
    values: NDArray[np.float32]
    digest: str

    def find(self, clips: Sequence[Clip]) -> dict[str, int]:
        """Return the position of the row of each clip, by clip id; a clip may have none.

        A row names a clip by its id, by its name, or by the path of its file, with folders or
        without.

        Raises
        ------
        BenchmarkError
            If a row could be of several clips, or a clip has two rows.
        """
        known = _Names(clips)
        found: dict[str, int] = {}
        for position, written in enumerate(self.clips):
            possible = known.clips_of(written)
            row = f"features: {self.name}: row {self.clips.index[position]}: {written!r}"
            if len(possible) > 1:
                raise BenchmarkError(
                    f"{row} could be {' or '.join(possible[:SHOWN])}. Write the ids of the clips."
                )
            for clip in possible:
                if clip in found:
                    raise BenchmarkError(
                        f"{row} is {clip}, which row {self.clips.index[found[clip]]} is too. Keep "
                        "one row per clip."
                    )
                found[clip] = position
        return found

    def without_rows(self, absent: Sequence[Clip], n_clips: int) -> BenchmarkError:
        """Return the error for clips of a study that have no row."""
        first = ", ".join(clip.id for clip in absent[:SHOWN])
        more = ", ..." if len(absent) > SHOWN else ""
        return BenchmarkError(
            f"features: {self.name}: {len(absent):,} of the study's {n_clips:,} clips have no row: "
            f"{first}{more}. Add their rows; the first row is of {self.clips.iloc[0]!r}."
        )


class _Names:
    """The ways in which a table may name the clips of a study."""

    def __init__(self, clips: Sequence[Clip]) -> None:
        self.whole: Mapping[str, list[str]] = defaultdict(list)  # clips by id and by name
        self.tails: Mapping[str, list[str]] = defaultdict(list)  # by the end of a name with folders
        corpora = {clip.corpus for clip in clips}
        self.name_of = [CORPORA[name].name_of for name in CORPORA if name in corpora]
        for clip in clips:
            self.whole[clip.id].append(clip.id)
            self.whole[clip.name].append(clip.id)
            for tail in _tails(clip.name):
                self.tails[tail].append(clip.id)

    def clips_of(self, written: str) -> list[str]:
        """Return the ids of the clips that a name in a table could stand for."""
        path = written.replace("\\", "/")
        stem = _without_suffix(path)
        canonical = [name_of(Path(path)) for name_of in self.name_of]
        for name in (path, stem, *_tails(stem), *canonical):
            if name in self.whole:
                return self.whole[name]
        return next((self.tails[name] for name in (path, stem) if name in self.tails), [])


def _tails(path: str) -> Iterator[str]:
    """Yield a path without its first folder, without the first two, and so on."""
    while "/" in path:
        path = path.partition("/")[2]
        yield path


def _without_suffix(path: str) -> str:
    """Return a path without the suffix of its file."""
    folders, slash, file = path.rpartition("/")
    stem, _, suffix = file.rpartition(".")
    return f"{folders}{slash}{stem or suffix}"


def table(argument: str) -> FeatureSet:
    """Return the feature set of a file.

    Raises
    ------
    BenchmarkError
        If the file can't be read, has no clips or features, or a feature is not a finite number.
    """
    name, path = f"table:{argument}", user_path(argument)
    if not path.is_file():
        raise BenchmarkError(
            f"features: {name}: no such file in {Path.cwd()}. A relative path starts at the "
            "current folder; a + joins another feature set if the name of one follows."
        )
    files = [path, _index_of(path)] if path.suffix.lower() == ".npy" else [path]
    states = [one.stat() for one in files]
    own = _read(name, tuple(files), tuple((one.st_mtime_ns, one.st_size) for one in states))
    return FeatureSet(
        name=name,
        description=DESCRIPTION,
        columns=own.columns,
        compute=partial(_refuse, name),
        own_blocks=(Block(path.stem, len(own.columns)),),
        table=own,
    )


def _refuse(name: str, _samples: np.ndarray, _sample_rate_hz: int) -> np.ndarray:
    """Refuse to compute what only the user's own program can."""
    raise BenchmarkError(
        f"features: {name}: the features of a recording are looked up in this table, and can't be "
        "computed for another one."
    )


@lru_cache(maxsize=4)
def _read(name: str, files: tuple[Path, ...], _states: tuple[tuple[int, int], ...]) -> OwnTable:
    """Return the content of files; they are read once, unless they change."""
    path = files[0]
    files_named = tuple(name for name in PATHS if name != "path")
    names = {name: (name,) for name in (*CLIP_COLUMNS, *TIMES)} | {"file": files_named}
    frame = read_numbers(path, names) if len(files) == 1 else _array(*files)
    named = next((name for name in CLIP_COLUMNS if name in frame), "")
    frame = named_segments(path, frame, named)
    clips = _clips(frame, path)
    values = frame.drop(columns=[column for column in CLIP_COLUMNS if column in frame])
    for column in NOT_FEATURES:
        if column in values:
            raise BenchmarkError(f"{path}: the column {column!r} is not a feature. Remove it.")
    if values.empty:
        lacking = "rows" if len(values.columns) else "features"
        raise BenchmarkError(f"{path}: the table has no {lacking}.")
    columns = tuple(values.columns)
    numbers = values.to_numpy(dtype=np.float32)
    return OwnTable(name, clips, columns, numbers, _digest(clips, columns, numbers))


def _clips(frame: pd.DataFrame, path: Path) -> pd.Series[str]:
    """Return the column of a table that names its clips."""
    named = [column for column in CLIP_COLUMNS if column in frame]
    if not named:
        raise BenchmarkError(
            f"{path}: no column names the clips: {' or '.join(CLIP_COLUMNS)} is missing. "
            f"Found: {', '.join(frame.columns[:5])}."
        )
    clips = frame[named[0]]
    empty = clips.index[clips == ""]
    if len(empty):
        raise BenchmarkError(f"{path}: row {empty[0]}: the {named[0]} is empty.")
    return clips


def _digest(clips: pd.Series[str], columns: Sequence[str], values: NDArray[np.float32]) -> str:
    digest = blake2b(digest_size=16)
    order = np.argsort(clips.to_numpy(dtype=np.str_), kind="stable")
    digest.update("\0".join((*clips.iloc[order], "", *columns)).encode())
    digest.update(values[order].astype("<f4").tobytes())
    return digest.hexdigest()


def _index_of(path: Path) -> Path:
    """Return the file beside an array that lists its clips."""
    possible = [path.with_suffix(suffix) for suffix in (".csv", ".txt")]
    found = [one for one in possible if one.is_file()]
    if len(found) != 1:
        names = " and ".join(one.name for one in possible)
        problem = f"both {names} lie beside it" if found else f"neither of {names} lies beside it"
        raise BenchmarkError(
            f"{path}: {problem}. One of them lists the clips of its rows: one clip a line, or a "
            "table with a column clip."
        )
    return found[0]


def _array(path: Path, index: Path) -> pd.DataFrame:
    """Return the rows of an array with the clips that a file beside it lists."""
    import pandas as pd

    try:
        values = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise BenchmarkError(f"{path}: not an array of NumPy ({error}).") from error
    if not isinstance(values, np.ndarray) or values.ndim != 2 or values.dtype.kind not in "fiu":
        raise BenchmarkError(f"{path}: not an array of numbers with a row per clip.")
    clips = read_list(index, CLIP_COLUMNS)
    if len(clips) != len(values):
        raise BenchmarkError(
            f"{path}: {len(values):,} rows, but {index.name} lists {len(clips):,} clips. A first "
            f"line that names no clip must be {' or '.join(CLIP_COLUMNS)}."
        )
    with np.errstate(over="ignore"):
        numbers = values.astype(np.float32)
    wrong = np.argwhere(~np.isfinite(numbers))
    if len(wrong):
        row, column = wrong[0]
        raise BenchmarkError(
            f"{path}: row {row + 1} ({clips.iloc[row]}), column {column + 1}: "
            f"{values[row, column]} is not a finite number, one of {len(wrong):,} such cells."
        )
    columns = list(numbered("dim", values.shape[1]))
    frame = pd.DataFrame(numbers, index=clips.index, columns=columns)
    return frame.assign(clip=clips)


OPTIONAL_FEATURE_SETS = (
    OptionalFeatureSet(
        name=OWN_TABLE,
        argument="FILE",
        description=DESCRIPTION,
        extra="",
        packages=(),
        make=table,
    ),
)

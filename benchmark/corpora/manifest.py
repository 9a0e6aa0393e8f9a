"""The corpus `csv`: a table of recordings, of one corpus or of several that it names."""

from __future__ import annotations

import difflib
import hashlib
import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.corpora.clip import Clip, Corpus, Recordings
from benchmark.corpora.folder import SECOND_COPY
from benchmark.corpora.raters import (
    FACT,
    Votes,
    agreement,
    majority,
    read_votes,
    why_undecided,
)
from benchmark.corpora.segments import TIMES, segment_of
from benchmark.engine.files import is_file
from benchmark.engine.table_file import our_names, read_table
from benchmark.errors import BenchmarkError

if TYPE_CHECKING:
    import pandas as pd

REQUIRED = ("path", "emotion", "speaker")
FACTS = ("split", "fold")
"""Columns of official partitions, which travel with a clip as further facts."""

OPTIONAL = ("gender", "statement", "corpus", *FACTS, *TIMES)
COLUMNS = (*REQUIRED, *OPTIONAL)
GENDERS = ("female", "male", "unknown")

ALIKE, NEARLY_EQUAL = 0.7, 0.88
"""Similarity from which a column is named as what a required, or an optional one, may stand for. A
table has columns of its own, so that only a misspelt optional one is an error."""

PATHS = ("path", "file", "filename", "file_name", "filepath", "file_path", "audio")
"""Names of the column of recordings; the first of them that a table has. audformat's is file."""

EMOBOX = {"wav": "path", "emo": "emotion", "dataset": "corpus"}
"""Columns of tables of other tools, by their names there, and as they are called here."""

NO_EMOTION = (
    " In its place, raters may vote: columns rater_1, rater_2, ..., or a column votes with cells "
    "such as angry:2 sad:1."
)
NO_SPEAKER = (
    " EmoBox's lines, and audformat's tables without it, need it from elsewhere: merge it from the "
    "corpus's table of speakers, or cut it from the names of the files."
)

HINTS = {"emotion": NO_EMOTION, "speaker": NO_SPEAKER}
"""Where a required column may come from."""

CORPUS_NAME = re.compile(r"\w[\w .+-]{0,63}")
"""Names of corpora are names of folders, too."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table.

    Attributes
    ----------
    number : int
        The header is row 1.
    cells : mapping of str to str
        Of known columns; the emotion is that of the majority of votes in a table without it.
    votes : Votes
    aside : str
        Why the votes do not tell the emotion, so that the clip is set aside; empty if it has one.
    """

    number: int
    cells: Mapping[str, str]
    votes: Votes
    aside: str

    @property
    def corpus(self) -> str:
        """The corpus of the row's clip."""
        return self.cells.get("corpus", CSV.name)

    @property
    def title(self) -> str:
        """The path of the recording, with the times of a segment."""
        times = [self.cells.get(name, "") for name in TIMES]
        return f"{self.cells['path']} {'-'.join(times)}" if any(times) else self.cells["path"]


def read(table: Path) -> Recordings:
    """Return the recordings of a table; relative paths are relative to its folder.

    Those of EmoBox's lines are relative to the folder above the table that holds them.

    Raises
    ------
    BenchmarkError
        If the table can't be read or a row is invalid; it names the row and the column.
    """
    content = read_table(table)
    votes = read_votes(content, table)
    content.columns = content.columns.str.lower()
    folder = Path(os.path.normpath(table.absolute().parent))
    if "path" not in content and "wav" in content:
        first = next(iter(content["wav"]), "")
        folder = next((f for f in (folder, *folder.parents) if is_file(f / first)), folder)
        content = _renamed(content, EMOBOX)
    content = content.rename(columns=our_names(content, {"path": PATHS}))
    rows = _rows(table, content, votes)
    decided = [row for row in rows if not row.aside]
    paths = [Path(os.path.normpath(folder / row.cells["path"])) for row in decided]
    names = _names(paths, folder)
    clips = [_clip(table, row, path, names[path]) for row, path in zip(decided, paths, strict=True)]
    _check_clips(table, decided, clips)
    corpora = sorted({row.corpus for row in rows})
    if corpora in ([], [CSV.name]):
        return _recordings(clips, rows)
    parts = {
        name: _recordings(
            [clip for clip in clips if clip.corpus == name],
            [row for row in rows if row.corpus == name],
        )
        for name in corpora
    }
    return replace(_recordings(clips, rows), parts=parts)


def _recordings(clips: Sequence[Clip], rows: Sequence[Row]) -> Recordings:
    """Return the recordings of clips, and what the rows of a table tell of others."""
    present = [clip for clip in clips if is_file(clip.path)]
    present.sort(key=lambda clip: (clip.corpus, clip.name))
    copies = _second_copies(present)
    aside = [(row.title, row.aside) for row in rows if row.aside]
    aside += [(clip.name, SECOND_COPY) for clip in copies]
    return Recordings(
        tuple(clip for clip in present if clip not in copies),
        tuple(sorted({clip.name for clip in clips} - {clip.name for clip in present})),
        tuple(sorted(aside)),
        agreement=agreement(row.votes for row in rows),
    )


def _second_copies(clips: Iterable[Clip]) -> set[Clip]:
    """Return the clips that an earlier one is, too: of equal bytes, emotion and speaker.

    With another emotion or speaker, they contradict each other: guards find them.
    """
    possible: dict[tuple[object, ...], list[Clip]] = defaultdict(list)
    for clip in clips:
        size = clip.path.stat().st_size
        if size:  # empty files are no recordings, each of which is named
            possible[size, clip.corpus, clip.speaker, clip.emotion, clip.segment].append(clip)
    copies: set[Clip] = set()
    for alike in possible.values():
        known: set[bytes | str] = set()
        for clip in alike if len({one.path for one in alike}) > 1 else ():
            digest = _digest(clip.path)
            copies |= {clip} if digest in known else set()
            known.add(digest)
    return copies


def _digest(path: Path) -> bytes | str:
    """Return the digest of a file; of one that can't be read, its path."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, hashlib.blake2b).digest()
    except OSError:
        return str(path)


def _renamed(content: pd.DataFrame, names: Mapping[str, str]) -> pd.DataFrame:
    """Return a table with the names of columns that are known here; names that it has stay."""
    return content.rename(columns={old: new for old, new in names.items() if new not in content})


def _rows(table: Path, content: pd.DataFrame, votes: Sequence[Votes] | None) -> list[Row]:
    """Return the rows of a table with the cells of known columns; some of these can't be empty."""
    known: Sequence[Votes] = [{}] * len(content) if votes is None else votes
    aside = [""] * len(content)
    if votes is not None and "emotion" not in content:
        aside = [why_undecided(own) for own in votes]
        labels = [why or majority(own) for why, own in zip(aside, votes, strict=True)]
        content = content.assign(emotion=labels)
    columns = _columns(table, list(content))
    cells = zip(*(content[name] for name in columns), strict=True)
    rows = [
        Row(number, dict(zip(columns, row, strict=True)), own, why)
        for number, row, own, why in zip(content.index, cells, known, aside, strict=True)
    ]
    for row in rows:
        for column in (*REQUIRED, "corpus"):
            if not row.cells.get(column, CSV.name):
                raise _row_error(table, row.number, column, "the cell is empty.")
    return rows


def _columns(table: Path, names: list[str]) -> list[str]:
    """Return the known columns among those of a table; others are ignored."""
    for column in COLUMNS:
        cutoff = ALIKE if column in REQUIRED else NEARLY_EQUAL
        near = difflib.get_close_matches(column, set(names) - set(COLUMNS), n=1, cutoff=cutoff)
        if column in names or (column not in REQUIRED and not near):
            continue
        hint = f" Did you mean {near[0]!r}?" if near else HINTS.get(column, "")
        raise BenchmarkError(
            f"{table}: row 1: no column {column!r}.{hint} "
            f"Required: {', '.join(REQUIRED)}; optional: {', '.join(OPTIONAL)}. Found: "
            f"{', '.join(names) or 'none'}."
        )
    return [name for name in COLUMNS if name in names]


def _names(paths: Sequence[Path], below: Path) -> dict[Path, str]:
    """Return a name for each recording: its path below a folder without suffix.

    Outside that folder, it is the stem; of a stem that is taken, the path below the folder that all
    recordings outside share.
    """
    names = {path: _relative(path, below) for path in paths if below in path.parents}
    outside = {path for path in paths if path not in names}
    shared = os.path.commonpath([path.parent for path in outside]) if outside else ""
    taken = Counter([*set(names.values()), *(path.stem for path in outside)])
    return names | {
        path: path.stem if taken[path.stem] == 1 else _relative(path, Path(shared))
        for path in outside
    }


def _relative(path: Path, folder: Path) -> str:
    return path.relative_to(folder).with_suffix("").as_posix()


def _clip(table: Path, row: Row, path: Path, name: str) -> Clip:
    """Return the clip of a row, of a recording with a name."""
    gender = row.cells.get("gender", "").lower() or "unknown"
    if gender not in GENDERS:
        problem = f"{gender!r} is not allowed. Allowed: {', '.join(GENDERS)}."
        raise _row_error(table, row.number, "gender", problem)
    if not CORPUS_NAME.fullmatch(row.corpus):
        problem = (
            f"{row.corpus!r} can't be the name of a corpus. Allowed: letters, digits, blanks and "
            "_ . + -, at most 64, a letter or digit first."
        )
        raise _row_error(table, row.number, "corpus", problem)
    facts = {fact: row.cells.get(fact, "") for fact in FACTS}
    facts |= {FACT + emotion: str(row.votes[emotion]) for emotion in sorted(row.votes)}
    segment = segment_of(table, row.number, row.cells)
    return Clip(
        corpus=row.corpus,
        name=f"{name}_{segment.name}" if segment else name,
        path=path,
        speaker=f"{row.corpus}/{row.cells['speaker']}",
        gender=gender,
        emotion=row.cells["emotion"],
        statement=row.cells.get("statement", ""),
        more=tuple((fact, value) for fact, value in facts.items() if value),
        segment=segment,
    )


def _check_clips(table: Path, rows: Sequence[Row], clips: Sequence[Clip]) -> None:
    """Refuse a clip that is there twice, and values that contradict those of an earlier row."""
    first_row: dict[str, int] = {}
    gender_row: dict[str, tuple[str, int]] = {}
    corpus_row: dict[str, tuple[str, int]] = {}
    for row, clip in zip(rows, clips, strict=True):
        first = first_row.setdefault(clip.name, row.number)
        if first != row.number:
            problem = (
                f"{clip.name} is in row {first} already. Keep one of the two; different recordings "
                "need names that differ in more than the suffix, segments different times."
            )
            raise _row_error(table, row.number, "path", problem)
        gender, number = gender_row.setdefault(clip.speaker, (clip.gender, row.number))
        if gender != clip.gender:
            problem = f"{clip.gender!r}, but {gender!r} in row {number} for the same speaker."
            raise _row_error(table, row.number, "gender", problem)
        corpus, number = corpus_row.setdefault(clip.corpus.casefold(), (clip.corpus, row.number))
        if corpus != clip.corpus:
            problem = f"{clip.corpus!r}, but {corpus!r} in row {number}. Write one of the two."
            raise _row_error(table, row.number, "corpus", problem)


def _row_error(table: Path, row: int, column: str, problem: str) -> BenchmarkError:
    return BenchmarkError(f"{table}: row {row}, column {column!r}: {problem}")


CSV = Corpus(
    name="csv",
    title="own recordings",
    emotions=(),
    licence="set by its owner",
    how_to_get=f"Write a table with the columns {', '.join(REQUIRED)} and optionally "
    f"{', '.join(OPTIONAL)}.",
    read=read,
)

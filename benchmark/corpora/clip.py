"""Clips, and the entry of a corpus in the registry."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from benchmark.corpora.raters import Agreement

Speech = Literal["acted", "natural", "generated", "user's own"]
"""Kinds of speech: of actors, of people who do not act, of code, or not known to the program."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a recording.

    Attributes
    ----------
    start_s : float
    end_s : float or None
        None for the end of the recording.
    """

    start_s: float
    end_s: float | None

    @property
    def name(self) -> str:
        """Start and end in seconds: ``1.5-3.25``."""
        end = "end" if self.end_s is None else f"{self.end_s:.10g}"
        return f"{self.start_s:.10g}-{end}"

    def frames(self, rate_hz: int) -> tuple[int, int | None]:
        """Return the first frame, and the one after the last, at a sample rate."""
        return (
            round(self.start_s * rate_hz),
            None if self.end_s is None else round(self.end_s * rate_hz),
        )


@dataclass(frozen=True, slots=True)
class Clip:
    """One recording or a segment of it, and everything that its corpus states about it.

    These fields are the schema of a clip from the corpus to the result.

    Attributes
    ----------
    corpus : str
        Name of its corpus in the registry, or in a user's own table.
    name : str
        Canonical file stem: the name that the corpus gives it, equal in every copy.
    path : Path
        Location of the recording on this machine. Never written to a result.
    speaker : str
        Unique over corpora: ``ravdess/07``.
    gender : str
        ``female``, ``male`` or ``unknown``.
    emotion : str
        One of its corpus's emotions; any word in a user's own table.
    statement : str
        Spoken text, or the corpus's label for it; empty if unknown.
    intensity : str
        Intensity of the emotion, in the corpus's own scale; empty if unknown.
    more : tuple of (str, str)
        Further facts of the corpus, by name, such as ``("age", "31")``. Statement, intensity and
        these travel with the clip to the protocols and to the result (clips.csv).
    segment : Segment or None
        The part of the recording that is the clip; None for all of it.
    """

    corpus: str
    name: str
    path: Path
    speaker: str
    gender: str
    emotion: str
    statement: str = ""
    intensity: str = ""
    more: tuple[tuple[str, str], ...] = ()
    segment: Segment | None = None

    @property
    def facts(self) -> dict[str, str]:
        """What the corpus states about the clip besides speaker, gender and emotion, by name."""
        return {"statement": self.statement, "intensity": self.intensity, **dict(self.more)}

    @property
    def id(self) -> str:
        """Name over all corpora: ``ravdess/03-01-06-01-02-01-12``."""
        return f"{self.corpus}/{self.name}"


@dataclass(frozen=True, slots=True)
class Recordings:
    """The recordings of a corpus in a folder.

    Attributes
    ----------
    clips : tuple of Clip
        Sorted by name.
    missing : tuple of str
        Sorted names of official clips that are not in the folder; empty without an official list.
    missing_labels : int
        Labels of the release that its label files lack here: the clips' names are not known.
    set_aside : tuple of (str, str)
        Audio files that are not clips of the corpus, with the reason ("song, not speech").
    agreement : Agreement or None
        Of the raters of all clips, also of those set aside because their votes have no majority;
        None without votes.
    left_out : int or None
        Number of clips of an incomplete corpus that the study leaves out; None if it takes part.
    parts : mapping of str to Recordings
        The same by corpus, of a table that names corpora; otherwise empty.
    """

    clips: tuple[Clip, ...]
    missing: tuple[str, ...] = ()
    set_aside: tuple[tuple[str, str], ...] = ()
    missing_labels: int = 0
    agreement: Agreement | None = None
    left_out: int | None = None
    parts: Mapping[str, Recordings] = field(default_factory=dict)

    @property
    def incomplete(self) -> bool:
        """Whether clips are missing, as far as that can be known."""
        return bool(self.missing or self.missing_labels)


@dataclass(frozen=True, slots=True)
class Archive:
    """A zip archive of a corpus that is free to download.

    Attributes
    ----------
    url : str
    digest : str
        Published digest in the form ``md5:0123...``.
    """

    url: str
    digest: str


def file_stem(path: Path) -> str:
    """Return the stem of a file: the default `Corpus.name_of`."""
    return path.stem


@dataclass(frozen=True, slots=True)
class Corpus:
    """The entry of a corpus: all that the program needs to know about it.

    A corpus whose file names tell speaker and emotion has a `parse` function; any other corpus has
    a `read` function.

    Attributes
    ----------
    name : str
        Name in study files, and of its folder.
    title : str
        Full name.
    emotions : tuple of str
        Emotions of its clips; empty if a user's own table decides.
    licence, how_to_get, home_page : str
        For the reader: what its licence allows, how to get it in a sentence, where it comes from.
    parse : callable or None
        From a name to the clip (without a path), or to the reason why it is not a clip of this
        corpus.
    official : callable or None
        Returns the names of all clips of a complete copy; None if there is no official list.
    gaps : frozenset of str
        Names that `official` generates by rule but that were never published.
    name_of : callable
        From the path of a file to its canonical name; repairs known differences between copies.
    read : callable or None
        From the folder (or table) to its recordings, in place of `parse`.
    generated : bool
        Whether the recordings are synthetic speech, generated by code.
    language : str
        Language of the speech, with its variety; empty if unknown.
    speech : str
        Kind of speech: ``acted``, ``natural``, ``generated`` or ``user's own``.
    archive : Archive or None
        What ``python -m benchmark fetch`` downloads.
    """

    name: str
    title: str
    emotions: tuple[str, ...]
    licence: str
    how_to_get: str
    home_page: str = ""
    parse: Callable[[str], Clip | str] | None = None
    official: Callable[[], Iterable[str]] | None = None
    gaps: frozenset[str] = frozenset()
    name_of: Callable[[Path], str] = file_stem
    read: Callable[[Path], Recordings] | None = None
    generated: bool = False
    language: str = ""
    speech: Speech = "user's own"
    archive: Archive | None = None

    @property
    def official_names(self) -> tuple[str, ...]:
        """Sorted names of all clips of a complete copy; empty without an official list."""
        return tuple(sorted(set(self.official()) - self.gaps)) if self.official else ()

    @property
    def official_clips(self) -> int | None:
        """Number of clips of a complete copy; None without an official list."""
        return len(self.official_names) if self.official else None

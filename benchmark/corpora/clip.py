"""What a corpus is made of: a clip is one recording, known by the corpus's own name for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

EMOTIONS = (
    "angry",
    "anxious",
    "apologetic",
    "assertive",
    "calm",
    "concerned",
    "disgust",
    "encouraging",
    "excited",
    "fearful",
    "happy",
    "neutral",
    "sad",
    "surprised",
)
"""The one vocabulary; every corpus with file names of its own translates into it."""

AUDIO_ENDINGS = (".wav", ".flac", ".ogg")
"""People convert their copies, so a recording goes by its stem and any of these endings will do."""


@dataclass(frozen=True, slots=True)
class Clip:
    """One recording.

    Attributes
    ----------
    corpus : str
        Name of its corpus in the registry.
    name : str
        The corpus's own name for it, the same in every copy: the canonical file stem.
    path : Path
        Where the recording lies on this machine. Never written to a result.
    speaker : str
        Unique over corpora: ``ravdess/07``.
    gender : str
        ``female``, ``male`` or ``unknown``.
    emotion : str
        One of `EMOTIONS`; in a user's own table any word.
    statement : str
        What is said, as the corpus names it; empty where it does not tell.
    intensity : str
        ``normal`` or ``strong``; empty where the corpus does not tell.
    """

    corpus: str
    name: str
    path: Path
    speaker: str
    gender: str
    emotion: str
    statement: str = ""
    intensity: str = ""

    @property
    def id(self) -> str:
        """The clip's name over all corpora: ``ravdess/03-01-06-01-02-01-12``."""
        return f"{self.corpus}/{self.name}"


@dataclass(frozen=True, slots=True)
class Recordings:
    """What was found of a corpus in a folder.

    Attributes
    ----------
    clips : tuple of Clip
        Sorted by name.
    missing : tuple of str
        Names of official clips that are not there, sorted; empty when the corpus is complete or has
        no official list.
    set_aside : tuple of (str, str)
        Audio files that are no clips of the corpus, with the reason ("song, not speech").
    left_out : int
        How many clips there were of a corpus that is left out since it is not complete.
    """

    clips: tuple[Clip, ...]
    missing: tuple[str, ...] = ()
    set_aside: tuple[tuple[str, str], ...] = ()
    left_out: int | None = None


@dataclass(frozen=True, slots=True)
class Corpus:
    """A set of recordings whose file names or table tell speaker and emotion.

    Attributes
    ----------
    name : str
        Its name in study files.
    title : str
        Its name in full.
    emotions : tuple of str
        The emotions that it has; empty where the user's own table decides.
    official_clips : int or None
        How many clips a complete copy has; None where nobody says.
    home_page, licence, how_to_get : str
        For people: where it comes from, what its licence allows, how to get it in a sentence.
    read : callable
        From the corpus's folder (or table) to its recordings.
    generated : bool
        Whether the recordings are made by code and not by people.
    """

    name: str
    title: str
    emotions: tuple[str, ...]
    official_clips: int | None
    home_page: str
    licence: str
    how_to_get: str
    read: Callable[[Path], Recordings]
    generated: bool = False

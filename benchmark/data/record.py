"""What a result records of its data: corpora, clips, splits and folds, and what a run changed."""

from __future__ import annotations

from typing import Literal

from benchmark.corpora.raters import Agreement
from benchmark.study import Record


class Change(Record):
    """One way in which a run differs from its study file.

    Attributes
    ----------
    kind : str
        ``override`` of a key by ``--set``, ``incomplete`` corpus, ``unusable`` clips beyond what is
        allowed, a user's own ``tables``, a ``budget`` of time, or a guard's finding that is
        ``allowed``.
    value : str
        The override, the corpus with its missing clips, the numbers of clips ("3 of 100"), the
        digests of the tables, the minutes, or the name of the guard.
    """

    kind: Literal["override", "incomplete", "unusable", "tables", "budget", "allowed"]
    value: str

    @property
    def text(self) -> str:
        """The change in words."""
        words = {
            "unusable": f"{self.value} clips can't be used",
            "tables": f"own tables {self.value}",
            "budget": f"a budget of {self.value} min",
            "allowed": f"--allow {self.value}",
        }
        return words.get(self.kind, self.value)


class CorpusRecord(Record):
    """What was found and used of a corpus.

    Attributes
    ----------
    title, home_page, licence : str
        Of its entry in the registry.
    official : int or None
        Clips of a complete copy; None where no official list exists.
    found, used : int
        Clips that were read, and those of the study's emotions that could be used.
    speakers : int or None
        Of the used clips; None in results of early versions.
    missing : tuple of str
        Official clips that were not found.
    missing_labels : int
        Labels of the release that the label files lack: the clips' names are not known.
    set_aside : tuple of (str, str)
        Audio files that are not clips of the corpus, with the reason.
    agreement : Agreement or None
        Of the raters of all clips of the corpus; None without votes.
    generated : bool
        Whether the recordings are synthetic speech.
    left_out : bool
        Whether it was incomplete, and left out as the command line allowed.
    auxiliary : bool
        Whether it is in every training side and never tested.
    language, speech : str
        Of its entry in the registry; empty if unknown and in results of early versions.
    """

    title: str
    home_page: str
    licence: str
    official: int | None
    found: int
    used: int
    speakers: int | None = None
    missing: tuple[str, ...] = ()
    missing_labels: int = 0
    set_aside: tuple[tuple[str, str], ...] = ()
    agreement: Agreement | None = None
    generated: bool = False
    left_out: bool = False
    auxiliary: bool = False
    language: str = ""
    speech: str = ""

    @property
    def incomplete(self) -> bool:
        """Whether clips are missing of a corpus that takes part, as far as that can be known."""
        return bool(self.missing or self.missing_labels) and not self.left_out


class Unusable(Record):
    """A clip, or an augmented copy of it, that could not be used."""

    corpus: str
    clip: str
    reason: str
    augmentation: str = ""


class ClipCount(Record):
    """Number of clips and speakers of one corpus, emotion and gender."""

    corpus: str
    emotion: str
    gender: str
    clips: int
    speakers: int


class SideRecord(Record):
    """One side of a split: its table's rows, clips and speakers, and a digest of the table."""

    rows: int
    clips: int
    speakers: tuple[str, ...]
    digest: str


class FoldRecord(Record):
    """One inner fold of a training side."""

    train_clips: int
    validation_clips: int
    validation_speakers: tuple[str, ...]


class SplitRecord(Record):
    """Both sides of a split, and the inner folds of its training side."""

    train: SideRecord
    test: SideRecord
    folds: tuple[FoldRecord, ...]


class DataRecord(Record):
    """The data of a result.

    Attributes
    ----------
    corpora : dict of str to CorpusRecord
        In the study's order, auxiliary ones last.
    unusable : tuple of Unusable
    duplicates : tuple of tuple of str
        Clips with the same samples.
    counts : tuple of ClipCount
    splits : dict of str to SplitRecord
        By name: the protocol, or ``speaker-independent/f1`` where it has several splits.
    tables : dict of str to str
        Digest of the content of each own table of features, by the name of the feature set.
    """

    corpora: dict[str, CorpusRecord]
    unusable: tuple[Unusable, ...] = ()
    duplicates: tuple[tuple[str, ...], ...] = ()
    counts: tuple[ClipCount, ...] = ()
    splits: dict[str, SplitRecord] = {}
    tables: dict[str, str] = {}

"""Corpora: the registry, where their folders are, and which of their clips are present."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from benchmark.corpora.clip import Clip, Corpus, Recordings
from benchmark.corpora.cremad import CREMAD
from benchmark.corpora.emodb import EMODB
from benchmark.corpora.emovo import EMOVO
from benchmark.corpora.esd import ESD
from benchmark.corpora.folder import read_folder
from benchmark.corpora.iemocap import IEMOCAP
from benchmark.corpora.jl import JL
from benchmark.corpora.manifest import CSV
from benchmark.corpora.meld import MELD
from benchmark.corpora.msp_podcast import MSP_PODCAST
from benchmark.corpora.ravdess import RAVDESS
from benchmark.corpora.savee import SAVEE
from benchmark.corpora.synthetic import SYNTHETIC
from benchmark.corpora.tess import TESS
from benchmark.engine.registry import Registry
from benchmark.errors import BenchmarkError

__all__ = [
    "CORPORA",
    "Clip",
    "Corpus",
    "Recordings",
    "describe_presence",
    "describe_shortfall",
    "entry_of",
    "known_emotions",
    "locate",
    "read_corpus",
]

CORPORA: Registry[Corpus] = Registry(
    "corpus",
    "corpora",
    Corpus,
    (
        SYNTHETIC,
        RAVDESS,
        TESS,
        SAVEE,
        JL,
        CREMAD,
        EMODB,
        IEMOCAP,
        MSP_PODCAST,
        EMOVO,
        ESD,
        MELD,
        CSV,
    ),
)
"""All corpora, by name."""

NAMES_SHOWN = 5  # of missing clips, in one line


def known_emotions() -> tuple[str, ...]:
    """Return the emotions of all corpora, sorted."""
    return tuple(sorted({emotion for corpus in CORPORA.values() for emotion in corpus.emotions}))


def entry_of(name: str) -> Corpus:
    """Return the entry of a corpus; of one that only a user's table names, that of the table."""
    return CORPORA.get(name) or replace(CSV, name=name)


def locate(name: str, *, root: Path | None, given: Mapping[str, Path], cache: Path) -> Path:
    """Return the folder of a corpus (of ``csv``, the table).

    Parameters
    ----------
    name : str
        A corpus of the registry.
    root : Path or None
        A folder with a subfolder for each corpus, named like it; case does not matter.
    given : mapping of str to Path
        Folders or tables of single corpora; they take precedence over `root`.
    cache : Path
        Folder of synthetic speech if it is neither in `given` nor below `root`.

    Raises
    ------
    BenchmarkError
        If the corpus is unknown, or its folder does not exist.
    """
    corpus = _corpus(name)
    if name in given:
        # A generated corpus is written to the given folder.
        if given[name].exists() or corpus.generated:
            return given[name]
        raise BenchmarkError(
            f"{name}: {given[name]} does not exist, as given by --corpus {name}={given[name]}. "
            f"{corpus.how_to_get}"
        )
    below = _below(root, name)
    if below is not None:
        return below
    if corpus.generated:
        return cache / name
    if corpus is CSV:
        raise BenchmarkError(
            f"csv: no table is given. Give it with --corpus csv=table.csv. {corpus.how_to_get}"
        )
    looked = f"there is no folder {root / name}" if root else "no folder is given"
    if root and root.name.lower() == name:
        looked += f"; {root} may be it: give the folder above"
    raise BenchmarkError(
        f"{name}: {looked}. Give a folder that holds {name}/ with --corpora DIR or "
        f"SER_CORPORA=DIR, or this corpus alone with --corpus {name}=DIR. {corpus.how_to_get}"
    )


def _below(root: Path | None, name: str) -> Path | None:
    """Return the folder of a corpus below `root`; None if it does not exist."""
    if root is None:
        return None
    try:
        folders = sorted(path for path in root.iterdir() if path.name.lower() == name)
    except OSError as error:
        raise BenchmarkError(
            f"{root}: can't read the folder of the corpora ({error.strerror}). "
            "Give another with --corpora DIR or SER_CORPORA=DIR."
        ) from error
    return max((path for path in folders if path.is_dir()), default=None)  # ravdess before RAVDESS


def read_corpus(name: str, folder: Path) -> Recordings:
    """Return the recordings of a corpus.

    Parameters
    ----------
    name : str
        A corpus of the registry.
    folder : Path
        Searched at any depth; for ``csv`` the table.

    Raises
    ------
    BenchmarkError
        If the folder does not exist, can't be read or holds no clip of the corpus, or if two
        recordings are the same clip.
    """
    corpus = _corpus(name)
    recordings = read_folder(corpus, folder)
    if recordings.clips:
        return recordings
    other, missing = recordings.set_aside, recordings.missing
    hint = ""
    if other:
        hint = f" It holds {len(other)} other audio files: {other[0][0]} ({other[0][1]}), ..."
    elif corpus.official is None and missing:
        hint = f" None of its {len(missing)} files exists: {missing[0]}, ..."
    raise BenchmarkError(f"{folder}: no clip of {name} found.{hint} {corpus.how_to_get}")


def describe_shortfall(corpus: Corpus, recordings: Recordings) -> str:
    """Return how many clips of a corpus are present and which are missing, in one line."""
    line = f"{corpus.name}: {_count_clips(corpus, recordings)}"
    if recordings.parts:
        found = (f"{len(part.clips)} of {name}" for name, part in recordings.parts.items())
        line += f" ({', '.join(found)})"
    if recordings.missing_labels:
        line += f"; {recordings.missing_labels:,} labels of the release are missing"
    if not recordings.missing:
        return line
    shown = ", ".join(recordings.missing[:NAMES_SHOWN])
    more = len(recordings.missing) - NAMES_SHOWN
    return f"{line}; missing: {shown}" + (f", ... (and {more} more)" if more > 0 else "")


def describe_presence(
    name: str, *, root: Path | None, given: Mapping[str, Path], cache: Path
) -> str:
    """Return how many clips of a corpus are present, or why they can't be read; "" if it is absent.

    Parameters are those of `locate`.
    """
    corpus = _corpus(name)
    if corpus.generated:
        return f"generated, {corpus.official_clips} clips"
    try:
        if name not in given and _below(root, name) is None:
            return ""
        folder = locate(name, root=root, given=given, cache=cache)
        recordings = read_corpus(name, folder)
        line, n_lacking = _count_clips(corpus, recordings), recordings.missing_labels
        return f"{line}, {n_lacking:,} labels missing" if n_lacking else line
    except BenchmarkError as error:
        return str(error)


def _count_clips(corpus: Corpus, recordings: Recordings) -> str:
    found = len(recordings.clips)
    expected = corpus.official_clips or found + len(recordings.missing)
    return f"{found} of {expected} clips"


def _corpus(name: str) -> Corpus:
    if name not in CORPORA:
        raise CORPORA.unknown(name)
    return CORPORA[name]

"""The corpora: one entry each. What a clip's name or table tells of it is read here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from benchmark.corpora.clip import EMOTIONS, Clip, Corpus, Recordings
from benchmark.corpora.jl import JL
from benchmark.corpora.manifest import CSV
from benchmark.corpora.ravdess import RAVDESS
from benchmark.corpora.savee import SAVEE
from benchmark.corpora.synthetic import SYNTHETIC
from benchmark.corpora.tess import TESS
from benchmark.errors import BenchmarkError, unknown

__all__ = [
    "CORPORA",
    "EMOTIONS",
    "Clip",
    "Corpus",
    "Recordings",
    "describe_presence",
    "describe_shortfall",
    "locate",
    "read_corpus",
]

CORPORA: dict[str, Corpus] = {
    corpus.name: corpus for corpus in (SYNTHETIC, RAVDESS, TESS, SAVEE, JL, CSV)
}

NAMES_SHOWN = 5  # of missing clips, in one line


def locate(name: str, *, root: Path | None, given: Mapping[str, Path], cache: Path) -> Path:
    """Return where a corpus lies.

    Parameters
    ----------
    name : str
        A corpus of the registry.
    root : Path or None
        A folder that holds a folder for each corpus, named like it, in any capitals.
    given : mapping of str to Path
        Folders (for ``csv`` the table) of single corpora; they win over `root`.
    cache : Path
        Where the generated corpus is kept if it is neither in `given` nor below `root`.

    Raises
    ------
    BenchmarkError
        If there is no such corpus, or it is not where it should be.
    """
    corpus = _corpus(name)
    if name in given:
        # A generated corpus is made where its folder is wanted.
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
    if name == "csv":
        raise BenchmarkError(
            f"csv: no table is given. Give it with --corpus csv=table.csv. {corpus.how_to_get}"
        )
    looked = f"there is no folder {root / name}" if root else "no folder is given"
    raise BenchmarkError(
        f"{name}: {looked}. Give a folder that holds {name}/ with --corpora DIR or "
        f"SER_CORPORA=DIR, or this corpus alone with --corpus {name}=DIR. {corpus.how_to_get}"
    )


def _below(root: Path | None, name: str) -> Path | None:
    """Return the folder of a corpus below `root`, if there is one."""
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
        If the folder is missing, can't be read or holds no clip of the corpus, or if two recordings
        are the same clip.
    """
    corpus = _corpus(name)
    recordings = corpus.read(folder)
    if recordings.clips:
        return recordings
    aside = recordings.set_aside
    if aside:
        hint = f" {len(aside)} audio files are something else: {aside[0][0]} ({aside[0][1]}), ..."
    elif corpus.official_clips is None and recordings.missing:
        hint = f" None of its {len(recordings.missing)} files exists: {recordings.missing[0]}, ..."
    else:
        hint = ""
    raise BenchmarkError(f"{folder}: no clip of {name} is there.{hint} {corpus.how_to_get}")


def describe_shortfall(corpus: Corpus, recordings: Recordings) -> str:
    """Return how many clips of a corpus are there and which are missing, in one line."""
    line = f"{corpus.name}: {_count_clips(corpus, recordings)}"
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
        return _count_clips(corpus, read_corpus(name, folder))
    except BenchmarkError as error:
        return str(error)


def _count_clips(corpus: Corpus, recordings: Recordings) -> str:
    found = len(recordings.clips)
    expected = corpus.official_clips or found + len(recordings.missing)
    return f"{found} of {expected} clips"


def _corpus(name: str) -> Corpus:
    if name not in CORPORA:
        raise unknown("corpus", name, CORPORA)
    return CORPORA[name]

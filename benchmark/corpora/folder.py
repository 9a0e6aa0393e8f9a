"""Recordings of a folder: found at any depth and matched with the clips of their corpus."""

from __future__ import annotations

import filecmp
import os
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from benchmark.corpora.clip import Clip, Corpus, Recordings, file_stem
from benchmark.errors import BenchmarkError

CONTAINERS = {
    ".wav": ("WAV", "WAVEX", "RF64", "W64"),
    ".flac": ("FLAC",),
    ".ogg": ("OGG",),
    ".oga": ("OGG",),
    ".opus": ("OGG",),
    ".mp3": ("MP3",),
    ".aif": ("AIFF",),
    ".aiff": ("AIFF",),
    ".aifc": ("AIFF",),
    ".au": ("AU",),
    ".caf": ("CAF",),
    ".w64": ("W64",),
}
"""Suffixes of recordings that libsndfile reads, and their containers by its names."""

AUDIO_SUFFIXES = (*CONTAINERS, ".m4a", ".aac", ".webm", ".weba", ".mka", ".amr", ".3gp", ".wma")
"""A recording is known by its stem: users convert their copies, so any of these suffixes do.

The last need a decoder (`features.media`); without it, they are named as what they are.
"""

SECOND_COPY = "a second copy, with the same bytes"


def files_below(folder: Path, suffixes: Sequence[str]) -> list[Path]:
    """Return the files with one of the suffixes at any depth, sorted by path, without hidden ones.

    Parameters
    ----------
    folder : Path
    suffixes : sequence of str
        In lower case.

    Raises
    ------
    BenchmarkError
        If the folder, or one below it, does not exist or can't be read.
    """
    files: list[Path] = []
    seen: set[str] = set()
    try:
        # Copies are often links to another disk; `seen` stops at circular links.
        for parent, folders, names in os.walk(folder, onerror=_raise, followlinks=True):
            seen.add(os.path.realpath(parent))
            folders[:] = [
                name
                for name in sorted(folders)
                if not name.startswith(".")
                and os.path.realpath(os.path.join(parent, name)) not in seen  # noqa: PTH118
            ]
            paths = [Path(parent, name) for name in names if not name.startswith(".")]
            files += [path for path in paths if path.suffix.lower() in suffixes]
        # A broken link is not a recording: its clip is then reported as missing.
        return sorted(path for path in files if path.is_file())
    except OSError as error:
        raise BenchmarkError(
            f"{error.filename or folder}: can't read the folder ({error.strerror}). "
            "Give a readable folder that holds the recordings."
        ) from error


def _raise(error: OSError) -> None:
    raise error


def read_folder(corpus: Corpus, folder: Path) -> Recordings:
    """Return the recordings of a corpus in a folder, or in its table.

    Raises
    ------
    BenchmarkError
        If the folder can't be read, or two different files are the same clip.
    """
    if corpus.read is not None:
        return corpus.read(folder)
    official = corpus.official_names
    parse = partial(_parse, corpus, frozenset(official))
    return match_files(folder, parse, official, corpus.name_of)


def match_files(
    folder: Path,
    parse: Callable[[str], Clip | str],
    expected: Collection[str],
    name_of: Callable[[Path], str] = file_stem,
) -> Recordings:
    """Return the recordings of a folder, matched by name with the clips of a corpus.

    Parameters
    ----------
    folder : Path
        Searched at any depth.
    parse : callable
        From a name to the clip (without a path), or to the reason why it is not one.
    expected : collection of str
        Names of all clips of a complete copy; case does not matter.
    name_of : callable
        From the path of a file to its name.

    Raises
    ------
    BenchmarkError
        If the folder can't be read, or two different files are the same clip.
    """
    folder = folder.absolute()
    spelling = {name.casefold(): name for name in expected}
    clips: dict[str, Clip] = {}
    set_aside: list[tuple[str, str]] = []
    for path in files_below(folder, AUDIO_SUFFIXES):
        name = name_of(path)
        clip = parse(spelling.get(name.casefold(), name))
        relative = path.relative_to(folder).as_posix()
        if isinstance(clip, str):
            set_aside.append((relative, clip))
        elif clip.name not in clips:
            clips[clip.name] = replace(clip, path=path)
        elif _same_bytes(clips[clip.name].path, path):
            set_aside.append((relative, SECOND_COPY))
        else:
            first = clips[clip.name].path.relative_to(folder).as_posix()
            raise BenchmarkError(
                f"{folder}: {clip.name} is there twice, with different bytes: {first} and "
                f"{relative}. Remove one, or give the folder of one copy only."
            )
    missing = sorted(set(expected) - clips.keys())
    return Recordings(
        tuple(clips[name] for name in sorted(clips)), tuple(missing), tuple(set_aside)
    )


def _same_bytes(first: Path, second: Path) -> bool:
    try:
        return filecmp.cmp(first, second, shallow=False)
    except OSError as error:
        raise BenchmarkError(
            f"{error.filename}: can't read the recording ({error.strerror}), which is there twice: "
            f"{first} and {second}. Remove one of the two."
        ) from error


def _parse(corpus: Corpus, official: frozenset[str], name: str) -> Clip | str:
    """Return the clip of a name, or the reason why it is not one."""
    assert corpus.parse is not None, f"{corpus.name} has neither read nor parse"
    clip = corpus.parse(name)
    if isinstance(clip, Clip) and official and clip.name not in official:
        return f"not among the official clips of {corpus.name}"
    return clip

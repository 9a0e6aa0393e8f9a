"""Recordings of a folder: found at any depth and parsed by the entry of their corpus."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmark.corpora.clip import Clip, Corpus, Recordings
from benchmark.errors import BenchmarkError

AUDIO_SUFFIXES = (".wav", ".flac", ".ogg")
"""A recording is known by its stem: users convert their copies, so any of these suffixes do."""


def audio_files(folder: Path, suffixes: Sequence[str] = AUDIO_SUFFIXES) -> list[Path]:
    """Return the audio files at any depth below a folder, sorted by path, without hidden ones.

    Parameters
    ----------
    folder : Path
    suffixes : sequence of str
        Suffixes of audio files, in lower case.

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
        If the folder can't be read, or two files are the same clip.
    """
    if corpus.read is not None:
        return corpus.read(folder)
    folder = folder.absolute()
    official = {name.casefold(): name for name in corpus.official_names}
    clips: dict[str, Clip] = {}
    set_aside: list[tuple[str, str]] = []
    for path in audio_files(folder):
        clip = _parse(corpus, path, official)
        relative = path.relative_to(folder).as_posix()
        if isinstance(clip, str):
            set_aside.append((relative, clip))
        elif clip.name in clips:
            first = clips[clip.name].path.relative_to(folder).as_posix()
            raise BenchmarkError(
                f"{folder}: {clip.name} is there twice: {first} and {relative}. "
                "Remove one, or give the folder of one copy only."
            )
        else:
            clips[clip.name] = replace(clip, path=path)
    missing = sorted(set(official.values()) - clips.keys())
    return Recordings(
        tuple(clips[name] for name in sorted(clips)), tuple(missing), tuple(set_aside)
    )


def _parse(corpus: Corpus, path: Path, official: dict[str, str]) -> Clip | str:
    """Return the clip of a file, or the reason why it is not one; case does not matter."""
    assert corpus.parse is not None, f"{corpus.name} has neither read nor parse"
    name = corpus.name_of(path)
    clip = corpus.parse(official.get(name.casefold(), name))
    if isinstance(clip, Clip) and corpus.official and clip.name.casefold() not in official:
        return f"not among the official clips of {corpus.name}"
    return clip

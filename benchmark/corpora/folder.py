"""The recordings of a folder: found at any depth, and matched with their corpus's own names."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from benchmark.corpora.clip import AUDIO_ENDINGS, Clip, Recordings
from benchmark.errors import BenchmarkError


def audio_files(folder: Path, endings: Sequence[str] = AUDIO_ENDINGS) -> list[Path]:
    """Return the audio files at any depth below a folder, sorted by path; hidden ones are none.

    Parameters
    ----------
    folder : Path
    endings : sequence of str
        Of the files that are taken, in small letters.

    Raises
    ------
    BenchmarkError
        If the folder, or one below it, is not there or can't be read.
    """
    files: list[Path] = []
    seen: set[str] = set()
    try:
        # Copies are often links to another disk; `seen` ends a circle of links.
        for parent, folders, names in os.walk(folder, onerror=_stop, followlinks=True):
            seen.add(os.path.realpath(parent))
            folders[:] = [
                name
                for name in sorted(folders)
                if not name.startswith(".")
                and os.path.realpath(os.path.join(parent, name)) not in seen  # noqa: PTH118
            ]
            paths = [Path(parent, name) for name in names if not name.startswith(".")]
            files += [path for path in paths if path.suffix.lower() in endings]
        # A link to nothing is no recording: its clip is then named as missing.
        return sorted(path for path in files if path.is_file())
    except OSError as error:
        raise BenchmarkError(
            f"{error.filename or folder}: can't read the folder ({error.strerror}). "
            "Give a folder that holds the recordings and may be read."
        ) from error


def _stop(error: OSError) -> None:
    raise error


def match_names(
    folder: Path,
    official: Mapping[str, Clip],
    name_of: Callable[[Path], str],
    reason: Callable[[str], str],
) -> Recordings:
    """Return the recordings below a folder that bear an official name of their corpus.

    Parameters
    ----------
    folder : Path
        Searched at any depth.
    official : mapping of str to Clip
        Every clip of the corpus, without a path, by its name.
    name_of : callable
        From a file's path to the name that it should be known by; capitals don't matter.
    reason : callable
        From a name that is not official to the reason why it is none.

    Raises
    ------
    BenchmarkError
        If the folder can't be read, or two files are the same clip.
    """
    canonical = {name.casefold(): name for name in official}
    found: dict[str, Path] = {}
    set_aside: list[tuple[str, str]] = []
    for path in audio_files(folder):
        written = name_of(path)
        name = canonical.get(written.casefold())
        if name is None:
            set_aside.append((path.relative_to(folder).as_posix(), reason(written)))
        elif name in found:
            raise _twice(folder, name, found[name], path)
        else:
            found[name] = path
    clips = tuple(replace(official[name], path=found[name]) for name in sorted(found))
    return Recordings(clips, tuple(sorted(official.keys() - found.keys())), tuple(set_aside))


def _twice(folder: Path, name: str, first: Path, second: Path) -> BenchmarkError:
    both = f"{first.relative_to(folder).as_posix()} and {second.relative_to(folder).as_posix()}"
    return BenchmarkError(
        f"{folder}: {name} lies there twice: {both}. "
        "Remove one, or give the folder of one copy only."
    )

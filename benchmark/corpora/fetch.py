"""Fetching a corpus that is free to download: whole, checked, and nowhere but its folder."""

from __future__ import annotations

import errno
import shutil
import stat
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from benchmark.corpora import CORPORA, describe_shortfall, read_corpus
from benchmark.errors import BenchmarkError, unknown

if TYPE_CHECKING:
    from filelock import BaseFileLock

Progress = Callable[[int, int], None]
"""Told the bytes done and the bytes in all, which are 0 where the server does not say."""

CHUNK = 1 << 20  # bytes
TIMEOUT_S = 30
LARGEST_UNPACKED = 4 << 30  # bytes: six times RAVDESS; a bomb states more or ends at what it states
MOST_FILES = 100_000


@dataclass(frozen=True, slots=True)
class Source:
    """Where an archive lies, and its published digest in the form ``md5:0123...``."""

    url: str
    digest: str


SOURCES = {
    "ravdess": Source(
        "https://zenodo.org/records/1188976/files/Audio_Speech_Actors_01-24.zip?download=1",
        "md5:bc696df654c87fed845eb13823edef8a",
    ),
}


def fetch(
    name: str,
    into: Path,
    *,
    url: str | None = None,
    digest: str | None = None,
    progress: Progress | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Path:
    """Return the folder of a corpus below `into`, downloaded and unpacked if it is not there yet.

    The folder appears when everything in it is written, and not before. An interrupted fetch leaves
    at most a hidden folder beside it, which the next one clears away.

    Parameters
    ----------
    name : str
        A corpus of the registry.
    into : Path
        The corpus is unpacked into ``into/<name>``.
    url, digest : str, optional
        Another address of the archive, and another digest than the published one.
    progress : callable, optional
        Told the bytes downloaded, and the bytes in all (0: unknown).
    say : callable, optional
        Told in a sentence what is being done.

    Raises
    ------
    BenchmarkError
        If the corpus can't be fetched, lies there incomplete, or the download fails, has another
        digest, or is no archive that may be unpacked.
    """
    if name not in CORPORA:
        raise unknown("corpus", name, CORPORA)
    if name not in SOURCES:
        raise BenchmarkError(
            f"{name} can't be fetched from here. {CORPORA[name].how_to_get} "
            f"What can be fetched: {', '.join(SOURCES)}."
        )
    target = into / name
    if _is_filled(target):
        _check_present(name, target)
        say(f"{target}: already there and complete; nothing to do.")
        return target
    source = Source(url or SOURCES[name].url, digest or SOURCES[name].digest)
    partial = into / f".{name}.partial"
    try:
        partial.mkdir(parents=True, exist_ok=True)
        lock = _lock(partial)
        try:
            _clear(partial)
            say(f"Downloading {source.url}")
            archive = _download(source, partial / "archive.zip", progress)
            say(f"Unpacking into {target}")
            unpacked = _unpack(archive, partial / "unpacked")
            recordings = CORPORA[name].read(unpacked)
            if not recordings.clips:
                raise BenchmarkError(f"{source.url}: no clip of {name} is in it. Nothing was kept.")
            say(describe_shortfall(CORPORA[name], recordings))
            unpacked.replace(target)
        finally:
            _clear(partial)
            lock.release()
            shutil.rmtree(partial, ignore_errors=True)
    except OSError as error:
        raise _disk_error(into, error) from error
    return target


def _is_filled(folder: Path) -> bool:
    """Return whether there is anything at `folder` that must not be lost."""
    return folder.exists() and not (folder.is_dir() and not any(folder.iterdir()))


def _check_present(name: str, target: Path) -> None:
    """Raise unless a complete corpus lies at `target`."""
    recordings = read_corpus(name, target)
    if recordings.missing:
        raise BenchmarkError(
            f"{target} is there, but incomplete: {describe_shortfall(CORPORA[name], recordings)}. "
            "Move it away or give another folder with --into, then fetch again."
        )


def _lock(partial: Path) -> BaseFileLock:
    """Return the lock that lets one fetch at a time into a folder."""
    from filelock import FileLock, Timeout

    lock = FileLock(partial / "lock", timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise BenchmarkError(
            f"{partial.parent}: another fetch is at work in this folder. Wait until it ends."
        ) from error
    return lock


def _clear(partial: Path) -> None:
    """Remove what an earlier fetch left, but for the lock."""
    for path in partial.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != "lock":
            path.unlink()


def _download(source: Source, archive: Path, progress: Progress | None) -> Path:
    """Return the downloaded archive, whose digest is the expected one."""
    import pooch
    import requests

    bar = _Bar(progress) if progress else False
    download = pooch.HTTPDownloader(progressbar=bar, chunk_size=CHUNK, timeout=TIMEOUT_S)
    try:
        download(source.url, str(archive), None)
    except requests.RequestException as error:
        raise BenchmarkError(
            f"{source.url}: the download failed ({_cause(error)}). "
            "Nothing was kept. Try again later, or get the archive with a browser and unpack it."
        ) from error
    algorithm, _, expected = source.digest.rpartition(":")
    got = pooch.file_hash(str(archive), alg=algorithm or "sha256")
    if got != expected.lower():
        raise BenchmarkError(
            f"{source.url}: the download is not the published file: its {algorithm or 'sha256'} is "
            f"{got}, not {expected}. Nothing was kept. Try again; perhaps the file has changed."
        )
    return archive


def _cause(error: BaseException) -> str:
    """Return the innermost reason of a chain of errors, in one line."""
    while error.__context__ is not None:
        error = error.__context__
    return " ".join(str(error).split()) or type(error).__name__


class _Bar:
    """What pooch tells of a download, handed on as bytes done and bytes in all."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._done = 0
        self.total = 0

    def update(self, count: int) -> None:
        self._done += count
        self._progress(min(self._done, self.total) if self.total else self._done, self.total)

    def reset(self) -> None:
        self._done = 0

    def close(self) -> None:
        """Nothing is left open."""


def _unpack(archive: Path, folder: Path) -> Path:
    """Return a folder that holds an archive's files; none is written unless all may be."""
    try:
        with zipfile.ZipFile(archive) as file:
            members = file.infolist()
            _check_members(archive.name, members)
            for member in members:
                path = folder.joinpath(*PurePosixPath(member.filename).parts)
                if member.is_dir():
                    path.mkdir(parents=True, exist_ok=True)
                    continue
                path.parent.mkdir(parents=True, exist_ok=True)
                # zipfile reads no more than the size that a member states, which was checked.
                with file.open(member) as packed, path.open("xb") as unpacked:
                    shutil.copyfileobj(packed, unpacked, CHUNK)
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError, ValueError) as error:
        raise BenchmarkError(
            f"{archive.name}: the download is not a whole zip archive ({error}). Nothing was kept."
        ) from error
    return folder


def _check_members(archive: str, members: list[zipfile.ZipInfo]) -> None:
    """Raise unless every member of an archive may be written below a folder."""
    if any(member.header_offset < 0 for member in members):
        raise zipfile.BadZipFile("its beginning is missing")
    if len(members) > MOST_FILES:
        raise BenchmarkError(f"{archive}: {len(members)} files; at most {MOST_FILES} are unpacked.")
    total = sum(member.file_size for member in members)
    if total > LARGEST_UNPACKED:
        raise BenchmarkError(
            f"{archive}: {total:,} bytes when unpacked; at most {LARGEST_UNPACKED:,} are."
        )
    for member in members:
        problem = _problem(member)
        if problem:
            raise BenchmarkError(
                f"{archive}: {member.orig_filename!r} {problem}. Nothing was unpacked."
            )


def _problem(member: zipfile.ZipInfo) -> str:
    """Return why a member of an archive must not be unpacked; empty if it may be."""
    name = member.orig_filename
    mode = member.external_attr >> 16
    if name.startswith("/") or "\\" in name or ":" in name or "\0" in name:
        return "is not a relative path"
    if ".." in PurePosixPath(name).parts:
        return "leads out of the folder"
    if stat.S_IFMT(mode) not in {0, stat.S_IFREG, stat.S_IFDIR}:
        return "is neither a file nor a folder"
    if member.flag_bits & 1:
        return "is encrypted"
    return ""


def _disk_error(into: Path, error: OSError) -> BenchmarkError:
    """Return what the file system said, in one line."""
    reason = error.strerror or str(error)
    advice = (
        "Make room (RAVDESS needs 0.9 GB while it is unpacked) or give another folder with --into."
        if error.errno in {errno.ENOSPC, errno.EDQUOT}
        else "Give a folder that may be written with --into."
    )
    return BenchmarkError(f"{into}: can't write there ({reason}). {advice} Nothing was kept.")

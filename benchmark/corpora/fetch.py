"""Downloading a corpus that is free: complete, checked, and nowhere but its folder."""

from __future__ import annotations

import errno
import hashlib
import http.client
import shutil
import stat
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from filelock import FileLock, Timeout

from benchmark.corpora import CORPORA, describe_shortfall, read_corpus
from benchmark.corpora.clip import Archive, Corpus
from benchmark.corpora.folder import read_folder
from benchmark.errors import BenchmarkError

Progress = Callable[[int, int], None]
"""Called with the bytes downloaded, and the bytes in all (0 if the server does not tell)."""

CHUNK = 1 << 20  # bytes
TIMEOUT_S = 30
USER_AGENT = "ser-benchmark"  # some servers refuse urllib's own
LARGEST_UNPACKED = 4 << 30  # bytes: six times RAVDESS, to stop zip bombs
MOST_FILES = 100_000


def fetch(
    name: str,
    into: Path,
    *,
    url: str | None = None,
    digest: str | None = None,
    progress: Progress | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Path:
    """Return the folder of a corpus below `into`, downloaded and unpacked if it does not exist.

    The folder appears when all its files are written. An interrupted fetch leaves at most a hidden
    folder, which the next fetch removes.

    Parameters
    ----------
    name : str
        A corpus of the registry.
    into : Path
        The corpus is unpacked into ``into/<name>``.
    url, digest : str, optional
        Another address of the archive, and another digest than the published one.
    progress : callable, optional
        Called with the bytes downloaded, and the bytes in all (0: unknown).
    say : callable, optional
        Called with a sentence at each step.

    Raises
    ------
    BenchmarkError
        If the corpus is not free to download, its folder is incomplete, the download fails or has
        another digest, or the archive is not safe to unpack.
    """
    corpus, published = _free_corpus(name)
    target = into / name
    if _is_filled(target):
        _check_present(name, target)
        say(f"{target}: complete already; nothing to do.")
        return target
    source = Archive(url or published.url, digest or published.digest)
    partial = into / f".{name}.partial"
    try:
        partial.mkdir(parents=True, exist_ok=True)
        with FileLock(partial / "lock", timeout=0):
            try:
                _clear(partial)
                say(f"Downloading {source.url}")
                archive = _download(source, partial / "archive.zip", progress)
                say(f"Unpacking into {target}")
                unpacked = _unpack(archive, partial / "unpacked")
                recordings = read_folder(corpus, unpacked)
                if not recordings.clips:
                    raise BenchmarkError(
                        f"{source.url}: the archive holds no clip of {name}. Nothing was saved."
                    )
                say(describe_shortfall(corpus, recordings))
                unpacked.replace(target)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
    except Timeout as error:
        raise BenchmarkError(
            f"{into}: another fetch is writing to this folder. Wait until it ends."
        ) from error
    except OSError as error:
        raise _disk_error(into, error) from error
    return target


def _free_corpus(name: str) -> tuple[Corpus, Archive]:
    """Return a corpus that is free to download, and its archive."""
    if name not in CORPORA:
        raise CORPORA.unknown(name)
    corpus = CORPORA[name]
    if corpus.archive is None:
        free = ", ".join(other for other, entry in CORPORA.items() if entry.archive)
        raise BenchmarkError(
            f"{name} can't be fetched. {corpus.how_to_get} Corpora that can be fetched: {free}."
        )
    return corpus, corpus.archive


def _is_filled(folder: Path) -> bool:
    """Whether `folder` holds anything that must not be lost."""
    return folder.exists() and not (folder.is_dir() and not any(folder.iterdir()))


def _check_present(name: str, target: Path) -> None:
    """Raise unless `target` holds the complete corpus."""
    recordings = read_corpus(name, target)
    if recordings.incomplete:
        raise BenchmarkError(
            f"{target} exists, but is incomplete: "
            f"{describe_shortfall(CORPORA[name], recordings)}. "
            "Move it away or give another folder with --into, then fetch again."
        )


def _clear(partial: Path) -> None:
    """Remove the files of an earlier fetch, except the lock."""
    for path in partial.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != "lock":
            path.unlink()


def _download(source: Archive, path: Path, progress: Progress | None) -> Path:
    """Return the path of the downloaded archive after its digest is checked."""
    algorithm, _, expected = source.digest.rpartition(":")
    digest = hashlib.new(algorithm or "sha256", usedforsecurity=False)
    with path.open("wb") as file:
        for chunk, total in _chunks(source.url):
            file.write(chunk)
            digest.update(chunk)
            if progress:
                progress(file.tell(), total)
    if digest.hexdigest() != expected.lower():
        raise BenchmarkError(
            f"{source.url}: the download is not the published file: its {digest.name} is "
            f"{digest.hexdigest()}, not {expected}. Nothing was saved. Try again; the published "
            "file may have changed."
        )
    return path


def _chunks(url: str) -> Iterator[tuple[bytes, int]]:
    """Yield the bytes of a download, each with the number of bytes in all (0: unknown)."""
    request = urllib.request.Request(url, headers={"User-Agent": USER_AGENT})
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
            total, done = int(answer.headers.get("Content-Length", 0)), 0
            while chunk := answer.read(CHUNK):
                done += len(chunk)
                yield chunk, total
        if done < total:
            raise OSError(f"{done} of {total} bytes arrived")
    except (OSError, http.client.HTTPException) as error:
        code = f"{error.code} " if isinstance(error, urllib.error.HTTPError) else ""
        reason = " ".join(str(getattr(error, "reason", error)).split())
        raise BenchmarkError(
            f"{url}: the download failed ({code}{reason}). Nothing was saved. Try again later, or "
            "download the archive with a browser and unpack it."
        ) from error


def _unpack(archive: Path, folder: Path) -> Path:
    """Return the folder of the unpacked files; nothing is written unless all members are safe."""
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
                # zipfile reads no more than the size in the member's header, checked above.
                with file.open(member) as packed, path.open("xb") as unpacked:
                    shutil.copyfileobj(packed, unpacked, CHUNK)
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError, ValueError) as error:
        raise BenchmarkError(
            f"{archive.name}: the download is not a valid zip archive ({error}). Nothing was saved."
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
            f"{archive}: {total:,} bytes when unpacked; at most {LARGEST_UNPACKED:,} are allowed."
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
    """Return the error of the file system, in one line."""
    reason = error.strerror or str(error)
    advice = (
        "Free some space (RAVDESS needs 0.9 GB while it is unpacked) or give another folder with "
        "--into."
        if error.errno in {errno.ENOSPC, errno.EDQUOT}
        else "Give a writable folder with --into."
    )
    return BenchmarkError(f"{into}: can't write there ({reason}). {advice} Nothing was saved.")

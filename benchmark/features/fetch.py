"""Downloading an encoder from the Hugging Face Hub: what is needed of it, complete and checked."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatch
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from benchmark.engine.files import user_path, write_text
from benchmark.errors import BenchmarkError, unknown
from benchmark.features.encoders import ENCODERS, FOLDER_VARIABLE, Encoder
from benchmark.features.hidden_states import (
    CONFIG,
    INDEX,
    INPUT_CONFIG,
    WEIGHTS,
    find,
    weights_in,
)
from benchmark.hints import install

REVISION = "revision.txt"
"""File with repository and commit of an encoder, in its folder."""

KINDS = tuple(
    kind for name in WEIGHTS for kind in ((name,), (f"{name}{INDEX}", name.replace(".", "-*.", 1)))
)
"""Weights as a repository may hold them, best first: one file, or an index and its shards."""

CHUNK = 1 << 20  # bytes


def fetch_encoder(
    name: str, into: Path | None = None, say: Callable[[str], None] = lambda _: None
) -> Path:
    """Return the folder of an encoder, downloaded if it is not on this machine.

    A file is stored when all its bytes have arrived; a fetch that was interrupted goes on with the
    files that are missing. The sizes and digests of all files are those that the hub states.

    Parameters
    ----------
    name : str
        In `ENCODERS`.
    into : Path or None
        The encoder is stored as ``into/<name>``; None for the folder that the environment names,
        else for Hugging Face's cache.
    say : callable, optional
        Called with a sentence at each step.

    Raises
    ------
    BenchmarkError
        If the encoder is unknown, the download fails or differs from what the hub states, or the
        disk can't be written.
    """
    if name not in ENCODERS:
        raise unknown("encoder", name, ENCODERS, "fetch")
    if find_spec("huggingface_hub") is None:
        raise BenchmarkError(
            f"fetch: {name} needs the extra `embeddings`, which is not installed. Install it "
            f"({install('embeddings')})."
        )
    encoder = ENCODERS[name]
    root = into or (Path(os.environ[FOLDER_VARIABLE]) if os.environ.get(FOLDER_VARIABLE) else None)
    present = _present(encoder, root)
    if present is not None:
        say(f"{present}: complete already; nothing to do.")
        return present
    if root is None:
        return _download(encoder, None, say)
    target = user_path(root) / name
    partial = target.with_name(f".{name}.partial")
    try:
        partial.mkdir(parents=True, exist_ok=True)
        with FileLock(partial.with_suffix(".lock"), timeout=0):
            _download(encoder, partial, say)
            shutil.rmtree(partial / ".cache", ignore_errors=True)  # the hub's notes on its files
            partial.replace(target)
        partial.with_suffix(".lock").unlink(missing_ok=True)
    except Timeout as error:
        raise BenchmarkError(
            f"{root}: another fetch is writing {name} to this folder. Wait until it ends."
        ) from error
    except OSError as error:
        raise _disk_error(root, encoder, error) from error
    return target


def _present(encoder: Encoder, root: Path | None) -> Path | None:
    """Return the folder of an encoder that is complete; None if there is none.

    Raises
    ------
    BenchmarkError
        If its folder below `root` exists, but lacks files.
    """
    if root is None:
        try:
            folder = find(encoder.name, "fetch")
        except BenchmarkError:
            return None
        return folder if _is_complete(folder) else None
    folder = user_path(root) / encoder.name
    if not folder.exists():
        return None
    if not _is_complete(folder):
        raise BenchmarkError(
            f"{folder} exists, but lacks {CONFIG}, {INPUT_CONFIG} or weights. Move it away, or "
            "give another folder with --into, then fetch again."
        )
    return folder


def _is_complete(folder: Path) -> bool:
    try:
        weights_in(folder)
    except ValueError:
        return False
    return (folder / CONFIG).is_file() and (folder / INPUT_CONFIG).is_file()


def _download(encoder: Encoder, folder: Path | None, say: Callable[[str], None]) -> Path:
    """Return the folder of the downloaded files; None stands for Hugging Face's cache."""
    from huggingface_hub import HfApi, hf_hub_download

    # The base of all errors of the HTTP library that the installed version of the hub uses.
    from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]

    try:
        info = HfApi().model_info(encoder.hub, revision=encoder.revision, files_metadata=True)
        files = _needed(encoder, info.siblings or [])
        megabytes = sum(file.size or 0 for file in files) / 1e6
        say(
            f"{encoder.hub}, commit {info.sha}: {megabytes:,.0f} MB in {len(files)} files, "
            f"licence {encoder.licence}."
        )
        for file in files:
            path = Path(
                hf_hub_download(
                    encoder.hub, file.rfilename, revision=encoder.revision, local_dir=folder
                )
            )
            _check(path, file, encoder)
    except (HTTPError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise _disk_error(folder and folder.parent, encoder, error) from error
        raise _download_error(encoder, error) from error
    try:
        weights_in(path.parent)
    except ValueError as error:
        raise BenchmarkError(f"{encoder.hub}: incomplete at this commit: {error}.") from error
    if folder is not None:
        write_text(folder / REVISION, f"{encoder.hub} {info.sha}\n")
    return path.parent


def _needed(encoder: Encoder, files: Sequence[Any]) -> list[Any]:
    """Return the files that are needed of a repository: two of settings, and one kind of weights.

    Weights are one file, or an index and its shards.

    Raises
    ------
    BenchmarkError
        If the repository lacks one of them.
    """
    names = [file.rfilename for file in files]
    weights = next((kind for kind in KINDS if kind[0] in names), KINDS[0])
    patterns = (CONFIG, INPUT_CONFIG, *weights)
    for pattern in patterns:
        if not any(fnmatch(name, pattern) for name in names):
            raise BenchmarkError(
                f"{encoder.hub} has no {pattern} at this commit, which {encoder.name} needs. "
                "Nothing was downloaded."
            )
    return [file for file in files if any(fnmatch(file.rfilename, one) for one in patterns)]


def _check(path: Path, file: Any, encoder: Encoder) -> None:
    """Raise, and remove the file, unless it has the size and digest that the hub states."""
    size = path.stat().st_size
    digest, stated = _digest(path, file)
    if size == file.size and digest == stated:
        return
    path.resolve().unlink()  # in the cache, a file is a link to it
    path.unlink(missing_ok=True)
    raise BenchmarkError(
        f"{encoder.hub}: {file.rfilename} is not the published file: {size:,} bytes with the "
        f"digest {digest}, not {file.size:,} with {stated}. It was removed. Fetch again."
    )


def _digest(path: Path, file: Any) -> tuple[str, str]:
    """Return the digest of a file and the stated one: SHA-256, or Git's of a small file."""
    if file.lfs is not None:
        digest, stated = hashlib.sha256(), file.lfs.sha256
    else:
        digest, stated = hashlib.sha1(usedforsecurity=False), file.blob_id
        digest.update(b"blob %d\0" % path.stat().st_size)
    for chunk in _chunks(path):
        digest.update(chunk)
    return digest.hexdigest(), stated


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk


def _download_error(encoder: Encoder, error: Exception) -> BenchmarkError:
    """Return the error of the hub, or of the way to it, in one line."""
    answer = getattr(error, "response", None)
    status = f"{answer.status_code}: " if answer is not None else ""
    reason = status + (str(error).strip().splitlines() or [type(error).__name__])[0]
    return BenchmarkError(
        f"{encoder.hub}: the download failed ({reason.rstrip('. ')}). Files that have arrived are "
        f"kept; run the same command again, or copy all files to a folder {encoder.name} in the "
        f"folder that {FOLDER_VARIABLE} names."
    )


def _disk_error(root: Path | None, encoder: Encoder, error: OSError) -> BenchmarkError:
    """Return the error of the file system, in one line."""
    where = root or "Hugging Face's cache"
    advice = (
        f"Free some space ({encoder.name} needs {encoder.download_mb:,} MB)"
        if error.errno in {errno.ENOSPC, errno.EDQUOT}
        else "Give a writable folder"
    )
    return BenchmarkError(
        f"{where}: can't write there ({error.strerror or error}). {advice}, or give another folder "
        f"with --into or {FOLDER_VARIABLE}. Files that have arrived are kept."
    )

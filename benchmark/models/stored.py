"""Fitted models as skops files, with an allow-list of types in this code, never in the file.

Loading a pickle can run any code. A skops file is a zip of arrays and a description, whose types
are checked against the allow-list before any object is created.
"""

from __future__ import annotations

import hashlib
import io
import json
import sys
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, BadZipFile, ZipFile, ZipInfo

from benchmark.engine.files import write_bytes
from benchmark.errors import BenchmarkError
from benchmark.hints import install
from benchmark.models import MODELS

ENSEMBLE_TYPES = {
    "benchmark.models.block_scaler.BlockScaler",
    "benchmark.models.calibrator.Calibrator",
    "benchmark.models.calibrator.TrainingSpace",
    "benchmark.models.stacking.LogProbabilities",
    "sklearn.feature_selection._univariate_selection.f_classif",
    "sklearn.utils._bunch.Bunch",
}
"""Types in ensembles, in the scaler of blocks and the feature selection of any model, and in
calibrators."""

MAX_MEMBERS = 100_000  # a forest of 1,000 trees has some 20,000
MAX_BYTES = 4 << 30  # unpacked; the largest forest of our studies has 300 MB


def dump(model: Any, path: Path) -> str:
    """Write a fitted model and return the SHA-256 of its file.

    Parameters
    ----------
    model : estimator
        Any fitted model of the registry, or an ensemble of such.
    path : Path
        The file to write, ``*.skops``.

    Raises
    ------
    BenchmarkError
        If the model holds a type that `load` would refuse.
    """
    content = packed(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, content)
    return hashlib.sha256(content).hexdigest()


def packed(model: Any) -> bytes:
    """Return the content of a fitted model's file.

    Raises
    ------
    BenchmarkError
        If the model holds a type that `load` would refuse.
    """
    skops = _skops()
    content = _compact(skops.dumps(model))
    _refuse(type(model).__name__, skops.get_untrusted_types(data=content))
    return content


def load(path: Path, sha256: str | None = None) -> Any:
    """Return the fitted model of a file that `dump` wrote.

    Parameters
    ----------
    path : Path
        A skops file of any origin; nothing in it is executed.
    sha256 : str, optional
        The digest that `dump` returned; a file that does not match is refused.

    Raises
    ------
    BenchmarkError
        If the file can't be read, is not a skops file (for example a pickle), does not match the
        digest, unpacks to more than `MAX_BYTES`, or names a type that is not allowed.
    """
    skops = _skops()
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BenchmarkError(f"{path}: can't read the model ({error.strerror}).") from error
    if sha256 is not None and hashlib.sha256(content).hexdigest() != sha256:
        raise BenchmarkError(
            f"{path}: not the model that was stored here; its digest differs. If it belongs to a "
            "study, run the study again: a damaged model is fitted again."
        )
    _check_zip(path, content)
    try:
        _refuse(path, skops.get_untrusted_types(data=content))
        return skops.loads(content, trusted=trusted_types())
    except BenchmarkError:
        raise
    except ModuleNotFoundError as error:
        raise BenchmarkError(
            f"{path}: the model needs {error.name}, which is not installed here. Networks need the "
            f"extra `deep`: {install('deep')}."
        ) from error
    except Exception as error:  # a crafted or damaged description raises errors of many kinds
        raise BenchmarkError(
            f"{path}: the model can't be loaded ({type(error).__name__}: {error})."
        ) from error


def trusted_types() -> list[str]:
    """Return the types that a stored model may hold beside those that skops trusts.

    They are plain records of numbers. Networks hold their weights as safetensors bytes, and are
    built again from their settings.
    """
    own = {name for model in MODELS.values() for name in model.trusted_types}
    return sorted(own | ENSEMBLE_TYPES)


def is_whole(path: Path) -> bool:
    """Whether a file exists and the checksums of all its parts match."""
    try:
        with ZipFile(path) as archive:
            return archive.testzip() is None
    except Exception:  # a damaged file raises errors of many kinds in zipfile and zlib
        return False


def _skops() -> Any:
    """Return skops.io, imported without torch.

    skops imports all of scikit-learn, which imports torch if it is installed: a second and 200 MB.
    Networks import torch themselves.
    """
    if "skops.io" not in sys.modules:
        sys.meta_path.insert(0, _WithoutTorch)
        try:
            import skops.io
        finally:
            sys.meta_path.remove(_WithoutTorch)
    import skops.io

    return skops.io


class _WithoutTorch:
    """A finder that hides torch from optional imports such as scikit-learn's."""

    @staticmethod
    def find_spec(name: str, _path: object = None, _target: object = None) -> None:
        if name == "torch":
            raise ModuleNotFoundError(name=name)


def _compact(content: bytes) -> bytes:
    """Return a skops file compressed, with each part once and independent of memory addresses.

    skops names parts by memory address and stores members of an ensemble two or three times. Here
    a part is named by its digest.
    """
    numbers: dict[int, int] = {}
    names: dict[str, str] = {}
    result = io.BytesIO()
    with ZipFile(io.BytesIO(content)) as parts, ZipFile(result, "w") as archive:

        def write(name: str, part: bytes) -> None:
            # Level 1 compresses a forest to a fifth; higher levels gain a tenth and are far slower.
            entry = ZipInfo(name)  # dated 1980, not now
            archive.writestr(entry, part, compress_type=ZIP_DEFLATED, compresslevel=1)

        def rename(node: dict[str, Any]) -> dict[str, Any]:
            if "__id__" in node:
                node["__id__"] = numbers.setdefault(node["__id__"], len(numbers))
            if node.get("file") in members:
                node["file"] = names[node["file"]]
            return node

        members = set(parts.namelist()) - {"schema.json"}
        for name in parts.namelist():
            if name in members:
                part = parts.read(name)
                names[name] = hashlib.sha256(part).hexdigest()[:32] + Path(name).suffix
                if names[name] not in archive.NameToInfo:
                    write(names[name], part)
        schema = json.loads(parts.read("schema.json"), object_hook=rename)
        write("schema.json", json.dumps(schema).encode())
    return result.getvalue()


def _check_zip(path: Path, content: bytes) -> None:
    """Refuse a file that is not a zip, or one that would fill the memory."""
    try:
        with ZipFile(io.BytesIO(content)) as archive:
            members = archive.infolist()
    except BadZipFile as error:
        raise BenchmarkError(
            f"{path}: not a skops file. Only skops is loaded, since a pickle could run any code."
        ) from error
    size = sum(member.file_size for member in members)
    if len(members) > MAX_MEMBERS or size > MAX_BYTES:
        raise BenchmarkError(
            f"{path}: {len(members)} parts of {size} bytes unpacked; "
            f"at most {MAX_MEMBERS} and {MAX_BYTES} are allowed."
        )


def _refuse(what: Path | str, untrusted: list[str]) -> None:
    refused = sorted(set(untrusted) - set(trusted_types()))
    if refused:
        raise BenchmarkError(
            f"{what}: the model holds types that are not allowed: {', '.join(refused)}. Only the "
            "types of this version's models are. If it belongs to a study, run the study again."
        )

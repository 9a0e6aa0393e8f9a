"""Fitted models as files: skops, and an allow-list that lives in this code and never in a model.

A pickle runs whatever its maker wrote into it. A skops file is a zip of arrays and a description,
whose types are checked against a list before anything is made of them.
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

TRUSTED = frozenset(
    {
        "benchmark.models.deep.Cnn1d",
        "benchmark.models.deep.Cnn2d",
        "benchmark.models.deep.CnnLstm",
        "benchmark.models.deep.Conv1d",
        "benchmark.models.deep.Conv1dPairs",
        "benchmark.models.gender_first.GenderFirst",
        "benchmark.models.stacking.Answers",
        "sklearn.calibration._CalibratedClassifier",
        "sklearn.calibration._SigmoidCalibration",
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
        "sklearn.feature_selection._univariate_selection.f_classif",
        "sklearn.model_selection._split.PredefinedSplit",
        "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
        "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
        "sklearn.tree._tree.Tree",
        "sklearn.utils._bunch.Bunch",
    }
)
"""Types that our models hold beside those that skops itself trusts: plain records of numbers.

Networks hold their weights as safetensors bytes, and make themselves anew from their settings.
"""

MAX_MEMBERS = 100_000  # a forest of 1,000 trees has some 20,000
MAX_BYTES = 4 << 30  # unpacked; the largest forest of our studies has 300 MB


def dump(model: Any, path: Path) -> str:
    """Write a fitted model and return the SHA-256 of its file.

    Parameters
    ----------
    model : estimator
        Any fitted model of the registry, or an ensemble of such.
    path : Path
        Where to; by custom it ends in ``.skops``.

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
        A skops file, of any origin: nothing in it is executed.
    sha256 : str, optional
        What `dump` returned; a file that differs is refused.

    Raises
    ------
    BenchmarkError
        If the file can't be read, is no skops file (a pickle, say), differs from its record,
        unpacks to more than any of our models does, or names a type that is not allowed.
    """
    skops = _skops()
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BenchmarkError(f"{path}: can't read the model ({error.strerror}).") from error
    if sha256 is not None and hashlib.sha256(content).hexdigest() != sha256:
        raise BenchmarkError(
            f"{path}: not the model that was stored here; its digest differs. If a study made it, "
            "run that again: a damaged model is fitted anew."
        )
    _check_zip(path)
    try:
        _refuse(path, skops.get_untrusted_types(data=content))
        return skops.loads(content, trusted=sorted(TRUSTED))
    except BenchmarkError:
        raise
    except ModuleNotFoundError as error:
        raise BenchmarkError(
            f"{path}: the model needs {error.name}, which is not installed here. Networks need the "
            "extra `deep`: pip install 'ser-benchmark[deep]'."
        ) from error
    except Exception as error:  # whatever a crafted or damaged description leads skops into
        raise BenchmarkError(
            f"{path}: the model can't be loaded ({type(error).__name__}: {error})."
        ) from error


def is_whole(path: Path) -> bool:
    """Whether a file is there and holds what `dump` wrote, by the checksums of all its parts."""
    try:
        with ZipFile(path) as archive:
            return archive.testzip() is None
    except Exception:  # a damaged file leads zipfile and zlib into errors of every kind
        return False


def _skops() -> Any:
    """Return skops.io, imported without torch.

    To learn what there is it imports all of scikit-learn, and with it torch where that is
    installed: a second and 200 MB that only networks have a use for, who import it themselves.
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
    """Finds no torch, for whoever takes that for an answer, as scikit-learn does."""

    @staticmethod
    def find_spec(name: str, _path: object = None, _target: object = None) -> None:
        if name == "torch":
            raise ModuleNotFoundError(name=name)


def _compact(content: bytes) -> bytes:
    """Return a skops file compressed, with each of its parts once.

    skops names parts after addresses in memory, so a vote holds its members two times or three.
    Here a part is named by its digest.
    """
    numbers: dict[int, int] = {}
    names: dict[str, str] = {}
    result = io.BytesIO()
    with ZipFile(io.BytesIO(content)) as parts, ZipFile(result, "w") as archive:

        def write(name: str, part: bytes) -> None:
            # Level 1 takes a forest to a fifth; higher levels take far longer and gain a tenth.
            entry = ZipInfo(name)  # dated 1980, where a plain write would put the time of the day
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


def _check_zip(path: Path) -> None:
    """Refuse a file that is no zip, or one that would fill the memory."""
    try:
        with ZipFile(path) as archive:
            members = archive.infolist()
    except BadZipFile as error:
        raise BenchmarkError(
            f"{path}: not a skops file. Only skops is loaded; a pickle could run anything."
        ) from error
    size = sum(member.file_size for member in members)
    if len(members) > MAX_MEMBERS or size > MAX_BYTES:
        raise BenchmarkError(
            f"{path}: {len(members)} parts of {size} bytes unpacked; "
            f"at most {MAX_MEMBERS} and {MAX_BYTES} are allowed."
        )


def _refuse(what: Path | str, untrusted: list[str]) -> None:
    refused = sorted(set(untrusted) - TRUSTED)
    if refused:
        raise BenchmarkError(
            f"{what}: the model holds types that are not allowed: {', '.join(refused)}. "
            "Allowed are those of this package's models, see benchmark/models/storage.py."
        )

"""Versions that determine numerical results: Python, libraries, and the code of this package."""

from __future__ import annotations

import hashlib
import platform
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmark.engine.registry import installed

__version__ = "0.2.0"

DECISIVE = (
    "distributed",
    "joblib",
    "numpy",
    "opensmile",
    "safetensors",
    "scikit-learn",
    "scikit-learn-intelex",
    "scipy",
    "skops",
    "skorch",
    "soundfile",
    "soxr",
    "torch",
    "transformers",
)
"""Libraries that a worker computes with, also those of extras, and the one that sends its tasks."""

ABSENT = "none"


def code_digest() -> str:
    """Return a digest of this package's source, which identifies the code of a run."""
    folder = Path(__file__).parent.parent
    digest = hashlib.blake2b(digest_size=16)
    for path in sorted(folder.rglob("*.py")):
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


@lru_cache(maxsize=1)
def surroundings() -> dict[str, str]:
    """Return all versions, by name, that must agree on two machines for results of equal bytes.

    They are read once: a process keeps the code it started with, whatever is installed later.
    """
    import soundfile

    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "ser-benchmark": __version__,
        "its code": code_digest()[:12],
        "libsndfile": soundfile.__libsndfile_version__,
        **{name: _version(name) for name in DECISIVE},
        **installed(),  # plug-ins
    }


def _version(package: str) -> str:
    try:
        return version(package).partition("+")[0]
    except PackageNotFoundError:
        return ABSENT


def processor() -> str:
    """Return the name of this machine's processor; its architecture where the name is unknown."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []  # another system than Linux
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next(iter(names), platform.processor() or platform.machine())


@lru_cache(maxsize=1)
def kernels() -> str:
    """Return OpenBLAS's names of the processor kernels used on this machine.

    Other kernels sum in another order, so last digits can differ.
    """
    import numpy as np
    import threadpoolctl

    del np  # imported to load its library
    names = {str(pool.get("architecture", "")) for pool in threadpoolctl.threadpool_info()}
    return ", ".join(sorted(names - {""})) or ABSENT

"""What decides numbers on a machine: versions of Python, of libraries, and of this code."""

from __future__ import annotations

import hashlib
import platform
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmark import __version__

DECISIVE = (
    "distributed",
    "joblib",
    "librosa",
    "numba",
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
"""Libraries that a worker computes with, those of extras among them, and what carries its tasks."""

ABSENT = "none"


def code_digest() -> str:
    """Return a digest of this package's source, so that a run can be traced to its code."""
    folder = Path(__file__).parent.parent
    digest = hashlib.blake2b(digest_size=16)
    for path in sorted(folder.rglob("*.py")):
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


@lru_cache(maxsize=1)
def surroundings() -> dict[str, str]:
    """Return all versions that two machines must share to compute the same bytes, by name.

    Those of when this process was first asked: it goes on with the code that it has begun with,
    whatever is installed in the meantime.
    """
    import soundfile

    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "ser-benchmark": __version__,
        "its code": code_digest()[:12],
        "libsndfile": soundfile.__libsndfile_version__,
        **{name: _version(name) for name in DECISIVE},
    }


def _version(package: str) -> str:
    try:
        return version(package).partition("+")[0]
    except PackageNotFoundError:
        return ABSENT


@lru_cache(maxsize=1)
def kernels() -> str:
    """Return which processor kernels this machine's linear algebra takes, as OpenBLAS calls them.

    Another kernel sums in another order, so that last digits can differ.
    """
    import numpy as np
    import threadpoolctl

    del np  # loads its library, of which is asked
    found = {str(pool.get("architecture", "")) for pool in threadpoolctl.threadpool_info()}
    return ", ".join(sorted(found - {""})) or ABSENT

"""What the tests share: the real recordings where there are some, and a project folder of their own."""

from __future__ import annotations

from benchmark.workers import limit_threads

limit_threads()

import os  # noqa: E402
from pathlib import Path  # noqa: E402

import pytest  # noqa: E402


@pytest.fixture(scope="session")
def recordings() -> Path:
    """The folder of the real corpora; a test that needs them is skipped where there are none."""
    folder = os.environ.get("SER_CORPORA")
    if not folder:
        pytest.skip("needs the real recordings: set SER_CORPORA to the folder that holds them")
    return Path(folder)

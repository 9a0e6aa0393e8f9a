"""Cached arrays are read as they were written, or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmark.engine import npz_cache
from benchmark.errors import BenchmarkError

NUMBERS: dict[str, Any] = {
    "probabilities": np.arange(6, dtype=np.float32).reshape(2, 3) / 7,
    "seconds": 1.5,
    "history": (0.25, 0.5),
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A cached file."""
    npz_cache.save(tmp_path / "folder/numbers.npz", **NUMBERS)
    return tmp_path / "folder/numbers.npz"


def same(loaded: dict[str, Any] | None) -> bool:
    """Whether the arrays read equal those written, to the last bit."""
    return loaded is not None and all(
        np.array_equal(loaded.get(name, ()), np.asarray(value)) for name, value in NUMBERS.items()
    )


def test_arrays_are_read_by_name(file: Path) -> None:
    loaded = npz_cache.load(file)
    assert same(loaded)
    assert set(loaded or {}) == set(NUMBERS)


def test_a_flipped_bit_is_detected_or_harmless(file: Path) -> None:
    whole = file.read_bytes()
    accepted = 0
    for place in range(len(whole)):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        loaded = npz_cache.load(file)
        assert loaded is None or same(loaded), place
        accepted += loaded is not None
    assert accepted < len(whole) / 2  # dates, attributes and the like


def test_a_truncated_file_is_none(file: Path) -> None:
    whole = file.read_bytes()
    for length in range(len(whole)):
        file.write_bytes(whole[:length])
        assert npz_cache.load(file) is None


def test_a_file_without_a_format_has_the_first_format(file: Path) -> None:
    np.savez(file, **NUMBERS)
    assert same(npz_cache.load(file))


def test_an_unknown_format_is_refused_with_what_to_do(file: Path) -> None:
    np.savez(file, format=(99, 1), seconds=1.5)
    with pytest.raises(BenchmarkError, match=r"format 99; this version reads format 1\. .*delete"):
        npz_cache.load(file)

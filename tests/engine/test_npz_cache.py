"""Kept numbers come back as they were, or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmark.engine.npz_cache import keep, kept
from benchmark.errors import BenchmarkError

NUMBERS: dict[str, Any] = {
    "probabilities": np.arange(6, dtype=np.float32).reshape(2, 3) / 7,
    "seconds": 1.5,
    "history": (0.25, 0.5),
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file of kept numbers."""
    keep(tmp_path / "folder/numbers.npz", **NUMBERS)
    return tmp_path / "folder/numbers.npz"


def same(found: dict[str, Any] | None) -> bool:
    """Whether these are the numbers, to the last bit."""
    return found is not None and all(
        np.array_equal(found.get(name, ()), np.asarray(value)) for name, value in NUMBERS.items()
    )


def test_numbers_come_back_by_name(file: Path) -> None:
    found = kept(file)
    assert same(found)
    assert set(found or {}) == set(NUMBERS)


def test_a_flipped_bit_anywhere_is_seen_or_does_not_matter(file: Path) -> None:
    whole = file.read_bytes()
    believed = 0
    for place in range(len(whole)):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        found = kept(file)
        assert found is None or same(found), place
        believed += found is not None
    assert believed < len(whole) / 2  # dates, attributes and the like


def test_a_file_cut_short_anywhere_is_none(file: Path) -> None:
    whole = file.read_bytes()
    for length in range(len(whole)):
        file.write_bytes(whole[:length])
        assert kept(file) is None


def test_a_file_that_says_nothing_of_its_format_is_of_the_first(file: Path) -> None:
    np.savez(file, **NUMBERS)
    assert same(kept(file))


def test_a_file_of_an_unknown_format_is_refused_with_what_to_do(file: Path) -> None:
    np.savez(file, format=(99, 1), seconds=1.5)
    with pytest.raises(BenchmarkError, match=r"format 99; this version reads format 1\. .*delete"):
        kept(file)

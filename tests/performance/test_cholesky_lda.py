"""How much faster the search's LDA is fitted than scikit-learn's.

Run with ``pytest tests/performance/test_cholesky_lda.py -s``; a minute.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest

from benchmark.models import MODELS


@pytest.mark.parametrize(("rows", "features"), [(3000, 2609), (1200, 2609), (2500, 9000)], ids=str)
def test_the_lda_of_the_search_takes_less_time(
    rows: int, features: int, record: Callable[[str], None]
) -> None:
    generator = np.random.default_rng(0)
    X = generator.standard_normal((rows, features)).astype(np.float32)
    y = generator.integers(0, 7, rows).astype(str)
    seconds = dict.fromkeys((None, "scikit-learn"), float("inf"))
    for engine in (None, "scikit-learn") * 2:
        began = time.perf_counter()
        MODELS["lda"].build({"shrinkage": 0.3}, 0, engine=engine).fit(X, y)
        seconds[engine] = min(seconds[engine], time.perf_counter() - began)
    plain, fast = seconds.values()
    record(
        f"{rows} rows of {features}: scikit-learn {plain:.2f} s, ours {fast:.2f} s: "
        f"{plain / fast:.1f} times as fast"
    )
    assert fast < plain

"""How much sooner the MLP and the LDA of the extra `fast` learn than scikit-learn's.

Run with ``pytest tests/performance/test_quick_models.py -s``; a minute.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable

import numpy as np
import pytest
from sklearn.neural_network import MLPClassifier

from benchmark.models import build
from benchmark.models.quick_mlp import QuickMLP

EPOCHS = 30


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("units", [[128], [300], [256, 128]], ids=str)
def test_the_quick_mlp_takes_less_time(
    units: list[int], activation: str, record: Callable[[str], None]
) -> None:
    generator = np.random.default_rng(0)
    X = generator.standard_normal((7000, 184)).astype(np.float32)  # the capstone's, without a fold
    y = generator.integers(0, 7, len(X)).astype(str)
    settings = {"hidden_layer_sizes": units, "activation": activation, "max_iter": EPOCHS}
    seconds = {kind: float("inf") for kind in (MLPClassifier, QuickMLP)}
    for kind in (*seconds, *seconds, *seconds):
        began = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            kind(random_state=0, **settings).fit(X, y)
        seconds[kind] = min(seconds[kind], time.perf_counter() - began)
    plain, quick = (1000 * s / EPOCHS for s in seconds.values())
    record(
        f"{units} {activation}: scikit-learn {plain:.1f} ms an epoch, ours {quick:.1f}: "
        f"{plain / quick:.2f} times as fast"
    )
    assert quick < plain


@pytest.mark.parametrize(("rows", "features"), [(3000, 2609), (1200, 2609), (2500, 9000)], ids=str)
def test_the_quick_lda_takes_less_time(
    rows: int, features: int, record: Callable[[str], None]
) -> None:
    generator = np.random.default_rng(0)
    X = generator.standard_normal((rows, features)).astype(np.float32)
    y = generator.integers(0, 7, rows).astype(str)
    seconds = {False: float("inf"), True: float("inf")}
    for searching in (False, True, False, True):
        began = time.perf_counter()
        build("lda", {"shrinkage": 0.3}, 0, searching=searching).fit(X, y)
        seconds[searching] = min(seconds[searching], time.perf_counter() - began)
    plain, quick = seconds[False], seconds[True]
    record(
        f"{rows} rows of {features}: scikit-learn {plain:.2f} s, ours {quick:.2f} s: "
        f"{plain / quick:.1f} times as fast"
    )
    assert quick < plain

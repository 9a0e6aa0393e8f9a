"""How long `score` takes for 100,000 predictions, beside scikit-learn's metrics and a bootstrap.

Run with ``pytest tests/performance/test_score.py``; some minutes. The plain way reads the table
with pandas and computes UAR of whole speakers drawn with replacement, `PLAIN` times: it has one
figure of the dozens of the page, its interval included.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import recall_score

from benchmark.evaluation.intervals import RESAMPLES

ROWS, SPEAKERS, SENTENCES = 100_000, 1_000, 20
EMOTIONS = ("angry", "disgust", "fearful", "happy", "neutral", "sad", "surprised")
PLAIN = 20
"""Resamples of the plain way; its time for all `RESAMPLES` follows from these."""


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Write predictions with probabilities, of speakers of two genders and some sentences."""
    rng = np.random.default_rng(0)
    truth, speaker = rng.integers(len(EMOTIONS), size=ROWS), rng.integers(SPEAKERS, size=ROWS)
    logits = rng.normal(size=(ROWS, len(EMOTIONS)))
    logits[np.arange(ROWS), truth] += 1
    powers = np.exp(logits)
    columns = {
        "clip": [f"c{number:06d}" for number in range(ROWS)],
        "speaker": speaker.astype(str),
        "gender": np.array(["female", "male"])[speaker % 2],
        "emotion": np.array(EMOTIONS)[truth],
        "statement": rng.integers(SENTENCES, size=ROWS),
    }
    names = [f"p_{emotion}" for emotion in EMOTIONS]
    values = pd.DataFrame(powers / powers.sum(axis=1, keepdims=True), columns=names)
    path = tmp_path / "mine.csv"
    pd.DataFrame(columns).join(values).to_csv(path, index=False)
    return path


def plain(path: Path) -> list[float]:
    """Return UAR of resampled speakers, as people compute it."""
    rows = pd.read_csv(path)
    columns = [name for name in rows if name.startswith("p_")]
    predicted = rows[columns].idxmax(axis=1).str.removeprefix("p_").to_numpy()
    truth = rows["emotion"].to_numpy()
    places = [part.to_numpy() for part in rows.groupby("speaker").groups.values()]
    rng = np.random.default_rng(0)
    scores = []
    for _ in range(PLAIN):
        drawn = np.concatenate([places[n] for n in rng.integers(len(places), size=len(places))])
        scores.append(recall_score(truth[drawn], predicted[drawn], average="macro"))
    return scores


def test_the_page_of_100_000_predictions(table: Path, record: Callable[[str], None]) -> None:
    command = [sys.executable, "-m", "benchmark", "score", str(table), "--project"]
    began = time.perf_counter()
    subprocess.run([*command, str(table.parent)], check=True, capture_output=True)
    ours = time.perf_counter() - began
    began = time.perf_counter()
    plain(table)
    one = (time.perf_counter() - began) / PLAIN
    record(
        f"score of {ROWS:,} rows: {ours:.1f} s, as {ours / one:.0f} plain resamples of one figure; "
        f"{RESAMPLES:,} of them: {RESAMPLES * one / ours:.0f} times as long"
    )
    assert ours < RESAMPLES * one / 10

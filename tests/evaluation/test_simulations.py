"""Where the truth is known, intervals hold it as often as they say, and tests err as rarely."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from benchmark.evaluation.significance import ALPHA, holm
from tests.simulations.coverage import NOT_SHOWN, SHOWN, coverage

TABLE = Path(__file__).parents[1] / "simulations" / "coverage.md"


@pytest.mark.parametrize(
    "name",
    [
        "24 + 4 + 2 speakers, corpora of other levels and spreads",
        "6 + 1 + 1 speakers, corpora of other levels and spreads",
        "8 speakers",
    ],
)
def test_an_interval_holds_the_truth_about_as_often_as_it_says(name: str) -> None:
    found = coverage(SHOWN[name], datasets=150, seed=1)
    assert 0.89 <= found.score <= 0.99  # the standard error is 0.018
    assert 0.89 <= found.gap <= 0.99
    assert 0.89 <= found.pooled <= 0.99
    assert found.percentiles < found.score


def test_four_speakers_have_no_interval() -> None:
    assert np.isnan(coverage(SHOWN["4 speakers"], datasets=2, seed=1)).all()


def test_each_interval_that_the_pages_print_holds_the_truth_93_to_97_times_of_100() -> None:
    rows = {
        cells[0]: cells[1:]
        for line in TABLE.read_text(encoding="utf-8").splitlines()
        if len(cells := [cell.strip() for cell in line.strip("|").split("|")]) == 6
    }
    assert {*SHOWN, *NOT_SHOWN} <= rows.keys()
    printed = [float(rows[name][column]) for name in SHOWN for column in (0, 2, 3)
               if rows[name][column] != "none"]  # fmt: skip
    assert len(printed) == 3 * (len(SHOWN) - 1)
    assert 0.93 <= min(printed) <= round(max(printed), 2) <= 0.97


def test_of_several_equal_models_any_is_significantly_different_in_one_run_of_twenty() -> None:
    rng = np.random.default_rng(0)
    chosen, others = rng.normal(size=(120, 1)), rng.normal(size=(120, 5))
    ps = 2 * stats.norm.sf(np.abs(chosen - others) / np.sqrt(2))
    any_plain = (ps < ALPHA).any(axis=1).mean()
    any_corrected = np.mean([min(holm(row)) < ALPHA for row in ps.tolist()])
    assert any_plain > 0.12
    assert any_corrected <= 0.08

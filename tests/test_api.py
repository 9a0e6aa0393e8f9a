"""The public API: what a notebook imports gives what the command line gives."""

from __future__ import annotations

import doctest
import inspect
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import benchmark
from benchmark.errors import BenchmarkError
from tests.support.bench import Bench


def test_its_examples_are_true() -> None:
    failed, tried = doctest.testmod(benchmark)
    assert tried > 0
    assert failed == 0


@pytest.mark.parametrize("name", [name for name in benchmark.__all__ if name != "__version__"])
def test_every_public_name_is_a_documented_function(name: str) -> None:
    function = getattr(benchmark, name)
    assert inspect.isfunction(function)
    assert "Parameters" in (function.__doc__ or "") or "Returns" in (function.__doc__ or "")


def test_a_stored_result_has_its_tables_and_its_leaderboard(finished: Bench) -> None:
    result = benchmark.read_result("small", finished.project)
    board = benchmark.leaderboard(result)
    assert set(board["model"]) == {winner.model for winner in result.winners}
    assert board["uar"].between(0, 1).all()
    # The table has too few speakers for an interval.
    assert board[["uar_low", "uar_high"]].isna().all(axis=None)
    assert board.groupby("protocol")["selected"].sum().eq(1).all()
    assert {"predictions", "trials"} <= set(vars(result))


def test_uar_of_predictions_is_that_of_the_leaderboard(finished: Bench) -> None:
    result = benchmark.read_result("small", finished.project)
    board = benchmark.leaderboard(result).set_index(["model", "protocol"])
    for (model, protocol), rows in result.predictions.groupby(["model", "protocol"]):
        assert benchmark.uar(rows).value == board.loc[(model, protocol), "uar"]


def test_predicted_names_do_as_well_as_probabilities(finished: Bench) -> None:
    result = benchmark.read_result("small", finished.project)
    rows = result.predictions.query("model == 'random_forest'")
    rows = rows[rows["protocol"] == rows["protocol"].iloc[0]]
    columns = [f"p_{emotion}" for emotion in result.emotions]
    names = np.array(result.emotions)[rows[columns].to_numpy().argmax(axis=1)]
    named = rows.drop(columns=columns).assign(prediction=names)
    assert benchmark.uar(named) == benchmark.uar(rows)
    assert benchmark.compare(named, rows).difference.value == 0


def test_predictions_without_a_needed_column_are_refused() -> None:
    with pytest.raises(BenchmarkError, match="no column 'speaker'"):
        benchmark.uar(pd.DataFrame({"clip": ["a"], "emotion": ["sad"], "prediction": ["sad"]}))


def test_features_and_predictions_of_files(finished: Bench, tmp_path: Path) -> None:
    stored = finished.served().iloc[0]
    recording = Path(stored.name)
    features = benchmark.extract_features(recording, "mfcc-stats")
    assert features.notna().all()
    (tmp_path / "broken.wav").write_bytes(b"no sound")
    predicted = benchmark.predict([recording, tmp_path / "broken.wav"], finished.card())
    assert predicted.loc[0, list(stored.index)].to_list() == stored.to_list()
    assert predicted.loc[1, "reason"]


def test_a_study_runs_from_python_as_from_the_command_line(finished: Bench, tmp_path: Path) -> None:
    result = benchmark.run_study(
        finished.study, given={"csv": finished.table}, project=tmp_path, workers=1
    )
    again = benchmark.read_result("small", finished.project)
    pd.testing.assert_frame_equal(
        result.predictions.reset_index(drop=True), again.predictions, check_dtype=False
    )

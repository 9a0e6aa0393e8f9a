"""Results read back as they were written, and a damaged one is refused and stops no other."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmark.data.record import Change, DataRecord
from benchmark.engine.files import write_bytes
from benchmark.errors import BenchmarkError
from benchmark.evaluation.results import (
    Result,
    Versions,
    Winner,
    read_result,
    read_results,
    write_result,
)
from benchmark.study import Study
from tests.support.records import read_sealed

STUDY = Study.model_validate(
    {
        "name": "toy",
        "question": "Which?",
        "corpora": ["true"],
        "emotions": ["0", "1"],
        "features": "mfcc-stats",
        "search": {"trials": 2, "folds": 2, "metric": "uar"},
        "models": {"mlp": {"initial": {"alpha": 1}, "alpha": {"low": 0.1, "high": 1}}},
    }
)
WINNER = Winner(
    protocol="speaker-independent", model="mlp", trial=0, params={"a": 1}, score=0.5, std=0.1
)


@pytest.fixture
def result() -> Result:
    """A result whose names look like numbers, truth values and nothing."""
    identity = {
        "protocol": "speaker-independent", "model": "mlp", "clip": ["007", "NA"], "corpus": "true",
        "speaker": ["NA", "1e5"], "gender": "unknown", "emotion": ["0", "1"],
    }  # fmt: skip
    shares = np.array([[1 / 3, 2 / 3], [0.1, 0.9]], dtype=np.float32)
    trials = {
        "protocol": "speaker-independent", "model": "mlp", "trial": [0, 1],
        "state": ["complete", "failed"],
        "score": [1 / 3, np.nan], "std": [0.1, np.nan], "fold_0": [0.5, np.nan],
        "params": ['{"a": 1}', "{}"], "reason": ["", "fold 0: no, \"really\""],
    }  # fmt: skip
    return Result(
        name="toy",
        study=STUDY,
        changes=(Change(kind="override", value="search.trials=3"),),
        data=DataRecord(corpora={}),
        versions=Versions(libraries={"numpy": "2.4.6"}),
        winners=(WINNER,),
        trials=pd.DataFrame(trials),
        predictions=pd.DataFrame(identity).assign(p_0=shares[:, 0], p_1=shares[:, 1]),
    )


def test_a_result_reads_back_as_it_was_written(result: Result, tmp_path: Path) -> None:
    write_result(result, tmp_path)
    read = read_result(tmp_path / "toy")
    pd.testing.assert_frame_equal(read.trials, result.trials, check_dtype=False)
    pd.testing.assert_frame_equal(read.predictions, result.predictions, check_dtype=False)
    for column in ("p_0", "p_1"):
        assert (read.predictions[column] == result.predictions[column]).all()
    for name in ("name", "study", "changes", "data", "versions", "winners"):
        assert getattr(read, name) == getattr(result, name)


def test_writing_a_result_again_gives_the_same_bytes(result: Result, tmp_path: Path) -> None:
    for folder in ("one", "other"):
        write_result(result, tmp_path / folder)
    write_result(read_result(tmp_path / "one/toy"), tmp_path / "other")
    for name in ("study.json", "trials.csv", "predictions.parquet"):
        one, other = (tmp_path / folder / "toy" / name for folder in ("one", "other"))
        assert one.read_bytes() == other.read_bytes()


def test_probabilities_keep_every_bit_in_the_stored_form(result: Result, tmp_path: Path) -> None:
    bits = np.random.default_rng(0).integers(0, 0x3F800000, 2000, dtype=np.uint32)
    shares = bits.view(np.float32)
    rows = result.predictions.iloc[np.arange(2000) % 2].reset_index(drop=True)
    drawn = rows.assign(p_0=shares, p_1=shares[::-1])
    heard = drawn.copy()
    heard.insert(heard.columns.get_loc("emotion") + 1, "fold", np.arange(2000) % 5)
    write_result(replace(result, predictions=drawn, out_of_fold=heard), tmp_path)
    for name, table in (("predictions", drawn), ("out_of_fold", heard)):
        read = pd.read_parquet(tmp_path / "toy" / f"{name}.parquet")
        assert list(read) == list(table)
        for column in ("p_0", "p_1"):
            assert read[column].dtype == np.float32
            assert (read[column].to_numpy().view("u4") == table[column].to_numpy().view("u4")).all()
        for column in set(table) - {"p_0", "p_1"}:
            assert read[column].tolist() == table[column].tolist()


def test_a_result_of_format_3_with_tables_of_csv_is_read_and_replaced(
    result: Result, tmp_path: Path
) -> None:
    write_result(result, tmp_path)
    folder = tmp_path / "toy"
    today = {path.name: path.read_bytes() for path in folder.iterdir()}
    content = result.predictions.to_csv(index=False, lineterminator="\n").encode()
    (folder / "predictions.csv").write_bytes(content)
    (folder / "predictions.parquet").unlink()
    record = read_sealed(folder / "study.json")
    del record["sha256"]["predictions.parquet"]
    record["sha256"]["predictions.csv"] = hashlib.sha256(content).hexdigest()
    (folder / "study.json").write_text(json.dumps(record | {"format": 3}))
    write_result(read_result(folder), tmp_path)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == today


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("study.json", b"{", "can't be read"),
        ("study.json", b'{"format": 99}', "format 99; this version reads 2, 3, 4"),
        ("predictions.parquet", b"PAR1", "do not match their digests"),
    ],
)
def test_a_damaged_result_is_refused_and_stops_no_other(
    result: Result, tmp_path: Path, name: str, content: bytes, words: str
) -> None:
    for folder in (tmp_path, tmp_path / "aside"):
        write_result(result, folder)
    (tmp_path / "aside/toy").rename(tmp_path / "whole")
    (tmp_path / "toy" / name).write_bytes(content)
    with pytest.raises(BenchmarkError, match=words):
        read_result(tmp_path / "toy")
    results, refusals = read_results(tmp_path)
    assert (len(results), len(refusals)) == (1, 1)
    assert words in refusals[0]


def test_a_writer_sweeps_away_what_killed_ones_have_left(tmp_path: Path) -> None:
    for left in (".page.md.1.partial", ".page.md.22.partial", ".other.md.1.partial"):
        (tmp_path / left).touch()
    write_bytes(tmp_path / "page.md", b"new")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".other.md.1.partial", "page.md"]


def test_writers_of_one_file_do_not_disturb_each_other(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=write_often, args=(tmp_path / "page.md",)) for _ in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    assert [path.name for path in tmp_path.iterdir()] == ["page.md"]
    assert len((tmp_path / "page.md").read_bytes()) == 10_000


def write_often(path: Path) -> None:
    for _ in range(200):
        write_bytes(path, bytes(10_000))

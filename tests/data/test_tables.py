"""Tables keep every number exactly, and say where one of a user's own is wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmark.data.own_tables import with_features_of
from benchmark.data.tables import (
    IDENTITY,
    Table,
    read_csv,
    training_arrays,
    write_csv,
)
from benchmark.engine.arrays import StoredArrays, load_arrays, save_arrays
from benchmark.errors import BenchmarkError


@pytest.fixture
def table() -> Table:
    """Two clips with a copy each, with names and numbers that are easily damaged."""
    rows = pd.DataFrame(
        [
            ('csv/a, "b"', "csv", "csv/s1", "female", "sad", ""),
            ("csv/c", "csv", "csv/s2", "male", "NA", ""),
            ("csv/c", "csv", "csv/s2", "male", "NA", "noise"),
        ],
        columns=list(IDENTITY),
    )
    values = np.array([[1 / 3, 1e-38], [3.4e38, -0.1], [16_777_217, 0.0]], dtype=np.float32)
    return Table(rows, values, ("one", "two"))


def test_a_table_reads_back_exactly(table: Table, tmp_path: Path) -> None:
    write_csv(table, tmp_path / "train.csv")
    read = read_csv(tmp_path / "train.csv")
    assert read.values.tobytes() == table.values.tobytes()
    assert read.rows.to_numpy().tolist() == table.rows.to_numpy().tolist()
    assert read.digest == table.digest


def test_the_same_table_is_written_as_the_same_bytes(table: Table, tmp_path: Path) -> None:
    for name in ("one.csv", "other.csv"):
        write_csv(table, tmp_path / name)
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "other.csv").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.csv", "other.csv"]


def test_a_changed_number_or_name_changes_the_digest(table: Table) -> None:
    values = table.values.copy()
    values[0, 0] = np.nextafter(values[0, 0], np.float32(1))
    renamed = table.rows.replace({"csv/s1": "csv/s3"})
    digests = {
        table.digest,
        Table(table.rows, values, table.columns).digest,
        Table(renamed, table.values, table.columns).digest,
        Table(table.rows, table.values, ("one", "2")).digest,
    }
    assert len(digests) == 4


def test_a_worker_validates_on_clips_as_they_were_recorded(table: Table, tmp_path: Path) -> None:
    save_arrays(training_arrays(table, np.array([0, 1, 1])), tmp_path)
    arrays = load_arrays(StoredArrays(tmp_path, table.digest))
    assert arrays.validation_rows(1).tolist() == [False, True, False]
    assert arrays.training_rows(0).tolist() == [False, True, True]
    assert arrays.values.tobytes() == table.values.tobytes()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("clip,speaker,emotion,f\na,s,sad,loud\n", ["row 2, column 'f'", "'loud'"]),
        ("clip,speaker,emotion,f\na,s,sad,1\nb,s,sad,inf\n", ["row 3, column 'f'", "'inf'"]),
        (
            "clip,speeker,emotion,f\na,s,sad,1\n",
            ["column 'speeker'", "may stand in clip"],
        ),
        ("clip,speaker,emotion,f\na,s,sad,1\nb,,sad,1\n", ["row 3", "speaker is empty"]),
        ("clip,speaker,f\na,s,1\n", ["no column 'emotion' (or truth, "]),
        ("clip,speaker,emotion\na,s,sad\n", ["no features"]),
        ("clip,speaker,emotion,f\n", ["no rows"]),
        ("", ["column 'clip'"]),
    ],
)
def test_a_wrong_table_is_refused_with_the_place(
    tmp_path: Path, text: str, words: list[str]
) -> None:
    path = tmp_path / "mine.csv"
    path.write_text(text)
    with pytest.raises(BenchmarkError) as refusal:
        read_csv(path)
    assert [word for word in words if word not in str(refusal.value)] == []


@pytest.mark.parametrize("header", [",clip,speaker,emotion,f", "Unnamed: 0,path,Actor,labels,f"])
def test_a_notebooks_table_is_read_without_its_row_numbers(header: str, tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text(f"{header}\n0,a,07,sad,1\n")
    table = read_csv(tmp_path / "mine.csv")
    assert table.columns == ("f",)
    assert table.rows.loc[0, ["clip", "speaker", "emotion"]].tolist() == ["a", "07", "sad"]


def test_a_column_label_beside_the_emotion_is_a_feature(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("clip,speaker,emotion,label,f\na,s,sad,3,1\n")
    assert read_csv(tmp_path / "mine.csv").columns == ("label", "f")


@pytest.mark.parametrize("times", [("0", "0.5"), ("0 days", "0 days 00:00:00.5")])
def test_segments_of_one_file_are_clips_of_their_own(
    times: tuple[str, str], tmp_path: Path
) -> None:
    first, second = times
    (tmp_path / "table.csv").write_text(
        f"file,start,end,speaker,emotion,f0\na.wav,{first},{second},1,sad,1\n"
        f"a.wav,{second},,1,sad,2\nb.wav,,,2,sad,3\n"
    )
    table = read_csv(tmp_path / "table.csv")
    assert list(table.rows["clip"]) == ["a_0-0.5", "a_0.5-end", "b.wav"]
    assert table.columns == ("f0",)


def test_times_of_whole_files_are_no_features_and_change_no_name(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("file,start,end,speaker,emotion,f0\na.wav,0,1.5,1,sad,1\n")
    table = read_csv(tmp_path / "table.csv")
    assert (list(table.rows["clip"]), table.columns) == (["a.wav"], ("f0",))


def test_the_features_of_a_test_table_may_stand_in_another_order(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("clip,speaker,emotion,f0,f1\na,1,sad,1,2\n")
    (tmp_path / "test.csv").write_text("clip,speaker,emotion,f1,f0\nb,2,sad,4,3\n")
    paths = tmp_path / "train.csv", tmp_path / "test.csv"
    train, test = map(read_csv, paths)
    ordered = with_features_of(train, test, paths)
    assert (ordered.columns, ordered.values.tolist()) == (("f0", "f1"), [[3.0, 4.0]])

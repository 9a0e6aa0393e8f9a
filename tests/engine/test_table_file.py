"""All of a user's tables have one reader: spreadsheets of any locale, Parquet, JSON lines."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmark.data.tables import read_csv
from benchmark.engine.table_file import read_list, read_numbers, read_table
from benchmark.errors import BenchmarkError

ROWS = pd.DataFrame(
    {"clip": ["a", "b"], "speaker": ["007", "NA"], "emotion": ["sad", "heiter, müde"]}
)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_csv_of_any_spreadsheet_reads_as_the_same_text(
    separator: str, encoding: str, tmp_path: Path
) -> None:
    path = tmp_path / "table.csv"
    ROWS.to_csv(path, index=False, sep=separator, encoding=encoding)
    pd.testing.assert_frame_equal(read_table(path).reset_index(drop=True), ROWS)


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("first", ["", "sep=;"])
def test_every_line_end_and_the_line_that_names_the_delimiter_are_read(
    first: str, line_end: str, tmp_path: Path
) -> None:
    path = tmp_path / "table.csv"
    text = ROWS.to_csv(index=False, sep=";")
    path.write_text((first and f"{first}\n" + text) or text, newline=line_end)
    found = read_table(path)
    pd.testing.assert_frame_equal(found.reset_index(drop=True), ROWS)
    assert list(found.index) == [2 + bool(first), 3 + bool(first)]
    numbers = read_numbers(path, {name: (name,) for name in ROWS})
    pd.testing.assert_frame_equal(numbers.reset_index(drop=True), ROWS, check_dtype=False)


def test_another_encoding_is_refused_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes("clip,speaker\na,1\nb,Jürgen\n".encode("cp1252"))
    with pytest.raises(BenchmarkError, match="line 3 is not UTF-8: save it as CSV UTF-8"):
        read_table(path)


def test_parquet_and_json_read_as_the_same_text(tmp_path: Path) -> None:
    ROWS.to_parquet(tmp_path / "table.parquet")
    ROWS.to_json(tmp_path / "table.jsonl", orient="records", lines=True)
    ROWS.to_json(tmp_path / "table.json", orient="records")
    for name in ("table.parquet", "table.jsonl", "table.json"):
        pd.testing.assert_frame_equal(read_table(tmp_path / name).reset_index(drop=True), ROWS)


def test_an_index_with_a_name_is_a_column_and_an_absent_number_is_empty(tmp_path: Path) -> None:
    table = pd.DataFrame({"p": [0.25, None]}, index=pd.Index(["a", "b"], name="file"))
    table.to_parquet(tmp_path / "table.parquet")
    assert read_table(tmp_path / "table.parquet").to_dict("list") == {
        "file": ["a", "b"],
        "p": ["0.25", ""],
    }


def test_the_index_counts_the_rows_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text(" clip ;x\n\na;1\n;\nb;2\n")
    assert read_table(path)["clip"].to_dict() == {3: "a", 5: "b"}


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("a.csv", b"clip,x\na\n", "row 2 has 1 cells, the header 2"),
        ("a.csv", b"clip,Clip\na,b\n", "row 1: the column 'clip' occurs twice"),
        ("a.csv", b"clip\xff,x\n", "not a table"),
        ("a.parquet", b"clip,x\n", "not a table"),
        ("a.jsonl", b"clip,x\n", "not a table"),
        ("a.jsonl", b"[1, 2]\n", "a row is not an object"),
        ("a.json", b'{"clip": "a"}', "it is not a list of rows"),
        ("a.xlsx", b"PK\x03\x04rest", "it is a workbook or an archive: save the sheet as CSV"),
    ],
)
def test_what_is_no_table_is_refused_in_one_line(
    name: str, content: bytes, complaint: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BenchmarkError) as refusal:
        read_table(tmp_path / name)
    assert complaint in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert str(tmp_path / name) in str(refusal.value)


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="can't read the table"):
        read_table(tmp_path)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_tables_of_features_may_have_semicolons_and_any_byte_order_mark(
    encoding: str, tmp_path: Path
) -> None:
    path = tmp_path / "train.csv"
    ROWS.assign(pitch=[1.5, 2.5]).to_csv(path, index=False, sep=";", encoding=encoding)
    table = read_csv(path)
    assert table.rows["speaker"].tolist() == ["007", "NA"]
    assert table.values.tolist() == [[1.5], [2.5]]


@pytest.mark.parametrize("kind", ["csv", "semicolons", "tabs", "empty row", "parquet", "json"])
def test_a_wide_table_reads_as_the_same_float32_from_any_kind_of_file(
    kind: str, tmp_path: Path
) -> None:
    values = np.random.default_rng(0).normal(size=(2, 300)).astype(np.float32)
    table = pd.DataFrame(values, columns=[f"x{number}" for number in range(300)])
    table = table.assign(Clip=["007", " NA "], n=[1, 2])
    text = table.to_csv(index=False)
    path = tmp_path / {"parquet": "a.parquet", "json": "a.json"}.get(kind, "a.csv")
    write = {
        "csv": lambda: path.write_text(text),
        "semicolons": lambda: table.to_csv(path, index=False, sep=";", decimal=","),
        "tabs": lambda: table.to_csv(path, index=False, sep="\t", encoding="utf-16"),
        "empty row": lambda: path.write_text(text.replace("\n", "\n\n", 1)),
        "parquet": lambda: table.to_parquet(path),
        "json": lambda: table.to_json(path, orient="records", double_precision=15),
    }
    write[kind]()
    read = read_numbers(path, {"clip": ("clip",)})
    assert read["clip"].tolist() == ["007", "NA"]
    numbers = read.drop(columns="clip")
    assert list(numbers) == [*table.columns.drop(["Clip", "n"]), "n"]
    np.testing.assert_array_equal(numbers.to_numpy(), np.column_stack([values, [1, 2]]))


@pytest.mark.parametrize(
    ("text", "index"), [("a\n\n\"b\"\n", [1, 3]), ("x;File\n1;a\n2;b\n", [2, 3])]
)  # fmt: skip
def test_a_list_is_one_name_a_line_or_a_column_of_a_table(
    text: str, index: list[int], tmp_path: Path
) -> None:
    (tmp_path / "list.csv").write_text(text)
    names = read_list(tmp_path / "list.csv", ["clip", "file"])
    assert names.to_dict() == dict(zip(index, "ab", strict=True))

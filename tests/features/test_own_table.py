"""Own tables: rows of a user's file are looked up by clip, and whatever is in doubt is refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from benchmark.corpora.clip import Clip
from benchmark.engine.processes import Workers
from benchmark.errors import BenchmarkError
from benchmark.features import FEATURE_SETS, extract, feature_set
from benchmark.features.own_table import OwnTable
from tests.support.sounds import RATE_HZ, make_clips

COUNT = 6
VALUES = np.random.default_rng(0).normal(size=(COUNT, 3)).astype(np.float32)


@pytest.fixture
def clips(tmp_path: Path) -> list[Clip]:
    return make_clips(tmp_path / "toy", COUNT)


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    with Workers(1) as pool:
        yield pool


def frame(clips: list[Clip]) -> pd.DataFrame:
    """One row per clip, in another order than the clips."""
    table = pd.DataFrame(VALUES, columns=["a", "b", "c"])
    table.insert(0, "clip", [clip.id for clip in clips])
    return table[::-1]


def named(names: list[str], column: str = "clip") -> pd.DataFrame:
    """A table of one number with these names of clips."""
    return pd.DataFrame({column: names, "x": np.arange(len(names), dtype=float)})


def clip(corpus: str, name: str) -> Clip:
    return Clip(corpus, name, Path(f"{name}.wav"), f"{corpus}/1", "female", "happy")


def own(path: Path) -> OwnTable:
    (table,) = feature_set(f"table:{path}").tables
    return table


def found(table: pd.DataFrame, clips: list[Clip], folder: Path) -> dict[str, int]:
    table.to_csv(folder / "names.csv", index=False)
    return own(folder / "names.csv").find(clips)


def written_as(kind: str, clips: list[Clip], folder: Path) -> Path:
    """The same features as a file of some kind."""
    table = frame(clips)
    path = folder / {"npy": "emb.npy", "npy with a table": "emb.npy"}.get(kind, f"emb.{kind}")
    write = {
        "csv": lambda: table.to_csv(path, index=False),
        "tsv": lambda: table.to_csv(path, index=False, sep="\t", encoding="utf-16"),
        "txt": lambda: table.to_csv(path, index=False, sep=";", decimal=","),
        "parquet": lambda: table.to_parquet(path),
        "jsonl": lambda: table.to_json(path, orient="records", lines=True, double_precision=15),
        "npy": lambda: (folder / "emb.txt").write_text("\n".join(table["clip"])),
        "npy with a table": lambda: table[["b", "clip"]].to_csv(folder / "emb.csv", index=False),
    }
    write[kind]()
    np.save(folder / "emb.npy", table[["a", "b", "c"]].to_numpy())
    return path


@pytest.mark.parametrize(
    "kind", ["csv", "tsv", "txt", "parquet", "jsonl", "npy", "npy with a table"]
)
def test_each_clip_gets_its_own_row_from_a_file_of_any_kind(
    kind: str, clips: list[Clip], tmp_path: Path, workers: Workers
) -> None:
    features = feature_set(f"table:{written_as(kind, clips, tmp_path)}")
    extracted = extract(clips, features, cache=tmp_path / "cache", workers=workers)
    assert extracted.clips == tuple(clips)
    np.testing.assert_array_equal(extracted.values, VALUES)
    assert extracted.notes == ()


def test_the_digest_is_of_the_content_whatever_the_kind_of_file_and_the_order_of_rows(
    clips: list[Clip], tmp_path: Path
) -> None:
    digests = {own(written_as(kind, clips, tmp_path)).digest for kind in ("csv", "parquet")}
    frame(clips)[::-1].to_csv(tmp_path / "sorted.csv", index=False)
    assert digests == {own(tmp_path / "sorted.csv").digest}


def test_a_changed_file_is_read_anew_and_has_another_recipe(
    clips: list[Clip], tmp_path: Path
) -> None:
    path = tmp_path / "emb.csv"
    frame(clips).to_csv(path, index=False)
    before = feature_set(f"functionals+table:{path}").recipe()
    frame(clips).assign(a=0.125).to_csv(path, index=False)
    after = feature_set(f"functionals+table:{path}").recipe()
    assert before != after
    assert before["columns"] == after["columns"]


@pytest.mark.parametrize("order", ["means-184+table:{}", "table:{}+means-184"])
def test_a_joined_table_stands_at_its_place_beside_measured_features(
    order: str, clips: list[Clip], tmp_path: Path, workers: Workers
) -> None:
    path = tmp_path / "emb.csv"
    frame(clips).to_csv(path, index=False)
    features = feature_set(order.format(path))
    ask = {"cache": tmp_path / "cache", "workers": workers}
    values = pd.DataFrame(extract(clips, features, **ask).values, columns=list(features.columns))
    own_columns = [f"table:{path}.{name}" for name in "abc"]
    np.testing.assert_array_equal(values[own_columns], VALUES)
    measured = extract(clips, FEATURE_SETS["means-184"], **ask).values
    np.testing.assert_array_equal(values.drop(columns=own_columns), measured)


def test_two_tables_with_the_same_names_of_columns_can_be_joined(
    clips: list[Clip], tmp_path: Path, workers: Workers
) -> None:
    paths = [tmp_path / "one.csv", tmp_path / "other.parquet"]
    frame(clips).to_csv(paths[0], index=False)
    frame(clips).assign(a=1.0).to_parquet(paths[1])
    features = feature_set("+".join(f"table:{path}" for path in paths))
    extracted = extract(clips, features, cache=tmp_path / "cache", workers=workers)
    assert len(set(features.columns)) == extracted.values.shape[1] == 6
    assert (extracted.values[:, 3] == 1.0).all()


@pytest.mark.parametrize("column", ["clip", "file", "path", "Path"])
@pytest.mark.parametrize(
    "written",
    [
        "savee/DC_a01",
        "DC_a01",
        "DC_a01.wav",
        "/home/me/savee/DC_a01.flac",
        r"C:\savee\DC_a01.wav",
        "AudioData/DC/a01.wav",  # as SAVEE itself names its files
    ],
)
def test_a_clip_is_named_by_id_name_or_path(column: str, written: str, tmp_path: Path) -> None:
    clips = [clip("savee", "DC_a01"), clip("savee", "JE_a01")]
    assert found(named(["nobody", written], column), clips, tmp_path) == {"savee/DC_a01": 1}


def test_folders_tell_recordings_with_the_same_file_name_apart(tmp_path: Path) -> None:
    clips = [clip("csv", "anna/1"), clip("csv", "ben/1"), clip("csv", "ben/2")]
    table = named(["data/ben/1.wav", "anna/1", "carl/1.wav", "2"])
    assert found(table, clips, tmp_path) == {"csv/ben/1": 0, "csv/anna/1": 1, "csv/ben/2": 3}


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["1.wav"], "row 2: '1.wav' could be csv/anna/1 or csv/ben/1. Write the ids"),
        (["same"], "row 2: 'same' could be csv/same or ravdess/same"),
        (["csv/anna/1", "x", "anna/1.wav"], "row 4: 'anna/1.wav' is csv/anna/1, which row 2 is"),
    ],
)
def test_a_row_in_doubt_is_refused(names: list[str], words: str, tmp_path: Path) -> None:
    clips = [clip("csv", "anna/1"), clip("csv", "ben/1"), clip("csv", "same")]
    with pytest.raises(BenchmarkError) as refused:
        found(named(names), [*clips, clip("ravdess", "same")], tmp_path)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_clips_without_a_row_are_counted_and_named(
    clips: list[Clip], tmp_path: Path, workers: Workers
) -> None:
    frame(clips)[:1].to_csv(tmp_path / "emb.csv", index=False)
    features = feature_set(f"table:{tmp_path / 'emb.csv'}")
    with pytest.raises(BenchmarkError) as refused:
        extract(clips, features, cache=tmp_path / "cache", workers=workers)
    words = "5 of the study's 6 clips have no row: toy/00, toy/01, toy/02, ...."
    assert words in str(refused.value)
    assert "'toy/05'" in str(refused.value)


def test_a_recording_that_cannot_be_used_needs_no_row(
    clips: list[Clip], tmp_path: Path, workers: Workers
) -> None:
    soundfile.write(clips[-1].path, np.zeros(RATE_HZ), RATE_HZ)
    frame(clips)[1:].to_csv(tmp_path / "emb.csv", index=False)
    features = feature_set(f"table:{tmp_path / 'emb.csv'}")
    extracted = extract(clips, features, cache=tmp_path / "cache", workers=workers)
    np.testing.assert_array_equal(extracted.values, VALUES[:-1])
    assert [name for name, _ in extracted.unusable] == ["toy/05"]


def test_rows_of_other_clips_are_counted(
    clips: list[Clip], tmp_path: Path, workers: Workers
) -> None:
    frame(clips).to_csv(tmp_path / "emb.csv", index=False)
    features = feature_set(f"table:{tmp_path / 'emb.csv'}")
    extracted = extract(clips[:4], features, cache=tmp_path / "cache", workers=workers)
    np.testing.assert_array_equal(extracted.values, VALUES[:4])
    (note,) = extracted.notes
    assert "2 of 6 rows are of clips that the study does not use" in note


def test_augmented_copies_and_new_recordings_are_refused(
    clips: list[Clip], tmp_path: Path, workers: Workers
) -> None:
    frame(clips).to_csv(tmp_path / "emb.csv", index=False)
    features = feature_set(f"means-184+table:{tmp_path / 'emb.csv'}")
    with pytest.raises(BenchmarkError, match="has no rows for augmented copies"):
        extract(clips, features, augmentation="noise", cache=tmp_path, workers=workers)
    with pytest.raises(BenchmarkError, match="can't be computed for another one"):
        features.compute(np.ones(RATE_HZ, dtype=np.float32), RATE_HZ)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("clip,x\na,1\nb,nan\n", "row 3, column 'x': 'nan' is not a finite number, one of 1 such"),
        ("clip,x\na,1\n\nb,\n", "row 4, column 'x': an empty cell is not a finite number"),
        ("clip,x\na,\n", "row 2, column 'x': an empty cell is not a finite number"),
        ("clip,x\na,1e39\n", "row 2, column 'x': '1e39' is not a finite number"),
        ("clip;x\na;0,5\nb;loud\n", "row 3, column 'x': 'loud' is not a finite number"),
        ('clip,x\na,"1,5"\n', "row 2, column 'x': '1,5' is not a finite number"),
        ("clip,x,who\na,1,s\n", "column 'who': 's' is not a finite number, one of 1 such cells. "
         "Text may stand in clip, file, path, start, end only"),
        ("clip,emotion,x\na,3,1\n", "the column 'emotion' is not a feature. Remove it."),
        ("name,x\n1,1\n", "no column names the clips: clip or file or path is missing"),
        ("clip,x\na,1\n ,1\n", "row 3: the clip is empty"),
        ("clip,x,X\na,1,2\n", "the column 'x' occurs twice"),
        ("clip,x\na,1,2\n", "row 2 has 3 cells, the header 2"),
        ("clip\na\n", "the table has no features"),
        ("clip,x\n", "the table has no rows"),
    ],
)  # fmt: skip
def test_a_wrong_table_is_refused_with_the_place(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "emb.csv"
    path.write_text(text)
    with pytest.raises(BenchmarkError) as refused:
        feature_set(f"table:{path}")
    assert words in str(refused.value)
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("values", "index", "words"),
    [
        (np.ones((2, 3)), {}, "lies beside it. One of them lists the clips"),
        (
            np.ones((2, 3)),
            {"emb.csv": "a\nb", "emb.txt": "a\nb"},
            "emb.csv and emb.txt lie beside it",
        ),
        (np.ones((2, 3)), {"emb.csv": "name\na\nb"}, "2 rows, but emb.csv lists 3 clips"),
        (np.ones((2, 3)), {"emb.csv": "file\na\n"}, "2 rows, but emb.csv lists 1 clips"),
        (np.ones((2, 3, 1)), {"emb.csv": "a\nb"}, "not an array of numbers with a row per clip"),
        (np.array([["x"]]), {"emb.csv": "a"}, "not an array of numbers with a row per clip"),
        (np.array([[1, np.inf]]), {"emb.csv": "a"}, "row 1 (a), column 2: inf is not a finite"),
        (np.array([{}]), {"emb.csv": "a"}, "not an array of NumPy"),
    ],
)
def test_a_wrong_array_is_refused(
    values: np.ndarray, index: dict[str, str], words: str, tmp_path: Path
) -> None:
    np.save(tmp_path / "emb.npy", values)
    for name, text in index.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(BenchmarkError) as refused:
        feature_set(f"table:{tmp_path / 'emb.npy'}")
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_missing_file_is_refused_with_the_folder_it_was_looked_for_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BenchmarkError) as refused:
        feature_set("table:emb.csv")
    assert f"no such file in {tmp_path}" in str(refused.value)


def test_rows_of_segments_are_those_of_the_clips_of_a_segmented_table(tmp_path: Path) -> None:
    (tmp_path / "f.csv").write_text("file,start,end,f0\nx/a.wav,0,0.5,1\nx/a.wav,0.5,1,2\n")
    table = own(tmp_path / "f.csv")
    assert table.columns == ("f0",)
    clips = [clip("csv", name) for name in ("x/a_0-0.5", "x/a_0.5-1")]
    assert list(table.find(clips).values()) == [0, 1]

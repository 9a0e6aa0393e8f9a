"""A study on a user's own table of features, under both protocols and normalised by speaker."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmark.evaluation.results import read_result
from benchmark.features import feature_set
from tests.support.bench import SMALL_STUDY, Bench, make_ready, refused_line

EMOTIONS = ["low", "middle", "high"]


def embeddings(tones: Path, seed: int) -> pd.DataFrame:
    """A row for each tone, whose numbers tell the emotion and more loudly the speaker."""
    clips = pd.read_csv(tones)
    rng = np.random.default_rng(seed)
    of_emotion = clips["emotion"].map(EMOTIONS.index).to_numpy()
    of_speaker = clips["speaker"].str[1:].astype(int).to_numpy()
    values = rng.normal(size=(len(clips), 8))
    values += rng.normal(size=(3, 8))[of_emotion] * 2 + rng.normal(size=(6, 8))[of_speaker] * 10
    table = pd.DataFrame(values.astype(np.float32), columns=[f"e{n}" for n in range(8)])
    table.insert(0, "file", clips["path"])
    return pd.concat([table, table[:2].assign(file=["other_1.wav", "other_2.wav"])])


STUDY = (
    SMALL_STUDY.replace('"mfcc-stats"', '"table:emb.parquet"')
    .replace('augment  = ["noise"]', 'normalise = "speaker"')
    .replace("trials = 6", "trials = 2")
)


@pytest.fixture(scope="module")
def own(tones: Path, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """The small study on an own table, run once; read-only."""
    folder = tmp_path_factory.mktemp("own")
    embeddings(tones, seed=0).to_parquet(folder / "emb.parquet")
    bench = make_ready(folder, tones, STUDY)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        bench.run()
    return bench


@pytest.mark.parametrize("split", ["speaker-dependent", "speaker-independent"])
def test_models_learn_from_the_rows_of_the_table_normalised_by_speaker(
    split: str, own: Bench
) -> None:
    result = read_result(own.project / "reports/results/small")
    rows = result.predictions.query("protocol == @split and model == 'logistic_regression'")
    predicted = rows[[f"p_{name}" for name in result.emotions]].to_numpy().argmax(axis=1)
    correct = np.array(result.emotions)[predicted] == rows["emotion"]
    assert correct.mean() > 0.8
    tables = own.project / f"features_cache/small/{split}"
    sides = pd.concat([pd.read_csv(tables / f"{side}.csv") for side in ("train", "test")])
    values = sides.set_index("clip")[[f"e{n}" for n in range(8)]]
    written = pd.read_parquet(own.study.parent / "emb.parquet").set_index("file")[:-2]
    speaker = written.index.str[0]
    groups = written.groupby(speaker)
    expected = (written - groups.transform("mean")) / groups.transform("std", ddof=0)
    expected.index = "csv/" + expected.index.str.removesuffix(".wav")
    np.testing.assert_allclose(values, expected.loc[values.index], atol=1e-4)


def test_the_result_and_its_page_name_the_table_and_its_content(own: Bench) -> None:
    (table,) = feature_set(f"table:{own.study.parent / 'emb.parquet'}").tables
    result = read_result(own.project / "reports/results/small")
    assert result.data.tables == {"table:emb.parquet": table.digest}
    page = (own.project / "reports/small.md").read_text()
    assert f"is the user's own table (digest of its content: `{table.digest[:12]}`)" in page


def test_the_same_table_gives_the_same_bytes_and_other_content_another_result(
    own: Bench, tones: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    bench = make_ready(tmp_path, tones, STUDY)
    embeddings(tones, seed=0)[::-1].to_parquet("emb.parquet")
    ended = bench.run("--workers", "2")
    assert "2 of 74 rows are of clips that the study does not use" in ended.stderr
    assert bench.bytes_of("reports") == own.bytes_of("reports")
    embeddings(tones, seed=1).to_parquet("emb.parquet")
    bench.run()
    one, other = (read_result(b.project / "reports/results/small") for b in (own, bench))
    assert one.study == other.study
    assert one.data.tables != other.data.tables
    assert not one.predictions.equals(other.predictions)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ('augment=["noise"]', "augment: table:"),
        ('conditions=["gsm"]', "conditions: table:"),
        ("sample_rate_hz=8000", "sample_rate_hz: nothing is computed of the recordings"),
        ("features=table:nowhere.npy", "table:nowhere.npy: no such file in "),
    ],
)
def test_what_a_table_cannot_have_is_refused_before_any_work(
    change: str, words: str, own: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(own.study.parent)
    assert words in refused_line("run-study", str(own.study), "--set", change)


def test_a_model_of_own_features_predicts_no_new_recording(own: Bench, tones: Path) -> None:
    words = "was fitted on a user's own tables of features, which can't be computed"
    card, recording = str(own.card()), str(tones.parent / "0_low_0.wav")
    assert words in refused_line("predict", "--model", card, recording)
    assert words in refused_line("promote", "small", "--project", str(own.project))


def test_the_leakage_ablation_of_own_features_is_refused(
    own: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(own.study.parent)
    line = refused_line("leakage", str(own.study), "--project", str(own.project))
    assert "has features of an own table" in line


def test_a_column_that_tells_the_emotion_of_every_clip_is_refused(
    tones: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    bench = make_ready(tmp_path, tones, STUDY)
    label = pd.read_csv(tones)["emotion"].map(EMOTIONS.index)
    table = embeddings(tones, seed=0)
    table.assign(label=[*label, 0, 0]).to_parquet("emb.parquet")
    line = refused_line(*bench.command("extract", "small.toml", "--corpus", f"csv={tones}")[3:])
    assert "the column label alone tells the emotion of every row" in line
    assert "--allow label-columns" in line

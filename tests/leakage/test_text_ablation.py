"""Text ablation: both arms differ only in whether the test sentence was heard in training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import recall_score

from benchmark.corpora import CORPORA
from benchmark.data.prepare import clip_frame
from benchmark.data.splits import draw_splits
from benchmark.errors import BenchmarkError
from benchmark.leakage.text import (
    PROTOCOL,
    TextAblation,
    predict,
    read_text_ablation,
    sides,
    write_text_ablation,
)
from benchmark.report.markdown import number
from benchmark.report.pages.leakage import write_page
from benchmark.report.pages.text_ablation import TextCase
from benchmark.study import read_study
from tests.support.bench import refused_line

PROJECT = Path(__file__).parents[2]
RECORDS = PROJECT / "reports" / "leakage"
SAVEE = read_study(PROJECT / "studies" / "savee_text.toml", ())
OWN = {SAVEE.features: "digest"}
NAMES = ("savee_text", "ravdess_text")


def clips_of(corpus: str) -> pd.DataFrame:
    clips = [CORPORA[corpus].parse(name) for name in CORPORA[corpus].official_names]
    return clip_frame(clips, [clip.name for clip in clips])


@pytest.mark.parametrize("name", NAMES)
def test_arms_test_new_speakers_and_train_on_as_many_clips_of_each_emotion(name: str) -> None:
    study = read_study(PROJECT / "studies" / f"{name}.toml", ())
    clips = clips_of(study.corpora[0])
    tested = np.zeros(len(clips), dtype=int)
    sizes: dict[bytes, set[str]] = {}
    for side in sides(study, clips):
        train, test = clips[side.train], clips[side.test]
        assert not set(train["speaker"]) & set(test["speaker"])
        heard = test["statement"].isin(train["statement"])
        assert heard.all() if side.left_out != side.group else not heard.any()
        tested += side.test & (side.left_out == side.group)
        counts = train.groupby(["speaker", "emotion"]).size().to_string()
        sizes.setdefault(side.test.tobytes(), set()).add(counts)
    assert (tested == 1).all()
    assert {len(counts) for counts in sizes.values()} == {1}


def test_the_arm_that_did_not_hear_is_the_protocol_itself() -> None:
    clips = clips_of("savee")
    parts = draw_splits(PROTOCOL, clips, SAVEE.split, SAVEE.search.folds, SAVEE.seed)
    arms = [side for side in sides(SAVEE, clips) if side.left_out == side.group]
    assert len(arms) == len(parts) == 12
    for arm, part in zip(arms, parts, strict=True):
        assert (arm.test == part.test).all()
        assert (arm.train == part.train).all()


def test_features_that_tell_only_the_sentence_help_only_if_it_was_heard() -> None:
    clips = clips_of("savee")
    rng = np.random.default_rng(0)
    codes, names = pd.factorize(clips["statement"])
    values = rng.normal(size=(len(names), 150))[codes]
    rows = predict(SAVEE, clips, {"none": values}).assign(features=SAVEE.features)
    case = TextCase(TextAblation(SAVEE, OWN, "", rows))
    (row,) = case.overall
    assert row.not_heard < 0.25  # chance is 1 in 7
    assert row.heard > 0.7
    tied, common = case.by_sentence
    assert tied.heard > 0.9
    assert common.heard < 0.4


def test_further_feature_sets_stand_beside_the_study_s_own_on_the_page(tmp_path: Path) -> None:
    clips = clips_of("savee")
    rng = np.random.default_rng(0)
    codes, names = pd.factorize(clips["statement"])
    values = {"noise": rng.normal(size=(len(clips), 20)), "text": rng.normal(size=(87, 150))[codes]}
    rows = [predict(SAVEE, clips, {"none": values[one]}).assign(features=one) for one in values]
    ablation = TextAblation(SAVEE, dict.fromkeys(values, "digest"), "", pd.concat(rows))
    case = TextCase(ablation)
    assert len(names) == 87
    assert [row.heard for row in case.overall] == [case.by_features["noise"][0].heard]
    assert case.most_text == "text"
    write_text_ablation(ablation, tmp_path / "leakage")
    page = write_page(tmp_path)
    assert page is not None
    text = page.read_text(encoding="utf-8")
    row = case.by_features["text"][0]
    assert f"| `text` | {number(row.heard)} | {number(row.not_heard)} | " in text
    assert "`python -m benchmark text-ablation savee_text --features text --corpora DIR`" in text
    assert (tmp_path / "figures/leakage/savee_text_features.png").is_file()


@pytest.mark.parametrize(("more", "listed"), [(0, False), (30, True)])
def test_speakers_are_listed_where_one_has_most_of_the_clips(more: int, listed: bool) -> None:
    speakers = [*map(str, range(6)), *["0"] * more]
    rows = pd.DataFrame({"speaker": speakers, "emotion": "sad", "statement": "s"})
    rows = rows.rename_axis("clip").reset_index()
    assert TextCase(TextAblation(SAVEE, OWN, "", rows)).listed == listed


@pytest.mark.parametrize("name", NAMES)
def test_published_figures_follow_from_the_stored_predictions(name: str) -> None:
    ablation = read_text_ablation(RECORDS / name)
    table = ablation.predictions
    for how, row in zip(("none", "speaker"), TextCase(ablation).overall, strict=True):
        own = table[(table["normalise"] == how) & (table["features"] == ablation.study.features)]
        heard = own["left_out"] != own["group"]
        expected = [
            recall_score(part["emotion"], part["predicted"], average="macro")
            for part in (own[heard], own[~heard])
        ]
        assert [row.heard, row.not_heard] == pytest.approx(expected)
        assert row.difference.value == pytest.approx(expected[0] - expected[1])
        assert (row.difference.interval is None) == (name == "savee_text")


def test_a_record_is_read_as_it_was_written_and_refused_if_changed(tmp_path: Path) -> None:
    ablation = read_text_ablation(RECORDS / "savee_text")
    write_text_ablation(ablation, tmp_path)
    folder = tmp_path / "savee_text"
    pd.testing.assert_frame_equal(read_text_ablation(folder).predictions, ablation.predictions)
    table = folder / "text_predictions.parquet"
    table.write_bytes(table.read_bytes().replace(b"angry", b"happy"))
    with pytest.raises(BenchmarkError, match="do not match their digests"):
        read_text_ablation(folder)


def test_arms_of_different_size_are_refused() -> None:
    clips = clips_of("savee")
    with pytest.raises(BenchmarkError, match="different numbers of clips"):
        list(sides(SAVEE, clips[clips["clip"] != "savee/DC_a07"].reset_index(drop=True)))


@pytest.mark.parametrize(
    ("features", "words"),
    [
        ("functionals+dynamics", "--features functionals+dynamics: this set is measured already."),
        ("functionalz", "Did you mean 'functionals'?"),
    ],
)
def test_a_repeated_or_unknown_feature_set_is_refused_in_one_line(
    features: str, words: str, tmp_path: Path
) -> None:
    study = str(PROJECT / "studies" / "savee_text.toml")
    line = refused_line("text-ablation", study, "--features", features, "--project", str(tmp_path))
    assert words in line


def test_a_study_without_the_protocol_is_refused_in_one_line(tmp_path: Path) -> None:
    line = refused_line("text-ablation", "quickstart", "--project", str(tmp_path))
    assert "quickstart does not measure the protocol speaker+text-independent" in line

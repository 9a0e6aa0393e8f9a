"""Cards of stored models: what is read, what is refused, and which model of a study is selected."""

from __future__ import annotations

import json
import pickle
import shutil
from hashlib import sha256
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from benchmark.errors import BenchmarkError
from benchmark.tracking.cards import find_card, load_calibrator, load_model, read_card
from tests.support.bench import Bench, changed_bench
from tests.support.records import read_sealed, write_sealed


@pytest.fixture
def card(finished: Bench, tmp_path: Path) -> Path:
    """A card of the small study with the model beside it, to be changed."""
    source = finished.card(model="logistic_regression")
    read = read_card(source)
    for file in (read.file, read.calibration.file):
        shutil.copy(source.parent / file, tmp_path)
    return Path(shutil.copy(source, tmp_path))


def change(card: Path, **changes: Any) -> Path:
    """Write a card anew with some of its entries changed."""
    return write_sealed(card, read_sealed(card) | changes)


def test_a_card_holds_how_a_model_was_made_and_its_test_scores(card: Path) -> None:
    found, model = load_model(card)
    assert found.reference == f"small/speaker-independent/logistic_regression@{found.sha256[:12]}"
    assert found.emotions == ("high", "low", "middle") == tuple(model.classes_)
    assert [measured.protocol for measured in found.measured] == [
        "speaker-dependent",
        "speaker-independent",
    ]
    assert found.trust.protocol == "speaker-independent"
    assert found.trust.speaker_independent
    uar = found.trust.scores["uar"]
    assert uar.low is None or uar.low <= uar.value


@pytest.mark.parametrize(
    ("tested", "apart"), [("s[45]_.*", True), (".*_0", False)], ids=["speakers", "takes"]
)
def test_a_card_tells_from_the_speakers_whether_a_given_split_is_speaker_independent(
    tested: str, apart: bool, tones: Path, tmp_path: Path
) -> None:
    rows = pd.read_csv(tones)
    test = ("s" + rows["path"].str.removesuffix(".wav")).str.fullmatch(tested)
    rows = rows.assign(
        split=test.map({True: "test", False: "train"}),
        path=[str(tones.parent / name) for name in rows["path"]],
    )
    rows.to_csv(tmp_path / "table.csv", index=False)
    changes = {'"speaker-dependent", "speaker-independent"': '"given"', "trials = 6": "trials = 1"}
    bench = changed_bench(tmp_path, tmp_path / "table.csv", changes)
    card = read_card(bench.card("given"))
    assert card.speaker_independent is apart
    assert ("speaker-independent performance was not measured" in card.performance) is not apart
    assert (card.trust.title == "on the given partition, speaker-independent") is apart


def test_a_card_is_written_as_it_was_read(card: Path) -> None:
    assert read_card(card).text() == card.read_text()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"format": 1}, "a card of format 1; this version reads format 3"),
        ({"features": None}, "fitted on a user's own tables"),
        ({"covariates": ["age", "pitch_range"]}, "also takes age, pitch_range"),
        ({"file": "../model.skops"}, "file: Value error, must be a file name"),
        ({"file": "/etc/passwd"}, "file: Value error, must be a file name"),
        ({"file": ".."}, "file: Value error, must be a file name"),
        ({"file": ""}, "file: Value error, must be a file name"),
        ({"file": "a\0b"}, "file: Value error, must be a file name"),
        ({"measured": []}, "measured: Tuple should have at least 1 item"),
        ({"metric": "luck"}, "accuracy, luck and uar must be measured"),
        ({"emotions": []}, "emotions: Tuple should have at least 1 item"),
        ({"emotions": ["high"]}, "the model has 3 emotions, the card 1"),
        ({"sha256": "0" * 64}, "its digest differs"),
        ({"file": "absent.skops"}, "can't read the model"),
        ({"cv_score": float("nan")}, "cv_score"),
        ({"surprise": 1}, "surprise"),
        ({"features": {"name": ["means-184"]}}, "features.name"),
    ],
)
def test_an_unusable_card_is_refused_in_one_line(
    card: Path, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(BenchmarkError) as refused:
        load_model(change(card, **changes))
    assert words in str(refused.value)
    assert str(card.parent) in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "no-such-features"},
        {"version": 999},
        {"sample_rate_hz": 48_000},
        {"digest": "0" * 32},
        {"name": "log-mel-frames"},
    ],
)
def test_features_that_this_version_can_not_compute_are_refused(
    card: Path, changes: dict[str, Any]
) -> None:
    features = json.loads(card.read_text())["features"] | changes
    with pytest.raises(BenchmarkError, match="can't be computed here"):
        load_model(change(card, features=features))


def test_a_changed_model_file_is_refused(card: Path) -> None:
    model = card.with_name(read_card(card).file)
    model.write_bytes(model.read_bytes() + b"\0")
    with pytest.raises(BenchmarkError, match="its digest differs"):
        load_model(card)


def test_a_changed_calibrator_is_refused(card: Path) -> None:
    read = read_card(card)
    file = card.with_name(read.calibration.file)
    file.write_bytes(file.read_bytes() + b"\0")
    with pytest.raises(BenchmarkError, match="its digest differs"):
        load_calibrator(card, read)


def test_a_calibrator_of_another_kind_is_refused(card: Path) -> None:
    read = read_card(card)
    other = {"file": read.file, "sha256": read.sha256}
    changed = change(card, calibration=read.calibration.model_dump(mode="json") | other)
    with pytest.raises(BenchmarkError, match="is not a calibrator of this model"):
        load_calibrator(changed, read_card(changed))


def test_a_card_tells_how_its_probabilities_were_calibrated(card: Path) -> None:
    text = read_card(card).calibrated
    assert "held-out clips of unseen speakers" in text
    assert "unlike the training recordings" in text
    assert "Expected calibration error on these test clips" in text


def test_the_cross_corpus_uar_is_told_beside_the_speaker_independent_one(card: Path) -> None:
    read = read_card(card)
    assert read.cross_corpus is None
    uar = {"value": 0.299, "low": 0.28, "high": 0.32}
    measured = [one.model_dump(mode="json") for one in read.measured]
    cross = measured[-1] | {"protocol": "cross-corpus", "title": "cross-corpus"}
    cross |= {"scores": measured[-1]["scores"] | {"uar": uar}}
    told = read_card(change(card, measured=[*measured, cross])).performance
    assert "speaker-independent; UAR 0.299 [0.28, 0.32], cross-corpus; chance level" in told


class Hostile:
    """Leaves a file behind where it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, tuple[Path]]:
        return Path.touch, (self.mark,)


def test_a_pickle_is_refused_and_not_run(card: Path, tmp_path: Path) -> None:
    content = pickle.dumps(Hostile(tmp_path / "mark"))
    (tmp_path / "model.skops").write_bytes(content)
    with pytest.raises(BenchmarkError, match="a pickle could run any code"):
        load_model(change(card, file="model.skops", sha256=sha256(content).hexdigest()))
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize(
    "content", [b"", b"not json", b"[]", b"{}", b"\xff\xfe", b"null", b"[" * 99_999]
)
def test_a_file_that_is_not_a_card_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "card.json").write_bytes(content)
    with pytest.raises(BenchmarkError, match=r"card\.json"):
        read_card(tmp_path / "card.json")


def test_a_missing_card_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="can't read the model card"):
        read_card(tmp_path / "card.json")


def cards_of(folder: Path, card: Path, **cv_scores: float) -> None:
    """Lay out cards of some models as a study does, each with its CV score."""
    models = folder / "speaker-independent" / "models"
    models.mkdir(parents=True)
    for model, score in cv_scores.items():
        copy = Path(shutil.copy(card, models / f"{model}.json"))
        change(copy, model=model, cv_score=score)


def test_the_selected_model_has_the_best_cv_score(card: Path, tmp_path: Path) -> None:
    cards_of(tmp_path / "small", card, mlp=0.6, ensemble=0.7, svc=0.5)
    assert find_card(tmp_path / "small", "small", None, None).stem == "ensemble"


def test_a_speaker_independent_split_is_the_default(finished: Bench) -> None:
    found = find_card(finished.project / "features_cache" / "small", "small", None, None)
    assert read_card(found).split == "speaker-independent"


def test_a_model_and_a_split_can_be_named(finished: Bench) -> None:
    folder = finished.project / "features_cache" / "small"
    found = read_card(find_card(folder, "small", "speaker-dependent", "random_forest"))
    assert (found.split, found.model) == ("speaker-dependent", "random_forest")


@pytest.mark.parametrize(
    ("split", "model", "words"),
    [
        ("speaker-independant", None, "Did you mean 'speaker-independent'?"),
        (None, "random_forrest", "Did you mean 'random_forest'?"),
    ],
)
def test_an_unknown_split_or_model_is_refused(
    finished: Bench, split: str | None, model: str | None, words: str
) -> None:
    folder = finished.project / "features_cache" / "small"
    with pytest.raises(BenchmarkError) as refused:
        find_card(folder, "small", split, model)
    assert words in str(refused.value)


def test_a_study_that_has_not_run_has_no_model(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="run-study quickstart"):
        find_card(tmp_path / "quickstart", "quickstart", None, None)


def test_a_study_that_does_not_exist_is_refused_with_the_nearest_that_has_models(
    finished: Bench,
) -> None:
    with pytest.raises(BenchmarkError) as refused:
        find_card(finished.project / "features_cache" / "smal", "smal", None, None)
    assert "unknown study 'smal'. Did you mean 'small'?" in str(refused.value)

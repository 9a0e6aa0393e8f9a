"""Conditions: selected models measured again on changed test clips, after the selection."""

from __future__ import annotations

import io
import json
import shutil
import sqlite3
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from benchmark.errors import BenchmarkError
from benchmark.evaluation.conditions import under_conditions
from benchmark.evaluation.leaderboard import METRIC, leaderboard
from benchmark.evaluation.results import Result, read_result
from benchmark.features import AUGMENTATIONS, Augmentation
from benchmark.features.channel import Codec
from benchmark.report.sections import SECTIONS
from benchmark.report.study_page import study_page
from benchmark.study import Study
from benchmark.tracking.cards import read_card
from benchmark.tracking.registered_model import version_description
from benchmark.validation import check
from tests.support.bench import SMALL_STUDY, Bench, changed_bench, make_ready, refused_line
from tests.support.records import write_sealed
from tests.support.results import SMALL, make, study

CONDITIONS = ["telephone", "level=0", "snr=-10", "reverberation", "telephone+snr=10"]
WITH_CONDITIONS = {
    'augment  = ["noise"]': f'augment  = ["noise"]\nconditions = {CONDITIONS}'.replace("'", '"')
}


@pytest.fixture(scope="module")
def measured(tones: Path, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """The small study with conditions, run once by two workers; read-only."""
    bench = make_ready(tmp_path_factory.mktemp("measured"), tones, text_with(WITH_CONDITIONS))
    bench.run("--workers", "2")
    return bench


def text_with(changes: dict[str, str]) -> str:
    """The small study with some lines replaced."""
    text = SMALL_STUDY
    for before, after in changes.items():
        text = text.replace(before, after)
    return text


def result_of(bench: Bench) -> Result:
    """The stored result of the small study."""
    return read_result(bench.project / "reports/results/small")


def recorded_rows(result: Result, protocol: str) -> pd.DataFrame:
    """The predictions of a protocol's selected model on the clips as recorded."""
    model = leaderboard(result).selected[protocol].model
    rows = result.predictions
    return rows[(rows["protocol"] == protocol) & (rows["model"] == model)].reset_index(drop=True)


@pytest.mark.parametrize("protocol", ["speaker-dependent", "speaker-independent"])
@pytest.mark.parametrize("condition", CONDITIONS)
def test_the_selected_model_predicts_each_test_clip_under_each_condition(
    protocol: str, condition: str, measured: Bench
) -> None:
    result = result_of(measured)
    expected = recorded_rows(result, protocol)
    rows = result.conditions.query("protocol == @protocol and condition == @condition")
    identity = ["protocol", "model", "clip", "corpus", "speaker", "gender", "emotion"]
    pd.testing.assert_frame_equal(rows[identity].reset_index(drop=True), expected[identity])
    assert list(rows) == ["protocol", "condition", *list(expected)[1:]]
    probabilities = [name for name in rows if name.startswith("p_")]
    unchanged = rows[probabilities].reset_index(drop=True).equals(expected[probabilities])
    assert unchanged is (condition == "level=0")


def test_conditions_change_nothing_else_of_a_result(measured: Bench, finished: Bench) -> None:
    stored, without = (bench.bytes_of("reports/results/small") for bench in (measured, finished))
    assert set(stored) - set(without) == {"conditions.parquet"}
    tables = [name for name in without if not name.endswith(".json")]
    assert {name: stored[name] for name in tables} == {name: without[name] for name in tables}
    assert b"conditions" not in without["study.json"]
    looks = [bench.bytes_of("reports")["looks.csv"] for bench in (measured, finished)]
    rows = [pd.read_csv(io.BytesIO(one)).drop(columns=["digest", "check"]) for one in looks]
    pd.testing.assert_frame_equal(*rows)


def test_conditions_added_later_by_one_worker_give_the_same_bytes_and_no_new_look(
    finished: Bench, measured: Bench, tmp_path: Path
) -> None:
    copy = Bench(tmp_path / "small.toml", finished.table, tmp_path / "project")
    shutil.copytree(finished.project, copy.project)
    copy.study.write_text(text_with(WITH_CONDITIONS))
    copy.run()
    looks = [bench.bytes_of("reports")["looks.csv"] for bench in (copy, finished)]
    assert looks[0] == looks[1]
    written, expected = copy.bytes_of("reports"), measured.bytes_of("reports")
    assert {**written, "looks.csv": b""} == {**expected, "looks.csv": b""}


def test_differences_are_paired_with_the_clips_as_recorded(measured: Bench) -> None:
    board = leaderboard(result_of(measured))
    recorded = board.selected_evaluation("speaker-dependent").scores[METRIC]
    found = {one.condition: one for one in under_conditions(board, "speaker-dependent")}
    assert list(found) == CONDITIONS
    for one in found.values():
        assert one.difference.value == pytest.approx(one.score.value - recorded.value)
    assert found["level=0"].score == recorded
    assert found["level=0"].difference.value == 0
    assert not found["level=0"].differs
    assert found["snr=-10"].difference.value < -0.2


def test_the_page_has_a_table_and_a_figure_of_the_conditions(
    measured: Bench, finished: Bench
) -> None:
    page, without = (
        (bench.project / "reports/small.md").read_text() for bench in (measured, finished)
    )
    section = page.partition("\n## Conditions\n")[2].partition("\n## ")[0]
    for condition in CONDITIONS:
        assert section.count(f"\n| `{condition}` |") == 2
    assert "![UAR of the selected models by condition](figures/small/conditions.png)" in section
    assert "No real telephone line" in section
    assert (measured.project / "reports/figures/small/conditions.png").is_file()
    assert "## Conditions" not in without


def test_the_card_of_the_selected_model_and_its_run_have_the_scores_under_the_conditions(
    measured: Bench,
) -> None:
    board = leaderboard(result_of(measured))
    for split in ("speaker-dependent", "speaker-independent"):
        selected = board.selected[split].model
        expected = {one.condition: one.score.value for one in under_conditions(board, split)}
        for model in ("logistic_regression", "random_forest", "ensemble"):
            own = next(
                one for one in read_card(measured.card(split, model)).measured
                if one.protocol == split
            )  # fmt: skip
            values = {name: score.value for name, score in own.conditions.items()}
            assert values == (expected if model == selected else {})
    text = version_description(read_card(measured.card("speaker-independent", selected)))
    assert "UAR on the same clips under simulated conditions: `telephone` " in text
    with sqlite3.connect(measured.project / "mlflow.db") as store:
        rows = store.execute("SELECT DISTINCT key FROM metrics WHERE key LIKE 'test_uar/%'")
        logged = {key for (key,) in rows}
    of_models = {f"test_uar/{one.model}" for one in board.standings}
    assert logged - of_models == {
        "test_uar/telephone",
        "test_uar/level 0",
        "test_uar/snr -10",
        "test_uar/reverberation",
        "test_uar/telephone snr 10",
    }


def test_with_outer_folds_the_card_of_each_folds_selected_model_has_the_conditions(
    tones: Path, tmp_path: Path
) -> None:
    bench = changed_bench(
        tmp_path, tones,
        WITH_CONDITIONS | {
            'protocols = ["speaker-dependent", "speaker-independent"]':
            'protocols = ["speaker-independent"]\nfolds = 2',
            "trials = 6": "trials = 1",
        },
    )  # fmt: skip
    result = result_of(bench)
    board = leaderboard(result)
    expected = {one.condition: one.score.value for one in under_conditions(board, board.leading)}
    for part, chosen in board.selected[board.leading].by_part.items():
        for winner in (one for one in result.winners if one.part == part):
            card = read_card(bench.card(winner.split, winner.model))
            values = {name: score.value for name, score in card.trust.conditions.items()}
            assert values == (expected if winner.model == chosen.model else {})
            worst = f"the worst of {len(CONDITIONS)} conditions: UAR {min(expected.values()):.3f}."
            told = worst if values else "On telephone lines, codecs and noise, it was not measured."
            assert told in card.performance
            assert "speaker-independent (models of all outer folds); chance" in card.performance


def test_a_condition_differs_if_the_interval_over_speakers_excludes_0() -> None:
    drawn = make(clips=42, **SMALL, conditions=["gsm", "level"])
    recorded = pd.concat(
        [recorded_rows(drawn, protocol) for protocol in drawn.study.split.protocols]
    )
    p_first, *others = [name for name in recorded if name.startswith("p_")]
    level = recorded.assign(condition="level")
    gsm = recorded.assign(condition="gsm", **{p_first: 1.0}, **dict.fromkeys(others, 0.0))
    board = leaderboard(replace(drawn, conditions=pd.concat([level, gsm])))
    worse, same = under_conditions(board, "speaker-independent")
    assert worse.score.value == pytest.approx(1 / 7)
    assert worse.differs
    assert (same.difference.value, same.differs) == (0, False)
    facts = SECTIONS["conditions"].facts(board)
    page = study_page(board, None, {"conditions": facts})
    assert "lowest under `gsm`: 0.143" in page
    assert "The interval of the difference includes 0 under: `level`." in page


@pytest.mark.parametrize(
    "scale",
    [
        "",
        '[scale]\nclips = "others"\nn_clips = 4\n',
        '[scale]\nclips = "first"\nn_clips = 4\nn_prior_clips = 5\n',
    ],
)
def test_test_clips_are_normalised_by_clips_under_the_same_condition(
    scale: str, tones: Path, tmp_path: Path
) -> None:
    changes = {
        'augment  = ["noise"]': 'normalise = "speaker"\nconditions = ["level=0", "level=-12"]',
        "\n[split]": f"\n{scale}\n[split]",
        "trials = 6": "trials = 1",
    }
    result = result_of(changed_bench(tmp_path, tones, changes))
    for protocol in ("speaker-dependent", "speaker-independent"):
        expected = recorded_rows(result, protocol)
        rows = result.conditions.query("protocol == @protocol and condition == 'level=0'")
        pd.testing.assert_frame_equal(
            rows.drop(columns="condition").reset_index(drop=True), expected
        )


def test_models_selected_per_outer_fold_are_measured_with_covariates(
    tones: Path, tmp_path: Path
) -> None:
    changes = {
        'augment  = ["noise"]': 'covariates = ["gender"]\nconditions = ["level=0"]',
        "\n[search]": "folds = 3\n\n[search]",
        "trials = 6": "trials = 1",
    }
    result = result_of(changed_bench(tmp_path, tones, changes))
    board = leaderboard(result)
    assert len(set(result.conditions["part"])) > 1
    for protocol in board.protocols:
        (one,) = under_conditions(board, protocol)
        assert one.score == board.selected_evaluation(protocol).scores[METRIC]


@pytest.mark.parametrize(
    ("conditions", "message"),
    [
        (["telefone"], "conditions: augmentation 'telefone'"),
        (["gsm=12"], "'12' is not an allowed amount of gsm. Allowed: 13 to 13"),
        (["mp3=8"], "'8' is not an allowed amount of mp3. Allowed: 16 to 128"),
        (["snr", "snr=10"], "conditions: 'snr' and 'snr=10' are the same. Remove one of them."),
        (["rare"], "conditions: rare needs Rare codec, which the installed libsndfile lacks."),
    ],
)
def test_wrong_conditions_are_refused_in_one_line(
    conditions: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rare = Augmentation(
        name="rare",
        description="Codes by a codec that no build has.",
        amount=1.0,
        unit="kbit/s",
        lowest=1.0,
        highest=1.0,
        apply=lambda samples, _rate_hz, _amount, _rng: samples,
        codec=Codec("Rare codec", "WAV", "NONE", 8_000),
    )
    monkeypatch.setitem(AUGMENTATIONS, "rare", rare)
    settings = study(conditions=conditions, compare=[], claims=None)
    with pytest.raises(BenchmarkError) as refusal:
        check(Study.model_validate(settings), "study")
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_condition_that_leaves_too_little_of_a_clip_is_refused(measured: Bench) -> None:
    line = refused_line(
        *("run-study", str(measured.study), "--corpus", f"csv={measured.table}"),
        *("--project", str(measured.project), "--set", 'conditions=["speed=2+stretch=4"]'),
    )
    assert "conditions: speed=2+stretch=4: csv/" in line
    assert "can't be used: shorter than a frame" in line
    assert "remove this one, or choose another amount" in line


def test_conditions_on_own_tables_are_refused(measured: Bench) -> None:
    folder = measured.project / "features_cache/small/speaker-independent"
    line = refused_line(
        *("run-study", str(measured.study), "--project", str(measured.project)),
        *("--train", str(folder / "train.csv"), "--test", str(folder / "test.csv")),
    )
    assert "conditions does not apply to your own tables" in line


def test_a_study_without_conditions_has_the_settings_of_before() -> None:
    assert "conditions" not in study()
    assert study(conditions=["gsm"])["conditions"] == ["gsm"]


def test_a_result_under_an_unknown_condition_is_refused(measured: Bench, tmp_path: Path) -> None:
    folder = tmp_path / "small"
    shutil.copytree(measured.project / "reports/results/small", folder)
    record = folder / "study.json"
    changed = record.read_text().replace('"reverberation"', '"toy-hall"')
    write_sealed(record, {k: v for k, v in json.loads(changed).items() if k != "digest"})
    with pytest.raises(BenchmarkError, match="toy-hall") as refusal:
        read_result(folder)
    assert str(folder) in str(refusal.value)

"""Exploration of recordings: correct counts, outliers, neighbours, and the same page every time."""

from __future__ import annotations

import math
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile

from benchmark.corpora.clip import Segment
from benchmark.data import exploration as explore
from benchmark.data.prepare import duplicates
from benchmark.features import feature_set
from benchmark.features.cache import cache_name
from benchmark.features.recordings import inspect_file
from benchmark.report.data_figures import emotion_colours, speaker_colours
from tests.support.bench import SMALL_STUDY, Bench

FIGURES = ("durations.png", "examples.png", "plane.png", "voices.png")


def clips(**columns: Any) -> pd.DataFrame:
    """Eight ordinary clips of two speakers, two emotions and two takes; some columns changed."""
    table = pd.DataFrame(
        {
            "clip": [f"toys/{number}" for number in range(8)],
            "corpus": "toys",
            "speaker": ["toys/ann", "toys/bob"] * 4,
            "gender": ["female", "male"] * 4,
            "emotion": ["low", "low", "high", "high"] * 2,
            "statement": "s1",
            "intensity": "normal",
            "samples": [f"digest {number}" for number in range(8)],
            "as_named": True,
            "suffix": ".wav",
            "container": "WAV",
            "encoding": "PCM_16",
            "channels": 1,
            "sample_rate_hz": 22_050,
            "duration_s": np.linspace(1.0, 1.2, 8),
            "peak": 0.5,
            "n_full": 0,
            "trimmed_s": 0.9,
            "level_db": np.linspace(-30.0, -28.0, 8),
            "pitch_hz": 200.0,
            "voiced": 0.7,
        }
    )
    return table.assign(**columns)


def last(usual: object, odd: object) -> list[object]:
    """Seven times the usual and once the odd."""
    return [usual] * 7 + [odd]


@pytest.fixture(scope="module")
def explored(
    tones: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Bench, subprocess.CompletedProcess[str]]:
    """The small study, explored by one worker."""

    folder = tmp_path_factory.mktemp("explored")
    (folder / "small.toml").write_text(SMALL_STUDY)
    (folder / "project").mkdir()
    bench = Bench(folder / "small.toml", tones, folder / "project")
    return bench, look(bench, "--workers", "1")


def look(bench: Bench, *arguments: str) -> subprocess.CompletedProcess[str]:
    return bench.invoke("explore", str(bench.study), "--corpus", f"csv={bench.table}", *arguments)


def test_the_command_prints_where_the_page_is(
    explored: tuple[Bench, subprocess.CompletedProcess[str]],
) -> None:
    bench, said = explored
    assert said.stdout.strip() == str(bench.project / "reports" / "small_data.md")


def test_the_page_shows_every_figure_that_is_drawn(
    explored: tuple[Bench, subprocess.CompletedProcess[str]],
) -> None:
    bench, _ = explored
    written = bench.bytes_of("reports")
    page = written["small_data.md"].decode()
    assert sorted(written) == [*(f"figures/small_data/{name}" for name in FIGURES), "small_data.md"]
    assert [name for name in FIGURES if f"(figures/small_data/{name})" not in page] == []


@pytest.mark.parametrize(
    "words",
    [
        "72 clips from 6 speakers in own recordings",
        "| own recordings | 24 | 24 | 24 | 72 |",
        "| own recordings | 36 | 36 | 72 |",
        "| `csv/s3` | female | 12 | 4 | 4 | 4 |",
        "WAV PCM_16 (72)",
        "`mfcc-stats` has 60 features",
        "No two clips have identical samples",
        "No clip is unusable or missing, and no file is excluded",
    ],
)
def test_the_page_says(
    explored: tuple[Bench, subprocess.CompletedProcess[str]], words: str
) -> None:
    bench, _ = explored
    assert words in (bench.project / "reports" / "small_data.md").read_text()


def test_the_page_holds_no_path(
    explored: tuple[Bench, subprocess.CompletedProcess[str]],
) -> None:
    bench, _ = explored
    page = (bench.project / "reports" / "small_data.md").read_text()
    assert str(bench.table.parent) not in page
    assert str(bench.project) not in page


def test_more_workers_give_the_same_bytes(
    explored: tuple[Bench, subprocess.CompletedProcess[str]], bench: Bench
) -> None:
    first, _ = explored
    look(bench, "--workers", "2")
    assert bench.bytes_of("reports") == first.bytes_of("reports")


def test_a_changed_study_has_a_page_of_its_own(bench: Bench) -> None:
    look(bench, "--set", 'emotions=["low", "high"]')
    (page,) = (bench.project / "reports").glob("*.md")
    assert page.name.startswith("small@")
    assert 'The data differ from the study file: `emotions=["low", "high"]`.' in page.read_text()


def test_the_features_are_at_the_studys_own_rate(bench: Bench) -> None:
    look(bench, "--set", "sample_rate_hz=16000")
    expected = cache_name(feature_set("mfcc-stats", 16_000))
    found = {path.name for path in (bench.project / "features_cache").glob("mfcc-stats-*.sqlite")}
    assert found == {expected}


def test_neighbours_of_the_same_speaker_do_not_show_the_emotion_of_other_speakers() -> None:
    """Speakers are far apart; an emotion lies on opposite sides of the two speakers."""
    speaker = np.array([0.0, 10.0] * 4)
    side = np.array([0.0, 1.0, 1.0, 0.0] * 2)
    noise = np.random.default_rng(0).normal(0, 0.01, (8, 2))
    shares = explore.neighbours(np.column_stack([speaker, side]) + noise, clips())
    assert list(shares.loc["", ["speaker", "corpus", "emotion"]]) == [1.0, 1.0, 1.0]
    assert shares.loc["", "emotion_elsewhere"] == 0.0


def test_a_copy_of_the_same_recording_is_not_a_neighbour() -> None:
    values = np.array([0.0, 5.0, 5.5, 5.0, 0.0, 9.0, 9.5, 20.0])[:, np.newaxis]
    copied = clips(samples=["a", "b", "c", "b", "a", "d", "e", "f"])
    points = explore.standardised(values)
    codes = pd.factorize(copied["samples"].to_numpy())[0]
    nearest, _ = explore.nearest_clips(points, codes, codes)
    assert nearest.tolist() == [1, 2, 1, 2, 1, 6, 5, 6]


def test_neighbours_equal_those_of_a_plain_search() -> None:
    rng = np.random.default_rng(1)
    points = rng.normal(size=(60, 5))
    speaker = rng.integers(0, 4, 60)
    distance = np.linalg.norm(points[:, np.newaxis] - points, axis=2)
    np.fill_diagonal(distance, np.inf)
    nearest, elsewhere = explore.nearest_clips(points, np.arange(60), speaker)
    assert nearest.tolist() == distance.argmin(axis=1).tolist()
    distance[speaker[:, np.newaxis] == speaker] = np.inf
    assert elsewhere.tolist() == distance.argmin(axis=1).tolist()


def test_a_single_speaker_has_no_neighbour_of_another_speaker() -> None:
    values = np.random.default_rng(2).normal(size=(8, 3))
    shares = explore.neighbours(values, clips(speaker="toys/ann"))
    assert shares["emotion_elsewhere"].isna().all()
    assert shares.loc["", "speaker"] == 1.0


def test_chance_is_the_mean_over_all_pairs() -> None:
    table = clips(
        speaker=["a", "a", "a", "b", "b", "c", "c", "c"],
        emotion=["x", "x", "y", "x", "y", "y", "y", "x"],
    )
    pairs = [(i, j) for i in range(8) for j in range(8) if i != j]
    same = {
        name: np.mean([table[name][i] == table[name][j] for i, j in pairs])
        for name in ("speaker", "corpus", "emotion")
    }
    strangers = [
        np.mean(
            [table["emotion"][i] == table["emotion"][j] for j in range(8) if other(table, i, j)]
        )
        for i in range(8)
    ]
    chance = explore.neighbours(np.random.default_rng(3).normal(size=(8, 2)), table).loc["chance"]
    assert chance[["speaker", "corpus", "emotion"]].to_dict() == pytest.approx(same)
    assert chance["emotion_elsewhere"] == pytest.approx(np.mean(strangers))


def other(table: pd.DataFrame, first: int, second: int) -> bool:
    return bool(table["speaker"][first] != table["speaker"][second])


def test_explained_variance_tells_speaker_from_emotion() -> None:
    table = clips(
        level_db=[-30.0, -20.0] * 4,  # the speaker's alone
        pitch_hz=[100.0, 100.0, 200.0, 200.0] * 2,  # the emotion's alone
    )
    explained = explore.explained_variance(table)
    assert explained.loc["level_db"].to_dict() == pytest.approx({"emotion": 0.0, "speaker": 1.0})
    assert explained.loc["pitch_hz"].to_dict() == pytest.approx({"emotion": 1.0, "speaker": 0.0})


def test_the_explained_variance_of_a_constant_is_nan() -> None:
    assert explore.explained_variance(clips()).loc["pitch_hz"].isna().all()


def test_constant_and_correlated_features_are_found() -> None:
    rng = np.random.default_rng(4)
    first, second = rng.normal(size=(2, 300))
    values = np.column_stack(
        [
            first,
            np.full(300, 7.0),
            -2.0 * first + 0.01 * rng.normal(size=300),
            np.where(np.arange(300) < 2, first, 0.0),
            second,
        ]
    )
    facts = explore.feature_facts(values, ("own", "flat", "copy", "rare", "other"))
    assert facts.constant == ("flat", "rare")
    assert [pair[:2] for pair in facts.correlated] == [("own", "copy")]
    assert facts.correlated[0][2] == pytest.approx(-1.0, abs=1e-3)
    assert facts.n_remaining == 2


OUTLIER_CLIPS = {
    "sample_rate": {"sample_rate_hz": last(22_050, 48_000)},
    "channels": {"channels": last(1, 2)},
    "extension": {"as_named": last(True, False), "container": last("WAV", "AIFF")},
    "clipped": {"n_full": last(0, 300)},
    "quiet": {"level_db": [*np.linspace(-30.0, -28.0, 7), -60.0]},
    "short": {"duration_s": [*np.linspace(1.0, 1.2, 7), 0.2]},
    "long": {"duration_s": [*np.linspace(1.0, 1.2, 7), 6.0]},
}


@pytest.mark.parametrize("kind", explore.OUTLIER_KINDS)
def test_an_outlier_is_found(kind: str) -> None:
    (outlier,) = explore.outliers(clips(**OUTLIER_CLIPS[kind]))
    assert (outlier.clip, outlier.corpus, outlier.kind) == ("toys/7", "toys", kind)


def test_ordinary_recordings_are_not_outliers() -> None:
    assert explore.outliers(clips()) == ()


def test_equal_samples_are_duplicates() -> None:
    table = clips(samples=["a", "b", "a", "c", "d", "b", "e", "f"])
    assert duplicates(table) == (("toys/0", "toys/2"), ("toys/1", "toys/5"))


def test_equal_or_unknown_values_are_not_outliers() -> None:
    assert explore.modified_z(np.array([2.0, 2.0, 2.0, 9.0])).tolist() == [0.0] * 4
    assert explore.modified_z(np.array([math.nan, math.nan])).tolist() == [0.0] * 2
    assert explore.modified_z(np.array([1.0, 2.0, 3.0, math.nan]))[3] == 0.0


def test_a_sample_keeps_the_fractions_of_speakers_and_emotions() -> None:
    table = pd.concat([clips()] * 50, ignore_index=True)
    drawn = table.iloc[explore.stratified_sample(table, 100, seed=0)]
    assert len(drawn) == 100
    assert set(drawn.groupby(["speaker", "emotion"]).size()) == {25}


def test_a_sample_depends_on_its_seed() -> None:
    table = pd.concat([clips()] * 50, ignore_index=True)
    first, again, other_seed = (
        explore.stratified_sample(table, 40, seed).tolist() for seed in (0, 0, 1)
    )
    assert first == again
    assert first != other_seed


def test_a_sample_of_few_clips_has_all_of_them() -> None:
    assert explore.stratified_sample(clips(), 100, seed=0).tolist() == list(range(8))


def test_examples_are_of_one_speaker_and_statement_spoken_normally() -> None:
    table = clips(
        speaker=["toys/ann", "toys/bob", "toys/ann", "toys/bob"] * 2,
        emotion=["low", "low", "high", "low", "low", "low", "high", "low"],
        intensity=["strong", "normal", "strong", "normal", "normal", "normal", "normal", "normal"],
    )
    assert explore.choose_examples(table) == {"high": 6, "low": 4}


def test_an_emotion_missing_for_the_speaker_comes_from_another() -> None:
    table = clips(emotion=["low", "odd", "high", "low", "low", "low", "high", "low"])
    assert explore.choose_examples(table) == {"high": 2, "low": 0, "odd": 1}


@pytest.mark.parametrize("n_clips", [4, 40])
def test_a_map_has_coordinates_for_each_clip(n_clips: int) -> None:
    values = np.random.default_rng(5).normal(size=(n_clips, 6))
    places = explore.tsne_map(values)
    assert places.shape == (n_clips, 2)
    assert np.isfinite(places).all()


def test_a_file_format_is_read_from_its_content_not_its_name(tmp_path: Path) -> None:
    tone = np.clip(1.2 * np.sin(np.arange(4_800) / 10), -1, 1)
    path = tmp_path / "tone.wav"
    with path.open("wb") as file:
        soundfile.write(file, np.column_stack([tone, 0.5 * tone]), 48_000, format="AIFF")
    facts = inspect_file(path)
    assert not facts.as_named
    assert facts[:5] == (".wav", "AIFF", "PCM_16", 2, 48_000)
    assert facts.duration_s == pytest.approx(0.1)
    assert facts.peak == pytest.approx(1.0, abs=1e-3)
    assert facts.n_full == pytest.approx((np.abs(tone) >= 0.999).sum(), abs=2)


def test_the_facts_of_a_segment_are_those_of_its_samples(tmp_path: Path) -> None:
    path = tmp_path / "tone.wav"
    soundfile.write(path, np.repeat([0.1, 0.5, 0.2], 16_000), 16_000)
    facts = inspect_file(path, Segment(2.0, None))
    assert (facts.duration_s, facts.peak) == (1.0, pytest.approx(0.2, abs=1e-3))
    facts = inspect_file(path, Segment(0.5, 1.5))
    assert (facts.duration_s, facts.peak) == (1.0, pytest.approx(0.5, abs=1e-3))


@pytest.mark.parametrize(("ending", "kind"), [("wav", "WAV"), ("flac", "FLAC"), ("ogg", "OGG")])
def test_the_extension_of_a_usual_file_matches_its_content(
    tmp_path: Path, ending: str, kind: str
) -> None:
    path = tmp_path / f"tone.{ending}"
    soundfile.write(path, 0.1 * np.sin(np.arange(4_800) / 10), 16_000, format=kind)
    facts = inspect_file(path)
    assert facts.as_named
    assert facts.n_full == 0


def test_all_emotions_and_speakers_have_different_colours() -> None:
    from benchmark.corpora import known_emotions

    emotions = known_emotions()
    assert len(set(emotion_colours(emotions).values())) == len(emotions)
    assert len(set(speaker_colours(91))) == 91


@pytest.mark.recordings
def test_clips_of_savee_are_nearest_to_clips_of_their_speaker(
    recordings: Path, tmp_path: Path
) -> None:
    study = tmp_path / "savee_only.toml"
    study.write_text(
        'question = "Who speaks?"\ncorpora = ["savee"]\nemotions = ["angry", "neutral", "sad"]\n'
        'features = "mfcc-stats"\n[search]\ntrials = 1\nfolds = 2\nmetric = "uar"\n'
        "[models.logistic_regression]\nC = 1.0\n"
    )
    bench = Bench(study, recordings, tmp_path)
    bench.invoke("explore", str(study), "--corpora", str(recordings))
    page = (tmp_path / "reports" / "savee_only_data.md").read_text()
    (row,) = [line for line in page.splitlines() if line.startswith("| all clips ")]
    speaker, emotion, elsewhere = (
        float(cell.replace("\N{NO-BREAK SPACE}%", "")) for cell in row.strip("|").split("|")[1:]
    )
    assert speaker > 95
    assert emotion > elsewhere


@pytest.mark.recordings
def test_a_corpus_that_is_left_out_is_named_on_the_page(recordings: Path, tmp_path: Path) -> None:
    study = tmp_path / "with_jl.toml"
    study.write_text(
        'question = "Who speaks?"\ncorpora = ["savee", "jl"]\nemotions = ["angry", "neutral"]\n'
        'features = "mfcc-stats"\n[search]\ntrials = 1\nfolds = 2\nmetric = "uar"\n'
        "[models.logistic_regression]\nC = 1.0\n"
    )
    options = ("--corpora", str(recordings), "--allow-missing", "jl")
    Bench(study, recordings, tmp_path).invoke("explore", str(study), *options)
    page = (tmp_path / "reports" / "with_jl_data.md").read_text()
    assert "JL is left out: 50 of 2,400 clips were found." in page
    assert "This page describes only SAVEE." in page
    assert "| JL | 2,400 | 50 | 0 | 0 | – | – |" in page

"""The clips that set the scale of a test speaker."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmark.corpora import Clip
from benchmark.data.normalisation import normalised, normalised_tests, training_statistics
from benchmark.errors import BenchmarkError
from benchmark.features import FEATURE_SETS, Extracted
from benchmark.study import Scale, Study, read_study
from tests.support.bench import Bench, changed_bench

EMOTIONS = ("angry", "happy", "neutral", "sad")
N_FEATURES = 2
TEXT = """
question = "q"
corpora  = ["csv"]
emotions = ["angry", "happy", "neutral", "sad"]
features = "means-184"
normalise = "speaker"
[search]
trials = 1
folds  = 2
metric = "uar"
[models.lda]
"""


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return written(tmp_path, TEXT)


def written(folder: Path, text: str) -> Study:
    path = folder / "scaled.toml"
    path.write_text(text, encoding="utf-8")
    return read_study(path)


def extracted(n_each: int = 12) -> Extracted:
    """Two speakers with as many clips of each emotion, whose features are far apart."""
    rng = np.random.default_rng(0)
    clips = [
        Clip("csv", f"{voice}-{emotion}-{n}", Path("x.wav"), f"csv/{voice}", "female", emotion)
        for voice in ("a", "b")
        for emotion in EMOTIONS
        for n in range(n_each)
    ]
    centre = np.array([10.0 * EMOTIONS.index(c.emotion) for c in clips])[:, None]
    values = (rng.normal(size=(len(clips), N_FEATURES)) + centre).astype(np.float32)
    digests = tuple(clip.id for clip in clips)
    features = FEATURE_SETS["means-184"]
    return Extracted(features, tuple(clips), values, (), digests, (1.0,) * len(clips), 0, 0)


def scaled(study: Study, originals: Extracted, scale: Scale | None) -> np.ndarray:
    """Every clip as a test clip."""
    return normalised_tests(study, originals, scale, np.ones(len(originals.clips), bool)).values


def test_all_clips_set_the_scale_as_in_training(study: Study) -> None:
    originals = extracted()
    expected = normalised(study, originals, {})[0].values
    for scale in (None, Scale()):
        assert (scaled(study, originals, scale) == expected).all()


def test_all_other_clips_leave_out_the_clip_itself(study: Study) -> None:
    originals = extracted()
    found = scaled(study, originals, Scale(clips="others"))
    own = np.array([clip.speaker == "csv/a" for clip in originals.clips])
    own[0] = False
    others = originals.values[own].astype(np.float64)
    expected = (originals.values[0] - others.mean(axis=0)) / others.std(axis=0)
    assert found[0] == pytest.approx(expected, rel=1e-5)


def test_neutral_clips_set_the_scale_without_the_clip_itself(study: Study) -> None:
    originals = extracted()
    found = scaled(study, originals, Scale(clips="neutral"))
    neutral = np.array([c.id.startswith("csv/a-neutral") for c in originals.clips])
    for row in (0, int(np.flatnonzero(neutral)[0])):
        chosen = neutral.copy()
        chosen[row] = False
        scale = originals.values[chosen].astype(np.float64)
        expected = (originals.values[row] - scale.mean(axis=0)) / scale.std(axis=0)
        assert found[row] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(("by", "group"), [("speaker", "csv/a"), ("corpus", "csv")])
def test_the_first_clips_set_one_scale_and_stay_the_first_ones_if_there_are_more(
    study: Study, by: str, group: str
) -> None:
    study, originals = study.model_copy(update={"normalise": by}), extracted(n_each=2)
    own = [n for n, clip in enumerate(originals.clips) if getattr(clip, by) == group]
    drawn = {}
    for n_clips in (3, 4):
        found = scaled(study, originals, Scale(clips="first", n_clips=n_clips))[own]
        (drawn[n_clips],) = (
            set(rows)
            for rows in combinations(own, n_clips)
            if np.allclose(found, standardised_by(originals.values[list(rows)], originals, own))
        )
    assert drawn[3] < drawn[4]


def standardised_by(few: np.ndarray, originals: Extracted, own: list[int]) -> np.ndarray:
    return (originals.values[own] - few.mean(axis=0)) / few.std(axis=0)


def test_a_prior_moves_the_scale_towards_that_of_a_training_speaker(study: Study) -> None:
    originals = extracted()
    train = np.array([clip.speaker == "csv/b" for clip in originals.clips])
    training = training_statistics(study, originals, train)
    mean, std = (of(axis=0) for of in (originals.values[train].mean, originals.values[train].std))
    few, shrunk, prior_alone = (
        normalised_tests(
            study, originals, Scale(clips="first", n_clips=3, n_prior_clips=n), ~train, training
        ).values
        for n in (0, 5, 10**9)
    )
    assert prior_alone == pytest.approx((originals.values[~train] - mean) / std, abs=1e-4)
    weights = {}
    for name, found in (("few", few), ("shrunk", shrunk), ("prior", prior_alone)):
        slope, offset = np.polyfit(originals.values[~train][:, 0], found[:, 0], 1)
        weights[name] = np.array([-offset / slope, slope**-2])  # mean and variance of its scale
    expected = (3 * weights["few"] + 5 * weights["prior"]) / 8
    assert weights["shrunk"] == pytest.approx(expected, rel=1e-3)


def test_training_statistics_count_each_training_speaker_alike(study: Study) -> None:
    originals = extracted()
    train = np.ones(len(originals.clips), dtype=bool)
    train[1:48] = False  # one clip of the first speaker is left
    both = training_statistics(study, originals, train)
    (first,), second = originals.values[:1], originals.values[48:]
    assert both.mean == pytest.approx((first + second.mean(axis=0)) / 2, rel=1e-5)


def test_draws_differ_by_clip_and_seed_and_are_repeatable(study: Study) -> None:
    originals, scale = extracted(), Scale(clips="others", n_clips=3)
    first = scaled(study, originals, scale)
    assert (scaled(study, originals, scale) == first).all()
    reseeded = study.model_copy(update={"seed": 1})
    assert (scaled(reseeded, originals, scale) != first).any()


def test_a_skewed_call_is_mostly_of_one_emotion_with_the_test_clip_as_any_of_it(
    study: Study,
) -> None:
    originals = extracted(n_each=40)
    call = Scale(clips="call", n_clips=30, fraction_of_one_emotion=0.8)
    values = scaled(study, originals, call)
    # Emotions are ten standard deviations apart, so the main emotion's clips lie near the centre.
    assert 0.65 < near_centre(values) < 0.95
    mixed = scaled(study, originals, Scale(clips="others", n_clips=29))
    assert np.abs(values).max() > np.abs(mixed).max()


def test_the_main_emotion_of_a_skewed_draw_does_not_depend_on_the_test_clip(study: Study) -> None:
    originals = extracted(n_each=40)
    skewed = Scale(clips="skewed", n_clips=30, fraction_of_one_emotion=0.8)
    values = scaled(study, originals, skewed)
    assert 0.1 < near_centre(values) < 0.45  # one of four emotions is the test clip's


def near_centre(values: np.ndarray) -> float:
    return float((np.abs(values) < 0.9).all(axis=1).mean())


@pytest.mark.parametrize(
    ("scale", "words"),
    [
        (
            Scale(clips="others", n_clips=50),
            "needs 50 clips beside csv/a-angry-0 of the same speaker, but there are 47",
        ),
        (Scale(clips="first", n_clips=50), "needs 50 clips of csv/a, but there are 48"),
        (
            Scale(clips="skewed", n_clips=40, fraction_of_one_emotion=0.8),
            "needs 1 emotion with 32 clips beside csv/a-angry-0",
        ),
    ],
)
def test_a_speaker_with_too_few_clips_is_refused(study: Study, scale: Scale, words: str) -> None:
    with pytest.raises(BenchmarkError, match=words):
        scaled(study, extracted(), scale)


def test_a_speaker_without_neutral_clips_is_refused(study: Study) -> None:
    rows = [n for n, clip in enumerate(extracted().clips) if clip.emotion != "neutral"]
    whole = extracted()
    cut = Extracted(
        whole.features, tuple(whole.clips[n] for n in rows), whole.values[rows], (),
        tuple(whole.samples_digests[n] for n in rows), (1.0,) * len(rows), 0, 0,
    )  # fmt: skip
    with pytest.raises(BenchmarkError, match="needs 1 neutral clip"):
        scaled(study, cut, Scale(clips="neutral"))


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ('clips = "all"\nn_clips = 5', 'clips = "all" takes no n_clips'),
        ('clips = "all"\nn_prior_clips = 5', 'clips = "all" takes no n_prior_clips'),
        ('clips = "first"', 'clips = "first" needs n_clips'),
        ('clips = "skewed"\nn_clips = 10', 'clips = "skewed" needs n_clips and fraction'),
        ('clips = "skewed"\nfraction_of_one_emotion = 0.8', "needs n_clips and fraction"),
        ('clips = "others"\nfraction_of_one_emotion = 0.8', 'needs clips = "skewed" or'),
        ('clips = "others"\nn_clips = 1', "must be at least 2"),
        ('clips = "some"', "must be 'all', 'first', 'neutral', 'others', 'skewed' or"),
    ],
)
def test_a_scale_that_makes_no_sense_is_refused(tmp_path: Path, table: str, words: str) -> None:
    with pytest.raises(BenchmarkError) as refused:
        written(tmp_path, f"{TEXT}[scale]\n{table}\n")
    assert words in str(refused.value)


def test_a_scale_without_normalisation_is_refused(tmp_path: Path) -> None:
    text = TEXT.replace('normalise = "speaker"', "")
    with pytest.raises(BenchmarkError, match='needs normalise = "speaker" or normalise = "corpus"'):
        written(tmp_path, f'{text}[scale]\nclips = "neutral"\n')


def test_a_study_with_a_scale_of_few_clips_tests_rows_of_that_scale_and_says_so(
    tones: Path, tmp_path: Path
) -> None:
    changes = {
        'augment  = ["noise"]': 'normalise = "speaker"',
        "[split]": '[scale]\nclips = "others"\nn_clips = 4\n\n[split]',
        'protocols = ["speaker-dependent", "speaker-independent"]': (
            'protocols = ["speaker-independent"]'
        ),
        "trials = 6": "trials = 1",
    }
    bench = changed_bench(tmp_path, tones, changes)
    page = (bench.project / "reports/small.md").read_text()
    assert "**transductive** (normalised by speaker, scale of test speakers: 4 random other" in page
    train, test = (
        pd.read_csv(bench.project / f"features_cache/small/speaker-independent/{side}.csv")
        for side in ("train", "test")
    )
    features = [name for name in train if name.startswith("mfcc")]
    means = [rows.groupby("speaker")[features].mean().abs().to_numpy() for rows in (train, test)]
    assert means[0].max() < 1e-3  # training speakers are scaled by all their clips
    assert means[1].mean() > 0.05


@pytest.fixture
def two_corpora(tones: Path, tmp_path: Path) -> Path:
    """The table of tones, its speakers divided among two corpora."""
    table = pd.read_csv(tones, dtype=str)
    table["path"] = [str(tones.parent / path) for path in table["path"]]
    table["corpus"] = np.where(table["speaker"].isin(["s0", "s1", "s2"]), "Office", "calls")
    table.to_csv(tmp_path / "two.csv", index=False)
    return tmp_path / "two.csv"


def by_corpus(protocols: str, scale: str = "") -> dict[str, str]:
    return {
        'augment  = ["noise"]': 'normalise = "corpus"',
        "[split]": f"{scale}\n[split]",
        'protocols = ["speaker-dependent", "speaker-independent"]': f"protocols = {protocols}",
        "trials = 6\nfolds  = 3": "trials = 1\nfolds  = 2",
    }


def sides(bench: Bench, split: str) -> pd.DataFrame:
    """Features of both sides of a split, with their corpus and side."""
    folder = bench.project / "features_cache/small" / split
    rows = pd.concat(
        pd.read_csv(folder / f"{side}.csv").assign(side=side) for side in ("train", "test")
    )
    return rows.set_index(["side", "corpus"]).filter(like="mfcc")


def test_each_corpus_is_standardised_over_its_own_clips_and_the_page_says_transductive(
    two_corpora: Path, tmp_path: Path
) -> None:
    protocols = '["speaker-dependent", "speaker-independent", "cross-corpus"]'
    bench = changed_bench(tmp_path, two_corpora, by_corpus(protocols))
    for split in ("speaker-dependent", "speaker-independent", "cross-corpus/calls"):
        values = sides(bench, split).groupby("corpus")
        assert values.mean().abs().to_numpy().max() < 1e-4
        assert values.std(ddof=0).to_numpy() == pytest.approx(1, abs=1e-3)
    alone = sides(bench, "cross-corpus/calls").groupby(["side", "corpus"]).mean()
    assert list(alone.index) == [("test", "calls"), ("train", "Office")]
    assert "**transductive** (normalised by corpus)" in page_of(bench)


def test_the_first_clips_of_a_test_corpus_set_its_scale_and_the_page_says_so(
    two_corpora: Path, tmp_path: Path
) -> None:
    scale = '[scale]\nclips = "first"\nn_clips = 4\nn_prior_clips = 5\n'
    bench = changed_bench(tmp_path, two_corpora, by_corpus('["cross-corpus"]', scale))
    means = sides(bench, "cross-corpus/calls").groupby("side").mean().abs()
    assert means.loc["train"].max() < 1e-4
    assert means.loc["test"].mean() > 0.05
    page = page_of(bench)
    words = "scale of test corpora: first 4 clips and training statistics as 5 more"
    assert f"**transductive** (normalised by corpus, {words})" in page
    assert "the first clips are those of an order drawn once from the seed" in page


def page_of(bench: Bench) -> str:
    return (bench.project / "reports/small.md").read_text(encoding="utf-8")

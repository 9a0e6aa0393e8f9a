"""The metrics are scikit-learn's, and the intervals are what the bootstrap over speakers says."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn import metrics as reference

from benchmark.errors import BenchmarkError
from benchmark.evaluation import intervals, metrics

EMOTIONS = ("angry", "calm", "happy", "sad")
REFERENCE = {
    "accuracy": lambda true, predicted, present: reference.accuracy_score(true, predicted),
    "uar": lambda true, predicted, present: reference.recall_score(
        true, predicted, labels=present, average="macro", zero_division=0
    ),
    "macro_f1": lambda true, predicted, present: reference.f1_score(
        true, predicted, labels=present, average="macro", zero_division=0
    ),
    "weighted_f1": lambda true, predicted, present: reference.f1_score(
        true, predicted, labels=present, average="weighted", zero_division=0
    ),
}


def predictions(speakers: dict[str, int], clips: int = 12, seed: int = 0) -> pd.DataFrame:
    """Make rows of a model that is right about half of the time, more so for some speakers."""
    rng = np.random.default_rng(seed)
    rows = []
    for corpus, count in speakers.items():
        for speaker in range(count):
            strength = rng.uniform(0, 3)
            for clip in range(clips):
                true = clip % len(EMOTIONS)
                logits = rng.normal(size=len(EMOTIONS)) + strength * (
                    np.arange(len(EMOTIONS)) == true
                )
                probabilities = np.exp(logits) / np.exp(logits).sum()
                rows.append(
                    {
                        "clip": f"{corpus}/{speaker}-{clip}",
                        "corpus": corpus,
                        "speaker": f"{corpus}/{speaker}",
                        "emotion": EMOTIONS[true],
                    }
                    | {f"p_{e}": p for e, p in zip(EMOTIONS, probabilities, strict=True)}
                )
    return pd.DataFrame(rows)


def predicted(rows: pd.DataFrame) -> list[str]:
    return [EMOTIONS[i] for i in rows[[f"p_{e}" for e in EMOTIONS]].to_numpy().argmax(axis=1)]


ROWS = predictions({"ravdess": 8, "savee": 4, "tess": 1})


@pytest.mark.parametrize("name", metrics.METRICS)
def test_a_metric_equals_scikit_learns(name: str) -> None:
    value = intervals.evaluate(ROWS, EMOTIONS, seed=0).scores[name].value
    assert value == pytest.approx(REFERENCE[name](ROWS["emotion"], predicted(ROWS), EMOTIONS))


@pytest.mark.parametrize("name", metrics.METRICS)
def test_a_corpus_is_not_charged_for_an_emotion_that_it_lacks(name: str) -> None:
    rows = ROWS[ROWS["emotion"] != "calm"]
    present = [emotion for emotion in EMOTIONS if emotion != "calm"]
    value = intervals.evaluate(rows, EMOTIONS, seed=0).scores[name].value
    assert value == pytest.approx(REFERENCE[name](rows["emotion"], predicted(rows), present))


@pytest.mark.parametrize("name", metrics.METRICS)
def test_a_folds_score_equals_scikit_learns(name: str) -> None:
    truth, guess = ROWS["emotion"].to_numpy(), np.array(predicted(ROWS))
    value = metrics.score(name, truth, guess, EMOTIONS)
    assert value == pytest.approx(REFERENCE[name](truth, guess, EMOTIONS))


def test_the_table_by_emotion_and_the_confusion_counts_equal_scikit_learns() -> None:
    evaluation = intervals.evaluate(ROWS, EMOTIONS, seed=0)
    expected = reference.precision_recall_fscore_support(
        ROWS["emotion"], predicted(ROWS), labels=EMOTIONS
    )
    np.testing.assert_allclose(evaluation.per_emotion.to_numpy().T, np.asarray(expected))
    np.testing.assert_array_equal(
        evaluation.confusion,
        reference.confusion_matrix(ROWS["emotion"], predicted(ROWS), labels=EMOTIONS),
    )


def test_an_emotion_that_is_never_predicted_has_precision_and_f1_of_zero() -> None:
    rows = ROWS.assign(p_calm=0.0)
    assert intervals.evaluate(rows, EMOTIONS, seed=0).per_emotion.loc["calm", "precision"] == 0
    assert intervals.evaluate(rows, EMOTIONS, seed=0).per_emotion.loc["calm", "f1"] == 0


def test_each_corpus_counts_once_in_the_mean_over_corpora() -> None:
    evaluation = intervals.evaluate(ROWS, EMOTIONS, seed=0)
    parts = [part.scores["uar"].value for part in evaluation.corpora.values()]
    assert list(evaluation.corpora) == ["ravdess", "savee", "tess"]
    assert evaluation.mean_over_corpora["uar"].value == pytest.approx(np.mean(parts))
    assert evaluation.mean_over_corpora["uar"].over == "speakers or clips"


def spread(draws: list[float]) -> float:
    return float(np.std(draws))


def test_a_bootstrap_over_speakers_draws_whole_speakers() -> None:
    rows = predictions({"ravdess": 7}, seed=3)
    score = intervals.evaluate(rows, EMOTIONS, seed=5).scores["accuracy"]
    rng = np.random.default_rng(11)
    right = (rows["emotion"] == predicted(rows)).groupby(rows["speaker"]).sum().to_numpy()
    slow = [rng.choice(right, size=7).sum() / len(rows) for _ in range(4000)]
    assert score.over == "speakers"
    assert score.error == pytest.approx(spread(slow) * np.sqrt(7 / 6), rel=0.05)


def test_a_bootstrap_over_clips_draws_single_clips_where_there_are_few_speakers() -> None:
    rows = predictions({"tess": 2}, clips=60, seed=3)
    score = intervals.evaluate(rows, EMOTIONS, seed=5).scores["uar"]
    rng = np.random.default_rng(11)
    drawn = [rows.iloc[rng.integers(len(rows), size=len(rows))] for _ in range(400)]
    slow = [
        reference.recall_score(part["emotion"], predicted(part), average="macro") for part in drawn
    ]
    assert score.over == "clips"
    assert score.error == pytest.approx(spread(slow), rel=0.1)


def test_the_interval_of_a_mean_over_speakers_is_scipys() -> None:
    rows = predictions({"ravdess": 9}, seed=3)
    score = intervals.evaluate(rows, EMOTIONS, seed=5).scores["accuracy"]
    right = (rows["emotion"] == predicted(rows)).groupby(rows["speaker"]).mean()
    expected = stats.ttest_1samp(right, 0).confidence_interval(0.95)
    assert (score.low, score.high) == pytest.approx((expected.low, expected.high), abs=0.01)


def test_the_gap_has_welchs_interval() -> None:
    sides = [predictions({"a": speakers}, clips=40, seed=speakers) for speakers in (5, 12)]
    known, unseen = (intervals.evaluate(rows, EMOTIONS, 1).scores["accuracy"] for rows in sides)
    gap = intervals.gap(known, unseen)
    means = [(r["emotion"] == predicted(r)).groupby(r["speaker"]).mean() for r in sides]
    expected = stats.ttest_ind(*means, equal_var=False).confidence_interval(0.95)
    assert (gap.low, gap.high) == pytest.approx((expected.low, expected.high), abs=0.02)


def test_a_speaker_of_most_clips_makes_the_others_count_little() -> None:
    sizes = np.array([52, 52, 52, 52, 52, 52, 120, 1400])
    assert intervals.effective(sizes) == pytest.approx(1.686, abs=0.001)
    assert intervals.effective(np.full(8, 50)) == pytest.approx(8)


def test_a_single_clip_says_nothing() -> None:
    score = intervals.evaluate(ROWS.iloc[:1], EMOTIONS, seed=0).scores["uar"]
    assert (score.low, score.high) == (0, 1)


def test_an_interval_ends_where_the_figure_can_be_no_higher() -> None:
    unit = intervals.Resampled("speakers", 4)
    draws = np.random.default_rng(0).normal(0.95, 0.05, 2000)
    assert intervals.scored(0.95, draws, unit).high == 1
    assert intervals.scored(0.05, draws, unit).low == 0
    assert intervals.scored(0.05, draws, unit, lowest=-1).low < 0


@pytest.mark.parametrize(("speakers", "over"), [(2, "clips"), (3, "speakers")])
def test_three_speakers_are_enough_to_resample_them(speakers: int, over: str) -> None:
    assert intervals.evaluate(predictions({"a": speakers}), EMOTIONS, seed=0).over == over


def test_speakers_who_differ_make_the_interval_wider_than_their_clips_would() -> None:
    by_speaker = predictions({"a": 8}, clips=40, seed=1)
    by_clip = by_speaker.assign(speaker="a/0")
    wide = intervals.evaluate(by_speaker, EMOTIONS, seed=0).scores["uar"]
    narrow = intervals.evaluate(by_clip, EMOTIONS, seed=0).scores["uar"]
    assert wide.high - wide.low > 1.5 * (narrow.high - narrow.low)


def test_the_same_seed_gives_the_same_interval_and_another_one_another() -> None:
    first, again, other = (
        intervals.evaluate(ROWS, EMOTIONS, seed=seed).scores["uar"] for seed in (1, 1, 2)
    )
    assert (first.low, first.high) == (again.low, again.high)
    assert (first.low, first.high) != (other.low, other.high)


def test_the_order_of_the_rows_changes_nothing() -> None:
    shuffled = ROWS.sample(frac=1, random_state=0)
    first, second = (intervals.evaluate(rows, EMOTIONS, seed=0) for rows in (ROWS, shuffled))
    assert first.scores == second.scores
    assert first.mean_over_corpora == second.mean_over_corpora


def test_the_gap_is_the_difference_of_the_figures_with_draws_of_both_sides() -> None:
    known = intervals.evaluate(predictions({"a": 9}, seed=1), EMOTIONS, seed=1).scores["uar"]
    unseen = intervals.evaluate(predictions({"a": 9}, seed=2), EMOTIONS, seed=2).scores["uar"]
    gap = intervals.gap(known, unseen)
    assert gap.value == known.value - unseen.value
    assert gap.low < gap.value < gap.high
    assert gap.high - gap.low > max(known.high - known.low, unseen.high - unseen.low)


def test_seeds_of_different_names_differ() -> None:
    seeds = {
        intervals.bootstrap_seed(0, *names) for names in [(), ("random",), ("speaker",), ("r", "s")]
    }
    assert len(seeds) == 4


@pytest.mark.parametrize(
    ("rows", "words"), [(ROWS.iloc[:0], "no predictions"), (ROWS.assign(emotion="bored"), "bored")]
)
def test_rows_that_cannot_be_evaluated_are_refused(rows: pd.DataFrame, words: str) -> None:
    with pytest.raises(BenchmarkError, match=words):
        intervals.evaluate(rows, EMOTIONS, seed=0)


def test_all_rows_of_a_clip_are_drawn_together() -> None:
    once = predictions({"tess": 2}, clips=60, seed=3)
    thrice = pd.concat([once] * 3, ignore_index=True)
    first, second = (intervals.evaluate(rows, EMOTIONS, 5).scores["uar"] for rows in (once, thrice))
    assert first.over == second.over == "clips"
    assert second.value == pytest.approx(first.value)
    assert second.freedom == first.freedom == 119
    assert second.error == pytest.approx(first.error, rel=0.05)

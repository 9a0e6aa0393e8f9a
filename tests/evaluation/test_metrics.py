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
def test_a_pooled_metric_equals_scikit_learns(name: str) -> None:
    value = intervals.evaluate(ROWS, EMOTIONS, seed=0).pooled[name].value
    assert value == pytest.approx(REFERENCE[name](ROWS["emotion"], predicted(ROWS), EMOTIONS))


@pytest.mark.parametrize("name", metrics.METRICS)
def test_a_corpus_is_not_charged_for_an_emotion_that_it_lacks(name: str) -> None:
    rows = ROWS[ROWS["emotion"] != "calm"]
    present = [emotion for emotion in EMOTIONS if emotion != "calm"]
    value = intervals.evaluate(rows, EMOTIONS, seed=0).pooled[name].value
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


@pytest.mark.parametrize("name", metrics.METRICS)
def test_a_score_is_the_mean_over_corpora_of_scikit_learns_metric(name: str) -> None:
    evaluation = intervals.evaluate(ROWS, EMOTIONS, seed=0)
    parts = {
        corpus: REFERENCE[name](rows["emotion"], predicted(rows), EMOTIONS)
        for corpus, rows in ROWS.groupby("corpus")
    }
    own = {corpus: part.scores[name].value for corpus, part in evaluation.corpora.items()}
    assert own == pytest.approx(parts)
    assert evaluation.scores[name].value == pytest.approx(np.mean([*parts.values()]))


def test_the_score_of_one_corpus_is_the_pooled_one() -> None:
    evaluation = intervals.evaluate(predictions({"a": 7}), EMOTIONS, seed=0)
    assert evaluation.scores == evaluation.pooled == evaluation.corpora["a"].scores


def test_each_speaker_has_a_score_of_their_own() -> None:
    found = intervals.evaluate(ROWS, EMOTIONS, seed=0)
    part = ROWS[ROWS["speaker"] == "savee/2"]
    expected = REFERENCE["uar"](part["emotion"], predicted(part), EMOTIONS)
    assert found.by_speaker["savee/2"]["uar"] == pytest.approx(expected)
    assert list(found.corpora["savee"].by_speaker) == [f"savee/{n}" for n in range(4)]
    assert len(found.by_speaker) == 13


def right_by_speaker(rows: pd.DataFrame) -> pd.Series:
    return (rows["emotion"] == predicted(rows)).groupby(rows["speaker"]).mean()


def on_logit_scale(value: float, reach: float) -> tuple[float, float]:
    """Return the limits of value +- reach, computed on the logit scale."""
    centre, reach = np.log(value / (1 - value)), reach / (value * (1 - value))
    low, high = 1 / (1 + np.exp([reach - centre, -reach - centre]))
    return float(low), float(high)


def test_a_bootstrap_over_speakers_draws_whole_speakers() -> None:
    rows = predictions({"ravdess": 7}, seed=3)
    score = intervals.evaluate(rows, EMOTIONS, seed=5).scores["accuracy"]
    rng = np.random.default_rng(11)
    slow = [rng.choice(right_by_speaker(rows), size=7).mean() for _ in range(4000)]
    assert score.error == pytest.approx(np.std(slow) * np.sqrt(7 / 6), rel=0.05)


def test_the_interval_of_one_corpus_is_students_on_the_logit_scale() -> None:
    rows = predictions({"ravdess": 9}, seed=3)
    score = intervals.evaluate(rows, EMOTIONS, seed=5).scores["accuracy"]
    right = right_by_speaker(rows)
    reach = stats.t.ppf(0.975, 8) * stats.sem(right)
    assert score.interval == pytest.approx(on_logit_scale(right.mean(), reach), abs=0.005)


def test_a_mean_over_corpora_resamples_the_speakers_of_each() -> None:
    rows = predictions({"a": 9, "b": 6}, clips=40, seed=3)
    score = intervals.evaluate(rows, EMOTIONS, seed=5).scores["accuracy"]
    errors = [stats.sem(right_by_speaker(part)) for _, part in rows.groupby("corpus")]
    assert score.error == pytest.approx(np.hypot(*errors) / 2, rel=0.03)
    welch = (errors[0] ** 2 + errors[1] ** 2) ** 2 / (errors[0] ** 4 / 8 + errors[1] ** 4 / 5)
    assert score.freedom == pytest.approx(welch, rel=0.05)
    assert score.fixed == ()


def test_how_far_corpora_lie_apart_does_not_widen_the_interval() -> None:
    rows = predictions({"a": 9, "b": 9}, seed=3)
    hopeless = rows.assign(**{f"p_{one}": -rows[f"p_{one}"] for one in EMOTIONS})
    apart = pd.concat([rows[rows["corpus"] == "a"], hopeless[rows["corpus"] == "b"]])
    parts = intervals.evaluate(apart, EMOTIONS, seed=0).corpora
    errors = [part.scores["accuracy"].error for part in parts.values()]
    score = intervals.evaluate(apart, EMOTIONS, seed=0).scores["accuracy"]
    assert score.error == pytest.approx(np.hypot(*errors) / 2)


def test_a_corpus_of_few_speakers_has_no_interval() -> None:
    fewest = intervals.FEWEST_SPEAKERS
    few, enough = (
        intervals.evaluate(predictions({"a": n}), EMOTIONS, seed=0) for n in (fewest - 1, fewest)
    )
    assert (few.scores["uar"].interval, few.scores["uar"].error) == (None, None)
    assert few.small == ("a",)
    assert enough.scores["uar"].interval is not None
    assert enough.small == ()


def test_a_speaker_with_most_clips_leaves_too_few_for_an_interval() -> None:
    rows = predictions({"a": 8})
    loud = predictions({"a": 1}, clips=400).assign(
        speaker="a/7", clip=[f"a/loud-{n}" for n in range(400)]
    )
    evaluation = intervals.evaluate(pd.concat([rows, loud]), EMOTIONS, seed=0)
    assert evaluation.speakers == 8
    assert evaluation.scores["uar"].interval is None


def test_the_speakers_of_small_corpora_are_held_fixed_in_the_mean() -> None:
    evaluation = intervals.evaluate(ROWS, EMOTIONS, seed=0)
    score = evaluation.scores["accuracy"]
    assert score.fixed == evaluation.small == ("savee", "tess")
    errors = [stats.sem(right_by_speaker(ROWS[ROWS["corpus"] == "ravdess"]))]
    for corpus in score.fixed:  # what is left is the choice of clips of each speaker and emotion
        part = ROWS[ROWS["corpus"] == corpus]
        right = (part["emotion"] == predicted(part)).astype(float)
        cells = right.groupby([part["speaker"], part["emotion"]])
        errors.append(np.sqrt((cells.var() * cells.size()).sum()) / len(part))
    assert score.error == pytest.approx(np.sqrt(np.square(errors).sum()) / 3, rel=0.05)


def test_a_mean_over_small_corpora_alone_has_no_interval() -> None:
    score = intervals.evaluate(predictions({"a": 4, "b": 2}), EMOTIONS, seed=0).scores["uar"]
    assert score.interval is None
    assert score.fixed == ("a", "b")


def test_many_clips_of_few_speakers_never_make_an_interval() -> None:
    rows = predictions({"a": 2}, clips=400)
    for found in (
        intervals.evaluate(rows, EMOTIONS, seed=0),
        intervals.evaluate(
            rows.assign(corpus=[f"a{n % 2}" for n in range(len(rows))]), EMOTIONS, seed=0
        ),
    ):
        assert {score.interval for score in (found.scores | found.pooled).values()} == {None}


def test_a_paired_difference_resamples_the_same_speakers_on_both_sides() -> None:
    first = predictions({"a": 12}, clips=40, seed=1)
    second = first.assign(p_angry=first["p_angry"] + 0.1)
    found = intervals.paired_difference(first, second, EMOTIONS, seed=1).scores["accuracy"]
    differences = right_by_speaker(first) - right_by_speaker(second)
    assert found.value == pytest.approx(differences.mean())
    assert found.error == pytest.approx(stats.sem(differences), rel=0.03)
    alone = intervals.evaluate(first, EMOTIONS, seed=1).scores["accuracy"].error
    assert alone is not None
    assert found.error is not None
    assert found.error < alone / 2


def test_a_difference_from_itself_is_none() -> None:
    found = intervals.paired_difference(ROWS, ROWS, EMOTIONS, seed=1)
    for score in (*found.scores.values(), *found.pooled.values()):
        assert (score.value, score.interval) == (0, (0, 0))


def test_a_paired_difference_needs_the_same_speakers() -> None:
    with pytest.raises(BenchmarkError, match="the same speakers"):
        intervals.paired_difference(ROWS, ROWS[ROWS["corpus"] != "tess"], EMOTIONS, seed=1)


def test_the_difference_of_independent_scores_has_welchs_interval() -> None:
    sides = [predictions({"a": speakers}, clips=40, seed=speakers) for speakers in (6, 12)]
    scores = [intervals.evaluate(rows, EMOTIONS, 1).scores["accuracy"] for rows in sides]
    found = intervals.independent_difference(*scores)
    expected = stats.ttest_ind(*map(right_by_speaker, sides), equal_var=False)
    assert found.value == scores[0].value - scores[1].value
    assert found.freedom == pytest.approx(expected.df, rel=0.05)
    assert found.interval == pytest.approx(tuple(expected.confidence_interval(0.95)), abs=0.02)


def test_a_speaker_of_most_clips_makes_the_others_count_little() -> None:
    sizes = np.array([52, 52, 52, 52, 52, 52, 120, 1400])
    assert intervals.effective(sizes) == pytest.approx(1.686, abs=0.001)
    assert intervals.effective(np.full(8, 50)) == pytest.approx(8)


@pytest.mark.parametrize("value", [0.02, 0.5, 0.98])
def test_an_interval_stays_inside_the_range_of_the_figure(value: float) -> None:
    interval = intervals.Score(value, 0.05, 7).interval
    assert interval is not None
    assert 0 < interval.low < value < interval.high < 1


def test_the_negated_score_has_the_negated_interval() -> None:
    score = intervals.Score(0.9, 0.05, 7, percentiles=intervals.Interval(0.8, 0.95))
    assert score.interval is not None
    assert score.negated.interval == pytest.approx((-score.interval.high, -score.interval.low))
    assert score.negated.percentiles == (-0.95, -0.8)


def test_percentiles_are_those_of_the_same_resamples() -> None:
    rows = predictions({"a": 10}, clips=40, seed=3)
    score = intervals.evaluate(rows, EMOTIONS, seed=5).scores["accuracy"]
    expected = stats.bootstrap(
        (right_by_speaker(rows),), np.mean, method="percentile", n_resamples=20_000, rng=0
    ).confidence_interval
    assert score.percentiles == pytest.approx((expected.low, expected.high), abs=0.006)


def test_another_seed_changes_no_printed_digit_of_most_limits() -> None:
    rows = predictions({"a": 24}, clips=40, seed=3)
    ends = np.array(
        [intervals.evaluate(rows, EMOTIONS, seed=n).scores["uar"].interval for n in range(8)]
    )
    assert (np.ptp(ends, axis=0) < 0.005).all()


def test_the_same_seed_gives_the_same_interval_and_another_one_another() -> None:
    first, again, other = (
        intervals.evaluate(ROWS, EMOTIONS, seed=seed).scores["uar"] for seed in (1, 1, 2)
    )
    assert first.interval == again.interval
    assert first.interval != other.interval


def test_the_order_of_the_rows_changes_nothing() -> None:
    shuffled = ROWS.sample(frac=1, random_state=0)
    first, second = (intervals.evaluate(rows, EMOTIONS, seed=0) for rows in (ROWS, shuffled))
    for one, other in zip(first.scores.values(), second.scores.values(), strict=True):
        assert one.value == other.value
        assert one.interval == pytest.approx(other.interval, abs=1e-12)


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


def test_rows_of_a_clip_that_is_tested_several_times_are_not_taken_for_more_clips() -> None:
    once = predictions({"a": 8, "b": 2}, clips=60, seed=3)
    thrice = pd.concat([once] * 3, ignore_index=True)
    first, second = (intervals.evaluate(rows, EMOTIONS, 5).scores["uar"] for rows in (once, thrice))
    assert second.value == pytest.approx(first.value)
    assert second.error == pytest.approx(first.error, rel=0.01)

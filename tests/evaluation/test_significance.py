"""Tests of a difference find what is there, and about 5 % of the time what is not."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy import stats
from sklearn.metrics import recall_score

from benchmark.errors import BenchmarkError
from benchmark.evaluation.significance import (
    ALPHA,
    FEWEST_SWAPPED,
    SWAPS,
    adjusted,
    compare_on_clips,
    compare_on_folds,
    detectable,
    holm,
)

EMOTIONS = ("angry", "happy", "sad")


def predictions(
    speakers: int, clips: int, skill: float, seed: int, *, voices: int = 0
) -> pd.DataFrame:
    """Make rows of a model; the same `voices` are as hard or easy for every model."""
    hardness = np.random.default_rng([voices, 99]).normal(0, 0.5, speakers)
    rng = np.random.default_rng([seed, 1])
    speaker = np.repeat(np.arange(speakers), clips)
    true = np.tile(np.arange(clips) % len(EMOTIONS), speakers)
    evidence = rng.normal(size=(len(true), len(EMOTIONS)))
    own = hardness + rng.normal(0, 0.4, speakers)  # what this model makes of each voice
    evidence[np.arange(len(true)), true] += skill + own[speaker]
    rows = pd.DataFrame(
        {
            "clip": [f"a/{n:04d}" for n in range(len(true))],
            "speaker": [f"a/{one:02d}" for one in speaker],
            "corpus": "a",
            "emotion": np.array(EMOTIONS)[true],
        }
    )
    return rows.join(pd.DataFrame(evidence, columns=[f"p_{one}" for one in EMOTIONS]))


def predicted(rows: pd.DataFrame) -> NDArray[np.str_]:
    places = rows[[f"p_{one}" for one in EMOTIONS]].to_numpy().argmax(axis=1)
    return np.asarray(np.array(EMOTIONS)[places])


def uar(truth: NDArray[np.str_], guess: NDArray[np.str_]) -> float:
    return float(recall_score(truth, guess, average="macro"))


def slow_statistic(first: pd.DataFrame, one: NDArray[np.str_], other: NDArray[np.str_]) -> float:
    """The mean over corpora of the mean over speakers of the difference of their UARs."""
    truth, corpora = first["emotion"].to_numpy(), []
    for _, corpus in first.groupby("corpus"):
        differences = []
        for speaker in corpus["speaker"].unique():
            own = (first["speaker"] == speaker).to_numpy()
            differences.append(uar(truth[own], one[own]) - uar(truth[own], other[own]))
        corpora.append(np.mean(differences))
    return float(np.mean(corpora))


def slow_p(first: pd.DataFrame, second: pd.DataFrame) -> float:
    """The permutation test, swap by swap, with scikit-learn's recall."""
    one, other = predicted(first), predicted(second)
    groups, names = pd.factorize(first["speaker"])
    seen = abs(slow_statistic(first, one, other))
    found = []
    for swap in itertools.product([False, True], repeat=len(names)):
        swapped = np.array(swap)[groups]
        left, right = np.where(swapped, other, one), np.where(swapped, one, other)
        found.append(abs(slow_statistic(first, left, right)) >= seen - 1e-12)
    return float(np.mean(found))


def in_two_corpora(rows: pd.DataFrame, first: int) -> pd.DataFrame:
    """Return rows whose speakers from number `first` on are of another corpus."""
    return rows.assign(corpus=np.where(rows["speaker"] < f"a/{first:02d}", "a", "b"))


def test_an_exact_test_equals_the_one_swap_by_swap() -> None:
    first, second = predictions(7, 9, 1.2, seed=1), predictions(7, 9, 0.7, seed=2)
    test = compare_on_clips(first, second, EMOTIONS, "uar", (0, 0))
    assert test.exact
    assert test.swaps == 2**7
    assert test.p == pytest.approx(slow_p(first, second))


def test_each_corpus_and_each_of_its_speakers_has_the_same_weight() -> None:
    first, second = (in_two_corpora(predictions(7, 9, skill, seed=3), 5) for skill in (1.0, 0.7))
    test = compare_on_clips(first, second, EMOTIONS, "uar", (0, 0))
    expected = slow_statistic(first, predicted(first), predicted(second))
    assert test.statistic == pytest.approx(expected)
    assert test.p == pytest.approx(slow_p(first, second))


def test_one_speaker_with_most_clips_does_not_decide() -> None:
    first, second = predictions(8, 30, 1.6, seed=1), predictions(8, 30, 0.2, seed=2)
    last = first["speaker"] == "a/07"
    many = [
        pd.concat([rows, *(rows[last].assign(clip=rows["clip"] + f"-{n}") for n in range(20))])
        for rows in (first.where(~last, second), second.where(~last, first))
    ]
    test = compare_on_clips(many[0], many[1], EMOTIONS, "uar", (0, 0))
    assert test.difference.value < 0 < test.statistic


@pytest.mark.parametrize("speakers", [2, FEWEST_SWAPPED - 1])
def test_with_too_few_speakers_there_is_no_p(speakers: int) -> None:
    first, second = predictions(speakers, 90, 2, seed=1), predictions(speakers, 90, 0, seed=2)
    test = compare_on_clips(first, second, EMOTIONS, "uar", (0, 0))
    assert (test.p, test.swaps, test.detectable) == (None, 0, None)
    assert test.difference.interval is None


def test_the_fewest_speakers_can_be_significant() -> None:
    first, second = (predictions(FEWEST_SWAPPED, 60, skill, seed=1) for skill in (2.0, 0.0))
    test = compare_on_clips(first, second, EMOTIONS, "uar", (0, 0))
    assert test.p == 2 / 2**FEWEST_SWAPPED < ALPHA


def test_drawn_swaps_come_near_the_exact_p() -> None:
    first, second = predictions(18, 6, 0.9, seed=1), predictions(18, 6, 0.7, seed=2)
    test = compare_on_clips(first, second, EMOTIONS, "accuracy", (0, 0))
    truth = first["emotion"].to_numpy()
    more = (predicted(first) == truth).astype(int) - (predicted(second) == truth)
    by_speaker = more.reshape(18, 6).sum(axis=1)
    signs = 1 - 2 * (np.arange(2**18)[:, None] >> np.arange(18) & 1)
    exact = (np.abs(signs @ by_speaker) >= abs(by_speaker.sum())).mean()
    assert not test.exact
    assert test.swaps == SWAPS
    assert test.p == pytest.approx(exact, abs=0.005)


def test_equal_models_are_significantly_different_at_the_rate_of_the_test() -> None:
    found = np.array(
        [
            compare_on_clips(
                predictions(9, 36, 0.8, seed=2 * run, voices=run),
                predictions(9, 36, 0.8, seed=2 * run + 1, voices=run),
                EMOTIONS,
                "uar",
                (run, run),
            ).p
            or 0.0
            for run in range(500)
        ]
    )
    # Differences that tie count as large, so that it errs on the side of no difference.
    assert 0.02 <= (found < 0.05).mean() <= 0.065
    assert 0.42 <= (found < 0.5).mean() <= 0.55


def test_the_detectable_difference_is_found_four_times_in_five() -> None:
    rng = np.random.default_rng(0)
    speakers, std = 24, 0.1
    weights = np.full(speakers, 1 / speakers)
    smallest = np.mean([detectable(rng.normal(0, std, speakers), weights) for _ in range(200)])
    drawn = rng.normal(smallest, std, (1000, speakers))
    found = np.mean(stats.ttest_1samp(drawn, 0, axis=1).pvalue < ALPHA)
    assert 0.75 <= found <= 0.85


def test_a_corpus_of_few_speakers_makes_small_differences_undetectable() -> None:
    rng = np.random.default_rng(0)
    differences = rng.normal(0, 0.1, 30)
    alike = detectable(differences, np.full(30, 1 / 30))
    by_corpus = np.repeat([1 / 72, 1 / 12, 1 / 6], [24, 4, 2])
    assert detectable(differences, by_corpus) > 1.5 * alike


def test_swaps_of_speakers_are_scipys_permutation_test() -> None:
    first, second = predictions(9, 12, 1.2, seed=1), predictions(9, 12, 0.8, seed=2)
    test = compare_on_clips(first, second, EMOTIONS, "accuracy", (0, 0))
    truth = first["emotion"].to_numpy()
    right = [
        (predicted(rows) == truth).reshape(9, 12).sum(axis=1).astype(float)
        for rows in (first, second)
    ]

    def difference(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
        return float(one.sum() - other.sum())

    expected = stats.permutation_test(
        right, difference, permutation_type="samples", n_resamples=np.inf
    )
    assert test.p == pytest.approx(expected.pvalue)


def test_holms_correction_takes_the_smallest_p_times_the_number_of_tests_and_so_on() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []
    assert adjusted([0.01, None, 0.04]) == [0.02, None, 0.04]


def test_a_model_that_is_better_is_found_to_be() -> None:
    first, second = predictions(12, 30, 1.4, seed=1), predictions(12, 30, 0.4, seed=2)
    test = compare_on_clips(first, second, EMOTIONS, "uar", (0, 0))
    assert test.p is not None
    assert test.p < 0.01
    assert test.difference.interval is not None
    assert test.difference.interval.low > 0


def test_a_model_does_not_differ_from_itself() -> None:
    rows = predictions(8, 9, 1.0, seed=1)
    test = compare_on_clips(rows, rows, EMOTIONS, "uar", (0, 0))
    assert (test.difference.value, test.difference.interval) == (0, (0, 0))
    assert test.p == 1


def test_the_interval_draws_the_same_speakers_for_both_models() -> None:
    first, second = predictions(8, 20, 1.2, seed=1), predictions(8, 20, 0.9, seed=2)
    test = compare_on_clips(first, second, EMOTIONS, "accuracy", (5, 0))
    truth = first["emotion"].to_numpy()
    right = (predicted(first) == truth).astype(float) - (predicted(second) == truth)
    expected = stats.ttest_1samp(right.reshape(8, 20).mean(axis=1), 0).confidence_interval(0.95)
    assert test.difference.interval == pytest.approx((expected.low, expected.high), abs=0.01)


def test_the_order_of_the_rows_changes_nothing() -> None:
    first, second = predictions(8, 9, 1.2, seed=1), predictions(8, 9, 0.9, seed=2)
    shuffled = second.sample(frac=1, random_state=0)
    tests = [compare_on_clips(first, rows, EMOTIONS, "uar", (0, 0)) for rows in (second, shuffled)]
    assert tests[0].p == tests[1].p
    assert tests[0].statistic == pytest.approx(tests[1].statistic)
    assert tests[0].difference.interval == pytest.approx(tests[1].difference.interval)


def test_models_of_other_clips_are_not_compared() -> None:
    first, second = predictions(8, 9, 1.2, seed=1), predictions(8, 9, 0.9, seed=2)
    with pytest.raises(BenchmarkError, match="same test clips"):
        compare_on_clips(first, second.iloc[1:], EMOTIONS, "uar", (0, 0))


def test_the_t_test_is_scipys_with_the_variance_of_nadeau_and_bengio() -> None:
    first, second = [0.61, 0.64, 0.58, 0.70, 0.66], [0.55, 0.63, 0.59, 0.62, 0.60]
    test = compare_on_folds(first, second, train_clips=800, validation_clips=200)
    plain = stats.ttest_rel(first, second)
    statistic = plain.statistic * np.sqrt((1 / 5) / (1 / 5 + 200 / 800))
    assert test.p == pytest.approx(2 * stats.t.sf(abs(statistic), 4))
    assert test.difference == pytest.approx(np.mean(first) - np.mean(second))
    wider = (test.high - test.low) / np.ptp(plain.confidence_interval(0.95))
    assert wider == pytest.approx(np.sqrt((1 / 5 + 200 / 800) / (1 / 5)))


def test_folds_that_share_clips_differ_by_chance_about_as_often_as_the_t_test_says() -> None:
    folds, runs, shared = 5, 2000, 0.2  # a fifth of the clips validates: correlation 0.2
    rng = np.random.default_rng(0)
    common = np.sqrt(shared) * rng.normal(size=(runs, 1))
    differences = common + np.sqrt(1 - shared) * rng.normal(size=(runs, folds))
    found = [
        compare_on_folds(row, [0.0] * folds, 800, 200).p < 0.05 for row in differences.tolist()
    ]
    plain = stats.ttest_1samp(differences, 0, axis=1).pvalue < 0.05
    assert 0.035 <= np.mean(found) <= 0.065
    assert np.mean(plain) > 0.1


@pytest.mark.parametrize(("second", "p"), [([0.5, 0.5], 1.0), ([0.25, 0.25], 0.0)])
def test_folds_that_all_differ_alike_leave_no_doubt(second: list[float], p: float) -> None:
    assert compare_on_folds([0.5, 0.5], second, 80, 20).p == p


@pytest.mark.parametrize("second", [[0.5], [0.5, 0.4, 0.3]])
def test_scores_of_other_folds_are_not_compared(second: list[float]) -> None:
    with pytest.raises(BenchmarkError, match="same folds"):
        compare_on_folds([0.5, 0.4], second, 80, 20)


def test_all_rows_of_a_clip_are_swapped_and_drawn_together() -> None:
    models = predictions(8, 90, 1.2, seed=1), predictions(8, 90, 0.9, seed=2)
    once = compare_on_clips(*models, EMOTIONS, "accuracy", (5, 0))
    repeated = [
        pd.concat([rows.assign(part=f"repeat-{n}") for n in (1, 2, 3)], ignore_index=True)
        for rows in models
    ]
    thrice = compare_on_clips(*repeated, EMOTIONS, "accuracy", (5, 0))
    assert thrice.p == once.p
    assert thrice.difference.interval == pytest.approx(once.difference.interval)

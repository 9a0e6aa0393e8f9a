"""The association of sentence and emotion tells corpora whose sentences tell the emotion."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from benchmark.corpora import CORPORA
from benchmark.evaluation.results import read_result
from benchmark.evaluation.text import association, text_associations

REPORTS = Path(__file__).parents[2] / "reports"


def of_corpus(name: str) -> tuple[pd.Series, pd.Series]:
    clips = [CORPORA[name].parse(clip) for clip in CORPORA[name].official_names]
    return pd.Series([c.statement for c in clips]), pd.Series([c.emotion for c in clips])


def test_savee_sentences_tell_the_emotion_of_most_clips() -> None:
    found = association("savee", *of_corpus("savee"))
    # Each of 4 men speaks 10 tied sentences with each of six emotions, and 12 neutral ones.
    assert (found.tied, found.sentences) == ((6 * 10 + 12) / 120, 3 + 12 + 72)
    assert found.tells_emotion
    assert found.cramers_v == pytest.approx(0.7, abs=0.1)


@pytest.mark.parametrize("name", ["ravdess", "tess", "cremad"])
def test_sentences_that_are_crossed_with_emotions_tell_nothing(name: str) -> None:
    found = association(name, *of_corpus(name))
    assert (found.tied, found.tells_emotion) == (0, False)
    assert found.cramers_v < 0.1


def test_cramers_v_is_one_where_each_sentence_has_its_emotion() -> None:
    sentences = pd.Series(["a", "b", "c"] * 20)
    assert association("own", sentences, "as " + sentences).cramers_v == pytest.approx(1)


def test_cramers_v_of_many_tied_sentences_is_below_one() -> None:
    sentences = pd.Series([str(number) for number in range(84)] * 4)
    found = association("own", sentences, pd.Series([str(int(one) % 7) for one in sentences]))
    assert found.tied == 1
    assert found.cramers_v == pytest.approx(0.875, abs=0.001)


def test_cramers_v_agrees_with_the_formula_computed_by_hand() -> None:
    sentences, emotions = pd.Series(list("aaaabbbb")), pd.Series(list("xxxyyyyx"))
    # phi2 = 0.25; corrected (0.25 - 1/7); both sizes corrected from 2 to 2 - 1/7.
    expected = ((0.25 - 1 / 7) / (1 - 1 / 7)) ** 0.5
    assert association("own", sentences, emotions).cramers_v == pytest.approx(expected)


def test_a_sentence_that_is_spoken_once_tells_nothing() -> None:
    sentences = pd.Series([f"s{number}" for number in range(12)])
    found = association("own", sentences, pd.Series(["angry", "sad"] * 6))
    assert (found.tied, found.tells_emotion) == (0, False)


def test_clips_of_a_users_own_table_have_no_known_sentence() -> None:
    result = read_result(REPORTS / "results" / "savee_text")
    own = result.predictions.assign(corpus="csv")
    assert not list(
        text_associations(replace(result, clips=None, predictions=own, out_of_fold=None))
    )

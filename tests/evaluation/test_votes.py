"""Scores against votes: figures of other libraries, and intervals by speaker."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import jensenshannon
from sklearn.metrics import f1_score

from benchmark.evaluation.intervals import evaluate
from benchmark.evaluation.votes import jensen_shannon, soft_macro_f1, soft_scores, vote_counts

EMOTIONS = ("angry", "happy", "sad")


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def predictions(rng: np.random.Generator, corpora: dict[str, int]) -> pd.DataFrame:
    """Some speakers per corpus with twelve clips each, and random probabilities."""
    rows = pd.DataFrame(
        [
            {"corpus": corpus, "speaker": f"{corpus}/{speaker}", "emotion": EMOTIONS[n % 3]}
            for corpus, speakers in corpora.items()
            for speaker in range(speakers)
            for n in range(12)
        ]
    )
    given = rng.dirichlet(np.ones(3), len(rows))
    rows.insert(0, "clip", [f"c{n}" for n in range(len(rows))])
    return rows.assign(**{f"p_{e}": given[:, n] for n, e in enumerate(EMOTIONS)})


def votes_for(rows: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Two votes for the emotion of each clip, and a third for any."""
    counts = 2 * pd.get_dummies(rows["emotion"]).astype(int)[list(EMOTIONS)].to_numpy()
    counts += np.eye(3, dtype=int)[rng.integers(3, size=len(rows))]
    return pd.DataFrame(counts, index=pd.Index(rows["clip"]), columns=pd.Index(EMOTIONS))


def test_the_divergence_is_that_of_scipy_in_bits(rng: np.random.Generator) -> None:
    first, second = rng.dirichlet(np.ones(4), 20), rng.dirichlet(np.ones(4), 20)
    expected = jensenshannon(first, second, base=2, axis=1) ** 2
    np.testing.assert_allclose(jensen_shannon(first, second), expected, atol=1e-12)


def test_soft_macro_f1_of_certain_votes_and_predictions_is_macro_f1(
    rng: np.random.Generator,
) -> None:
    true, predicted = rng.integers(4, size=(2, 50))
    expected = f1_score(true, predicted, average="macro")
    assert soft_macro_f1(np.eye(4)[true], np.eye(4)[predicted]) == pytest.approx(expected)


def test_scores_have_intervals_by_speaker_and_are_means_over_corpora(
    rng: np.random.Generator,
) -> None:
    rows = predictions(rng, {"x": 8, "y": 7})
    votes = votes_for(rows, rng)
    found = soft_scores(rows, votes, EMOTIONS, seed=3)
    assert found is not None
    assert found.clips == len(rows)
    for of in ("soft_f1", "divergence"):
        parts = [getattr(part, of).value for part in found.corpora.values()]
        score = getattr(found, of)
        assert score.value == pytest.approx(np.mean(parts))
        low, high = score.interval
        assert low < score.value < high
    own = (rows["corpus"] == "x").to_numpy()
    voted = votes.to_numpy()[own] / 3
    given = rows.loc[own, [f"p_{emotion}" for emotion in EMOTIONS]].to_numpy()
    assert found.corpora["x"].soft_f1.value == pytest.approx(soft_macro_f1(voted, given))
    divergence = jensen_shannon(voted, given).mean()
    assert found.corpora["x"].divergence.value == pytest.approx(divergence)


def test_intervals_of_certain_votes_and_predictions_are_those_of_macro_f1(
    rng: np.random.Generator,
) -> None:
    rows = predictions(rng, {"x": 8})
    columns = [f"p_{emotion}" for emotion in EMOTIONS]
    rows[columns] = np.eye(3)[rows[columns].to_numpy().argmax(axis=1)]
    votes = pd.get_dummies(rows.set_index("clip")["emotion"]).astype(int)
    found = soft_scores(rows, votes, EMOTIONS, seed=5)
    assert found is not None
    hard = evaluate(rows, EMOTIONS, seed=5).scores["macro_f1"]
    assert found.soft_f1.value == pytest.approx(hard.value)
    assert found.soft_f1.interval == pytest.approx(hard.interval)


def test_with_few_speakers_in_a_corpus_there_is_no_interval(rng: np.random.Generator) -> None:
    rows = predictions(rng, {"x": 8, "y": 3})
    found = soft_scores(rows, votes_for(rows, rng), EMOTIONS, seed=3)
    assert found is not None
    assert found.soft_f1.interval is None
    assert found.corpora["x"].soft_f1.interval is not None


def test_votes_for_other_emotions_are_left_out(rng: np.random.Generator) -> None:
    rows = predictions(rng, {"x": 8})
    votes = votes_for(rows, rng)
    assert soft_scores(rows, votes.assign(bored=5), EMOTIONS, 0) == soft_scores(
        rows, votes, EMOTIONS, 0
    )
    other = pd.DataFrame({"bored": 1}, index=votes.index)
    assert soft_scores(rows, other, EMOTIONS, 0) is None


def test_votes_for_an_emotion_that_a_study_renames_count_for_the_new_name() -> None:
    clips = pd.DataFrame(
        {"clip": ["a", "b", "c"], "votes_joy": ["1", "", ""], "votes_happy": ["2", "1", ""]}
    )
    found = vote_counts(clips, {"joy": "happy"})
    assert found is not None
    assert found.to_dict("index") == {"a": {"happy": 3}, "b": {"happy": 1}}
    assert vote_counts(clips[["clip"]]) is None

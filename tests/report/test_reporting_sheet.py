"""A page states what it measures, near its top and in the reporting sheet at its end."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest

from benchmark.corpora import CORPORA
from benchmark.evaluation.leaderboard import leaderboard
from benchmark.report.measured import population, seeds, sentences
from benchmark.report.study_page import study_page
from tests.support.results import SMALL, make


@pytest.fixture(scope="module")
def page() -> str:
    return study_page(leaderboard(make()))


def sheet(page: str) -> dict[str, str]:
    lines = page.split("## Reporting sheet")[1].split("\n\n")[1].splitlines()[2:]
    return dict(line.strip("| ").split(" | ", 1) for line in lines)


def test_the_top_of_a_page_states_population_estimand_folds_and_seeds(page: str) -> None:
    top = page.split("## ", maxsplit=1)[0].split("**What this page measures.**")[1]
    for words in (
        "Population: acted speech: English (North American) in RAVDESS, English (British) in SAVEE "
        "and English (Canadian) in TESS; 30 speakers.",
        "Estimand: UAR within each corpus, averaged over corpora with equal weight,",
        "Folds: SD: one test side of 420 clips, trained on ",
        "Seeds: one, 0: the spread over seeds is not measured.",
    ):
        assert words in top


def test_the_sheet_at_the_end_answers_every_question(page: str) -> None:
    rows = sheet(page)
    assert page.rindex("\n## ") == page.index("\n## Reporting sheet")
    assert all(rows.values())
    assert rows["What was tuned, on what"].startswith(
        "hyperparameters of logistic regression, random forest and MLP in up to 14 trials each"
    )
    assert "by mean UAR over 3 inner folds of the training side" in rows["What was tuned, on what"]
    assert "once, after the search, by each of 6 models" in rows["How often a test side was scored"]
    assert rows["Software"] == "numpy 2.4.6"
    assert "2 groups" not in rows["Leakage checks"]


def test_the_sheet_counts_test_speakers_that_occur_in_training() -> None:
    result = make(**SMALL)
    shared = sheet(study_page(leaderboard(result)))["Leakage checks"]
    split = result.data.splits["speaker-independent"]
    assert f"also occur in training: {len(split.test.speakers)} (over 1 split " in shared
    apart = split.model_copy(update={"train": split.train.model_copy(update={"speakers": ()})})
    result.data.splits["speaker-independent"] = apart
    clean = sheet(study_page(leaderboard(result)))["Leakage checks"]
    assert "test speakers that also occur in training: 0 (over 1 split " in clean


def test_generated_speech_is_no_population_of_people() -> None:
    result = make(**SMALL | {"corpora": ["synthetic"]})
    assert population(result).startswith("generated speech: synthetic; ")
    assert "no more" in sheet(study_page(leaderboard(result)))["Speech outside the population"]


@pytest.mark.parametrize(
    ("natural", "outside"),
    [
        ((), "spontaneous speech, other languages, rooms and microphones: not measured"),
        (("tess",), "other languages, rooms and microphones: not measured"),
        (
            ("ravdess", "savee", "tess"),
            "acted speech, other languages, rooms and microphones: not measured",
        ),
    ],
)
def test_the_sheet_names_the_kind_of_speech_that_no_tested_corpus_has(
    natural: tuple[str, ...], outside: str
) -> None:
    result = make(**SMALL)
    for name in natural:
        record = result.data.corpora[name].model_copy(update={"speech": "natural"})
        result.data.corpora[name] = record
    assert sheet(study_page(leaderboard(result)))["Speech outside the population"] == outside


def test_a_users_own_recordings_have_no_language_unless_their_table_says_so() -> None:
    result = make(**SMALL)
    record = result.data.corpora["tess"].model_copy(update={"speech": "user's own"})
    data = result.data.model_copy(update={"corpora": {"csv": record}})
    assert population(replace(result, data=data)) == (
        "recordings of a user's own: language not stated in own recordings; 2 speakers"
    )


def test_sentences_are_counted_by_corpus_from_the_clips() -> None:
    result = make(**SMALL)
    own = result.predictions.drop_duplicates("clip").groupby("corpus").head(2)
    spoken = {"ravdess": ["kids", "dogs"], "savee": ["01", "01"], "tess": ["", ""]}
    table = pd.DataFrame(
        {
            "clip": own["clip"],
            "statement": [s for name in own["corpus"].unique() for s in spoken[name]],
        }
    )
    assert sentences(leaderboard(replace(result, clips=table))) == (
        "2 in RAVDESS, 1 in SAVEE and not recorded in TESS"
    )


def test_repetitions_have_seeds_of_their_own() -> None:
    assert seeds(make(**SMALL | {"split": {"repeats": 5}})) == (
        "5 repetitions, with seeds derived from 0"
    )


@pytest.mark.parametrize("name", [name for name in CORPORA if name in ("ravdess", "tess", "savee")])
def test_a_corpus_of_recordings_states_its_language(name: str) -> None:
    assert CORPORA[name].speech == "acted"
    assert CORPORA[name].language.startswith("English")

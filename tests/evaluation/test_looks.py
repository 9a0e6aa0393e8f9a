"""Each scoring of a test side is a row of looks.csv; a page says which look it is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmark.errors import BenchmarkError
from benchmark.evaluation import looks
from benchmark.evaluation.leaderboard import leaderboard
from benchmark.evaluation.looks import Look, Place, append_looks, places, read_looks, sharing
from benchmark.evaluation.results import Result
from benchmark.report.study_page import study_page
from tests.support.results import SMALL, make

PROTOCOLS = ("speaker-dependent", "speaker-independent")


def looks_of(result: Result) -> list[Look]:
    return [
        Look(
            task=looks.task_digest(result, protocol),
            protocol=protocol,
            study=result.name,
            digest=looks.study_digest(result),
            model="mlp",
            score=0.5,
            predictions=looks.predictions_digest(result, protocol),
            version="0",
        )
        for protocol in PROTOCOLS
    ]


def other_predictions(result: Result) -> Result:
    return replace(result, predictions=result.predictions.assign(p_angry=0.25))


def test_looks_are_appended_and_earlier_rows_keep_their_bytes(tmp_path: Path) -> None:
    first, second = looks_of(make(**SMALL)), looks_of(other_predictions(make(**SMALL)))
    file = tmp_path / "looks.csv"
    assert read_looks(file) == []
    append_looks(file, first)
    before = file.read_bytes()
    append_looks(file, second)
    assert file.read_bytes().startswith(before)
    assert read_looks(file) == [*first, *second]


def test_a_look_is_appended_where_the_last_line_was_left_open(tmp_path: Path) -> None:
    first, second = looks_of(make(**SMALL))
    file = tmp_path / "looks.csv"
    append_looks(file, [first])
    file.write_text(file.read_text().rstrip("\n"))
    append_looks(file, [second])
    assert read_looks(file) == [first, second]


def test_the_same_predictions_of_the_same_study_are_no_new_look(tmp_path: Path) -> None:
    file = tmp_path / "looks.csv"
    append_looks(file, looks_of(make(**SMALL)))
    before = file.read_bytes()
    append_looks(file, looks_of(make(**SMALL)))
    assert file.read_bytes() == before
    append_looks(file, looks_of(make(run_name="small@12345678", **SMALL)))
    assert len(read_looks(file)) == 4


def test_the_task_is_the_protocol_and_its_test_clips_in_any_order() -> None:
    result = make(**SMALL)
    shuffled = replace(result, predictions=result.predictions.sample(frac=1, random_state=0))
    tasks = {looks.task_digest(one, name) for one in (result, shuffled) for name in PROTOCOLS}
    assert len(tasks) == 2
    fewer = replace(result, predictions=result.predictions[result.predictions["gender"] == "male"])
    assert looks.task_digest(fewer, PROTOCOLS[0]) not in tasks


def test_any_changed_bit_of_a_prediction_changes_its_digest() -> None:
    result = make(**SMALL)
    shares = result.predictions["p_angry"].to_numpy().copy()
    shares.view("u4")[-1] ^= 1  # the last row belongs to the last protocol
    changed = replace(result, predictions=result.predictions.assign(p_angry=shares))
    digests = [
        [looks.predictions_digest(one, name) for name in PROTOCOLS] for one in (result, changed)
    ]
    assert digests[0][0] == digests[1][0]
    assert digests[0][1] != digests[1][1]


def test_a_page_says_which_look_it_is_of_how_many() -> None:
    result, later = make(**SMALL), other_predictions(make(run_name="small@12345678", **SMALL))
    alone = [*looks_of(result)]
    both = [*alone, looks_of(later)[1]]
    assert places(result, alone) == dict.fromkeys(PROTOCOLS, Place(1, 1))
    assert places(later, both) == {PROTOCOLS[1]: Place(2, 2)}
    assert "speaker-independent, look 1 of 1" in study_page(leaderboard(result, alone))
    page = study_page(leaderboard(result, both))
    assert "speaker-dependent, look 1 of 1; speaker-independent, look 1 of 2" in page
    unrecorded = study_page(leaderboard(result))
    assert "Looks at the test clips" not in unrecorded
    assert "looks.csv" not in unrecorded


def test_studies_share_looks_where_their_test_clips_are_the_same() -> None:
    small = make(**SMALL)
    same = replace(other_predictions(small), name="same")
    other = replace(small, name="other", predictions=small.predictions.iloc[::3])
    known = [look for one in (small, same, other) for look in looks_of(one)]
    assert sharing("small", known) == {"small", "same"}
    assert sharing("new", known) == {"new"}


@pytest.mark.parametrize("text", ["task,study\n1,2\n", "task\n\xff\n", 'task\n"1\n'])
def test_a_damaged_table_of_looks_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    file = tmp_path / "looks.csv"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(BenchmarkError, match=r"looks\.csv: the table of looks can't be read") as it:
        read_looks(file)
    assert "\n" not in str(it.value)

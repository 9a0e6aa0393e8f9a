"""What makes a protocol's name untrue stops a run in one line, and is on the page if allowed."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmark.corpora import locate, read_corpus
from benchmark.data.guards import (
    GUARDS,
    check_clips,
    check_emotions,
    check_sides,
    check_tables,
    copies_across,
)
from benchmark.data.near_duplicates import Pair
from benchmark.data.prepare import clip_frame
from benchmark.data.splits import Split
from benchmark.data.tables import Table
from benchmark.errors import BenchmarkError
from tests.support.bench import Bench, run_command

SI, SD = "speaker-independent", "speaker-dependent"


@pytest.fixture
def clips() -> pd.DataFrame:
    rows = [
        {"clip": f"{speaker}-{n}", "speaker": speaker, "emotion": ("sad", "happy")[n % 2]}
        for speaker in ("csv/01", "csv/02", "csv/10")
        for n in range(8)
    ]
    frame = pd.DataFrame(rows).assign(corpus="csv")
    return frame.assign(samples=frame["clip"])


def table(n: int, seed: int) -> Table:
    """A table of noise: 3 features that tell nothing."""
    rng = np.random.default_rng(seed)
    rows = pd.DataFrame(
        {
            "clip": [f"{seed}-{k}" for k in range(n)],
            "emotion": np.array(["sad", "happy", "angry"])[np.arange(n) % 3],
        }
    )
    return Table(rows, rng.normal(size=(n, 3)).astype(np.float32), ("a", "b", "c"))


def changed(clips: pd.DataFrame, guard: str) -> pd.DataFrame:
    return {
        "similar-speakers": clips.replace({"speaker": {"csv/02": "csv/1"}}),
        "single-clip-speakers": clips.assign(speaker=clips["clip"]),
        "contradicting-recordings": clips.assign(samples=clips["clip"].str[-1]),
    }[guard]


def test_true_names_pass(clips: pd.DataFrame) -> None:
    assert check_clips(clips, [SI, SD], ()) == []
    assert check_tables(table(60, 0), table(30, 1), ()) == []


@pytest.mark.parametrize(
    ("guard", "complaint"),
    [
        ("similar-speakers", "speakers 'csv/01' and 'csv/1' differ only in case"),
        ("single-clip-speakers", "csv: 24 of 24 speakers have one clip"),
        ("contradicting-recordings", "csv/01-0 and csv/02-0 are the same recording, of speaker"),
    ],
)
def test_clips_that_make_a_protocol_untrue_stop_the_run(
    guard: str, complaint: str, clips: pd.DataFrame
) -> None:
    wrong = changed(clips, guard)
    with pytest.raises(BenchmarkError) as refusal:
        check_clips(wrong, [SI], ())
    assert complaint in str(refusal.value)
    assert f"--allow {guard}" in str(refusal.value)
    assert "\n" not in str(refusal.value)
    (change,) = check_clips(wrong, [SI], [guard])
    assert change.text == f"--allow {guard}"


@pytest.mark.parametrize("guard", ["similar-speakers", "single-clip-speakers"])
def test_names_of_speakers_do_not_matter_where_speakers_are_shared(
    guard: str, clips: pd.DataFrame
) -> None:
    assert check_clips(changed(clips, guard), [SD], ()) == []


@pytest.mark.parametrize(("n_copies", "stopped"), [(1, True), (0, False)])
def test_copies_on_both_sides_stop_the_run(
    n_copies: int, stopped: bool, clips: pd.DataFrame
) -> None:
    """A pair on one side is no leak."""
    test = np.arange(len(clips)) >= 16
    split = Split(SI, test, np.where(test, -1, 0))
    pairs = [Pair(0, 20 if n_copies else 3, 0.95)]
    allowed = check_sides([split], clips, pairs, ["near-duplicates"])
    assert [one.value for one in allowed] == ["near-duplicates"] * stopped
    assert bool(copies_across([split], clips, pairs)) is stopped


def test_equal_rows_in_both_tables_stop_the_run() -> None:
    train, test = table(60, 0), table(30, 1)
    test.values[3:7] = train.values[10:14]
    with pytest.raises(BenchmarkError, match=r"4 of 30 test rows .* first: 1-3"):
        check_tables(train, test, ())
    assert [one.value for one in check_tables(train, test, ["equal-rows"])] == ["equal-rows"]


@pytest.mark.parametrize("kind", ["code", "order", "noise"])
def test_a_column_that_follows_the_label_stops_the_run(kind: str) -> None:
    """A number for each emotion, the same in another order, and the same with some noise."""
    train, test = table(60, 0), table(30, 1)
    for one in (train, test):
        code = pd.factorize(one.rows["emotion"], sort=True)[0].astype(np.float32)
        values = {"code": code, "order": 7 - code, "noise": code + 0.1 * one.values[:, 0]}[kind]
        one.values[:, 1] = values
    with pytest.raises(BenchmarkError, match="the column b alone tells the emotion"):
        check_tables(train, test, ())


def test_the_help_names_each_guard() -> None:
    text = " ".join(run_command("run-study", "--help").stdout.replace("│", " ").split())
    assert [guard for guard in GUARDS if guard not in text] == []


@pytest.fixture
def own(bench: Bench, tmp_path: Path) -> Bench:
    """The small study, with a table and recordings that a test may change."""
    shutil.copytree(bench.table.parent, tmp_path / "own")
    return Bench(bench.study, tmp_path / "own" / bench.table.name, bench.project)


def test_one_speaker_under_two_names_is_refused_and_on_the_page_if_allowed(own: Bench) -> None:
    table = pd.read_csv(own.table, dtype=str)
    first = table["speaker"].iloc[0]
    rows = table.index[table["speaker"] == first]
    table.loc[rows[::2], "speaker"] = f"{first} ."
    table.to_csv(own.table, index=False)
    refused = own.run(check=False)
    assert refused.returncode == 2
    assert "differ only in case, blanks, punctuation or leading zeros" in refused.stderr
    own.run("--allow", "similar-speakers", "--set", "search.trials=1")
    (page,) = (own.project / "reports").glob("small@*.md")
    assert "`--allow similar-speakers`" in page.read_text()


@pytest.mark.parametrize("case", ["Low", "LOW"])
def test_labels_that_differ_by_case_only_are_refused(case: str, own: Bench) -> None:
    """Clips of the other one would be left out without a word."""
    table = pd.read_csv(own.table, dtype=str)
    table.loc[table.index[table["emotion"] == "low"][:3], "emotion"] = case
    table.to_csv(own.table, index=False)
    refused = own.run(check=False)
    assert refused.returncode == 2
    assert f"the emotions '{case}' and 'low' differ by case only (3 and" in refused.stderr
    assert f'[rename] "{case}" = "low"' in refused.stderr
    assert "features" not in refused.stderr


ASKED = ("angry", "very sad")
WRITTEN = {
    "case": (
        ("Angry", "ANGRY", "angry", "very sad"),
        "'ANGRY', 'Angry' and 'angry' differ by case only \\(2, 2 and 2 clips\\)",
    ),
    "blanks": (
        ("angry", "very  sad", "very sad"),
        "'very  sad' and 'very sad' differ by case, blanks or punctuation only",
    ),
    "underscores": (
        ("angry", "very_sad", "very sad"),
        r"\[rename\] \"very_sad\" = \"very sad\"",
    ),
    "absent": (
        ("angry", "calm"),
        r"'very sad' is absent: no clip has it. Clips by emotion: angry \(2\), calm \(2\)",
    ),
    "absent but for its case": (
        ("Angry", "very sad"),
        "'angry' is absent.*Did you mean 'Angry'",
    ),
}


@pytest.mark.parametrize("kind", WRITTEN)
def test_emotions_that_would_be_left_out_or_are_absent_are_named_with_counts(kind: str) -> None:
    there, words = WRITTEN[kind]
    with pytest.raises(BenchmarkError, match=words):
        check_emotions(dict.fromkeys(there, 2), ASKED, "study toy")


def test_other_emotions_and_those_that_are_asked_for_in_two_ways_are_no_matter() -> None:
    check_emotions({"a+": 1, "a-": 1, "Calm": 1, "calm": 1, "!": 1, "?": 1}, ("a+", "a-"), "toy")


@pytest.mark.recordings
@pytest.mark.parametrize("name", ["ravdess", "tess", "savee", "jl"])
def test_the_real_corpora_have_true_names_of_speakers(name: str, recordings: Path) -> None:
    found = read_corpus(name, locate(name, root=recordings, given={}, cache=recordings)).clips
    frame = clip_frame(found, [clip.id for clip in found])
    assert check_clips(frame, [SI], ()) == []

"""The audit finds what makes a score untrue, in recordings, tables and predictions."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from benchmark.audit import CHECKS, Audit, run_audit
from benchmark.audit.evidence import Evidence, Finding
from benchmark.audit.gather import of_corpora, of_predictions, of_tables
from benchmark.console import Console
from benchmark.corpora.clip import Recordings
from benchmark.errors import BenchmarkError
from benchmark.project import Job, Project, Sources
from tests.support.bench import SMALL_STUDY, refused_line, run_command

SPEAKERS, EMOTIONS, EACH = 6, 3, 4
RATE_HZ = 22_050


@pytest.fixture(scope="module")
def voices(generated: Recordings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Table of generated speech: six speakers, three emotions, four clips of each."""
    folder = tmp_path_factory.mktemp("voices")
    clips = generated.clips
    rows = []
    for speaker in sorted({clip.speaker for clip in clips})[:SPEAKERS]:
        for emotion in ("angry", "happy", "sad"):
            own = [one for one in clips if (one.speaker, one.emotion) == (speaker, emotion)]
            for clip in own[:EACH]:
                shutil.copy(clip.path, folder / f"{clip.name}.wav")
                rows.append((f"{clip.name}.wav", emotion, speaker.partition("/")[2]))
    table = pd.DataFrame(rows, columns=["path", "emotion", "speaker"])
    table.to_csv(folder / "table.csv", index=False)
    return folder / "table.csv"


@pytest.fixture
def own(voices: Path, tmp_path: Path) -> Path:
    """The table and its recordings, which a test may change."""
    shutil.copytree(voices.parent, tmp_path / "own")
    return tmp_path / "own" / voices.name


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def audit_of(table: Path, cache: Path) -> Audit:
    job = Job(Project(cache), Sources(cache=cache, given={"csv": table}), workers=1)
    return run_audit(of_corpora(["csv"], job, Console(quiet=True)))


def found(audit: Audit, check: str) -> list[Finding]:
    return [finding for finding in audit.findings if finding.check == check]


def copied(table: Path, change: Callable[[np.ndarray], np.ndarray], speaker: str) -> None:
    """Add a changed copy of each recording to a table, under another name of its speaker."""
    rows = pd.read_csv(table, dtype=str)
    copies = rows.assign(
        path="copy_" + rows["path"], speaker=[speaker.format(one) for one in rows["speaker"]]
    )
    for original, copy in zip(rows["path"], copies["path"], strict=True):
        samples, rate_hz = soundfile.read(table.parent / original)
        soundfile.write(table.parent / copy, change(samples), rate_hz)
    pd.concat([rows, copies]).to_csv(table, index=False)


def noisy(samples: np.ndarray) -> np.ndarray:
    loud = np.sqrt(np.mean(samples**2))
    return samples + 0.1 * loud * np.random.default_rng(0).standard_normal(len(samples))


CHANGES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "half the level": lambda samples: samples / 2,
    "one more zero": lambda samples: np.append(samples, 0.0),
    "noise": noisy,
    "half a second of silence": lambda samples: np.pad(samples, RATE_HZ // 2),
}


def test_recordings_of_true_names_pass(voices: Path, cache: Path) -> None:
    audit = audit_of(voices, cache)
    # Generated speech is faster and louder in some emotions, as acted speech is.
    assert {one.check for one in audit.findings if one.severity != "note"} == {"single-numbers"}
    assert {check.name for check in audit.passed} >= {"near-duplicates", "same-voice"}


@pytest.mark.parametrize("change", CHANGES)
def test_changed_copies_under_other_names_are_found(change: str, own: Path, cache: Path) -> None:
    copied(own, CHANGES[change], "other {}")
    (finding,) = found(audit_of(own, cache), "near-duplicates")
    names = [{one.replace("copy_", "") for one in row[:2]} for row in finding.rows]
    assert all(len(pair) == 1 for pair in names)  # each pair is a recording and its copy
    assert len(names) >= 0.8 * SPEAKERS * EMOTIONS * EACH


def test_copies_under_other_names_stop_a_study(own: Path, tmp_path: Path) -> None:
    copied(own, CHANGES["half the level"], "other {}")
    study = tmp_path / "copies.toml"
    study.write_text(SMALL_STUDY.replace('"low", "middle", "high"', '"angry", "happy", "sad"'))
    place = ("--corpus", f"csv={own}", "--project", str(tmp_path), "--workers", "1")
    line = refused_line("run-study", str(study), *place)
    assert "test clips are copies of training clips" in line
    assert "--allow near-duplicates" in line


def test_one_voice_under_two_names_is_found(own: Path, cache: Path) -> None:
    """Of one speaker, every other clip has another name."""
    rows = pd.read_csv(own, dtype=str)
    first = rows.index[rows["speaker"] == rows["speaker"].iloc[0]]
    more = pd.concat([rows, rows.loc[first]])  # enough clips under either name
    names = [f"take_{number}_{path}" for number, path in enumerate(more["path"])]
    for original, name in zip(more["path"], names, strict=True):
        samples, rate_hz = soundfile.read(own.parent / original)
        soundfile.write(own.parent / name, samples, rate_hz)
    more = more.assign(path=names).reset_index(drop=True)
    more.loc[len(rows) :, "speaker"] = "guest"
    more.to_csv(own, index=False)
    (finding,) = found(audit_of(own, cache), "same-voice")
    assert {finding.rows[0][0], finding.rows[0][1]} == {
        "csv/guest",
        f"csv/{rows['speaker'].iloc[0]}",
    }


@pytest.mark.parametrize(
    ("check", "column", "value"),
    [
        ("similar-speakers", "speaker", "Spk 2"),
        ("single-clip-speakers", "speaker", "{path}"),
        ("contradicting-recordings", "emotion", "bored"),
        ("telling-sentences", "statement", "{emotion}"),
    ],
)
def test_wrong_names_and_labels_are_found(
    check: str, column: str, value: str, own: Path, cache: Path
) -> None:
    rows = pd.read_csv(own, dtype=str)
    changed = {
        "similar-speakers": rows.index[rows["speaker"] == "spk02"][:4],
        "contradicting-recordings": [0],
    }.get(check, rows.index)
    shutil.copy(own.parent / rows["path"][0], own.parent / "again.wav")
    again = rows.iloc[[0]].assign(path="again.wav")
    rows[column] = [
        value.format(**row) if number in changed else row.get(column, "")
        for number, row in enumerate(rows.to_dict("records"))
    ]
    pd.concat([rows, again]).to_csv(own, index=False)
    assert len(found(audit_of(own, cache), check)) >= 1


def tables(folder: Path, **changes: object) -> tuple[Path, Path]:
    """Write tables of noise, 4 features that tell nothing: 6 speakers train, 3 others test."""
    rng = np.random.default_rng(0)
    paths = []
    for side, speakers in (("train", range(6)), ("test", range(6, 9))):
        rows = pd.DataFrame(
            {
                "clip": [f"{side}{n}" for n in range(20 * len(speakers))],
                "speaker": np.repeat([f"s{one}" for one in speakers], 20),
                "emotion": np.resize(["sad", "happy"], 20 * len(speakers)),
            }
        )
        features = pd.DataFrame(rng.normal(size=(len(rows), 4)), columns=list("abcd"))
        paths.append((folder / f"{side}.csv", pd.concat([rows, features], axis=1)))
    (train_path, train), (test_path, test) = paths
    if "equal" in changes:
        test.loc[:29, list("abcd")] = train.loc[:29, list("abcd")].to_numpy()
        test.loc[:29, "emotion"] = train.loc[:29, "emotion"].to_numpy()
    if "label" in changes:
        train["d"], test["d"] = ((one["emotion"] == "sad") * 1.0 for one in (train, test))
    if "speaker" in changes:
        test.loc[:19, "speaker"] = "s0"
    if "clip" in changes:
        test.loc[:9, "clip"] = train.loc[:9, "clip"].to_numpy()
    for path, table in ((train_path, train), (test_path, test)):
        table.to_csv(path, index=False)
    return train_path, test_path


@pytest.mark.parametrize(
    ("change", "check"),
    [
        ("equal", "exact-duplicates"),
        ("label", "label-columns"),
        ("speaker", "shared-speakers"),
        ("clip", "same-clip"),
    ],
)
def test_leaks_of_own_tables_are_found(change: str, check: str, tmp_path: Path) -> None:
    claimed = "speaker-independent"
    honest = run_audit(of_tables(*tables(tmp_path), protocol=claimed))
    assert [one.check for one in honest.leaks] == []
    audit = run_audit(of_tables(*tables(tmp_path, **{change: True}), protocol=claimed))
    assert check in {one.check for one in audit.leaks}


def test_a_notebooks_random_split_is_doubted_and_says_what_it_means(tmp_path: Path) -> None:
    """As `train_test_split` and `to_csv` leave it: numbered features, own names, no protocol."""
    rng = np.random.default_rng(0)
    rows = pd.DataFrame(rng.normal(size=(60, 4)))
    rows["labels"] = np.resize(["sad", "happy"], 60)
    rows["path"] = [f"/data/{n}.wav" for n in range(60)]
    rows["who"] = np.repeat(range(10), 6)
    drawn = rng.permutation(60)
    paths = tmp_path / "train.csv", tmp_path / "test.csv"
    for path, part in zip(paths, (drawn[:45], drawn[45:]), strict=True):
        rows.iloc[part].to_csv(path)
    evidence = of_tables(*paths, {"speaker": "who"})
    assert evidence.own is not None
    assert evidence.own.columns == ("0", "1", "2", "3")
    (finding,) = found(run_audit(evidence), "shared-speakers")
    assert finding.severity == "doubt"
    assert "15 of 15 test clips are of speakers who are in training" in finding.problem
    assert "does not hold for other speakers" in finding.problem
    assert sum(int(n) for _, n in finding.rows) == 15
    claimed = of_tables(*paths, {"speaker": "who"}, "speaker-independent")
    assert [one.check for one in run_audit(claimed).leaks] == ["shared-speakers"]


@pytest.mark.parametrize(("speaker", "checks"), [(9, []), (1, ["shared-speakers"])])
def test_the_sides_of_another_tool_need_no_features(
    speaker: int, checks: list[str], tmp_path: Path
) -> None:
    """Nkululeko's tables of clips: their durations are equal by chance, and no features."""
    paths = tmp_path / "traindf.csv", tmp_path / "testdf.csv"
    for path, own in zip(paths, (1, speaker), strict=True):
        files = [f"/data/{path.stem}/{n}.wav" for n in range(10)]
        pd.DataFrame(
            {
                "file": files,
                "start": "0 days",
                "end": "0 days 00:00:02.5",
                "speaker": own,
                "gender": "male",
                "emotion": np.resize(["sad", "happy"], 10),
                "duration": 2.5,
                "source_db": path.stem,
            }
        ).to_csv(path, index=False)
    audit = run_audit(of_tables(*paths, protocol="speaker-independent"))
    assert [one.check for one in audit.leaks] == checks
    assert audit.evidence.features is None


def test_a_leak_says_what_it_adds(tmp_path: Path) -> None:
    """Half of the test rows are training rows; the model remembers some of them."""
    audit = run_audit(of_tables(*tables(tmp_path, equal=True)))
    (finding,) = found(audit, "exact-duplicates")
    assert finding.effect is not None
    assert finding.effect.added > 0.02
    assert "30 of 60 test clips" in finding.problem


def predictions(folder: Path, shared: bool) -> Path:
    """Write predictions of two folds, with speakers on both sides or apart."""
    rows = pd.DataFrame({"clip": [f"c{n}" for n in range(40)]})
    rows["speaker"] = [f"s{n // 10}" for n in range(40)]
    rows["emotion"] = np.resize(["sad", "happy"], 40)
    rows["prediction"] = "sad"
    rows["fold"] = [n % 2 if shared else n // 20 for n in range(40)]
    rows.to_csv(folder / "predictions.csv", index=False)
    return folder / "predictions.csv"


@pytest.mark.parametrize(("shared", "status"), [(True, 1), (False, 0)])
def test_the_status_tells_whether_there_is_a_leak(
    shared: bool, status: int, tmp_path: Path
) -> None:
    path = predictions(tmp_path, shared)
    place = ("--project", str(tmp_path), "--protocol", "speaker-independent")
    ended = run_command("audit", "--predictions", str(path), "--json", *place)
    assert ended.returncode == status
    record = json.loads(ended.stdout)
    leaks = [one["check"] for one in record["findings"] if one["severity"] == "leak"]
    assert leaks == ["shared-speakers"] * shared
    page = (tmp_path / "reports" / "audit" / "predictions.md").read_text()
    assert ("1 leak" in page) is shared


def test_the_folds_of_predictions_are_doubted_if_they_claim_nothing(tmp_path: Path) -> None:
    audit = run_audit(of_predictions(predictions(tmp_path, True), {}))
    assert [(one.severity, one.check) for one in audit.findings] == [("doubt", "shared-speakers")]


@pytest.mark.parametrize(
    "arguments",
    [(), ("quickstart", "--train", "a.csv", "--test", "b.csv"), ("--train", "a.csv")],
)
def test_an_audit_is_of_one_thing(arguments: tuple[str, ...], tmp_path: Path) -> None:
    ended = run_command("audit", *arguments, "--project", str(tmp_path))
    assert ended.returncode == 2
    assert "audit takes one thing" in ended.stderr


def test_the_split_of_a_table_is_held_to_the_stated_protocol(voices: Path, tmp_path: Path) -> None:
    table = pd.read_csv(voices)
    table["path"] = [str(voices.parent / path) for path in table["path"]]
    job = Job(
        Project(tmp_path), Sources(cache=tmp_path, given={"csv": tmp_path / "t.csv"}), workers=1
    )
    table.to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(BenchmarkError, match="no clip has a side"):
        of_corpora(["csv"], job, Console(quiet=True), "speaker-independent")
    table.assign(fold=[n % 2 for n in range(len(table))]).to_csv(tmp_path / "t.csv", index=False)
    audit = run_audit(of_corpora(["csv"], job, Console(quiet=True), "speaker-independent"))
    assert [one.severity for one in found(audit, "shared-speakers")] == ["leak"]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("quickstart", "--protocol", "given"), "a study states its protocols itself"),
        (
            ("--corpus", "csv=t.csv", "--column", "emotion=gold"),
            "--column names columns of --train",
        ),
    ],
)
def test_an_option_that_would_have_no_effect_is_refused(
    arguments: tuple[str, ...], line: str, tmp_path: Path
) -> None:
    ended = run_command("audit", *arguments, "--project", str(tmp_path))
    assert ended.returncode == 2
    assert line in ended.stderr


def test_each_check_says_what_it_needs(tmp_path: Path) -> None:
    """Of predictions without folds, speakers and labels are known, and nothing else."""
    rows = pd.read_csv(predictions(tmp_path, True)).drop(columns="fold")
    evidence = Evidence("names", rows.assign(corpus="all", gender="", samples=""))
    audit = run_audit(evidence)
    named = {check.name for check in audit.passed} | {check.name for check, _ in audit.skipped}
    assert named == set(CHECKS)
    assert all(lack for _, lack in audit.skipped)


def test_segments_that_share_a_part_of_a_recording_are_found(voices: Path, tmp_path: Path) -> None:
    rows = pd.read_csv(voices)
    seconds = [soundfile.info(voices.parent / path).duration for path in rows["path"]]
    rows["path"] = [str(voices.parent / path) for path in rows["path"]]
    whole = rows.assign(start=0.0, end=seconds)
    half = whole.assign(end=whole["end"] / 2)
    rest = whole.assign(start=half["end"] - 0.05)  # neighbours, by rounded times
    (tmp_path / "t").mkdir()
    table = tmp_path / "t" / "t.csv"
    pd.concat([half, rest]).to_csv(table, index=False)
    assert found(audit_of(table, tmp_path), "overlapping-segments") == []
    middle = whole.iloc[:2].assign(start=half["end"] / 2, end=half["end"] * 1.5)
    pd.concat([half, rest, middle]).to_csv(table, index=False)
    (finding,) = found(audit_of(table, tmp_path), "overlapping-segments")
    assert finding.severity == "doubt"
    assert "4 pairs of segments that share a part of one recording" in finding.problem


def test_an_audit_of_a_study_looks_at_its_own_features(own: Path, tmp_path: Path) -> None:
    rows = pd.read_csv(own)
    numbers = pd.factorize(rows["emotion"])[0]
    table = pd.DataFrame({"filename": rows["path"], "noise": range(len(rows)), "code": numbers})
    table.to_parquet(tmp_path / "own.parquet")
    study = tmp_path / "own.toml"
    text = SMALL_STUDY.replace('"low", "middle", "high"', '"angry", "happy", "sad"')
    text = text.replace('"mfcc-stats"', f'"mfcc-stats+table:{tmp_path}/own.parquet"')
    study.write_text(text.replace('augment  = ["noise"]', ""))
    place = ("--corpus", f"csv={own}", "--project", str(tmp_path), "--json")
    ended = run_command("audit", str(study), *place)
    leaks = [one for one in json.loads(ended.stdout)["findings"] if one["severity"] == "leak"]
    assert [(one["check"], one["rows"]) for one in leaks] == [("label-columns", [["code"]])]
    assert ended.returncode == 1


def test_an_audit_accepts_an_incomplete_corpus_if_it_may(own: Path, tmp_path: Path) -> None:
    rows = pd.read_csv(own)
    (own.parent / rows["path"].iloc[0]).unlink()
    place = ("--corpus", f"csv={own}", "--project", str(tmp_path))
    assert "or accept it with --allow-incomplete" in refused_line("audit", *place)
    ended = run_command("audit", *place, "--allow-incomplete")
    assert f"csv: {len(rows) - 1} of {len(rows)} clips; missing: " in ended.stderr
    assert ended.returncode == 0


@pytest.mark.recordings
def test_savee_has_no_leak_and_its_sentences_are_doubted(recordings: Path, tmp_path: Path) -> None:
    place = ("--corpora", str(recordings), "--project", str(tmp_path), "--json")
    ended = run_command("audit", "savee_text", *place)
    assert ended.returncode == 0
    found = [(one["severity"], one["check"]) for one in json.loads(ended.stdout)["findings"]]
    assert ("doubt", "telling-sentences") in found
    assert "near-duplicates" not in {check for _, check in found}

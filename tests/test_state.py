"""State that is damaged, or not ours: one line with status 2, or the right result.

The long versions are `python -m tests.faults.sweep` and `python -m tests.faults.fuzz`.
"""

from __future__ import annotations

import csv
import errno
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmark.data.tables import Table, read_csv, write_csv
from benchmark.engine.databases import check_address, sqlite_file, sqlite_url, without_user
from benchmark.engine.files import user_path
from benchmark.engine.signals import ENDING
from benchmark.engine.table_file import read_table, table_csv
from benchmark.errors import BenchmarkError, plain_errors
from benchmark.evaluation import looks
from benchmark.evaluation.results import read_result
from benchmark.models.stored import dump
from benchmark.search.storage import TrialStorage
from benchmark.serving.formats import FileResult, to_csv
from benchmark.serving.predictor import Prediction
from benchmark.tracking.cards import load_model, read_card
from benchmark.tracking.store import check_store
from benchmark.validation import read_checked
from tests.faults import fuzz, sweep
from tests.support.bench import SMALL_STUDY, Bench, refused_line, run_command
from tests.support.stores import PLAN, opened, trial
from tests.support.waiting import wait_until

# --- what a user writes


def hostile(before: str, after: str) -> str:
    assert before in SMALL_STUDY
    return SMALL_STUDY.replace(before, after)


C_RANGE = "C = { low = 1e-3, high = 1e1, log = true }"
TRIALS = "trials = 6"
GRID = '\nsampler = "grid"'

STUDIES = {
    "5,000 digits": hostile(TRIALS, f"trials = {'9' * 5000}"),
    "5,000 hexadecimal digits": hostile(TRIALS, f"trials = 0x{'f' * 5000}"),
    "more than 64 bits": hostile(C_RANGE, f"C = {{ low = 1, high = {2**64} }}"),
    "nested lists": hostile(TRIALS, f"trials = {'[' * 5000}{']' * 5000}"),
    "nested tables": hostile(TRIALS, f"trials = {'{a=' * 3000}1{'}' * 3000}"),
    "a nested key": f"{SMALL_STUDY}\n[{'.'.join(['a'] * 5000)}]\nb = 1\n",
    "a tiny step": hostile(C_RANGE, "C = { low = 0.0, high = 1.0, step = 1e-300 }"),
    "a million settings": hostile(C_RANGE, "C = { low = 1, high = 1_000_000, step = 1 }"),
    "a grid of a million": hostile(TRIALS, TRIALS + GRID).replace(
        C_RANGE, "C = { low = 1, high = 1000, step = 1 }\nmax_iter = { low = 1, high = 1000 }"
    ),
    "a billion whole numbers": hostile(TRIALS, TRIALS + GRID).replace(
        C_RANGE, "max_iter = { low = 1, high = 1_000_000_000 }"
    ),
    "a long name of an ensemble": f"{SMALL_STUDY}\n[ensembles]\n{'n' * 300} = "
    '["logistic_regression", "random_forest"]\n',
    "a long name of a model": f"{SMALL_STUDY}\n[models.{'n' * 300}]\nC = 1\n",
}


@pytest.mark.parametrize("text", STUDIES.values(), ids=STUDIES)
def test_a_study_beyond_all_bounds_is_refused_before_work_and_briefly(
    text: str, tmp_path: Path
) -> None:
    path = tmp_path / "odd.toml"
    path.write_text(text)
    with pytest.raises(BenchmarkError) as refusal:
        read_checked(path)
    assert str(refusal.value).startswith(str(path))
    assert len(str(refusal.value)) < 1000


@pytest.mark.parametrize("change", [f"search.trials={'9' * 5000}", f"emotions={'[' * 5000}"])
def test_a_changed_key_beyond_all_bounds_is_refused(change: str) -> None:
    assert "error: --set" in refused_line("run-study", "quickstart", "--set", change)


@pytest.mark.parametrize("letters", ["n" * 120, "ü" * 60])
def test_a_long_name_of_a_study_is_refused_before_work(letters: str, tmp_path: Path) -> None:
    path = tmp_path / f"{letters}.toml"
    path.write_text(SMALL_STUDY)
    with pytest.raises(BenchmarkError, match=r"120 bytes.*at most 100.*rename the file"):
        read_checked(path)


@pytest.mark.parametrize(
    "name", [".", "/", "..", "", "./", "~", "~nosuchuser/x", "x" * 300, "a/" * 3000, "dir.toml"]
)
def test_what_is_no_study_is_refused_in_one_line(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dir.toml").mkdir()
    assert refused_line("run-study", "--", name)


@pytest.mark.parametrize("option", ["--corpora=~nosuchuser/x", f"--project={'x' * 300}"])
def test_a_path_that_can_not_be_is_refused_in_one_line(option: str, tmp_path: Path) -> None:
    assert refused_line("run-study", "quickstart", option)


def test_a_path_of_an_unknown_user_is_named() -> None:
    with pytest.raises(BenchmarkError, match="~nosuchuser/x: not a valid path"):
        user_path("~nosuchuser/x")


@pytest.mark.parametrize("cell", ["9" * 400, "9" * 5000, "1e400", "[" * 3000])
@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("table.csv", "clip,speaker,emotion,f0\na,s,sad,", "\n"),
        ("table.json", '[{"clip": "a", "speaker": "s", "emotion": "sad", "f0": ', "}]"),
    ],
)
def test_a_cell_beyond_all_bounds_is_refused(
    cell: str, name: str, before: str, after: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_text(before + cell + after)
    with pytest.raises(BenchmarkError, match=name) as refusal:
        read_csv(tmp_path / name)
    assert len(str(refusal.value)) < 500


# --- errors of the system


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.ELOOP, errno.EISDIR, errno.ESTALE, 9999])
def test_any_error_of_the_system_is_one_line_with_what_where_and_what_to_do(number: int) -> None:
    with pytest.raises(BenchmarkError, match=r"/data/x: .*Free disk space.*another") as told:
        _raise(OSError(number, os.strerror(number), "/data/x"))
    assert os.strerror(number) in str(told.value)


@plain_errors()
def _raise(error: Exception) -> None:
    raise error


@pytest.mark.parametrize(
    "name", ["optuna.db", "mlflow.db", "reports/small.md", "reports/looks.csv"]
)
def test_a_folder_in_the_place_of_a_file_is_one_line(
    finished: Bench, tmp_path: Path, name: str
) -> None:
    copy = copied(finished, tmp_path)
    sweep.DAMAGES["folder"](copy.project / name)
    assert_refused(copy, Path(name).name)


@pytest.mark.parametrize("name", ["features_cache", "features_cache/small", "reports/figures"])
def test_a_file_in_the_place_of_a_folder_is_one_line(
    finished: Bench, tmp_path: Path, name: str
) -> None:
    copy = copied(finished, tmp_path)
    shutil.rmtree(copy.project / name)
    (copy.project / name).write_text("a file")
    assert_refused(copy, Path(name).name)


def assert_refused(bench: Bench, name: str) -> None:
    """The study is refused with one line that names a file."""
    refused = bench.run(check=False)
    assert refused.returncode == 2
    (line,) = [line for line in refused.stderr.splitlines() if line.startswith("error: ")]
    assert name in line


# --- databases


ODD = ["a?b", "50%", "%41", "a#b", "a b", "ü", "a&b=c", "a@b:c", "{x}", "mode=memory?x", "a'b"]


@pytest.mark.parametrize("name", ODD)
def test_the_address_of_a_database_is_its_file_whatever_its_name(name: str, tmp_path: Path) -> None:
    file = tmp_path / name / "optuna.db"
    file.parent.mkdir()
    opened(sqlite_url(file))
    assert sqlite_file(sqlite_url(file)) == file
    assert file.stat().st_size
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_mlflow_writes_nothing_outside_a_project_with_an_odd_name(tmp_path: Path) -> None:
    folder = tmp_path / "a?b%41#c@d:e{f}"
    folder.mkdir()
    check_store(sqlite_url(folder / "mlflow.db"))
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]
    assert (folder / "mlflow.db").stat().st_size


@pytest.mark.parametrize("scheme", ["postgresql", "mysql", "http", "postgresql+psycopg"])
@pytest.mark.parametrize(
    "rest",
    [
        "me:se/cret@host/db",
        "me:se@cret@host/db",
        "me:se#cret@host/db",
        "me:se?cret@host/db",
        "me:12/cret@host",
        "me:1?x=cret@host",
        "host/db?password=se@cret",
        "host:5432/db?password=se#cret",
    ],
)
def test_a_password_with_any_sign_is_refused_and_never_shown(scheme: str, rest: str) -> None:
    with pytest.raises(BenchmarkError, match="write / as %2F") as told:
        check_address(f"{scheme}://{rest}")
    for text in (str(told.value), without_user(f"{scheme}://{rest}")):
        assert "cret" not in text
        assert "se" not in text.partition(":")[2].partition("it is")[0]


@pytest.mark.parametrize(
    "rest", ["me:se%2Fcret@host/db", "me:se%cret@host/db", "host/db?user=me&password=secret"]
)
def test_a_plain_address_is_shown_without_its_password(rest: str) -> None:
    check_address(f"postgresql://{rest}")
    assert without_user(f"postgresql://{rest}") == "postgresql://host/db"


def test_a_storage_whose_password_is_unclear_is_refused() -> None:
    with pytest.raises(BenchmarkError, match="unclear") as told:
        TrialStorage("postgresql://me:p@ss/w#rd@host/db").open()
    assert "ss/w" not in str(told.value)


def test_a_storage_of_another_version_is_one_plain_sentence(tmp_path: Path) -> None:
    file = tmp_path / "optuna.db"
    opened(sqlite_url(file))
    change(file, "UPDATE alembic_version SET version_num = 'v9.9.9.a'")
    with pytest.raises(BenchmarkError, match=r"made by another version of Optuna than \d"):
        TrialStorage(sqlite_url(file)).open()


# --- digests


def change(file: Path, statement: str) -> None:
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute(statement)


def copied(bench: Bench, folder: Path) -> Bench:
    shutil.copytree(bench.project, folder / "project")
    return replace(bench, project=folder / "project")


EDITS = {
    "scores": "UPDATE trial_user_attributes SET value_json = replace(value_json, '0.', '9.') "
    "WHERE key = 'fold_scores'",
    "parameters": "UPDATE trial_params SET param_value = param_value * 1.01 WHERE param_name = 'C'",
    "no digest": "DELETE FROM trial_user_attributes WHERE key = 'digest'",
    "no digest, and scores": "UPDATE trial_user_attributes SET key = 'x', value_json = '1' "
    "WHERE key = 'digest'",
    "no record": "UPDATE trial_user_attributes SET value_json = '1' WHERE key = 'params'",
}


def test_trials_edited_in_the_storage_are_restored_from_their_folds(
    finished: Bench, tmp_path: Path
) -> None:
    copy = copied(finished, tmp_path)
    change(copy.project / "optuna.db", EDITS["scores"])
    change(copy.project / "optuna.db", EDITS["parameters"])
    assert "stored trials were changed" in copy.run().stderr
    assert copy.bytes_of("reports") == finished.bytes_of("reports")


@pytest.mark.parametrize("edit", EDITS)
def test_an_edited_trial_is_not_taken_for_the_stored_one(tmp_path: Path, edit: str) -> None:
    store, study = opened(sqlite_url(tmp_path / "optuna.db"))
    store.add(study, PLAN, trial(0))
    change(tmp_path / "optuna.db", EDITS[edit])
    store, study = opened(sqlite_url(tmp_path / "optuna.db"))
    (found,) = store.trials(study, PLAN)
    assert found.trial is None or not found.has_digest


def test_a_stored_trial_reads_back_with_its_digest(tmp_path: Path) -> None:
    store, study = opened(sqlite_url(tmp_path / "optuna.db"))
    store.add(study, PLAN, trial(0))
    (found,) = store.trials(study, PLAN)
    assert found.trial == trial(0)
    assert found.has_digest


def with_another_digit(path: Path, after: bytes) -> None:
    """Change the first digit after some text in a file."""
    content = path.read_bytes()
    place = content.index(after) + len(after)
    while not content[place : place + 1].isdigit():
        place += 1
    digit = b"%d" % ((int(content[place : place + 1]) + 1) % 10)
    path.write_bytes(content[:place] + digit + content[place + 1 :])


def test_a_figure_changed_in_a_result_is_refused(finished: Bench, tmp_path: Path) -> None:
    copy = copied(finished, tmp_path)
    folder = copy.project / "reports/results/small"
    with_another_digit(folder / "study.json", b'"score": 0.')
    with pytest.raises(BenchmarkError, match=r"study\.json: .*it was changed"):
        read_result(folder)


def test_a_figure_changed_in_a_card_is_refused(finished: Bench, tmp_path: Path) -> None:
    card = copied(finished, tmp_path).card()
    with_another_digit(card, b'"cv_score": 0.')
    with pytest.raises(BenchmarkError, match="not a model card: it was changed"):
        read_card(card)


def test_a_figure_changed_in_the_looks_is_refused(finished: Bench, tmp_path: Path) -> None:
    file = copied(finished, tmp_path).project / "reports/looks.csv"
    with_another_digit(file, b",0.")
    with pytest.raises(BenchmarkError, match=r"the row of small, .* was changed"):
        looks.read_looks(file)


def test_a_card_whose_model_is_none_is_refused(finished: Bench, tmp_path: Path) -> None:
    path = copied(finished, tmp_path).card()
    digest = dump(None, path.with_name("none.skops"))
    card = read_card(path).model_copy(update={"file": "none.skops", "sha256": digest})
    path.write_text(card.text())
    with pytest.raises(BenchmarkError, match="holds a NoneType, which predicts no emotions"):
        load_model(path)


# --- formulas


def test_text_of_predictions_is_no_formula_and_numbers_stay_numbers() -> None:
    answer = Prediction("-sad", {"-sad": 1.0}, 1.5, distance=0.5, familiarity="like")
    text = to_csv([FileResult("=1+1.wav", answer), FileResult("@x", None, "+no")], ["-sad"])
    rows = list(csv.reader(text.splitlines()))
    assert [rows[1][0], rows[1][1], rows[2][0], rows[2][-1]] == [
        "'=1+1.wav",
        "'-sad",
        "'@x",
        "'+no",
    ]
    assert rows[1][2] == "1.0"


def test_a_table_with_formulas_reads_back_as_it_was(tmp_path: Path) -> None:
    table = pd.DataFrame({"=a": ["=1", "-x", "'@y", "plain"], "number": [-1.5, 2.0, -3e-9, 0.0]})
    (tmp_path / "table.csv").write_text(table_csv(table))
    cells = list(csv.reader((tmp_path / "table.csv").open()))
    assert [row[0] for row in cells] == ["'=a", "'=1", "'-x", "''@y", "plain"]
    assert [float(row[1]) for row in cells[1:]] == [-1.5, 2.0, -3e-9, 0.0]
    assert read_table(tmp_path / "table.csv")["=a"].tolist() == ["=1", "-x", "'@y", "plain"]


def test_features_with_formulas_read_back_as_they_were(tmp_path: Path) -> None:
    names = {name: ["", ""] for name in ("corpus", "gender", "augmentation")}
    rows = pd.DataFrame(
        {"clip": ["=a", "b"], "speaker": ["@s", "t"], "emotion": ["-x", "y"], **names}
    )
    values = np.array([[-1.5, 2.0], [3.0, -4.0]], dtype=np.float32)
    order = ["clip", "corpus", "speaker", "gender", "emotion", "augmentation"]
    write_csv(Table(rows[order], values, ("=f", "g")), tmp_path / "train.csv")
    cells = list(csv.reader((tmp_path / "train.csv").open()))
    assert not [cell for row in cells for cell in row if cell.startswith(("=", "@", "-x"))]
    found = read_csv(tmp_path / "train.csv")
    assert found.columns == ("=f", "g")
    assert found.rows["clip"].tolist() == ["=a", "b"]
    assert found.values.tolist() == values.tolist()


# --- processes and threads

CHILDREN = """
import os, signal, subprocess, sys
from pathlib import Path
from benchmark.engine.signals import child, ended_by_signals
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # a shell may have it ignored
grandchild = "import time; time.sleep(600)"
parent = (
    "import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', sys.argv[1]]);"
    "print(p.pid, flush=True); p.wait()"
)
try:
    command = [sys.executable, "-c", parent, grandchild]
    with ended_by_signals(), child(command, dict(os.environ), Path()) as process:
        process.wait()
except KeyboardInterrupt:
    print("stopped", flush=True)
"""


@pytest.mark.parametrize("number", ENDING)
def test_a_program_and_its_children_end_with_the_command_that_ran_them(
    number: signal.Signals,
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", CHILDREN], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        grandchild = int(process.stdout.readline())
        process.send_signal(number)
        assert process.stdout.read() == "stopped\n"
    assert process.returncode == 0
    wait_until(lambda: not is_running(grandchild), 10)  # the kernel takes a moment


def is_running(process: int) -> bool:
    """Whether a process runs; one that has ended may still be listed until it is reaped."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


TABLES = """
question = "Does it work on tables?"
corpora  = ["csv"]
emotions = ["low", "high"]
features = "mfcc-stats"

[search]
trials = 1
folds  = 2
metric = "uar"

[models.logistic_regression]
C = 1.0
"""


def test_a_refused_run_leaves_no_thread_and_does_not_touch_the_next(tmp_path: Path) -> None:
    (tmp_path / "tables.toml").write_text(TABLES)
    dice = np.random.default_rng(0)
    for name, speakers in (("a", "stuv"), ("b", "wxyz")):
        rows = [
            (f"{name}{speaker}{index}", speaker, ("low", "high")[index % 2], *dice.normal(size=2))
            for speaker in speakers
            for index in range(6)
        ]
        columns = ["clip", "speaker", "emotion", "f0", "f1"]
        pd.DataFrame(rows, columns=columns).to_csv(tmp_path / f"{name}.csv", index=False)
    run = ("run-study", str(tmp_path / "tables.toml"), "--workers", "1", "--train")
    before = threading.active_count()
    first = (str(tmp_path / "a.csv"), "--test", str(tmp_path / "a.csv"))
    assert "listed twice" in refused_line(*run, *first, "--project", str(tmp_path / "p"))
    assert threading.active_count() == before
    second = (str(tmp_path / "a.csv"), "--test", str(tmp_path / "b.csv"))
    ended = run_command(*run, *second, "--project", str(tmp_path / "q"))
    assert ended.returncode == 0, ended.stderr
    assert threading.active_count() == before


# --- samples of the sweep and the fuzz


@pytest.mark.parametrize("damage", [name for name in sweep.DAMAGES if name != "unreadable"])
def test_a_damaged_record_gives_no_wrong_page(finished: Bench, tmp_path: Path, damage: str) -> None:
    copy = copied(finished, tmp_path)
    sweep.DAMAGES[damage](copy.project / "reports/results/small/study.json")
    assert refused_line("report", "--project", str(copy.project))


@pytest.mark.parametrize("attempt", [fuzz.fuzz_studies, fuzz.fuzz_tables])
def test_mutated_files_end_in_no_traceback(
    attempt: Callable[[int, int, Path], fuzz.Outcome], tmp_path: Path
) -> None:
    outcome = attempt(60, 1, tmp_path)
    assert outcome.failures == []
    assert outcome.counts["refused"] > 20

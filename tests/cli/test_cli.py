"""The command line answers quickly, teaches, and refuses in one line with status 2."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import typer

from benchmark.cli import app
from benchmark.data.protocols import PROTOCOLS
from benchmark.features import AUGMENTATIONS, FEATURE_SETS, OPTIONAL_FEATURE_SETS
from benchmark.models import MODELS
from tests.support.bench import Bench, refused_line, run_command
from tests.support.platforms import posix

COMMANDS = [
    name
    for name, command in typer.main.get_command(app).commands.items()  # type: ignore[attr-defined]
    if not command.hidden
]


def test_help_names_every_command() -> None:
    text = run_command("--help").stdout
    assert [name for name in COMMANDS if name not in text] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    explained = run_command(command, "--help")
    assert explained.returncode == 0
    assert "Usage" in explained.stdout


def test_help_needs_no_heavy_library() -> None:
    script = (
        "import sys; sys.argv = ['benchmark', '--help']\n"
        "from benchmark.__main__ import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "heavy = {'numpy', 'pandas', 'sklearn', 'optuna', 'mlflow', 'librosa', 'matplotlib',\n"
        "         'torch'}\n"
        "sys.stderr.write(', '.join(heavy & set(sys.modules)))"
    )
    asked = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert asked.stderr == ""


def test_list_names_every_entry_of_every_registry() -> None:
    text = run_command("list").stdout
    sets = (*FEATURE_SETS, *(one.title for one in OPTIONAL_FEATURE_SETS.values()))
    registries = (*MODELS, *sets, *AUGMENTATIONS, *PROTOCOLS, "quickstart", "capstone")
    assert [name for name in registries if name not in text] == []


@pytest.mark.parametrize(("section", "registry"), [("models", MODELS), ("protocols", PROTOCOLS)])
def test_a_section_of_the_list_describes_each_entry(
    section: str, registry: Mapping[str, Any]
) -> None:
    text = " ".join(run_command("list", section, COLUMNS="2000").stdout.split())
    assert [name for name, entry in registry.items() if entry.description not in text] == []


def test_the_list_is_short_by_default() -> None:
    assert len(run_command("list").stdout.splitlines()) < 40


def test_list_says_which_corpora_are_incomplete(tmp_path: Path) -> None:
    (tmp_path / "savee").mkdir()
    (tmp_path / "savee/DC_a01.wav").touch()
    assert "1 of 480 clips" in run_command("list", "--corpora", str(tmp_path)).stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("run-study", "capstoen"), "Did you mean 'capstone'?"),
        (("run-study", "mini_project", "--corpora", "nowhere"), "nowhere"),
        (("run-study", "mini_project", "--corpus", "ravdes=here"), "Did you mean 'ravdess'?"),
        (("run-study", "mini_project", "--corpus", "ravdess"), "NAME=DIR"),
        (("run-study", "--set", "search.trails=1"), "Did you mean 'trials'?"),
        (("run-study", "--train", "a.csv"), "--train and --test go together"),
        (("run-study", "--train", "a.csv", "--test", "b.csv"), "a.csv"),
        (("list", "model"), "Did you mean 'models'?"),
        (("anatomy", "capstone", "--draws", "2"), "now called `leakage`"),
        (("fetch", "savee", "--into", "here"), "kahlan.eps.surrey.ac.uk"),
        (("fetch", "saavee", "--into", "here"), "Did you mean 'savee'?"),
        (("report",), "nothing has been measured yet"),
        (("ui",), "no runs yet"),
        (("new", "mine"), "--corpus csv=table.csv"),
        (("new", "mine", "--use", "savve"), "Did you mean 'savee'?"),
        (("new", "a/b", "--use", "synthetic"), "Use letters, digits, - and _"),
        (("new", "quickstart", "--use", "synthetic"), "exists already and is not overwritten"),
        (("new", "README", "--corpus", "csv=nowhere.csv"), "nowhere.csv does not exist"),
        (("promote", "quikstart"), "Did you mean 'quickstart'?"),
        (("promote", "quickstart"), "Run it first: `python -m benchmark run-study quickstart`"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(
    tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    where = () if arguments[0] == "fetch" else ("--project", str(tmp_path))
    assert words in refused_line(*arguments, *where)


def test_a_storage_that_cannot_be_used_is_refused(bench: Bench) -> None:
    refused = bench.run("--storage", "nonsense://", check=False)
    assert refused.returncode == 2
    assert "trial storage can't be used" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_an_unreachable_tracking_server_stops_the_study_before_any_fit(bench: Bench) -> None:
    corpus = f"csv={bench.table}"
    line = refused_line(
        "run-study", str(bench.study), "--corpus", corpus, "--project", str(bench.project),
        MLFLOW_TRACKING_URI="http://127.0.0.1:9",
    )  # fmt: skip
    assert "MLflow at http://127.0.0.1:9 can't be used" in line
    assert not list((bench.project / "features_cache").glob("searches/*"))


@posix
def test_a_second_run_of_one_study_is_refused(bench: Bench) -> None:
    cache = bench.project / "features_cache"
    cache.mkdir()
    with (cache / ".small.lock").open("w") as lock:
        import fcntl

        fcntl.flock(lock, fcntl.LOCK_EX)
        refused = bench.run(check=False)
    assert refused.returncode == 2
    assert "study small is already running" in refused.stderr


def test_a_folder_that_cannot_be_written_is_refused(bench: Bench) -> None:
    (bench.project / "features_cache").touch()
    refused = bench.run(check=False)
    assert refused.returncode == 2
    assert "features_cache" in refused.stderr


SWALLOWED = """
import sys, time, weakref
from benchmark.__main__ import interrupt_again

class Thing: pass

def callback(_):
    raise KeyboardInterrupt

sys.unraisablehook = interrupt_again
thing = Thing()
reference = weakref.ref(thing, callback)
try:
    del thing
    for _ in range(400):
        time.sleep(0.05)  # Ctrl-C by another thread is seen between two calls
except KeyboardInterrupt:
    print("stopped")
"""


def test_ctrl_c_stops_even_if_python_ignores_it() -> None:
    command = [sys.executable, "-c", SWALLOWED]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("stopped\n", "")


@posix
@pytest.mark.parametrize("after_s", [0.0, 2.0, 5.0])
def test_ctrl_c_reports_that_finished_work_is_saved(bench: Bench, after_s: float) -> None:
    arguments = ("run-study", str(bench.study), "--corpus", f"csv={bench.table}")
    process = subprocess.Popen(
        bench.command(*arguments, "--set", "search.trials=500"),
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    assert process.stderr.readline() == f"study {bench.study}\n"  # before any work
    assert process.stderr.readline().startswith("csv: 72 of 72 clips")
    time.sleep(after_s)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "Finished work is saved" in errors
    assert "Traceback" not in errors

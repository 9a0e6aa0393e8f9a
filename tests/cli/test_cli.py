"""The command line answers quickly, teaches, and refuses in one line with status 2."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import typer

from benchmark import hints
from benchmark.cli import app
from benchmark.console import Console
from benchmark.data.protocols import PROTOCOLS
from benchmark.evaluation.results import read_result
from benchmark.features import AUGMENTATIONS, FEATURE_SETS
from benchmark.hints import command, install, program
from benchmark.models import MODELS
from benchmark.project import Project
from benchmark.report.listing import SECTIONS, STUDIES
from benchmark.report.summary import print_summary
from tests.support.bench import Bench, refused_line, run_command
from tests.support.platforms import posix

COMMANDS = [
    name
    for name, command in typer.main.get_command(app).commands.items()  # type: ignore[attr-defined]
    if not command.hidden
]


NOUNS = (STUDIES, *SECTIONS)


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


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_every_command_has_an_example(command: str) -> None:
    assert f"{command} " in run_command(command, "--help").stdout.partition("Usage")[2][20:]


def test_the_list_is_a_table_of_studies(bench: Bench) -> None:
    (bench.project / "reports/results/quickstart").mkdir(parents=True)
    (bench.project / "reports/results/quickstart/study.json").touch()
    text = bench.invoke("list").stdout
    (quickstart,) = [line for line in text.splitlines() if line.startswith(" quickstart ")]
    assert "How large is the SD–SI gap on generated speech?" in quickstart
    assert quickstart.split()[-1] == "yes"
    (capstone,) = [line for line in text.splitlines() if line.startswith(" capstone ")]
    assert "deep" in capstone
    assert capstone.split()[-1] == "no"


@pytest.mark.parametrize("noun", NOUNS)
def test_every_noun_has_a_list_and_the_same_as_json(noun: str) -> None:
    entries = json.loads(run_command("list", noun, "--json").stdout)
    text = run_command("list", noun, COLUMNS="2000").stdout
    names = [str(next(iter(entry.values()))) for entry in entries]
    assert [name for name in names if name not in text] == []


@pytest.mark.parametrize("width", ["60", "80", "200"])
def test_the_list_of_studies_fits_the_terminal(width: str) -> None:
    table = run_command("list", COLUMNS=width).stdout.partition("Corpora that are here")[0]
    assert [line for line in table.splitlines() if len(line) > int(width)] == []


@pytest.mark.parametrize(
    ("section", "registry"),
    [
        ("models", MODELS),
        ("protocols", PROTOCOLS),
        ("features", FEATURE_SETS),
        ("augmentations", AUGMENTATIONS),
    ],
)
def test_a_section_of_the_list_describes_each_entry(
    section: str, registry: Mapping[str, Any]
) -> None:
    text = " ".join(run_command("list", section, COLUMNS="2000").stdout.split())
    assert [name for name, entry in registry.items() if entry.description not in text] == []


def test_the_list_is_short_by_default() -> None:
    assert len(run_command("list").stdout.splitlines()) < 70  # two lines a study, and the notes


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
        (("report",), "no study was run yet"),
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


@pytest.mark.parametrize(
    ("called", "name"),
    [
        ("/usr/bin/ser-benchmark", "ser-benchmark"),
        ("C:/Scripts/ser-benchmark.exe", "ser-benchmark"),
        ("/site-packages/benchmark/__main__.py", "python -m benchmark"),
        ("notebook.py", "python -m benchmark"),
    ],
)
def test_hints_name_the_command_as_it_was_called(
    monkeypatch: pytest.MonkeyPatch, called: str, name: str
) -> None:
    monkeypatch.setattr(sys, "argv", [called, "list"])
    assert program() == name
    assert command("run-study") == f"`{name} run-study`"


def test_an_extra_is_installed_as_the_package_was(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    clone = Path(hints.__file__).parents[1]
    monkeypatch.chdir(clone)
    assert install("deep") == 'pip install -e ".[deep]"'
    monkeypatch.chdir(tmp_path)
    assert install("deep") == f'pip install -e "{clone}[deep]"'
    monkeypatch.setattr(hints, "SOURCE", tmp_path)  # site-packages
    assert install("deep") == 'pip install "ser-benchmark[deep]"'


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_completes_commands_and_studies(shell: str) -> None:
    script = (
        "import sys; sys.argv[0] = 'ser-benchmark'\nfrom benchmark.__main__ import main\nmain()"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={
            **os.environ,
            "_SER_BENCHMARK_COMPLETE": f"complete_{shell}",
            "COMP_WORDS": "ser-benchmark run-study caps",
            "COMP_CWORD": "2",
            "_TYPER_COMPLETE_ARGS": "ser-benchmark run-study caps",
            "_TYPER_COMPLETE_FISH_ACTION": "get-args",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert "capstone_inductive" in done.stdout, done.stderr


def test_a_quiet_run_prints_its_result_only(bench: Bench) -> None:
    bench.study.write_text(bench.study.read_text().replace("trials = 6", "trials = 1"))
    ended = bench.run("--quiet")
    assert ended.stderr == ""
    assert "(selected" in ended.stdout


def test_a_verbose_run_prints_every_trial_and_its_leaderboard_as_json(bench: Bench) -> None:
    ended = bench.run("--verbose", "--json", "--set", "search.trials=1")
    assert " trial 0: complete, UAR 0." in ended.stderr
    found = json.loads(ended.stdout)
    assert Path(found["page"]).is_file()
    independent = found["protocols"]["speaker-independent"]
    score = independent["models"][independent["selected"]]["scores"]["uar"]
    assert score["value"] > 1 / 3
    assert {"value", "low", "high"} == set(found["sd_si_gap"]["uar"])


@pytest.mark.parametrize(("width", "tables"), [("60", 1), ("80", 1), ("200", 1), ("40", 3)])
def test_the_selected_model_comes_first_at_any_width(
    finished: Bench, width: str, tables: int, capsys: pytest.CaptureFixture[str]
) -> None:
    result = read_result(finished.project / "reports/results/small")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", width)
        print_summary(result, Project(finished.project), Console())
    text, _, _ = capsys.readouterr().out.partition("SD: speaker-dependent")
    lines = text.splitlines()
    assert [line for line in lines if len(line) > int(width)] == []
    heads = [number for number, line in enumerate(lines) if line.startswith(" ──")]
    assert len(heads) == tables
    assert all("(selected" in " ".join(lines[head + 1 : head + 5]) for head in heads)

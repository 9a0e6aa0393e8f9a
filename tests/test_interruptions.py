"""A study that is cut short, by a kill or its budget, goes on to the same bytes."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from benchmark.tracking.store import DATABASE
from tests.support.bench import Bench
from tests.support.platforms import posix
from tests.support.stores import runs_in_mlflow, trials_in_optuna

SPLITS = ("speaker-dependent", "speaker-independent")
MODELS = ("logistic_regression", "random_forest")


def test_a_run_with_a_budget_of_time_says_what_it_cut_and_leaves_its_trials_to_the_next(
    bench: Bench, finished: Bench
) -> None:
    began = time.monotonic()
    bench.run("--minutes", "0.4", "--set", "search.trials=100000")
    assert time.monotonic() - began < 90  # it ends at all, on the slowest machine
    (cut,) = (bench.project / "reports/results").glob("small@*/study.json")
    record = json.loads(cut.read_text())
    assert {"kind": "budget", "value": "0.4"} in record["changes"]
    told = {(one["protocol"], one["model"]): one for one in record["unfinished"]}
    assert set(told) == {(split, model) for split in SPLITS for model in MODELS}
    assert all(one["completed"] < one["requested"] == 100_000 for one in told.values())
    # On a busy machine the slower model may have none; the cheaper one has some.
    assert all(told[split, "logistic_regression"]["completed"] for split in SPLITS)
    page = (bench.project / f"reports/{record['name']}.md").read_text()
    assert "**Unfinished searches**" in page
    assert "--minutes 0.4" in page
    stored = trials_in_optuna(bench)
    bench.run()
    assert set(stored) <= set(trials_in_optuna(bench))
    assert bench.bytes_of("reports/results/small") == finished.bytes_of("reports/results/small")


@posix
def test_four_kills_and_a_resume_give_the_bytes_of_an_unbroken_run(
    finished: Bench, bench: Bench
) -> None:
    (bench.project / DATABASE).unlink()  # killed while it is made, too
    command = bench.command("run-study", str(bench.study), "--corpus", f"csv={bench.table}")
    moments = random.Random(0)
    ends = [killed(command, after_s=moments.uniform(0.1, 0.5) * finished.whole_s) for _ in range(4)]
    # A resumed run is shorter than a whole one, and may have ended before it was killed.
    assert ends.count(-signal.SIGKILL) >= 2
    bench.run()
    assert bench.bytes_of("reports") == finished.bytes_of("reports")
    assert trials_in_optuna(bench) == trials_in_optuna(finished)
    assert runs_in_mlflow(bench) == runs_in_mlflow(finished)


def killed(command: list[str], after_s: float) -> int:
    """How a process that is killed after so long has ended."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(after_s)
    process.kill()
    return process.wait()


DEEP_STUDY = """
question = "Can tones be told apart over time?"
corpora  = ["csv", "jl"]
emotions = ["low", "middle", "high"]
features = "log-mel-frames"
compare  = [["cnn_1d", "svc"]]

[search]
trials = 5
folds  = 3
metric = "uar"
pruner = "asha"

[models.cnn_1d]
filters = [[4, 8], [8, 8]]
learning_rate = { low = 1e-4, high = 1e-1, log = true }
max_epochs = 14

[models.svc]
C = [0.1, 10.0]

[ensembles]
both = ["cnn_1d", "svc"]
best = "greedy"
stacked = "stacking"

[learning_curves]
fractions = [0.5, 1.0]

[claims]
source   = "Nobody"
protocol = "speaker-dependent"
metric   = "accuracy"
cnn_1d   = 0.99
"""


@posix
def test_a_deep_study_that_is_killed_and_resumed_by_more_workers_gives_the_same_bytes(
    tones: Path, tmp_path: Path
) -> None:
    pytest.importorskip("torch", reason="needs the extra `deep`")
    study = tmp_path / "deep.toml"
    study.write_text(DEEP_STUDY)
    unbroken, broken = (Bench(study, tones, tmp_path / name) for name in ("unbroken", "broken"))
    unbroken.project.mkdir()
    broken.project.mkdir()
    unbroken.run_apart("--allow-missing", "jl")
    command = broken.command(
        "run-study", str(study), "--corpus", f"csv={tones}", "--allow-missing", "jl"
    )
    ends = [killed(command, after_s=share * unbroken.whole_s) for share in (0.4, 0.5)]
    assert -signal.SIGKILL in ends
    broken.run("--workers", "2", "--allow-missing", "jl")
    assert broken.bytes_of("reports") == unbroken.bytes_of("reports")
    assert trials_in_optuna(broken) == trials_in_optuna(unbroken)
    assert runs_in_mlflow(broken) == runs_in_mlflow(unbroken)
    page = (broken.project / "reports/deep.md").read_text()
    for words in ("Learning curves", "Pairwise comparisons", "JL is left out", "oft voting of"):
        assert words in page
    assert "Nobody" in (broken.project / "reports/claims.md").read_text()

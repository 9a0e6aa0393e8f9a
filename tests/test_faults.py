"""Damaged files, a full disk and a concurrent run lose no work.

The long version, with kills at random moments of every stage, is in tests/faults.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from benchmark.errors import BenchmarkError
from benchmark.pipeline import check_databases
from tests.support.bench import Bench
from tests.support.platforms import posix
from tests.support.stores import runs_in_mlflow, trials_in_optuna


def files_of_ours(bench: Bench) -> list[Path]:
    """All files of a project that are not written by Optuna or MLflow."""
    written = [*bench.project.glob("features_cache/*.sqlite")]
    for folder in ("features_cache/small", "features_cache/searches", "reports"):
        written += [path for path in (bench.project / folder).rglob("*") if path.is_file()]
    return written


def test_a_study_with_all_files_truncated_gives_the_same_bytes(
    finished: Bench, tmp_path: Path
) -> None:
    shutil.copytree(finished.project, tmp_path / "project")
    copy = Bench(finished.study, finished.table, tmp_path / "project")
    # Looks are a record that no run can make again: see the next test.
    torn = [path for path in files_of_ours(copy) if path.name != "looks.csv"]
    for path in torn:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    (copy.project / "reports/.small.md.1.partial").write_text("of a killed process")
    copy.run()
    assert len(torn) > 100
    assert copy.bytes_of("reports") == finished.bytes_of("reports")
    tables = [name for name in finished.bytes_of("features_cache/small") if "models" not in name]
    ours, theirs = (bench.bytes_of("features_cache/small") for bench in (copy, finished))
    assert [name for name in tables if ours[name] != theirs[name]] == []
    assert trials_in_optuna(copy) == trials_in_optuna(finished)
    assert runs_in_mlflow(copy) == runs_in_mlflow(finished)


def test_a_truncated_table_of_looks_is_refused_before_any_work(
    finished: Bench, tmp_path: Path
) -> None:
    shutil.copytree(finished.project, tmp_path / "project")
    copy = Bench(finished.study, finished.table, tmp_path / "project")
    looks = copy.project / "reports/looks.csv"
    looks.write_bytes(looks.read_bytes()[: looks.stat().st_size // 2])
    refused = copy.run(check=False)
    assert refused.returncode == 2
    assert [line for line in refused.stderr.splitlines() if "looks.csv" in line]
    assert "trials" not in refused.stderr


def test_a_second_run_of_a_study_is_refused_and_does_not_disturb_the_first(
    finished: Bench, bench: Bench
) -> None:
    command = bench.command("run-study", str(bench.study), "--corpus", f"csv={bench.table}")
    first = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not (bench.project / "features_cache/.small.lock").exists():
        time.sleep(0.05)
    second = bench.run(check=False)
    assert second.returncode == 2
    assert second.stderr.splitlines()[-1].startswith("error: study small is already running")
    assert "Traceback" not in second.stderr
    assert first.wait() == 0
    assert bench.bytes_of("reports") == finished.bytes_of("reports")
    assert trials_in_optuna(bench) == trials_in_optuna(finished)
    assert runs_in_mlflow(bench) == runs_in_mlflow(finished)


@pytest.mark.parametrize("name", ["optuna.db", "mlflow.db"])
@pytest.mark.parametrize("part", [0.3, 0.6, 0.97])
def test_a_truncated_database_is_refused_with_what_to_do(
    finished: Bench, tmp_path: Path, name: str, part: float
) -> None:
    whole = (finished.project / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: int(part * len(whole))])
    with pytest.raises(BenchmarkError, match=rf"{name}: the database is damaged .*Move it away"):
        check_databases(
            f"sqlite:///{tmp_path / 'optuna.db'}", f"sqlite:///{tmp_path / 'mlflow.db'}"
        )


def test_intact_and_new_databases_are_accepted(finished: Bench, tmp_path: Path) -> None:
    for folder in (finished.project, tmp_path):
        check_databases(f"sqlite:///{folder / 'optuna.db'}", f"sqlite:///{folder / 'mlflow.db'}")


def limit_file_size() -> None:
    """Limit the files of this process to a kilobyte, as a full disk does, on any system."""
    import resource

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))


@posix
def test_a_full_disk_is_an_error_in_one_line_and_leaves_the_pages_unchanged(
    finished: Bench, tmp_path: Path
) -> None:
    shutil.copytree(finished.project / "reports", tmp_path / "reports")
    copy = Bench(finished.study, finished.table, tmp_path)
    before = copy.bytes_of("reports")
    refused = subprocess.run(
        copy.command("report"),
        preexec_fn=limit_file_size,
        capture_output=True,
        text=True,
        check=False,
    )
    assert refused.returncode == 2
    (line,) = refused.stderr.splitlines()
    assert line.startswith(f"error: {tmp_path}/reports/")
    assert "Free disk space" in line
    assert copy.bytes_of("reports") == before

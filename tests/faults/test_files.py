"""Files damaged between runs: the next run gives the bytes of an uninterrupted one.

    pytest tests/faults/test_files.py -s

About ten minutes on two cores.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.stages import differences, refused_in_one_line
from tests.support.bench import Bench

PAGE = 4096  # bytes

KINDS = {
    "features cache": "features_cache/*.sqlite",
    "folds": "features_cache/searches/*/*.npz",
    "points of learning curves": "features_cache/curves/*/*.npz",
    "arrays": "features_cache/small/*/arrays/*.npy",
    "tables": "features_cache/small/*/*.csv",
    "fitted models": "features_cache/small/*/models/*.skops",
    "cards": "features_cache/small/*/models/*.json",
    "results": "reports/results/small/*",
    "pages": "reports/*.md",
    "figures": "reports/figures/small/*.png",
}
"""Files written by this package, by content."""

DATABASES = ("optuna.db", "mlflow.db")
"""Files written by Optuna and MLflow."""

DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "torn last page": lambda content: content[: (len(content) - 1) // PAGE * PAGE],
    "half of it": lambda content: content[: len(content) // 2],
    "last byte missing": lambda content: content[:-1],
    "last page of zeros": lambda content: content[:-PAGE] + bytes(min(PAGE, len(content))),
    "empty": lambda content: b"",
    "garbage": lambda content: b"\xff" * len(content),
    "a flipped bit": lambda content: (
        content[: len(content) // 2]
        + bytes([content[len(content) // 2] ^ 4])
        + content[len(content) // 2 + 1 :]
    ),
}

Unbroken = tuple[Bench, dict[str, float]]


@pytest.fixture
def copy(unbroken: Unbroken, tmp_path: Path) -> Bench:
    """A copy of the uninterrupted run."""
    whole, _ = unbroken
    shutil.copytree(whole.project, tmp_path / "project")
    return Bench(whole.study, whole.table, tmp_path / "project")


def damaged(bench: Bench, pattern: str, damage: str) -> int:
    """Damage the files of a kind; return their number."""
    files = sorted(bench.project.glob(pattern))
    for path in files:
        path.write_bytes(DAMAGES[damage](path.read_bytes()))
    return len(files)


@pytest.mark.parametrize("damage", DAMAGES)
def test_all_files_of_this_package_damaged_at_once(
    copy: Bench, unbroken: Unbroken, damage: str, record: Callable[[str], None]
) -> None:
    count = sum(damaged(copy, pattern, damage) for pattern in KINDS.values())
    ended = copy.run(check=False)
    record(f"\n{damage}: {count} files of {len(KINDS)} kinds; status {ended.returncode}")
    assert ended.returncode == 0, ended.stderr
    assert differences(copy, unbroken[0]) == []


@pytest.mark.parametrize("kind", KINDS)
def test_the_files_of_one_kind_truncated(
    copy: Bench, unbroken: Unbroken, kind: str, record: Callable[[str], None]
) -> None:
    count = damaged(copy, KINDS[kind], "half of it")
    ended = copy.run(check=False)
    record(f"\n{kind}: {count} files torn; status {ended.returncode}")
    assert count
    assert ended.returncode == 0, ended.stderr
    assert differences(copy, unbroken[0]) == []


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_folds_of_trials_that_are_not_stored_are_fitted_again(
    copy: Bench, unbroken: Unbroken, damage: str, record: Callable[[str], None]
) -> None:
    count = damaged(copy, KINDS["folds"], damage)
    (copy.project / "optuna.db").unlink()
    ended = copy.run(check=False)
    record(f"\nfolds, {damage}: {count} files, no stored trial; status {ended.returncode}")
    assert ended.returncode == 0, ended.stderr
    assert differences(copy, unbroken[0]) == []


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", DATABASES)
def test_a_damaged_database_loses_no_result(
    copy: Bench, unbroken: Unbroken, name: str, damage: str, record: Callable[[str], None]
) -> None:
    damaged(copy, name, damage)
    ended = copy.run(check=False)
    record(f"\n{name}, {damage}: status {ended.returncode}: {ended.stderr.splitlines()[-1]}")
    assert ended.returncode == 0 or refused_in_one_line(ended), ended.stderr
    # As the error message says.
    for path in copy.project.glob(f"{name}*") if ended.returncode else ():
        path.rename(copy.project / f"aside-{path.name}")
    copy.run()
    assert differences(copy, unbroken[0]) == []

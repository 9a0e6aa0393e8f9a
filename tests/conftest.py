"""Fixtures of all tests: the real recordings, a small study, and a PostgreSQL server."""

from __future__ import annotations

from benchmark.engine.processes import prepare_libraries

prepare_libraries()

import os  # noqa: E402
import signal  # noqa: E402
from collections.abc import Callable, Iterator  # noqa: E402
from pathlib import Path  # noqa: E402

import pytest  # noqa: E402
from filelock import FileLock  # noqa: E402

from benchmark.corpora import read_corpus  # noqa: E402
from benchmark.corpora.clip import Recordings  # noqa: E402
from tests.support.bench import Bench, make_bench, make_ready  # noqa: E402
from tests.support.postgres import Postgres, running  # noqa: E402
from tests.support.tones import write_tones  # noqa: E402

# In the background of a shell, the tests and their child processes ignore Ctrl-C by default.
signal.signal(signal.SIGINT, signal.default_int_handler)


PASSED = "benchmark/passed"
"""Where pytest's cache holds the tests that passed in the last run."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--without-passed",
        action="store_true",
        help="leave out the tests that passed in the last run: with extras and recordings, run "
        "those that were skipped for want of them",
    )


def pytest_configure(config: pytest.Config) -> None:
    cached = config.pluginmanager.has_plugin("cacheprovider")
    if cached and not hasattr(config, "workerinput"):  # processes of pytest-xdist report to this
        config.pluginmanager.register(_Passed(config))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--without-passed"):
        passed = set(_cached(config))
        left_out = [item for item in items if item.nodeid in passed]
        items[:] = [item for item in items if item.nodeid not in passed]
        config.hook.pytest_deselected(items=left_out)


def _cached(config: pytest.Config) -> list[str]:
    assert config.cache is not None
    return config.cache.get(PASSED, [])


class _Passed:
    """Keeps the tests that pass, in pytest's cache, for ``--without-passed``."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.passed = set(_cached(config)) if config.getoption("--without-passed") else set()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" and report.passed:
            self.passed.add(report.nodeid)
        elif report.failed:
            self.passed.discard(report.nodeid)

    def pytest_sessionfinish(self) -> None:
        assert self.config.cache is not None
        self.config.cache.set(PASSED, sorted(self.passed))


@pytest.fixture(scope="session")
def recordings() -> Path:
    """Folder of the real corpora; without it, tests that need it are skipped."""
    folder = os.environ.get("SER_CORPORA")
    if not folder:
        pytest.skip("needs real recordings: set SER_CORPORA to their folder")
    return Path(folder)


@pytest.fixture(scope="session")
def tones(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Table of tones: six speakers, three emotions (pitches), four clips of each."""
    return write_tones(tmp_path_factory.mktemp("tones"))


@pytest.fixture(scope="session")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Recordings:
    """The corpus `synthetic`, which is made once for all processes of the tests; read-only."""
    folder = tmp_path_factory.getbasetemp()
    folder = folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder
    with FileLock(folder / "synthetic.lock"):
        return read_corpus("synthetic", folder / "synthetic")


@pytest.fixture
def bench(tones: Path, tmp_path: Path) -> Bench:
    """A small study and a project without any run."""
    return make_ready(tmp_path, tones)


@pytest.fixture(scope="session")
def finished(tones: Path, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """The small study, run once by one worker in a process of its own; read-only."""
    bench = make_bench(tmp_path_factory.mktemp("finished"), tones)
    bench.run_apart()
    return bench


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server; without one, tests that need it are skipped."""
    with running() as server:
        yield server


@pytest.fixture
def record(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Print a line whether or not pytest captures."""

    def say(line: str) -> None:
        with capsys.disabled():
            print(line)  # noqa: T201 - the figures are the purpose of these files

    return say

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

"""Four hosts with one worker each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.hosts import Hosts
from tests.support.dask_processes import DaskProcesses

TCP_TIMEOUT = {"DASK_DISTRIBUTED__COMM__TIMEOUTS__TCP": "12s"}
"""After so long a cable that was pulled is told from silence; Dask's own default is 30 s."""


@pytest.fixture
def hosts(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hosts]:
    pytest.importorskip("distributed", reason="needs the extra `cluster`")
    for name, value in TCP_TIMEOUT.items():
        monkeypatch.setenv(name, value)
    four = Hosts(4)
    four.open()
    yield four
    four.close()


@pytest.fixture
def dask(hosts: Hosts, tmp_path: Path) -> Iterator[DaskProcesses]:
    """A scheduler on this machine, without workers."""
    (tmp_path / "dask").mkdir()
    processes = DaskProcesses(tmp_path / "dask", hosts.address)
    processes.scheduler()
    yield processes
    processes.close()

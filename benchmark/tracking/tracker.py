"""Logging of a running study to MLflow, in a thread of its own."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from benchmark.engine.retry import ATTEMPT_S, PATIENCE_S, is_transient
from benchmark.errors import BenchmarkError
from benchmark.search.trial import Trial
from benchmark.tracking.records import ModelRecord, OutcomeRecord, StudyRecord
from benchmark.tracking.runs import StudyRuns
from benchmark.tracking.store import (
    connect,
    find_or_create_experiment,
    is_server,
    root_cause,
    store_errors,
)

log = logging.getLogger(__name__)

RETRY_INTERVAL_S = 10.0

Write = Callable[[StudyRuns], None]


class Tracker:
    """Log of one study to MLflow.

    `begin` raises errors before any fit. Afterwards a thread writes the records: the
    study never waits for the store, and a failure of the store does not stop the study. Only
    `finish` waits, at most `patience_s`, for a store that became unavailable.

    Parameters
    ----------
    uri : str
        The store or server, from `tracking_uri`.
    experiment : str
        Name of the MLflow experiment, created if it does not exist: one per study.
    artifacts : Path
        Folder of the artifacts of a new experiment; a server decides for itself.
    patience_s : float
        How long `finish` waits for an unavailable store.

    Attributes
    ----------
    seconds : float
        Time spent on writing, in parallel to the study's own work.
    reason : str
        Why the last attempt to write failed; empty if it succeeded.
    """

    def __init__(
        self, uri: str, experiment: str, *, artifacts: Path, patience_s: float = PATIENCE_S
    ) -> None:
        self.uri = uri
        self.experiment = experiment
        self.artifacts = artifacts
        self.patience_s = patience_s
        self.seconds = 0.0
        self.reason = ""
        self._runs: StudyRuns | None = None
        self._study: StudyRecord | None = None
        self._queue: queue.SimpleQueue[Write | None] = queue.SimpleQueue()
        self._unwritten: deque[Write] = deque()
        self._retry_at = 0.0
        self._failed_since = 0.0
        self._transient = False  # whether the last failure is likely to end by itself
        self._status = ""
        self._thread: threading.Thread | None = None

    @property
    def pending(self) -> int:
        """Number of records that are not written yet."""
        return self._queue.qsize() + len(self._unwritten)

    @property
    def lost(self) -> int:
        """Number of records that could not be logged; running the study again logs them."""
        return len(self._unwritten) if self.reason else 0

    def begin(self, study: StudyRecord) -> None:
        """Start the runs of a study, or resume those of an interrupted run.

        If the store is temporarily unavailable, this is done later.

        Raises
        ------
        BenchmarkError
            If the store can't be written to.
        """
        self._study = study
        with store_errors(self.uri):
            try:
                self._resume()
            except Exception as error:
                self._note_failure(error)
                if not self._transient:
                    raise
        self._thread = threading.Thread(target=self._write_all, name="tracking", daemon=True)
        self._thread.start()

    def log_trial(self, split: str, model: str, trial: Trial) -> None:
        """Log a finished trial, unless it is logged already."""
        self._queue.put(lambda runs: runs.log_trial(split, model, trial))

    def log_model(self, record: ModelRecord) -> None:
        """Log a selected model or an ensemble, with its test scores and files."""
        self._queue.put(lambda runs: runs.log_model(record))

    def log_outcome(self, record: OutcomeRecord) -> None:
        """Log what is found on a split, or of the whole study, after its models."""
        self._queue.put(lambda runs: runs.log_outcome(record))

    def finish(self, status: str = "FINISHED") -> None:
        """Write the remaining records and end the study's runs: FINISHED, FAILED or KILLED."""
        if self._thread is None:
            return
        self._status = status
        self._queue.put(None)
        self._thread.join(ATTEMPT_S)
        if self._thread.is_alive():
            log.warning("Waiting for MLflow to accept the last records; all other work is done.")
        self._thread.join()
        self._thread = None

    def _resume(self) -> StudyRuns:
        """Return the study's runs as the store has them, started if they are new."""
        if self._runs is not None:
            self._runs.find()
            return self._runs
        assert self._study is not None
        client = connect(self.uri)
        experiment = find_or_create_experiment(client, self.uri, self.experiment, self.artifacts)
        runs = StudyRuns(client, experiment, self._study)
        runs.find()
        runs.begin()
        self._runs = runs
        return runs

    def _write_all(self) -> None:
        """Write records in order; keep them after a failure and try again later."""
        while (write := self._queue.get()) is not None:
            self._unwritten.append(write)
            if time.monotonic() >= self._retry_at:
                self._write_pending()
        self._unwritten.append(lambda runs: runs.end(self._status))
        self._write_pending()
        while self.reason and self._worth_waiting():
            time.sleep(1)
            self._write_pending()
        if self.reason:
            self._unwritten.pop()  # the end of the runs is not a record

    def _worth_waiting(self) -> bool:
        """Return whether the end of a study should wait for a failed store."""
        patient = self._status == "FINISHED" and self._transient
        return patient and time.monotonic() < self._failed_since + self.patience_s

    def _write_pending(self) -> None:
        started = time.perf_counter()
        try:
            # After a failure a run may be unfinished: read the runs again.
            runs = self._resume() if self.reason or self._runs is None else self._runs
            while self._unwritten:
                self._unwritten[0](runs)
                self._unwritten.popleft()
            self.reason = ""
        except Exception as error:  # no failure of a store may stop the study
            self._note_failure(error)
        finally:
            self.seconds += time.perf_counter() - started

    def _note_failure(self, error: Exception) -> None:
        now = time.monotonic()
        if not self.reason:
            self._failed_since = now
        self.reason = root_cause(error)
        self._transient = _server_failed(error) if is_server(self.uri) else is_transient(error)
        self._retry_at = now + RETRY_INTERVAL_S


def _server_failed(error: Exception) -> bool:
    """Return whether a server failed to respond, rather than refused the request."""
    status = getattr(error, "get_http_status_code", None)  # of MLflow's own errors
    return not isinstance(error, BenchmarkError) and (status is None or status() >= 500)

"""A rehearsal of what follows a search: how long a run needs to close, on this machine, today."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmark.data.prepared import Prepared
from benchmark.engine.arrays import StoredArrays
from benchmark.engine.processes import Task, Workers
from benchmark.evaluation.leaderboard import leaderboard
from benchmark.evaluation.results import Result, by_split, write_result
from benchmark.search.calibrate import measure_geometry
from benchmark.search.outcome import provisional_result
from benchmark.search.search import ModelSearch
from benchmark.study import Study


def rehearse(result: Result, tables: Sequence[StoredArrays]) -> tuple[float, float]:
    """Return the seconds in which a provisional result is evaluated and its pages are written.

    First those that any result takes, for imports and the first figure, then all others. Nothing of
    it remains. A task of workers.
    """
    began = time.monotonic()
    from benchmark.report import write_pages
    from benchmark.report.sections.selected_model import confusion_png

    parts = by_split(result)
    first = result.winners[0]
    confusion_png(parts[first.split], first.protocol, first.model)
    ready = time.monotonic()
    with TemporaryDirectory() as name:
        folder = Path(name)
        for one in tables:
            measure_geometry(one, leave_out=False)
        write_result(result, folder / "results")
        write_pages([leaderboard(result)], folder)
        for part in parts.values():  # for MLflow
            leaderboard(part)
        for winner in result.winners:
            confusion_png(parts[winner.split], winner.protocol, winner.model)
    return ready - began, time.monotonic() - ready


@dataclass
class Rehearsal:
    """What follows the search of a study, tried once in a process of its own beside the search.

    Attributes
    ----------
    study : Study
    prepared : Prepared
    apart : Workers
        A process that runs nothing else.
    """

    study: Study
    prepared: Prepared
    apart: Workers
    task: Task | None = None
    n_models: int = 1

    def begin(self, searches: Sequence[ModelSearch]) -> None:
        """Rehearse on searches with a complete trial, those of the baseline included."""
        result = provisional_result(self.study, self.prepared, searches)
        self.n_models = len({winner.model for winner in result.winners})
        tables = [tables.arrays for tables in self.prepared.splits]
        self.task = self.apart.submit(rehearse, result, tables)

    def estimate(self, n_models: int) -> float:
        """Return the estimated seconds for so many models, ensembles included.

        While the rehearsal goes on, its time so far, whatever the number of models: it takes no
        less. Where it failed too; the run itself then ends with the error.
        """
        if self.task is None:
            return 0.0
        any_s, models_s = self.task.result or (self.task.seconds, 0.0)
        return float(any_s + models_s * n_models / self.n_models)

    @property
    def running(self) -> bool:
        """Whether it takes the time of a core."""
        return self.task is not None and self.task.ended == float("inf")

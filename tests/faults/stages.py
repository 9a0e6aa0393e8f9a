"""The current stage of a running study, from the stack of its main process."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Self

from tests.support.bench import SMALL_STUDY, Bench
from tests.support.stores import runs_in_mlflow, trials_in_optuna
from tests.support.workers import workers_of

FULL_STUDY = (
    SMALL_STUDY.replace("augment", 'compare = [["svc", "logistic_regression"]]\naugment').replace(
        '"speaker-dependent", "speaker-independent"', '"speaker-independent"'
    )
    + """
[models.svc]
C = [0.1, 1.0, 10.0]

[ensembles]
two   = ["logistic_regression", "random_forest"]
three = ["logistic_regression", "random_forest", "svc"]

[learning_curves]
fractions = [0.5, 1.0]
"""
)
"""The small study with one protocol, and further settings that lengthen each stage."""

STAGE_OF = {
    "fit_members": "ensemble",
    "_learning_curves": "ensemble",
    "make_ensemble": "ensemble",
    "soft_vote": "ensemble",
    "evaluate": "evaluation",
    "write_result": "evaluation",
    "_submit_artifacts": "report",
    "publish": "report",
    "log_models": "logging",
    "finish": "logging",
    "write_cards": "logging",
    "search": "search",
    "open_searches": "search",
    "begin": "search",
    "prepare": "extraction",
}
"""By function of the main process, the innermost first."""

STAGES = ("extraction", "search", "ensemble", "evaluation", "report", "logging")

EVERY_S = 0.02  # between two samples

TELLING = """
import atexit, gc, os, signal, sys, traceback
told = os.open(sys.argv.pop(1), os.O_CREAT | os.O_WRONLY | os.O_APPEND)
def tell(*_):
    gc.disable()  # CPython 3.11 holds a lock in _current_frames that a collection waits for
    frames = sys._current_frames()
    gc.enable()
    stacks = map(traceback.format_stack, frames.values())
    os.write(told, "".join([*sum(stacks, []), "that is all\\n"]).encode())
signal.signal(signal.SIGUSR1, tell)
atexit.register(signal.signal, signal.SIGUSR1, signal.SIG_IGN)
os.write(told, b"ready\\n")
from benchmark.__main__ import main
main()
"""
"""The command line in a process that writes its stack on a signal."""


class Watched:
    """A study in its own process, whose current stage can be read at any time.

    Parameters
    ----------
    bench : Bench
    *arguments : str
        Further arguments of `run-study`.
    """

    def __init__(self, bench: Bench, *arguments: str) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._stacks = Path(self._folder.name) / "stacks"
        self._error_file = Path(self._folder.name) / "errors"
        own = bench.command("run-study", str(bench.study), "--corpus", f"csv={bench.table}")[3:]
        with self._error_file.open("wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-c", TELLING, str(self._stacks), *own, *arguments],
                stdout=subprocess.DEVNULL,
                stderr=errors,
            )
        while not self._told_so_far() and self.process.poll() is None:
            time.sleep(EVERY_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        self._folder.cleanup()

    def errors(self) -> str:
        """Text on standard error so far."""
        return self._error_file.read_text()

    def stack(self) -> str:
        """Stacks of all threads; empty when the process has ended."""
        before = self._told_so_far()
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGUSR1)
        while self.process.poll() is None:
            time.sleep(0.002)
            told = self._stacks.read_bytes()[before:].decode()
            if told.endswith("that is all\n"):
                return told
        return ""

    def stage(self) -> str:
        """Current stage: one of `STAGES`, ``start``, or ``end``."""
        stack = self.stack()
        inside = set(re.findall(r'benchmark/[\w/]+\.py", line \d+, in (\w+)', stack))
        found = [stage for function, stage in STAGE_OF.items() if function in inside]
        return found[0] if found else "start" if stack else "end"

    def watch(self, until: str = "end") -> dict[str, float]:
        """Wait for a stage or the end; return the seconds of each earlier stage."""
        seconds = dict.fromkeys(STAGES, 0.0)
        last = time.monotonic()
        while (stage := self.stage()) not in (until, "end"):
            time.sleep(EVERY_S)
            now = time.monotonic()
            seconds[stage] = seconds.get(stage, 0.0) + now - last
            last = now
        return seconds

    def workers(self) -> list[int]:
        """Its worker processes."""
        return workers_of(self.process.pid)

    def _told_so_far(self) -> int:
        return self._stacks.stat().st_size if self._stacks.exists() else 0


def kill(process: int) -> bool:
    """Kill a process; return whether it was running."""
    try:
        os.kill(process, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def differences(bench: Bench, unbroken: Bench) -> list[str]:
    """Return the differences between a finished study and an uninterrupted run."""
    ours, theirs = bench.bytes_of("reports"), unbroken.bytes_of("reports")
    different = [name for name in {**ours, **theirs} if ours.get(name) != theirs.get(name)]
    if trials_in_optuna(bench) != trials_in_optuna(unbroken):
        different.append("trials in Optuna")
    own, whole = runs_in_mlflow(bench), runs_in_mlflow(unbroken)
    if own != whole:
        extra = [run for run in own if run not in whole]
        missing = [run for run in whole if run not in own]
        different.append(
            f"runs in MLflow: {len(own)}, {len(whole)} of the whole: {extra} for {missing}"
        )
    return different


def refused_in_one_line(ended: subprocess.CompletedProcess[str]) -> bool:
    """Return whether a command ended with status 2 and an error in its last line."""
    return is_refusal(ended.returncode, ended.stderr)


def is_refusal(status: int, text: str) -> bool:
    """Return whether status and standard error are those of a one-line error."""
    errors = [line for line in text.splitlines() if line.startswith("error: ")]
    return status == 2 and len(errors) == 1 and "Traceback" not in text

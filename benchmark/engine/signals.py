"""Signals that end a command, and the child processes that must end with it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType

ENDING = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)
"""Signals that end a command: Ctrl-C, `kill`, and a terminal that is closed."""

STDERR = 2
"""File descriptor of standard error: there go messages that are no results."""

GRACE_S = 5.0
"""Time that a child process has to end by itself."""


@contextlib.contextmanager
def ended_by_signals() -> Iterator[None]:
    """Let each of the signals end the block as Ctrl-C does, so that all children are stopped.

    Only the first one counts: what the block still has to do is not interrupted. `nohup` still
    protects from a closed terminal.
    """
    before = {number: signal.getsignal(number) for number in ENDING}

    def end(_number: int, _frame: FrameType | None) -> None:
        for number in before:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    for number, handler in before.items():
        if number == signal.SIGINT or handler != signal.SIG_IGN:
            signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def child(
    command: Sequence[str],
    environment: Mapping[str, str],
    folder: Path,
    stdout: int | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program in a folder within a block; `stdout` is a file descriptor, ours by default.

    However the block ends, by a signal of `ended_by_signals` too, the program and the processes
    that it started end first.
    """
    # A session of its own: its processes are one group, and Ctrl-C reaches only this process.
    process = subprocess.Popen(
        command, env=environment, cwd=folder, stdout=stdout, start_new_session=True
    )
    try:
        yield process
    finally:
        _signal_group(process, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_S)
        _signal_group(process, getattr(signal, "SIGKILL", signal.SIGTERM))
        process.wait()


def _signal_group(child: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Send a signal to a program and to all processes that it started and left."""
    with contextlib.suppress(ProcessLookupError):
        if hasattr(os, "killpg"):
            os.killpg(child.pid, number)
        else:
            child.send_signal(number)

"""Exit status of a command, and the one line with which an error is reported."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from benchmark.errors import BenchmarkError, plain_errors

if TYPE_CHECKING:
    from benchmark.console import Console

USER_ERROR = 2
INTERRUPTED = 130  # the shell's status after Ctrl-C


@contextmanager
def command_console() -> Iterator[Console]:
    """Yield a command's console; report a user's error in one line and exit with its status.

    So is an error of the system. A bug keeps its traceback.
    """
    from benchmark.console import Console

    console = Console()
    try:
        with plain_errors():
            yield console
    except BenchmarkError as error:
        console.error(str(error))
        raise typer.Exit(USER_ERROR) from error
    except KeyboardInterrupt as interrupt:
        console.info("Stopped. Finished work is saved; the same command resumes it.")
        raise typer.Exit(INTERRUPTED) from interrupt

"""Exit status of a command, and the one line with which an error is reported."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from benchmark.errors import BenchmarkError

if TYPE_CHECKING:
    from benchmark.console import Console

USER_ERROR = 2
INTERRUPTED = 130  # the shell's status after Ctrl-C

DISK_ERRORS = {
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EIO,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.EEXIST,
    errno.ENAMETOOLONG,
}


@contextmanager
def command_console() -> Iterator[Console]:
    """Yield a command's console; report a user's error in one line and exit with its status.

    A bug keeps its traceback.
    """
    from benchmark.console import Console

    console = Console()
    try:
        yield console
    except BenchmarkError as error:
        console.error(str(error))
        raise typer.Exit(USER_ERROR) from error
    except KeyboardInterrupt as interrupt:
        console.info("Stopped. Finished work is saved; the same command resumes it.")
        raise typer.Exit(INTERRUPTED) from interrupt
    except OSError as error:
        if error.errno not in DISK_ERRORS:
            raise
        file = Path(str(error.filename or ""))
        # A temporary file's name says nothing to the user; its folder does.
        place = f"{file.parent if file.name.startswith('.') else file}: " if file.name else ""
        console.error(
            f"{place}{error.strerror}. Finished work is saved. Free disk space or use another "
            "folder, then run the same command again."
        )
        raise typer.Exit(USER_ERROR) from error

"""Exit status of a command, and the one line with which an error is reported."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchmark.errors import BenchmarkError, plain_errors

if TYPE_CHECKING:
    from benchmark.console import Console

USER_ERROR = 2
INTERRUPTED = 130  # the shell's status after Ctrl-C


_MESSAGES: ContextVar[str] = ContextVar("messages", default="normal")

QuietOption = Annotated[
    bool, typer.Option("--quiet", "-q", help="Print results, warnings and errors only.")
]
VerboseOption = Annotated[
    bool,
    typer.Option("--verbose", "-v", help="Print every step with its time, and where errors began."),
]


def with_verbosity(function: Callable[..., None]) -> Callable[..., None]:
    """Return a command with the options --quiet and --verbose, which `command_console` obeys."""
    signature = inspect.signature(function, eval_str=True)
    options = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=option)
        for name, option in (("quiet", QuietOption), ("verbose", VerboseOption))
    ]

    @wraps(function)
    def command(*, quiet: bool, verbose: bool, **given: Any) -> None:
        if quiet and verbose:
            raise typer.BadParameter("--quiet and --verbose exclude each other.")
        _MESSAGES.set("quiet" if quiet else "verbose" if verbose else "normal")
        function(**given)

    parameters = [*signature.parameters.values(), *options]
    command.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {one.name: one.annotation for one in parameters}
    return command


@contextmanager
def command_console() -> Iterator[Console]:
    """Yield a command's console; report a user's error in one line and exit with its status.

    So is an error of the system. A bug keeps its traceback.
    """
    from benchmark.console import Console, Messages

    console = Console(messages=Messages(_MESSAGES.get()))
    try:
        with plain_errors():
            yield console
    except BenchmarkError as error:
        console.origin(error)
        console.error(str(error))
        raise typer.Exit(USER_ERROR) from error
    except KeyboardInterrupt as interrupt:
        console.warning("Stopped. Finished work is saved; the same command resumes it.")
        raise typer.Exit(INTERRUPTED) from interrupt

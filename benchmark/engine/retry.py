"""Retries while a database is unavailable.

A lock that another program holds and a server that restarts are transient. Any other error, such
as a wrong password or a missing table, is raised at once.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from tenacity import RetryCallState

T = TypeVar("T")

ATTEMPT_S = 3
"""Longest wait for a lock within one attempt; after it, the wait is logged."""

PATIENCE_S = 60.0
"""Time after which no further attempt is made."""

PAUSE_S = 0.5

log = logging.getLogger(__name__)


class UnavailableError(Exception):
    """A database can't be used for now: it is locked, or its server is down."""


def is_locked(error: BaseException | None) -> bool:
    """Whether an error, or one of its causes, is a SQLite lock that another program holds."""
    while error is not None:
        original = getattr(error, "orig", error)  # SQLAlchemy wraps the driver's error
        if isinstance(original, sqlite3.OperationalError):
            code = getattr(original, "sqlite_errorcode", 0) & 0xFF  # the higher bits are details
            return code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
        error = error.__cause__
    return False


def is_transient(error: BaseException | None) -> bool:
    """Whether an error, or one of its causes, is a lock or a server that can't be reached."""
    from sqlalchemy.exc import InterfaceError, OperationalError

    if is_locked(error):
        return True
    while error is not None:
        if isinstance(error, UnavailableError):
            return True
        if isinstance(error, OperationalError | InterfaceError):
            return not isinstance(error.orig, sqlite3.Error)
        error = error.__cause__
    return False


def cause_of(error: BaseException) -> str:
    """Return the first line of an error's innermost cause."""
    while error.__cause__ is not None:
        error = error.__cause__
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def retry(
    name: str,
    call: Callable[[], T],
    transient: Callable[[BaseException], bool] = is_transient,
) -> T:
    """Return the result of a call, which is repeated while its database is unavailable.

    Parameters
    ----------
    name : str
        Name of the database in log messages.
    call : callable
        Must be safe to repeat after it failed midway.
    transient : callable
        Whether an error is worth a further attempt. Other errors are raised at once, and so is the
        last one after `PATIENCE_S`.
    """
    from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_fixed

    began = time.monotonic()
    logged = False

    def log_wait(state: RetryCallState) -> None:
        nonlocal logged
        error = state.outcome and state.outcome.exception()
        if error and not logged and time.monotonic() - began > ATTEMPT_S - PAUSE_S:
            logged = True
            log.warning(f"{name} can't be used for now ({cause_of(error)}); waiting for it.")

    result = Retrying(
        retry=retry_if_exception(transient),
        stop=stop_after_delay(PATIENCE_S),
        wait=wait_fixed(PAUSE_S),
        before_sleep=log_wait,
        reraise=True,
    )(call)
    if logged:
        log.warning(f"{name} is back after {time.monotonic() - began:.0f} s.")
    return result

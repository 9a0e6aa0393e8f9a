"""Databases that are away for a while: whoever needs one waits, says so, and gives up in time.

A lock that another program holds, a server that restarts: these pass by themselves. All else, a
wrong password or a missing table, is raised at once.
"""

from __future__ import annotations

import contextlib
import logging
import re
import sqlite3
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from benchmark.errors import BenchmarkError

if TYPE_CHECKING:
    from sqlalchemy.engine import Engine, ExceptionContext

T = TypeVar("T")

TRY_S = 3
"""How long a single try may wait for a lock; then it is said that we wait, and tried again."""

PATIENCE_S = 60.0
"""How long a database may be away before it is given up."""

PAUSE_S = 0.5
DRIVERS = ("psycopg", "psycopg2")

SERVER = {
    "connect_timeout": "5",
    # A machine that vanishes says nothing: without these, a question waits for hours.
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "30000",
}
"""For connections to PostgreSQL, where their address does not say otherwise."""


class AwayError(Exception):
    """A database can't be used for now, and may be back soon."""


def with_driver(url: str) -> str:
    """Return a database's address with a driver that is installed; any other address as it is.

    Raises
    ------
    BenchmarkError
        If it is PostgreSQL's, and its driver is not installed.
    """
    scheme, _, place = url.partition("://")
    dialect, _, named = scheme.partition("+")
    if dialect not in {"postgresql", "postgres"}:
        return url
    wanted = (named,) if named else DRIVERS
    driver = next((name for name in wanted if find_spec(name) is not None), None)
    if driver is not None:
        return f"postgresql+{driver}://{place}"
    if named and find_spec("psycopg") is not None:
        raise BenchmarkError(
            f"{scheme}://: the driver {named} is not installed. Write postgresql+psycopg:// "
            "instead, whose driver is."
        )
    raise BenchmarkError(
        f"{scheme}://: no driver of PostgreSQL is installed. It comes with the extra `cluster`: "
        'pip install "ser-benchmark[cluster]".'
    )


def without_user(url: str) -> str:
    """Return a store's address without the name and password that it may hold."""
    return re.sub("(?<=://)[^/]*@|(?<=[?&])(user|password)=[^&]*&?", "", url)


def engine_options(url: str) -> dict[str, Any]:
    """Return what SQLAlchemy's engine of a database is to be made with."""
    from sqlalchemy.engine import make_url

    parts = make_url(url)
    if parts.get_backend_name() == "sqlite":
        return {"connect_args": {"timeout": TRY_S}}
    if parts.get_backend_name() == "postgresql":
        unsaid = {name: value for name, value in SERVER.items() if name not in parts.query}
        return {"pool_pre_ping": True, "connect_args": unsaid}
    return {"pool_pre_ping": True}


def raise_when_away(engine: Engine) -> None:
    """Let an engine raise `AwayError` for what passes, which no library above it tries again.

    Optuna itself tries five times, and stores a trial twice if the first try's answer was lost.
    """
    from sqlalchemy import event

    def translate(context: ExceptionContext) -> BaseException | None:
        error = context.sqlalchemy_exception
        if context.is_pre_ping or error is None or not passes(error):
            return None
        return AwayError(cause_of(context.original_exception))

    def limit(connection: Any) -> None:
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{TRY_S}s'")

    event.listen(engine, "handle_error", translate, retval=True)
    if engine.dialect.name == "postgresql":
        event.listen(engine, "begin", limit)


def locked(error: BaseException | None) -> bool:
    """Whether an error, or what caused it, is a lock that another program holds."""
    while error is not None:
        driver_says = getattr(error, "orig", error)  # as SQLAlchemy wraps it, before it is raised
        if isinstance(driver_says, sqlite3.OperationalError):
            code = getattr(driver_says, "sqlite_errorcode", 0) & 0xFF  # the rest is its kind
            return code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
        error = error.__cause__
    return False


def check_whole(file: Path, remedy: str) -> None:
    """Refuse a SQLite database whose pages are damaged; takes milliseconds a megabyte.

    One that is not there is whole, and one that is locked is not looked at: whoever waits for it
    says so.

    Parameters
    ----------
    file : Path
    remedy : str
        What to do, in a sentence.

    Raises
    ------
    BenchmarkError
        If it is damaged, or no database at all.
    """
    if not file.exists():
        return
    try:
        with contextlib.closing(sqlite3.connect(file, timeout=0)) as connection:
            (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.OperationalError:
        return
    except sqlite3.DatabaseError as error:
        found = str(error)
    if found != "ok":
        reason = " ".join(str(found).split())
        raise BenchmarkError(f"{file}: the database is damaged ({reason}). {remedy}")


def making_or_locked(error: BaseException) -> bool:
    """Whether an error is a lock, or says that another process makes the same tables just now."""
    return locked(error) or "already exists" in str(error)


def passes(error: BaseException | None) -> bool:
    """Whether an error, or what caused it, passes by itself: a lock, a server that is down."""
    from sqlalchemy.exc import InterfaceError, OperationalError

    if locked(error):
        return True
    while error is not None:
        if isinstance(error, AwayError):
            return True
        if isinstance(error, OperationalError | InterfaceError):
            return not isinstance(error.orig, sqlite3.Error)
        error = error.__cause__
    return False


def cause_of(error: BaseException) -> str:
    """Return the first line of what lies at the bottom of an error."""
    while error.__cause__ is not None:
        error = error.__cause__
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def patiently(
    name: str, call: Callable[[], T], passing: Callable[[BaseException], bool] = passes
) -> T:
    """Return what a call returns, made again and again while its database is away.

    Parameters
    ----------
    name : str
        What is waited for, as the user is told.
    call : callable
        May be made again after it failed midway.
    passing : callable
        Which errors are worth waiting for; others are raised at once, and so is the last one
        after `PATIENCE_S`.
    """
    began = time.monotonic()
    told = False
    while True:
        try:
            done = call()
        except Exception as error:
            waited_s = time.monotonic() - began
            if waited_s > PATIENCE_S or not passing(error):
                raise
            if not told and waited_s > TRY_S - PAUSE_S:
                told = True
                tell(f"{name} can't be used for now ({cause_of(error)}); waiting for it.")
            time.sleep(PAUSE_S)
            continue
        if told:
            tell(f"{name} is back after {time.monotonic() - began:.0f} s.")
        return done


def tell(text: str) -> None:
    """Say one line to whoever watches, whichever thread or process this is."""
    logging.getLogger(__name__).warning(text)

"""Addresses, drivers and engines of the databases that hold trials and runs."""

from __future__ import annotations

import contextlib
import re
import sqlite3
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.engine.retry import ATTEMPT_S, UnavailableError, cause_of, is_locked, is_transient
from benchmark.errors import BenchmarkError
from benchmark.hints import install

if TYPE_CHECKING:
    from sqlalchemy.engine import Engine, ExceptionContext

SERVER = {
    "connect_timeout": "5",
    # A machine that vanishes sends nothing: without these, a query waits for hours.
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "30000",
}
"""Options of a connection to PostgreSQL, unless its address sets them."""


def with_driver(url: str) -> str:
    """Return a PostgreSQL address with its driver, psycopg; any other address unchanged.

    Raises
    ------
    BenchmarkError
        If psycopg is not installed, or the address names another driver.
    """
    scheme, _, rest = url.partition("://")
    dialect, _, named = scheme.partition("+")
    if dialect not in {"postgresql", "postgres"}:
        return url
    if named not in {"", "psycopg"}:
        raise BenchmarkError(
            f"{scheme}://: the driver {named} is not supported. Write postgresql+psycopg://."
        )
    if find_spec("psycopg") is None:
        raise BenchmarkError(
            f"{scheme}://: no PostgreSQL driver is installed. It comes with the extra `cluster`: "
            f"{install('cluster')}."
        )
    return f"postgresql+psycopg://{rest}"


def without_user(url: str) -> str:
    """Return a store's address without user name and password."""
    return re.sub("(?<=://)[^/]*@|(?<=[?&])(user|password)=[^&]*&?", "", url)


def engine_options(url: str) -> dict[str, Any]:
    """Return the keyword arguments of SQLAlchemy's `create_engine` for a database."""
    from sqlalchemy.engine import make_url

    parts = make_url(url)
    if parts.get_backend_name() == "sqlite":
        return {"connect_args": {"timeout": ATTEMPT_S}}
    if parts.get_backend_name() == "postgresql":
        defaults = {name: value for name, value in SERVER.items() if name not in parts.query}
        return {"pool_pre_ping": True, "connect_args": defaults}
    return {"pool_pre_ping": True}


def raise_when_unavailable(engine: Engine) -> None:
    """Let an engine raise `UnavailableError` for transient errors.

    No library above the engine repeats a call after it. Optuna itself makes five attempts, and
    stores a trial twice if the server's answer to the first was lost.
    """
    from sqlalchemy import event

    def translate(context: ExceptionContext) -> BaseException | None:
        error = context.sqlalchemy_exception
        if context.is_pre_ping or error is None or not is_transient(error):
            return None
        return UnavailableError(cause_of(context.original_exception))

    def limit(connection: Any) -> None:
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{ATTEMPT_S}s'")

    event.listen(engine, "handle_error", translate, retval=True)
    if engine.dialect.name == "postgresql":
        event.listen(engine, "begin", limit)


def check_intact(file: Path, remedy: str) -> None:
    """Refuse a SQLite database whose pages are damaged; takes milliseconds per megabyte.

    A missing file is accepted. A locked one is not checked, since its next user waits for it.

    Parameters
    ----------
    remedy : str
        Sentence that tells what to do.

    Raises
    ------
    BenchmarkError
        If the file is damaged or is not a database.
    """
    if not file.exists():
        return
    try:
        with contextlib.closing(sqlite3.connect(file, timeout=0)) as connection:
            (status,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.OperationalError:
        return
    except sqlite3.DatabaseError as error:
        status = str(error)
    if status != "ok":
        reason = " ".join(str(status).split())
        raise BenchmarkError(f"{file}: the database is damaged ({reason}). {remedy}")


def is_locked_or_initializing(error: BaseException) -> bool:
    """Whether an error is a lock, or another process is creating the same tables."""
    return is_locked(error) or "already exists" in str(error)

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


CLEAR = re.compile(r"(?P<scheme>[\w+.-]+)://([^@/?#]*@)?(?P<place>[^@?#]*)(\?[^@#]*)?")
"""An address of a server in which it is plain where a password ends."""


def sqlite_url(file: Path) -> str:
    """Return the address of a SQLite file, whatever signs its path has.

    The driver is named, since MLflow takes an address without it for a path as it is written.
    """
    from sqlalchemy import URL

    url = URL.create("sqlite+pysqlite", database=str(file.absolute()))
    return url.render_as_string(hide_password=False)


def sqlite_file(url: str) -> Path | None:
    """Return the file of a SQLite database; None for any other store."""
    if not url.startswith("sqlite"):
        return None
    from sqlalchemy.engine import make_url

    file = make_url(url).database
    return None if not file or file == ":memory:" or file.startswith("file:") else Path(file)


def check_address(url: str) -> None:
    """Refuse the address of a server in which it is unclear where the password ends.

    Raises
    ------
    BenchmarkError
        Without any part of the password.
    """
    if "://" in url and not url.startswith(("sqlite", "file:")) and not CLEAR.fullmatch(url):
        raise BenchmarkError(
            f"{without_user(url)}: it is unclear where the password ends. In user names, passwords "
            "and options, write / as %2F, @ as %40, # as %23, ? as %3F and % as %25."
        )


def without_user(url: str) -> str:
    """Return a store's address without user name, password and options; of SQLite, its file.

    Only the scheme is left of an address in which it is unclear where the password ends.
    """
    if url.startswith("sqlite"):
        return str(sqlite_file(url) or url)
    clear = CLEAR.fullmatch(url)
    if clear:
        return f"{clear['scheme']}://{clear['place']}"
    scheme, found, _ = url.partition("://")
    return f"{scheme}://…" if found else url


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

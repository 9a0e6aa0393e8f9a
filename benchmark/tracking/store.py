"""Connection to an MLflow store: address, checks before any work, creation of the database."""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

from filelock import FileLock

from benchmark.engine.databases import (
    check_address,
    engine_options,
    sqlite_file,
    sqlite_url,
    with_driver,
    without_user,
)
from benchmark.engine.retry import cause_of, is_locked, retry
from benchmark.errors import BenchmarkError

DATABASE = "mlflow.db"
ARTIFACTS = "mlruns"
"""MLflow's own defaults, so that a plain `mlflow ui` in the project's folder shows the same."""

SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_DISABLE_AGENT_HINT": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    # MLflow's defaults are seven attempts of two minutes each for an unreachable server.
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
}
"""Environment of MLflow; set before its import, unless the user has set another value."""


def tracking_uri(project: Path) -> str:
    """Return MLFLOW_TRACKING_URI, by default the SQLite database in the project's folder.

    Raises
    ------
    BenchmarkError
        If it is a PostgreSQL address and no driver is installed, or if it is unclear where its
        password ends.
    """
    uri = os.environ.get("MLFLOW_TRACKING_URI")
    if not uri:
        return sqlite_url(project / DATABASE)
    check_address(uri)
    return with_driver(uri)


@contextlib.contextmanager
def store_errors(uri: str) -> Iterator[None]:
    """Turn an error of an MLflow store into a `BenchmarkError` of one line."""
    try:
        yield
    except BenchmarkError:
        raise
    except Exception as error:
        raise BenchmarkError(
            f"MLflow at {without_user(uri)} can't be used: {root_cause(error)} "
            "Start or repair it, free disk space, or set MLFLOW_TRACKING_URI to another store."
        ) from error


def check_server(uri: str) -> None:
    """Raise an error if an MLflow server does not respond; `check_store` checks databases."""
    with store_errors(uri):
        _connect_once(uri)


def check_store(uri: str) -> None:
    """Refuse an unusable store before any work; create a database that does not exist yet.

    Takes two to three seconds, mostly imports; may run in a thread.

    Raises
    ------
    BenchmarkError
        If the store is unreachable, refuses, or has another version of MLflow.
    """
    with store_errors(uri):
        retry(
            "MLflow's database",
            lambda: connect(uri).search_experiments(max_results=1),
            is_locked,
        )


def connect(uri: str) -> Any:
    """Return the `MlflowClient` of a reachable store with this version's schema."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient

    for name in ("mlflow", "alembic", "urllib3.connectionpool"):
        # Failures reach us as exceptions; the loggers would print their tracebacks as well.
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    if ("://" not in uri and uri != "databricks") or uri.startswith("file:"):
        raise BenchmarkError(
            f"MLflow no longer stores runs in folders such as {uri}. "
            "Set MLFLOW_TRACKING_URI to a server or a database, such as sqlite:///mlflow.db."
        )
    file = sqlite_file(uri)
    if file is not None:
        _create_database(file)
    _connect_once(uri)
    if not is_server(uri):
        _check_schema(uri)
    return MlflowClient(tracking_uri=uri)


def is_server(uri: str) -> bool:
    """Return whether an address is a server's, which decides where artifacts are stored."""
    return uri.startswith(("http:", "https:", "databricks"))


def find_or_create_experiment(client: Any, uri: str, name: str, artifacts: Path) -> str:
    """Return the id of an experiment, created if it does not exist.

    `artifacts` is the folder of a new experiment's artifacts; a server decides for itself.

    Raises
    ------
    BenchmarkError
        If the experiment is deleted.
    """
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        location = None if is_server(uri) else (artifacts.absolute() / name).as_uri()
        try:
            return str(client.create_experiment(name, artifact_location=location))
        except Exception:
            experiment = client.get_experiment_by_name(name)  # created by another process
            if experiment is None:
                raise
    if experiment.lifecycle_stage != "active":
        raise BenchmarkError(
            f"MLflow's experiment {name!r} is deleted. Restore it with "
            f"`mlflow experiments restore -x {experiment.experiment_id}`."
        )
    return str(experiment.experiment_id)


@contextlib.contextmanager
def environment(name: str, value: str) -> Iterator[None]:
    """Set an environment variable within a block."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        os.environ.pop(name)
        if before is not None:
            os.environ[name] = before


def root_cause(error: BaseException) -> str:
    """Return the first line of an error's innermost cause, as a sentence."""
    # urllib wraps the informative error as an attribute.
    reason = getattr(error, "reason", None)
    line = cause_of(reason if isinstance(reason, BaseException) else error)[:300]
    return line if line.endswith((".", "!", "?")) else f"{line}."


def _create_database(file: Path) -> None:
    """Create a database completely or not at all, in one process.

    MLflow's migrations can't be repeated: an interrupted creation would leave a broken database.
    """
    if _exists(file):
        return
    import sqlite3

    from mlflow import MlflowClient

    file.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(file.with_name(f".{file.name}.lock")):
        if _exists(file):
            return
        with tempfile.TemporaryDirectory(dir=file.parent, prefix=f".{file.name}.") as folder:
            partial = Path(folder) / file.name
            # Without a pool no connection to the partial file stays open.
            with environment("MLFLOW_SQLALCHEMYSTORE_POOLCLASS", "NullPool"):
                MlflowClient(sqlite_url(partial)).search_experiments(max_results=1)
            with contextlib.closing(sqlite3.connect(partial)) as connection:
                # Waiting for the disk is a quarter of the cost of logging a trial. With WAL it is
                # shorter, and readers (the UI) do not block the writer. The setting is persistent.
                connection.execute("PRAGMA journal_mode=WAL")
            partial.replace(file)


def _exists(file: Path) -> bool:
    """Return whether a database exists; SQLite leaves an empty file if one is only opened."""
    return file.exists() and file.stat().st_size > 0


def _connect_once(uri: str) -> None:
    """Raise within seconds if a server does not respond; any HTTP status is a response."""
    if uri.startswith(("http:", "https:")):
        with contextlib.suppress(urllib.error.HTTPError):
            urllib.request.urlopen(without_user(uri), timeout=10).close()


def _check_schema(uri: str) -> None:
    """Refuse a database whose schema MLflow would migrate, or not understand.

    Also raises within seconds if the database is unreachable; MLflow retries for an hour.
    """
    import sqlalchemy
    from alembic.script import ScriptDirectory

    engine = sqlalchemy.create_engine(uri, **engine_options(uri))
    try:
        if not sqlalchemy.inspect(engine).has_table("alembic_version"):
            return
        with engine.connect() as connection:
            query = sqlalchemy.text("SELECT version_num FROM alembic_version")
            revision = connection.execute(query).scalar()
    finally:
        engine.dispose()
    if str(revision).startswith("v"):  # Optuna's revisions; MLflow's are hexadecimal
        raise BenchmarkError(
            f"{without_user(uri)} is the storage of the trials. Optuna and MLflow both have a "
            "table alembic_version: create a separate database for MLflow, and set "
            "MLFLOW_TRACKING_URI to it."
        )
    migrations = files("mlflow") / "store" / "db_migrations"
    expected = ScriptDirectory(str(migrations)).get_current_head()
    if revision != expected:
        upgraded = uri if uri.startswith("sqlite") else without_user(uri)
        raise BenchmarkError(
            f"MLflow's database {without_user(uri)} was created by another version of MLflow "
            f"(schema {revision}, expected {expected}). If that version is older: back the "
            f"database up, then run `mlflow db upgrade {upgraded}`. Otherwise install "
            "the newer MLflow, or set MLFLOW_TRACKING_URI to another store."
        )

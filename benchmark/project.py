"""Where a user's files are, and how a study is run on them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.engine.databases import sqlite_url
from benchmark.engine.files import user_path
from benchmark.engine.processes import available_cores
from benchmark.errors import BenchmarkError, unknown
from benchmark.hints import command

if TYPE_CHECKING:
    from filelock import FileLock


@dataclass(frozen=True)
class Project:
    """The folder of a user's caches, results and databases, usually the current folder."""

    folder: Path

    @property
    def features_cache(self) -> Path:
        """Folder of features, tables and fitted models; it can be deleted and is made anew."""
        return self.folder / "features_cache"

    @property
    def reports(self) -> Path:
        """Folder of the pages and figures."""
        return self.folder / "reports"

    @property
    def results(self) -> Path:
        """Folder of the stored results, one subfolder per study."""
        return self.reports / "results"

    @property
    def storage_url(self) -> str:
        """The default storage of trials."""
        return sqlite_url(self.folder / "optuna.db")

    def lock(self, name: str) -> FileLock:
        """Return a lock between processes; it ends with its process, however that ends."""
        from filelock import FileLock

        return FileLock(self.features_cache / f".{name}.lock")

    @contextmanager
    def exclusive(self, study: str) -> Iterator[None]:
        """Hold a study for this process; the lock ends with the process, however it ends.

        Raises
        ------
        BenchmarkError
            If another process runs the study here, or the folder can't be written.
        """
        from filelock import Timeout

        lock = self.lock(study)
        try:
            self.features_cache.mkdir(parents=True, exist_ok=True)
            lock.acquire(timeout=0)
        except Timeout as error:
            raise BenchmarkError(
                f"study {study} is already running in {self.folder.absolute()}. Wait for it, or "
                "run this one in another folder."
            ) from error
        except OSError as error:
            raise BenchmarkError(
                f"{error.filename or self.features_cache}: can't be written ({error.strerror}). "
                "Use another folder, for example with --project DIR."
            ) from error
        try:
            yield
        finally:
            lock.release()


@dataclass(frozen=True)
class Sources:
    """Where the recordings, or a user's own tables, are.

    Attributes
    ----------
    cache : Path
        Folder of generated recordings, features and tables: `Project.features_cache`.
    root : Path or None
        A folder with one subfolder per corpus.
    given : mapping of str to Path
        Folders of single corpora, and the table of ``csv``.
    tables : tuple of Path, or None
        A user's own train and test tables, used instead of corpora and features.
    allow_incomplete : bool or None
        Whether missing clips and many unusable clips are accepted and reported; None where the
        command needs complete corpora.
    allow_missing : tuple of str
        Corpora that are left out, and named on every page, if they are incomplete.
    allow : tuple of str
        Guards whose findings are accepted and reported; see `data.guards`.
    """

    cache: Path
    root: Path | None = None
    given: Mapping[str, Path] = field(default_factory=dict)
    tables: tuple[Path, Path] | None = None
    allow_incomplete: bool | None = None
    allow_missing: tuple[str, ...] = ()
    allow: tuple[str, ...] = ()


@dataclass(frozen=True)
class Job:
    """How a study is run. Nothing here changes a score.

    Attributes
    ----------
    sources : Sources
        Their cache is the project's.
    overrides : tuple of str
        Changes of the study file from the command line.
    workers : int
        Number of processes.
    storage : str or None
        An Optuna storage URL; None for optuna.db in the project's folder.
    minutes : float or None
        Time budget of the whole run.
    began : float
        Start of the run by the monotonic clock, in seconds.
    cluster : str or None
        Address of a Dask scheduler whose workers extract and fit; see `engine.dask.Cluster`.
    """

    project: Project
    sources: Sources
    overrides: tuple[str, ...] = ()
    workers: int = field(default_factory=available_cores)
    storage: str | None = None
    cluster: str | None = None
    minutes: float | None = None
    began: float = field(default_factory=time.monotonic)


def study_files(project: Path = Path()) -> dict[str, Path]:
    """Return the study files by name: of the project, of ./studies, then of the package."""
    files: dict[str, Path] = {}
    package = Path(__file__).parent
    own = (project / "studies", Path("studies"))
    for folder in (*own, package.parent / "studies", package / "studies"):
        for path in folder.glob("*.toml"):
            files.setdefault(path.stem, path)
    return dict(sorted(files.items()))


def find_study(study: str, project: Path = Path()) -> Path:
    """Return the file of a study given by path, or by its name in a project.

    Raises
    ------
    BenchmarkError
        If there is no such file.
    """
    path = user_path(study)
    if not path.name:
        raise BenchmarkError(f"{study or repr(study)}: a folder; give a study file or its name.")
    for candidate in (path, path.with_suffix(".toml")):
        if candidate.is_file():
            return candidate
        if candidate.is_dir() and candidate.suffix == ".toml":
            raise BenchmarkError(f"{candidate}: a folder; give a study file or its name.")
    files = study_files(project)
    if path.stem in files and path.parent in {Path(), Path("studies")}:
        return files[path.stem]
    if path.suffix == ".toml" or path.name != study:
        raise BenchmarkError(f"{study}: no such file. {command('list')} shows the studies.")
    raise unknown("study", study, files)

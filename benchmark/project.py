"""Where a user's files lie, and how a study is to be run on them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmark.engine.processes import available_cores


@dataclass(frozen=True)
class Project:
    """The folder in which everything of a user's lies.

    Attributes
    ----------
    folder : Path
        Usually the current one.
    """

    folder: Path

    @property
    def features_cache(self) -> Path:
        """Features, tables and fitted models; can be deleted at any time, and costs time then."""
        return self.folder / "features_cache"

    @property
    def reports(self) -> Path:
        """Pages, their figures, and below ``results`` what they are computed from."""
        return self.folder / "reports"

    @property
    def results(self) -> Path:
        """A folder for each study that has run."""
        return self.reports / "results"

    @property
    def storage_url(self) -> str:
        """The default home of finished trials."""
        return f"sqlite:///{self.folder.resolve() / 'optuna.db'}"


@dataclass(frozen=True)
class Sources:
    """Where the recordings, or a user's own tables, lie, and where what is made of them goes.

    Attributes
    ----------
    cache : Path
        features_cache/: for generated recordings, features and tables.
    root : Path or None
        A folder that holds a folder for each corpus.
    given : mapping of str to Path
        Folders of single corpora, and the table of ``csv``.
    tables : tuple of Path, or None
        A user's own train and test tables, which take the place of corpora and features.
    allow_incomplete : bool
        Whether missing clips, or many that can't be used, are accepted and reported.
    allow_missing : tuple of str
        Corpora that are left out, and named on every page, where they are not complete.
    """

    cache: Path
    root: Path | None = None
    given: Mapping[str, Path] = field(default_factory=dict)
    tables: tuple[Path, Path] | None = None
    allow_incomplete: bool = False
    allow_missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class Job:
    """How a study is to be run; nothing here decides a score.

    Attributes
    ----------
    project : Project
    sources : Sources
        Where recordings or tables lie; its cache is the project's.
    overrides : tuple of str
        What the command line changed of the study file.
    workers : int
        Processes.
    storage : str or None
        An Optuna storage URL; by default optuna.db in the project's folder.
    minutes : float or None
        A budget of time for the whole run.
    began : float
        When it did, by the monotonic clock.
    cluster : str or None
        Where the scheduler of a Dask cluster is, whose workers extract and fit; see `Cluster`.
    """

    project: Project
    sources: Sources
    overrides: tuple[str, ...] = ()
    workers: int = field(default_factory=available_cores)
    storage: str | None = None
    cluster: str | None = None
    minutes: float | None = None
    began: float = field(default_factory=time.monotonic)

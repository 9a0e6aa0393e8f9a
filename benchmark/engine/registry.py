"""Registries: entries by name, those of this package and those of other installed packages.

Another package, a plug-in, adds an entry by an entry point: the group says to which registry, the
name is the entry's, and the object is the entry. A study file only names entries: nothing is
imported but what the user has installed, and only when the registry is used.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from functools import lru_cache
from importlib.metadata import (
    Distribution,
    EntryPoint,
    EntryPoints,
    PackageNotFoundError,
    entry_points,
    version,
)
from threading import RLock
from typing import Protocol, TypeVar

from benchmark.errors import BenchmarkError, nearest, unknown

PREFIX = "ser_benchmark."
"""Of the groups of entry points."""

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
"""A name that a study, a folder and a page can hold."""


class Named(Protocol):
    """What all entries have."""

    @property
    def name(self) -> str:
        """The key in the registry and in studies."""


Entry = TypeVar("Entry", bound=Named)


class Registry(MutableMapping[str, Entry]):
    """Entries by name: our own first, then those of plug-ins, which are loaded at the first use.

    Any use raises `BenchmarkError` if a plug-in can't be loaded, gives an object of another type,
    or gives a name that is taken. An entry that code sets belongs to no package; it is known to
    this process only.

    Parameters
    ----------
    kind : str
        What an entry is, in messages: ``model``.
    group : str
        Group of entry points, without `PREFIX`: ``models``.
    entry_type : type
        Of the entries.
    own : iterable of entries
        Of this package.
    reserved : iterable of str
        Further names that a plug-in can't give.
    """

    def __init__(
        self,
        kind: str,
        group: str,
        entry_type: type[Entry],
        own: Iterable[Entry],
        reserved: Iterable[str] = (),
    ) -> None:
        self.kind = kind
        self.group = PREFIX + group
        self._type = entry_type
        self._entries = {entry.name: entry for entry in own}
        self._reserved = frozenset(reserved)
        self._packages: dict[str, Distribution] = {}
        self._complete = self._loading = False
        self._lock = RLock()

    def __getitem__(self, name: str) -> Entry:
        return self._loaded()[name]

    def __setitem__(self, name: str, entry: Entry) -> None:
        self._loaded()[name] = entry

    def __delitem__(self, name: str) -> None:
        del self._loaded()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._loaded())

    def __len__(self) -> int:
        return len(self._loaded())

    def versions(self, names: Iterable[str]) -> dict[str, str]:
        """Return the versions of the plug-ins that give these entries, by package, sorted."""
        self._loaded()
        packages = [self._packages[name] for name in names if name in self._packages]
        return dict(sorted((package.name, package.version) for package in packages))

    def unknown(
        self,
        name: str,
        where: str = "",
        renamed: Mapping[str, str] | None = None,
        also: Iterable[str] = (),
    ) -> BenchmarkError:
        """Return the error for a name that no entry has, see `errors.unknown`.

        `also` are further names that are allowed.
        """
        names = (*self, *also)
        error = unknown(self.kind, name, names, where, renamed)
        if nearest(name, names, renamed):
            return error
        given = ", ".join(f"{name} {version}" for name, version in self.versions(self).items())
        return BenchmarkError(
            f"{error} Installed packages with entry points of {self.group}: {given or 'none'}."
        )

    def _loaded(self) -> dict[str, Entry]:
        """Return the entries, with those of plug-ins."""
        if not self._complete:
            with self._lock:  # other threads wait for the one that loads
                if not (self._complete or self._loading):
                    self._load()
        return self._entries

    def _load(self) -> None:
        """Add the entries of plug-ins, which find our own here while they are imported."""
        self._loading = True
        try:
            found: dict[str, Entry] = {}
            packages: dict[str, Distribution] = {}
            for point in all_entry_points().select(group=self.group):
                entry = self._entry(point, packages)
                found[entry.name], packages[entry.name] = entry, _package(point)
            self._entries |= found
            self._packages, self._complete = packages, True
        finally:
            self._loading = False

    def _entry(self, point: EntryPoint, packages: Mapping[str, Distribution]) -> Entry:
        """Return the entry of a plug-in; `packages` are those of earlier ones, by entry."""
        where = f"{_title(_package(point))}: entry point {point.name!r} of {self.group}"
        remove = f"uninstall it: pip uninstall {_package(point).name}"
        try:
            entry = point.load()
        except (Exception, SystemExit) as error:  # code of others raises errors of any kind
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise BenchmarkError(
                f"{where} can't be loaded ({point.value}: {reason}). Repair the package, or "
                f"{remove}."
            ) from error
        if not isinstance(entry, self._type):
            raise BenchmarkError(
                f"{where} must be a {self._type.__name__}, but {point.value} is of type "
                f"{type(entry).__name__}. Correct the package, or {remove}."
            )
        if entry.name != point.name or not NAME.fullmatch(entry.name):
            raise BenchmarkError(
                f"{where} is an entry of the name {entry.name!r}. Both must be equal, of letters, "
                f"digits, '_', '-' and '.'. Correct the package, or {remove}."
            )
        if entry.name in (*self._entries, *self._reserved, *packages):
            other = packages.get(entry.name)
            raise BenchmarkError(
                f"{where}: {_title(other) if other else 'the benchmark itself'} has a {self.kind} "
                f"of this name, too. Rename the entry, or {remove}."
            )
        return entry


@lru_cache(maxsize=1)
def all_entry_points() -> EntryPoints:
    """Return the entry points of plug-ins, sorted by group, package and name.

    They are read once: a process keeps the packages that it started with.
    """
    groups = sorted(group for group in entry_points().groups if group.startswith(PREFIX))
    found = [point for group in groups for point in entry_points(group=group)]
    return EntryPoints(sorted(found, key=lambda p: (p.group, _package(p).name, p.name)))


def installed() -> dict[str, str]:
    """Return the versions of all plug-ins, by package; none is imported."""
    packages = [_package(point) for point in all_entry_points()]
    return dict(sorted((package.name, package.version) for package in packages))


def by_package() -> dict[str, list[EntryPoint]]:
    """Return the entry points of each plug-in, by package with its version; none is imported."""
    found: dict[str, list[EntryPoint]] = {}
    for point in all_entry_points():
        found.setdefault(_title(_package(point)), []).append(point)
    return found


def check_installed(required: Mapping[str, str], where: str) -> None:
    """Refuse a result or a model that was made with other versions of plug-ins.

    Parameters
    ----------
    required : mapping of str to str
        Versions by package.
    where : str
        What was made with them.

    Raises
    ------
    BenchmarkError
        If a package is not installed, or in another version.
    """
    for package, made_with in required.items():
        try:
            there = version(package)
        except PackageNotFoundError:
            there = ""
        if there != made_with:
            raise BenchmarkError(
                f"{where}: made with the plug-in {package} {made_with}; "
                f"{f'{there} is installed' if there else 'it is not installed'}. Install that "
                f"version (pip install {package}=={made_with}), or run the study again."
            )


def _package(point: EntryPoint) -> Distribution:
    assert point.dist is not None, "entry_points() names the package of each"
    return point.dist


def _title(package: Distribution) -> str:
    return f"{package.name} {package.version}"

"""Tables of the command ``list``: studies, corpora, the entries of each registry, plug-ins."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from benchmark.audit import CHECKS
from benchmark.console import Console
from benchmark.corpora import CORPORA, describe_presence
from benchmark.data.protocols import PROTOCOLS
from benchmark.engine.registry import PREFIX, Registry, by_package
from benchmark.errors import BenchmarkError, unknown
from benchmark.evaluation.metrics import METRICS
from benchmark.features import AUGMENTATIONS, FEATURE_SETS, OPTIONAL_FEATURE_SETS
from benchmark.features.encoders import ENCODERS, Encoder
from benchmark.models import MODELS
from benchmark.project import Sources, study_files
from benchmark.report import sections
from benchmark.search.samplers import SAMPLERS
from benchmark.study import read_study

Rows = Sequence[tuple[str, ...]]


@dataclass(frozen=True)
class Section:
    """One section of the list.

    Attributes
    ----------
    columns : tuple of str
        Headings; the first column is the entry's name.
    rows : callable
        From the sources of recordings to the rows, with descriptions.
    names : callable
        From the sources to what the overview shows of each entry.
    note : str
        How a study uses the entries.
    registry : Registry or None
        That of the entries, if plug-ins can add to it.
    """

    columns: tuple[str, ...]
    rows: Callable[[Sources], Rows]
    names: Callable[[Sources], Sequence[str]]
    note: str = ""
    registry: Registry[Any] | None = None

    def table(self, sources: Sources) -> tuple[tuple[str, ...], Rows]:
        """Return columns and rows; with a column for the packages of entries if there are any."""
        rows = self.rows(sources)
        if self.registry is None or not self.registry.versions(self.registry):
            return self.columns, rows
        return (*self.columns, "plug-in"), [(*row, _plugin(self.registry, row[0])) for row in rows]


def print_overview(sources: Sources, console: Console) -> None:
    """Print the names of all entries, a row per section."""
    rows = [(name, ", ".join(section.names(sources))) for name, section in SECTIONS.items()]
    console.table("Entries by section", ("section", "names"), rows, words=True)
    console.info("Descriptions: `python -m benchmark list SECTION`.")


def print_section(name: str, sources: Sources, console: Console) -> None:
    """Print the entries of a section with their descriptions.

    Raises
    ------
    BenchmarkError
        If there is no such section.
    """
    if name not in SECTIONS:
        raise unknown("section", name, SECTIONS, "list")
    section = SECTIONS[name]
    title = f"{name} ({section.note})" if section.note else name
    console.table(title, *section.table(sources), words=True)


def _plugin(registry: Registry[Any], name: str) -> str:
    """Return the package of an entry, with its version; empty for our own."""
    return " ".join(
        f"{package} {version}" for package, version in registry.versions([name]).items()
    )


def _plugins(_: Sources) -> Rows:
    """Return what each plug-in adds, as its metadata say: none is imported."""
    known = {registry.group for registry in REGISTRIES}
    names: dict[tuple[str, str], list[str]] = {}
    for package, points in by_package().items():
        for point in points:
            group = point.group.removeprefix(PREFIX)
            group += "" if point.group in known else " (unknown here)"
            names.setdefault((package, group), []).append(point.name)
    return [(*place, ", ".join(found)) for place, found in names.items()]


def _studies(_: Sources) -> Rows:
    rows = []
    for name, path in study_files().items():
        try:
            rows.append((name, read_study(path).question))
        except BenchmarkError as error:
            rows.append((name, f"can't be read: {error}"))
    return rows


def _presence(sources: Sources) -> dict[str, str]:
    return {
        name: describe_presence(name, root=sources.root, given=sources.given, cache=sources.cache)
        for name in CORPORA
    }


def _corpora(sources: Sources) -> Rows:
    return [
        (
            name,
            state or f"absent. {CORPORA[name].how_to_get}",
            f"{CORPORA[name].title}; {CORPORA[name].licence}",
        )
        for name, state in _presence(sources).items()
    ]


def _features(_: Sources) -> Rows:
    sets = [(f.name, str(len(f.columns)), f.description) for f in FEATURE_SETS.values()]
    return sets + [
        (f.title, f"extra `{f.extra}`" if f.extra else "your own", f.description)
        for f in OPTIONAL_FEATURE_SETS.values()
    ]


def _encoders(_: Sources) -> Rows:
    return [
        (
            e.name,
            f"{e.download_mb:,} MB",
            f"{e.licence}, {e.n_layers} layers of {e.width}: {_learnt(e)}",
        )
        for e in ENCODERS.values()
    ]


def _learnt(encoder: Encoder) -> str:
    """Return what an encoder was trained on, and whose emotion labels it knows."""
    tuned = f"; learnt emotion labels of {', '.join(encoder.tuned_on)}" if encoder.tuned_on else ""
    return encoder.trained_on + tuned


REGISTRIES: tuple[Registry[Any], ...] = (
    CORPORA, FEATURE_SETS, AUGMENTATIONS, MODELS, PROTOCOLS, METRICS, SAMPLERS, CHECKS,
    sections.SECTIONS,
)  # fmt: skip
"""All that plug-ins can add to."""

SECTIONS = {
    "studies": Section(("name", "question"), _studies, lambda _: list(study_files())),
    "corpora": Section(
        ("name", "clips", "description"),
        _corpora,
        lambda sources: [f"{n} ({s or 'absent'})" for n, s in _presence(sources).items()],
        registry=CORPORA,
    ),
    "features": Section(
        ("name", "size", "description"),
        _features,
        lambda _: [*FEATURE_SETS, *(one.title for one in OPTIONAL_FEATURE_SETS.values())],
        "join with +",
        FEATURE_SETS,
    ),
    "encoders": Section(
        ("name", "download", "licence, size: what it was trained on"),
        _encoders,
        lambda _: list(ENCODERS),
        'features = "embedding:NAME"',
    ),
    "augmentations": Section(
        ("name", "default", "description"),
        lambda _: [
            (a.name, f"{a.name}={a.amount:g} ({a.unit})", a.description)
            for a in AUGMENTATIONS.values()
        ],
        lambda _: list(AUGMENTATIONS),
        "chain with +",
        AUGMENTATIONS,
    ),
    "models": Section(
        ("name", "description"),
        lambda _: [(name, kind.description) for name, kind in MODELS.items()],
        lambda _: list(MODELS),
        registry=MODELS,
    ),
    "protocols": Section(
        ("name", "description"),
        lambda _: [(name, rule.description) for name, rule in PROTOCOLS.items()],
        lambda _: list(PROTOCOLS),
        registry=PROTOCOLS,
    ),
    "metrics": Section(
        ("name", "title", "description"),
        lambda _: [(name, one.title, one.description) for name, one in METRICS.items()],
        lambda _: list(METRICS),
        registry=METRICS,
    ),
    "samplers": Section(
        ("name", "description"),
        lambda _: [(name, sampler.description) for name, sampler in SAMPLERS.items()],
        lambda _: list(SAMPLERS),
        registry=SAMPLERS,
    ),
    "plugins": Section(
        ("package", "adds to", "entries"),
        _plugins,
        lambda _: list(by_package()) or ["none installed"],
    ),
}

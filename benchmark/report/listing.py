"""Tables of the command ``list``: studies, corpora, the entries of each registry, plug-ins."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from benchmark.audit import CHECKS
from benchmark.console import Console
from benchmark.corpora import CORPORA, describe_presence
from benchmark.data.protocols import PROTOCOLS
from benchmark.engine.registry import PREFIX, Registry, by_package
from benchmark.errors import unknown
from benchmark.evaluation.metrics import METRICS
from benchmark.features import AUGMENTATIONS, FEATURE_SETS, OPTIONAL_FEATURE_SETS
from benchmark.features.encoders import ENCODERS, Encoder
from benchmark.hints import command
from benchmark.models import MODELS
from benchmark.project import Project, Sources
from benchmark.report import sections
from benchmark.report.study_list import study_lines
from benchmark.search.samplers import SAMPLERS

Rows = Sequence[tuple[str, ...]]

STUDIES = "studies"

WIDE = 140
"""Columns of a terminal in which the studies are a table; below that each has a paragraph."""


@dataclass(frozen=True)
class Section:
    """One section of the list.

    Attributes
    ----------
    columns : tuple of str
        Headings; the first column is the entry's name.
    rows : callable
        From the sources of recordings to the rows, with descriptions.
    note : str
        How a study uses the entries.
    registry : Registry or None
        That of the entries, if plug-ins can add to it.
    """

    columns: tuple[str, ...]
    rows: Callable[[Sources], Rows]
    note: str = ""
    registry: Registry[Any] | None = None

    def table(self, sources: Sources) -> tuple[tuple[str, ...], Rows]:
        """Return columns and rows; with a column for the packages of entries if there are any."""
        rows = self.rows(sources)
        if self.registry is None or not self.registry.versions(self.registry):
            return self.columns, rows
        return (*self.columns, "plug-in"), [(*row, _plugin(self.registry, row[0])) for row in rows]


def print_studies(sources: Sources, project: Project, console: Console) -> None:
    """Print the studies, which corpora are present, and what else can be listed."""
    lines = study_lines(project)
    columns: tuple[str, ...] = ("study", "question", "corpora", "models", "needs", "time", "run")
    rows: Rows = [
        (
            one.name,
            one.question,
            ", ".join(one.corpora),
            str(len(one.models) or ""),
            one.extras,
            one.time,
            "yes" if one.run else "no",
        )
        for one in lines
    ]
    if console.output.width < WIDE:
        rows = [(name, _paragraph(question, columns[2:], facts)) for name, question, *facts in rows]
        columns = ("study", "question")
    console.table("studies", columns, rows, words=True)
    found = [f"{name} ({state})" for name, state in _presence(sources).items() if state]
    console.print(f"Corpora that are here: {', '.join(found)}.")
    console.print("time: a rough estimate on this machine. models: `--json` has their names.")
    console.info(
        f"Run one: {command('run-study STUDY')}. Other lists: {command('list NOUN')}, with NOUN "
        f"one of {', '.join(SECTIONS)}."
    )


def _paragraph(question: str, names: Sequence[str], facts: Sequence[str]) -> str:
    """Return the cells of a study's row below its question, for a narrow terminal."""
    named = [f"{name}: {fact}" for name, fact in zip(names, facts, strict=True) if fact]
    return f"{question}\n{'; '.join(named)}"


def print_section(name: str, sources: Sources, console: Console) -> None:
    """Print the entries of a section with their descriptions."""
    section = SECTIONS[name]
    title = f"{name} ({section.note})" if section.note else name
    console.table(title, *section.table(sources), words=True)


def section_records(name: str, sources: Sources, project: Project) -> list[dict[str, Any]]:
    """Return the studies, or the entries of a section, as plain data, for JSON."""
    if name == STUDIES:
        lines = study_lines(project)
        return [asdict(one) | {"path": str(one.path)} for one in lines]
    columns, rows = SECTIONS[name].table(sources)
    return [dict(zip(columns, row, strict=True)) for row in rows]


def check_section(name: str) -> None:
    """Refuse the name of a section that does not exist."""
    if name not in (STUDIES, *SECTIONS):
        raise unknown("section", name, (STUDIES, *SECTIONS), "list")


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
    "corpora": Section(
        ("name", "clips", "description"),
        _corpora,
        registry=CORPORA,
    ),
    "features": Section(
        ("name", "size", "description"),
        _features,
        "join with +",
        FEATURE_SETS,
    ),
    "encoders": Section(
        ("name", "download", "licence, size: what it was trained on"),
        _encoders,
        'features = "embedding:NAME"',
    ),
    "augmentations": Section(
        ("name", "default", "description"),
        lambda _: [
            (a.name, f"{a.name}={a.amount:g} ({a.unit})", a.description)
            for a in AUGMENTATIONS.values()
        ],
        "chain with +",
        AUGMENTATIONS,
    ),
    "models": Section(
        ("name", "description"),
        lambda _: [(name, kind.description) for name, kind in MODELS.items()],
        registry=MODELS,
    ),
    "protocols": Section(
        ("name", "description"),
        lambda _: [(name, rule.description) for name, rule in PROTOCOLS.items()],
        registry=PROTOCOLS,
    ),
    "metrics": Section(
        ("name", "title", "description"),
        lambda _: [(name, one.title, one.description) for name, one in METRICS.items()],
        registry=METRICS,
    ),
    "samplers": Section(
        ("name", "description"),
        lambda _: [(name, sampler.description) for name, sampler in SAMPLERS.items()],
        registry=SAMPLERS,
    ),
    "plugins": Section(
        ("package", "adds to", "entries"),
        _plugins,
    ),
}

"""Tables of the command ``list``: studies, corpora and the entries of each registry."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmark.console import Console
from benchmark.corpora import CORPORA, describe_presence
from benchmark.data.protocols import PROTOCOLS
from benchmark.errors import BenchmarkError, unknown
from benchmark.evaluation.metrics import METRICS
from benchmark.features import AUGMENTATIONS, FEATURE_SETS, OPTIONAL_FEATURE_SETS
from benchmark.models import MODELS
from benchmark.project import Sources, study_files
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
    """

    columns: tuple[str, ...]
    rows: Callable[[Sources], Rows]
    names: Callable[[Sources], Sequence[str]]
    note: str = ""


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
    console.table(title, section.columns, section.rows(sources), words=True)


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


SECTIONS = {
    "studies": Section(("name", "question"), _studies, lambda _: list(study_files())),
    "corpora": Section(
        ("name", "clips", "description"),
        _corpora,
        lambda sources: [f"{n} ({s or 'absent'})" for n, s in _presence(sources).items()],
    ),
    "features": Section(
        ("name", "size", "description"),
        _features,
        lambda _: [*FEATURE_SETS, *(one.title for one in OPTIONAL_FEATURE_SETS.values())],
        "join with +",
    ),
    "augmentations": Section(
        ("name", "default", "description"),
        lambda _: [
            (a.name, f"{a.name}={a.amount:g} ({a.unit})", a.description)
            for a in AUGMENTATIONS.values()
        ],
        lambda _: list(AUGMENTATIONS),
        "chain with +",
    ),
    "models": Section(
        ("name", "description"),
        lambda _: [(name, kind.description) for name, kind in MODELS.items()],
        lambda _: list(MODELS),
    ),
    "protocols": Section(
        ("name", "description"),
        lambda _: [(name, rule.description) for name, rule in PROTOCOLS.items()],
        lambda _: list(PROTOCOLS),
    ),
    "metrics": Section(
        ("name", "title", "description"),
        lambda _: [(name, one.title, one.description) for name, one in METRICS.items()],
        lambda _: list(METRICS),
    ),
    "samplers": Section(
        ("name", "description"),
        lambda _: [(name, sampler.description) for name, sampler in SAMPLERS.items()],
        lambda _: list(SAMPLERS),
    ),
}

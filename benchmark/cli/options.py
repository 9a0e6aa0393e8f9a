"""Options that several commands share, and the objects that are made from them."""

from __future__ import annotations

import os
import re
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.console import Console
from benchmark.engine.files import user_path
from benchmark.errors import LONGEST_NAME, BenchmarkError, name_problem, shortened, unknown

if TYPE_CHECKING:
    from benchmark.project import Job, Sources
    from benchmark.study import Study

CURRENT_FOLDER = Path()
CORPORA_VARIABLE = "SER_CORPORA"


def complete_studies(incomplete: str) -> list[str]:
    """Return the names of studies that begin so, for the shell's completion."""
    from benchmark.project import study_files

    return [name for name in study_files() if name.startswith(incomplete)]


def complete_sections(incomplete: str) -> list[str]:
    """Return what `list` takes and begins so, for the shell's completion."""
    from benchmark.report.listing import SECTIONS, STUDIES

    return [name for name in (STUDIES, *SECTIONS) if name.startswith(incomplete)]


StudyArgument = Annotated[
    str | None,
    typer.Argument(
        help="A study file, or the name of a study in studies/. Default: quickstart, on "
        "generated speech.",
        show_default=False,
        autocompletion=complete_studies,
    ),
]
FinishedStudyArgument = Annotated[
    str,
    typer.Argument(
        help="Name of a study that was run.", show_default=False, autocompletion=complete_studies
    ),
]
CorporaOption = Annotated[
    Path | None,
    typer.Option(
        "--corpora",
        envvar=CORPORA_VARIABLE,
        metavar="DIR",
        help="Folder with one subfolder per corpus: DIR/ravdess, DIR/tess, DIR/savee.",
    ),
]
CorpusOption = Annotated[
    list[str] | None,
    typer.Option(
        "--corpus",
        metavar="NAME=DIR",
        help="Folder of one corpus, or csv=table.csv for a table of your own recordings. "
        "Can be repeated.",
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change a key of the study for this run, for example --set search.trials=10. The "
        "result is stored apart from the unchanged study's. Can be repeated.",
    ),
]
IncompleteOption = Annotated[
    bool,
    typer.Option(
        "--allow-incomplete",
        help="Accept missing clips and many unusable clips; the report lists them.",
    ),
]
MissingOption = Annotated[
    list[str] | None,
    typer.Option(
        "--allow-missing",
        metavar="CORPUS",
        help="Leave this corpus out if it is missing or incomplete; every page says so. "
        "Can be repeated.",
    ),
]
AllowOption = Annotated[
    list[str] | None,
    typer.Option(
        "--allow",
        metavar="GUARD",
        help="Run although this guard found something; every page says so: contaminated, "
        "similar-speakers, single-clip-speakers, contradicting-recordings, near-duplicates, "
        "equal-rows, label-columns. Can be repeated.",
    ),
]
WorkersOption = Annotated[
    int | None,
    typer.Option(
        "--workers",
        min=1,
        help="Number of processes. Default: all cores. Results do not depend on it.",
    ),
]
ClusterOption = Annotated[
    str | None,
    typer.Option(
        "--cluster",
        metavar="ADDRESS",
        help="Extract and fit on a Dask cluster: tcp://HOST:8786, tls://HOST:8786, a scheduler "
        "file (.json), or `config` for the scheduler in Dask's configuration. Results do not "
        "depend on it.",
    ),
]
ColumnOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=COLUMN",
        help="Your name of a column: --column emotion=gold. Common names, such as file, truth "
        "and predicted, are known. Can be repeated.",
    ),
]
ProjectOption = Annotated[
    Path,
    typer.Option(
        "--project",
        metavar="DIR",
        help="Folder of features_cache/, reports/, optuna.db and mlflow.db.",
    ),
]
JsonOption = Annotated[
    bool,
    typer.Option("--json", help="Print the result as JSON to standard output, and no table."),
]
ModelOption = Annotated[
    str,
    typer.Option(
        "--model",
        metavar="MODEL",
        help="Alias or version of the registered model in MLflow, or a model card: "
        "features_cache/STUDY/SPLIT/models/MODEL.json.",
    ),
]


def read_study(
    study: str | None, changes: list[str] | None, project: Path, console: Console | None = None
) -> Study:
    """Return the study of a path, or of its name in a project, with its changes, validated.

    A console names its file first.
    """
    from benchmark.project import find_study

    # A wrong name is refused before heavy imports.
    path = find_study("quickstart" if study is None else study, project)
    if console is not None:
        console.info(f"study {path}")
    from benchmark.validation import read_checked

    return read_checked(path, tuple(changes or ()))


def make_sources(
    project: Path,
    corpora: Path | None,
    corpus: list[str] | None,
    allow_incomplete: bool | None = None,
    allow_missing: list[str] | None = None,
    tables: tuple[Path, Path] | None = None,
    allow: list[str] | None = None,
) -> Sources:
    """Return the sources of recordings that the options name."""
    from benchmark.corpora import CORPORA
    from benchmark.project import Project, Sources

    for name in allow or []:
        from benchmark.data.guards import GUARDS

        if name not in GUARDS:
            raise unknown("guard", name, GUARDS, "--allow")
    given: dict[str, Path] = {}
    for text in corpus or []:
        name, _, path = text.partition("=")
        if not path:
            raise BenchmarkError(
                f"--corpus {text}: expected NAME=DIR, for example ravdess=~/ravdess."
            )
        if name not in CORPORA:
            raise CORPORA.unknown(name, "--corpus")
        given[name] = user_path(path)
    return Sources(
        cache=Project(project).features_cache,
        root=user_path(corpora) if corpora else None,
        given=given,
        tables=tables,
        allow_incomplete=allow_incomplete,
        allow_missing=tuple(allow_missing or ()),
        allow=tuple(allow or ()),
    )


def source_options(sources: Sources) -> list[str]:
    """Return the options that name the same sources of recordings again.

    A folder that the environment names is found without.
    """
    by_option = sources.root and str(sources.root) != os.environ.get(CORPORA_VARIABLE)
    options = ["--corpora", str(sources.root)] if by_option else []
    for name, path in sources.given.items():
        options += ["--corpus", f"{name}={path}"]
    for guard in sources.allow:
        options += ["--allow", guard]
    return [*options, *(["--allow-incomplete"] if sources.allow_incomplete else [])]


def make_job(
    project: Path,
    sources: Sources,
    changes: list[str] | None,
    workers: int | None,
    cluster: str | None = None,
) -> Job:
    """Return the job that the options describe."""
    from benchmark.engine.processes import available_cores
    from benchmark.project import Job, Project
    from benchmark.study import effective

    return Job(
        project=Project(project),
        sources=sources,
        overrides=effective(changes or ()),
        workers=workers or available_cores(),
        cluster=cluster,
    )


def columns_of(given: list[str] | None) -> dict[str, str]:
    """Return a user's own names of columns, by ours."""
    columns: dict[str, str] = {}
    for text in given or []:
        ours, _, theirs = text.partition("=")
        if not theirs:
            raise BenchmarkError(
                f"--column {text}: expected NAME=COLUMN, for example emotion=gold."
            )
        if ours in columns:
            raise BenchmarkError(f"--column {text}: {ours} is {columns[ours]!r} already.")
        columns[ours] = theirs
    return columns


def page_name(name: str) -> str:
    """Return the name of a page, which is that of its file."""
    if name_problem(name) or not re.fullmatch(r"\w[\w .+-]*", name):
        raise BenchmarkError(
            f"--name: {shortened(name)!r} can't be the name of a page. Allowed: letters, digits, "
            f"blanks and . + - _, at most {LONGEST_NAME} bytes, a letter or digit first."
        )
    return name


def made_by() -> str:
    """Return the command that is running, as a page states it."""
    return " ".join(["python -m benchmark", *map(shlex.quote, sys.argv[1:])])

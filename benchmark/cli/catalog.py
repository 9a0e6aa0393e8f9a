"""Commands on what is available: list the registries, fetch a corpus or an encoder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.cli.options import (
    CURRENT_FOLDER,
    CorporaOption,
    CorpusOption,
    JsonOption,
    ProjectOption,
    complete_sections,
    make_sources,
)
from benchmark.cli.status import command_console
from benchmark.errors import unknown

if TYPE_CHECKING:
    from benchmark.console import Console


def list_entries(
    noun: Annotated[
        str,
        typer.Argument(
            help="studies, corpora, features, encoders, augmentations, models, protocols, metrics, "
            "samplers or plugins.",
            autocompletion=complete_sections,
        ),
    ] = "studies",
    corpora: CorporaOption = None,
    corpus: CorpusOption = None,
    as_json: JsonOption = False,
    project: ProjectOption = CURRENT_FOLDER,
) -> None:
    """List the studies, or the corpora, features, models and so on that a study can name.

    - `list`: the studies, what each needs, how long it takes, and which have run
    - `list corpora --corpora ~/corpora`: which are present and complete
    - `list models --json`: any list as JSON
    """
    with command_console() as console:
        from benchmark.project import Project
        from benchmark.report import listing

        listing.check_section(noun)
        sources = make_sources(project, corpora, corpus)
        if as_json:
            console.json(listing.section_records(noun, sources, Project(project)))
        elif noun == listing.STUDIES:
            listing.print_studies(sources, Project(project), console)
        else:
            listing.print_section(noun, sources, console)


def fetch(
    name: Annotated[
        str,
        typer.Argument(
            help="Name of a corpus, of which only ravdess can be fetched, or of an encoder.",
            show_default=False,
        ),
    ],
    into: Annotated[
        Path | None,
        typer.Option(
            "--into",
            metavar="DIR",
            help="Folder that receives DIR/NAME. Default: corpora; of an encoder, the folder in "
            "SER_ENCODERS, else Hugging Face's cache.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Download a corpus or an encoder and verify its checksum; of other corpora, tell the source.

    - `fetch ravdess --into ~/corpora`
    - `fetch whisper-base`: for the features embedding:whisper-base
    """
    with command_console() as console:
        from benchmark.corpora import CORPORA
        from benchmark.features.encoders import ENCODERS

        if name in ENCODERS:
            _fetch_encoder(name, into, console)
        elif name in CORPORA:
            _fetch_corpus(name, into or Path("corpora"), console)
        else:
            raise unknown("corpus or encoder", name, (*CORPORA, *ENCODERS), "fetch")


def _fetch_corpus(name: str, into: Path, console: Console) -> None:
    from benchmark.corpora.fetch import fetch as fetch_corpus
    from benchmark.engine.files import user_path

    with console.bars() as bars:
        folder = fetch_corpus(
            name, user_path(into), progress=bars.add(f"fetching {name}", 0).update
        )
    console.print(str(folder))
    console.info(f"Use it with --corpora {into} or SER_CORPORA={into}.")


def _fetch_encoder(name: str, into: Path | None, console: Console) -> None:
    from benchmark.features.fetch import fetch_encoder

    folder = fetch_encoder(name, into, console.info)
    console.print(str(folder))
    found = f" if SER_ENCODERS={into}" if into else ""
    console.info(f'Use it with features = "embedding:{name}"{found}.')

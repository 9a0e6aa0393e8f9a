"""Commands on what is available: list the registries, fetch a corpus."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli.options import (
    CURRENT_FOLDER,
    CorporaOption,
    CorpusOption,
    ProjectOption,
    make_sources,
)
from benchmark.cli.status import command_console


def list_entries(
    section: Annotated[
        str | None,
        typer.Argument(
            help="studies, corpora, features, encoders, augmentations, models, protocols, metrics, "
            "samplers or plugins: list this section with descriptions. Default: the names of all "
            "sections.",
            show_default=False,
        ),
    ] = None,
    corpora: CorporaOption = None,
    corpus: CorpusOption = None,
    project: ProjectOption = CURRENT_FOLDER,
) -> None:
    """List studies, corpora, features, encoders, augmentations, models, protocols and so on.

    - `list`: the names, and which corpora are present and complete
    - `list models`: one section, with descriptions
    - `list plugins`: installed packages that add entries
    """
    with command_console() as console:
        from benchmark.report.listing import print_overview, print_section

        sources = make_sources(project, corpora, corpus)
        if section is None:
            print_overview(sources, console)
        else:
            print_section(section, sources, console)


def fetch(
    corpus: Annotated[str, typer.Argument(help="Name of a corpus. Only ravdess can be fetched.")],
    into: Annotated[
        Path, typer.Option("--into", metavar="DIR", help="Folder that receives DIR/ravdess.")
    ] = Path("corpora"),
) -> None:
    """Download a corpus, verify its checksum and unpack it; for others, tell where to get them.

    - `fetch ravdess --into ~/corpora`
    """
    with command_console() as console:
        from benchmark.corpora.fetch import fetch as fetch_corpus

        with console.bars() as bars:
            folder = fetch_corpus(corpus, into, progress=bars.add(f"fetching {corpus}", 0).update)
        console.print(str(folder))
        console.info(f"Use it with --corpora {into} or SER_CORPORA={into}.")

"""The README: short, with links that read anywhere, and commands that exist."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from benchmark.cli import app
from tests.docs.pages import BLOCK, DOCS, ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
URLS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
COMMANDS = typer.main.get_command(app).commands


def test_it_is_short() -> None:
    assert len(README.encode()) <= 6500


def test_its_links_are_absolute_and_lead_to_files_of_this_repository() -> None:
    repository = URLS["Repository"]
    raw = repository.replace("github.com", "raw.githubusercontent.com")
    links = re.findall(r"\]\((.+?)\)", README)
    assert links
    for link in links:
        path = link.removeprefix(f"{repository}/blob/main/").removeprefix(f"{raw}/main/")
        assert link == URLS["Documentation"] or (ROOT / path).is_file(), link


def lines_of_commands(page: Path) -> Iterator[list[str]]:
    """Yield the arguments of each ``python -m benchmark`` of a page."""
    for block in BLOCK.finditer(page.read_text(encoding="utf-8")):
        for line in block["code"].replace("\\\n", " ").splitlines():
            _, found, arguments = line.partition("python -m benchmark ")
            if found:
                yield shlex.split(arguments, comments=True)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_its_commands_and_their_options_exist(page: Path) -> None:
    for name, *arguments in lines_of_commands(page):
        given = [one.partition("=")[0] for one in arguments if one.startswith("--")]
        known = {option for parameter in COMMANDS[name].params for option in parameter.opts}
        assert set(given) <= known, f"{name} {arguments}"

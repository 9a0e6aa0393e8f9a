"""Templates: paragraphs are joined, missing facts are errors, users' text is escaped."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from jinja2 import UndefinedError

from benchmark.report import template
from benchmark.report.template import render, tidied


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that takes the place of the package's templates."""
    monkeypatch.setattr(template, "TEMPLATES", tmp_path)
    template._environment.cache_clear()
    yield tmp_path
    template._environment.cache_clear()


def test_lines_of_a_paragraph_are_joined_and_those_of_blocks_are_not() -> None:
    text = "# Title\n\nOne\nparagraph.\n\n\n| a |\n| :--- |\n| b |\n\n- one\n  item\n- two\n"
    assert tidied(text) == (
        "# Title\n\nOne paragraph.\n\n| a |\n| :--- |\n| b |\n\n- one item\n- two"
    )


def test_a_code_block_stays_as_it_is() -> None:
    text = "Run:\n\n```sh\nset -e\n  indented\n```\n\nThe\nend."
    assert tidied(text) == "Run:\n\n```sh\nset -e\n  indented\n```\n\nThe end."


def test_a_part_that_is_left_out_leaves_one_blank_line(written: Path) -> None:
    (written / "page.md.j2").write_text("One.\n\n{% if more %}\nMore.\n{% endif %}\n\nTwo.\n")
    assert render("page", more=False) == "One.\n\nTwo."
    assert render("page", more=True) == "One.\n\nMore.\n\nTwo."


def test_a_missing_fact_is_an_error(written: Path) -> None:
    (written / "page.md.j2").write_text("{{ uar }}")
    with pytest.raises(UndefinedError, match="'uar' is undefined"):
        render("page")


def test_filters_format_figures_and_escape_names(written: Path) -> None:
    (written / "page.md.j2").write_text(
        "{{ -0.5 | number }} {{ 0.5 | percent }} {{ name | plain }} {{ name | code }}\n\n"
        "{{ [['a', '1']] | table(['Name', 'n']) }}\n"
    )
    assert render("page", name="a|<b>\n\nc") == (
        "−0.500 50\N{NO-BREAK SPACE}% a\\|&lt;b> c `a\\|<b> c`\n\n"
        "| Name | n |\n| :--- | ---: |\n| a | 1 |"
    )

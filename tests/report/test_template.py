"""Templates: paragraphs are joined, missing facts are errors, users' text is escaped."""

from __future__ import annotations

from pathlib import Path

import pytest
from jinja2 import UndefinedError

from benchmark.report.template import render, tidied


def test_lines_of_a_paragraph_are_joined_and_those_of_blocks_are_not() -> None:
    text = "# Title\n\nOne\nparagraph.\n\n\n| a |\n| :--- |\n| b |\n\n- one\n  item\n- two\n"
    assert tidied(text) == (
        "# Title\n\nOne paragraph.\n\n| a |\n| :--- |\n| b |\n\n- one item\n- two"
    )


def test_a_code_block_stays_as_it_is() -> None:
    text = "Run:\n\n```sh\nset -e\n  indented\n```\n\nThe\nend."
    assert tidied(text) == "Run:\n\n```sh\nset -e\n  indented\n```\n\nThe end."


def test_a_part_that_is_left_out_leaves_one_blank_line(tmp_path: Path) -> None:
    (tmp_path / "page.md.j2").write_text("One.\n\n{% if more %}\nMore.\n{% endif %}\n\nTwo.\n")
    assert render("page", folder=tmp_path, more=False) == "One.\n\nTwo."
    assert render("page", folder=tmp_path, more=True) == "One.\n\nMore.\n\nTwo."


def test_a_missing_fact_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "page.md.j2").write_text("{{ uar }}")
    with pytest.raises(UndefinedError, match="'uar' is undefined"):
        render("page", folder=tmp_path)


def test_filters_format_figures_and_escape_names(tmp_path: Path) -> None:
    (tmp_path / "page.md.j2").write_text(
        "{{ -0.5 | number }} {{ 0.5 | percent }} {{ name | plain }} {{ name | code }}\n\n"
        "{{ [['a', '1']] | table(['Name', 'n']) }}\n"
    )
    assert render("page", folder=tmp_path, name="a|<b>\n\nc") == (
        "−0.500 50\N{NO-BREAK SPACE}% a\\|&lt;b> c `a\\|<b> c`\n\n"
        "| Name | n |\n| :--- | ---: |\n| a | 1 |"
    )

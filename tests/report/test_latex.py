"""A leaderboard is a LaTeX table that can stand alone."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from benchmark.evaluation.leaderboard import leaderboard
from benchmark.report import write_pages
from benchmark.report.latex import latex, latex_table
from benchmark.report.markdown import plain
from tests.support.results import SMALL, make

QUESTION = "Is 50 % of R&D_cost {a} $ | #1 ~ ^ \\ <b> ok?"


@pytest.fixture(scope="module")
def text() -> str:
    return latex_table(leaderboard(make(question=QUESTION)))


@pytest.mark.parametrize(
    ("markdown", "written"),
    [
        ("50 % of R&D_cost", r"50 \% of R\&D\_cost"),
        (plain("a|b \\ <c>"), r"a\textbar{}b \textbackslash{} \textless{}c\textgreater{}"),
        ("~ ^ {#} $", r"\textasciitilde{} \textasciicircum{} \{\#\} \$"),
        ("**0.5** of `a_b`", r"\textbf{0.5} of \texttt{a\_b}"),
        ("[−0.10,\N{NO-BREAK SPACE}0.20] – ", "[$-$0.10,~0.20] -- "),
        ("2 ** 3", "2 ** 3"),
    ],
)
def test_what_latex_reads_as_a_command_is_escaped(markdown: str, written: str) -> None:
    assert latex(markdown) == written


def test_a_table_has_a_row_per_model_with_as_many_cells_as_columns(text: str) -> None:
    columns = re.search(r"\\begin\{tabular\}\{(l r*)\}".replace(" ", ""), text)
    assert columns is not None
    body = text.split(r"\toprule")[1].split(r"\bottomrule", maxsplit=1)[0]
    rows = [line for line in body.splitlines() if line.endswith(r"\\")]
    assert len(rows) == 1 + len(leaderboard(make()).standings)
    assert {len(re.findall(r"(?<!\\)&", row)) + 1 for row in rows} == {len(columns[1])}


def test_every_brace_and_environment_of_a_table_is_closed(text: str) -> None:
    bare = re.sub(r"\\[{}]", "", text)
    assert bare.count("{") == bare.count("}")
    begun, ended = (re.findall(rf"\\{word}\{{(\w+)\}}", text) for word in ("begin", "end"))
    assert begun == ended[::-1] == ["table", "tabular"]
    assert all(text.count(rule) == 1 for rule in (r"\toprule", r"\midrule", r"\bottomrule"))


def test_a_caption_states_protocol_population_estimand_and_intervals(text: str) -> None:
    (caption,) = re.findall(r"\\caption\{(.*)\}\n", text)
    assert caption.startswith(r"Is 50 \% of R\&D\_cost \{a\} \$ \textbar{} \#1")
    assert "population: acted speech: English (North American) in RAVDESS" in caption
    for words in ("Estimand: UAR", "Protocols: speaker-dependent (SD)", r"95 \% confidence"):
        assert words in caption


def test_the_selected_model_is_marked_and_scores_have_intervals(text: str) -> None:
    (row,) = [line for line in text.splitlines() if line.startswith("MLP (selected")]
    assert re.search(r"& \\textbf\{0\.\d{3}\} \[0\.\d\d,~0\.\d\d\]", row)


def test_tables_are_written_on_request_and_are_the_same_each_time(tmp_path: Path) -> None:
    result = make(**SMALL)
    board, other = leaderboard(result), leaderboard(replace(result, name="other"))
    write_pages([board], tmp_path)
    assert not (tmp_path / "latex").exists()
    written = write_pages([board, other], tmp_path, latex=True)
    assert [path.name for path in written if path.suffix == ".tex"] == ["small.tex", "other.tex"]
    assert written[1].read_text(encoding="utf-8") == latex_table(leaderboard(make(**SMALL)))

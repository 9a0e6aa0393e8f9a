"""The documentation as a site: it builds without a warning, and has what the repository has."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import benchmark
from tests.docs.pages import ROOT


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    for module in ("material", "mkdocstrings", "griffe"):
        pytest.importorskip(module, reason="needs the extra docs")
    folder = tmp_path_factory.mktemp("site")
    ended = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    return folder


def text_of(site: Path, page: str) -> str:
    return (site / page / "index.html").read_text(encoding="utf-8")


def test_each_report_is_a_page(site: Path) -> None:
    for page in (ROOT / "reports").glob("*.md"):
        folder = site / "reports" / ("" if page.stem == "README" else page.stem)
        assert (folder / "index.html").is_file(), page.name


def test_the_reference_has_every_command_key_and_function(site: Path) -> None:
    assert "published-audits" in text_of(site, "reference/commands")
    assert "--allow-missing" in text_of(site, "reference/commands")
    assert "concurrent_trials" in text_of(site, "reference/study_files")
    python = text_of(site, "reference/python")
    assert all(f'id="benchmark.{name}"' in python for name in benchmark.__all__[1:])


def test_marks_of_github_and_of_the_tests_are_not_shown(site: Path) -> None:
    for path in site.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        assert "[!WARNING]" not in text, path
        assert "test: skip" not in text, path
        assert "generated: " not in text, path


def test_no_other_host_is_asked(site: Path) -> None:
    for path in site.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        assert 'src="http' not in text, path
        assert '<link href="http' not in text.replace('rel="canonical"', ""), path

"""The notebooks run from top to bottom, and are stored without outputs."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.docs.pages import DOCS, ROOT

NOTEBOOKS = sorted((DOCS / "notebooks").glob("*.ipynb"))


def run_notebook(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a notebook with the package of this checkout."""
    pytest.importorskip("nbclient", reason="needs the extra docs")
    pytest.importorskip("ipykernel", reason="needs the extra docs")
    import nbformat
    from nbclient import NotebookClient

    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    notebook = nbformat.read(DOCS / "notebooks" / name, as_version=4)
    NotebookClient(notebook, timeout=None).execute()


def test_generated_speech(monkeypatch: pytest.MonkeyPatch) -> None:
    run_notebook("generated_speech.ipynb", monkeypatch)


@pytest.mark.skipif("SER_NOTEBOOKS" not in os.environ, reason="minutes long: set SER_NOTEBOOKS=1")
def test_ravdess(recordings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SER_CORPORA", str(recordings.resolve()))
    run_notebook("ravdess.ipynb", monkeypatch)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_stored_without_outputs(path: Path) -> None:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert [(cell["outputs"], cell["execution_count"]) for cell in code] == [([], None)] * len(code)

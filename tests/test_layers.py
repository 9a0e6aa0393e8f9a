"""The house keeps its layers: imports point one way, and each outside library has one door."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "benchmark"

DOORS = {
    "librosa": ("features/", "report/data_figures.py"),
    "soundfile": ("features/", "corpora/synthetic.py", "versions.py"),
    "dask": ("cluster.py",),
    "distributed": ("cluster.py",),
    "optuna": ("search.py", "trials.py", "report/search_figures.py"),
    "mlflow": ("tracking.py", "registry.py", "serving/pyfunc.py"),
    "imblearn": ("anatomy/fits.py",),
    "fastapi": ("serving/",),
    "starlette": ("serving/",),
    "uvicorn": ("serving/",),
    "gradio": ("serving/",),
    "prometheus_client": ("serving/",),
    "matplotlib": ("report/",),
    "pooch": ("corpora/fetch.py",),
    "skops": ("models/storage.py",),
    "typer": ("cli.py",),
    "rich": ("screen.py",),
    "sklearnex": ("models/",),
    "opensmile": ("features/smile.py",),
    "transformers": ("features/embeddings.py",),
    "huggingface_hub": ("features/embeddings.py",),
    "torch": ("models/networks.py", "features/embeddings.py"),
    "skorch": ("models/networks.py",),
    "safetensors": ("models/networks.py",),
    "scikit_posthocs": ("report/",),
    "statsmodels": ("compare.py",),
}

LAYERS = (
    ("errors", "databases", "workers", "versions", "corpora.clip"),
    ("study", "corpora"),
    (
        "features",
        "models",
        "splits",
        "tables",
        "evaluate",
        "results",
        "kept",
        "ensemble",
        "screen",
        "pruning",
    ),
    ("fitting", "cluster", "anatomy"),
    ("trials",),
    (
        "compare",
        "groups",
        "calibration",
        "optimism",
        "tracking",
        "tracking_views",
        "prepare",
        "search",
    ),
    ("curves", "budget", "check", "winners"),
    ("report",),
    ("card",),
    ("run", "explore", "registry"),
    ("anatomy.dissect",),
    ("serving",),
    ("cli",),
    ("__main__",),
)


@cache
def modules() -> dict[str, Path]:
    """Every module of the package, by its path below the package."""
    return {path.relative_to(PACKAGE).as_posix(): path for path in sorted(PACKAGE.rglob("*.py"))}


@cache
def imported(path: Path) -> set[str]:
    """Every module that a file imports, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names |= {alias.name for alias in node.names} if isinstance(node, ast.Import) else set()
        names |= {node.module or ""} if isinstance(node, ast.ImportFrom) else set()
    return names


def layer(module: str) -> int:
    """The place of a module's layer, the lowest first."""
    name = module.removeprefix("benchmark").removeprefix(".") or "errors"
    ranks = [
        (len(member), rank)
        for rank, members in enumerate(LAYERS)
        for member in members
        if name == member or name.startswith(f"{member}.")
    ]
    return max(ranks)[1]


@pytest.mark.parametrize("library", DOORS)
def test_a_library_has_one_door(library: str) -> None:
    strangers = [
        name
        for name, path in modules().items()
        if any(found.split(".")[0] == library for found in imported(path))
        and not name.startswith(DOORS[library])
    ]
    assert strangers == []


@pytest.mark.parametrize("name", modules())
def test_nothing_imports_a_later_layer(name: str) -> None:
    module = f"benchmark/{name}".removesuffix(".py").removesuffix("/__init__")
    own = layer(module.replace("/", "."))
    inside = [found for found in imported(modules()[name]) if found.startswith("benchmark")]
    assert [found for found in inside if layer(found) > own] == []

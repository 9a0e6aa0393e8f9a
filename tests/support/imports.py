"""The imports of the package, and the one door of each outside library."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "benchmark"


DOORS = {
    "librosa": (),  # the tests compare with it
    "soundfile": ("features/", "engine/environment.py"),
    "dask": ("engine/dask.py",),
    "distributed": ("engine/dask.py",),
    "optuna": ("search/", "report/sections/search.py"),
    "mlflow": ("tracking/", "serving/pyfunc.py"),
    "fastapi": ("serving/",),
    "starlette": ("serving/",),
    "uvicorn": ("serving/",),
    "prometheus_client": ("serving/",),
    "jinja2": ("report/template.py", "serving/page/html.py"),
    "matplotlib": ("report/",),
    "skops": ("models/stored.py",),
    "typer": ("cli/",),
    "rich": ("console.py",),
    "sklearnex": ("models/",),
    "opensmile": ("features/opensmile.py",),
    "transformers": ("features/hidden_states.py",),
    "huggingface_hub": ("features/hidden_states.py", "features/fetch.py"),
    "torch": ("models/networks.py", "features/hidden_states.py"),
    "skorch": ("models/networks.py",),
    "safetensors": ("models/networks.py",),
}


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

"""Plug-ins in a folder of packages of their own, as ``pip install --target`` leaves them."""

from __future__ import annotations

import os
import shutil
import tomllib
from collections.abc import Mapping
from pathlib import Path

Points = Mapping[str, Mapping[str, str]]
"""Entry points: by group, the object of each name."""


def install(project: Path, site: Path, version: str | None = None) -> None:
    """Install the package of a project folder, in its own version or in another."""
    facts = tomllib.loads((project / "pyproject.toml").read_text())["project"]
    name = facts["name"]
    modules = name.replace("-", "_")
    shutil.copytree(project / modules, site / modules)
    install_metadata(site, name, version or facts["version"], facts["entry-points"])


def install_metadata(site: Path, name: str, version: str, points: Points) -> None:
    """Write what the installation of a package says of it."""
    folder = site / f"{name.replace('-', '_')}-{version}.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    lines = [
        line
        for group, objects in points.items()
        for line in (f"[{group}]", *(f"{key} = {value}" for key, value in objects.items()))
    ]
    (folder / "entry_points.txt").write_text("\n".join(lines) + "\n")


def environment(site: Path) -> dict[str, str]:
    """Return the environment of a process that finds the packages of a folder."""
    paths = [str(site), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}

"""Each outside library has one door; the order of the rooms is import-linter's, see pyproject."""

from __future__ import annotations

import pytest

from tests.support.imports import DOORS, imported, modules


@pytest.mark.parametrize("library", DOORS)
def test_a_library_has_one_door(library: str) -> None:
    strangers = [
        name
        for name, path in modules().items()
        if any(found.split(".")[0] == library for found in imported(path))
        and not name.startswith(DOORS[library])
    ]
    assert strangers == []

"""Each outside library is imported in one place; import-linter checks the order of the folders."""

from __future__ import annotations

import pytest

from tests.support.imports import DOORS, imported, modules


@pytest.mark.parametrize("library", DOORS)
def test_a_library_is_imported_in_one_place(library: str) -> None:
    strangers = [
        name
        for name, path in modules().items()
        if any(found.split(".")[0] == library for found in imported(path))
        and not name.startswith(DOORS[library])
    ]
    assert strangers == []

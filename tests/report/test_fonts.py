"""Letters that matplotlib's own font lacks: named once, and drawn if another font has them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib.font_manager import fontManager

from benchmark.report.figures import FONT, OTHER_FONTS, fonts, without_glyph

CUNEIFORM = "\U00012000"
"""No font of figures has this letter."""


@pytest.fixture
def installed(tmp_path: Path) -> Iterator[str]:
    """A font with one letter, under the name of a font that is looked for."""
    pen = TTGlyphPen(None)
    pen.moveTo((0, 0))
    pen.lineTo((500, 0))
    pen.lineTo((500, 500))
    pen.closePath()
    glyph = pen.glyph()
    builder = FontBuilder(1000)
    builder.setupGlyphOrder([".notdef", "one"])
    builder.setupCharacterMap({ord("愤"): "one"})
    builder.setupGlyf({".notdef": glyph, "one": glyph})
    builder.setupHorizontalMetrics({".notdef": (600, 0), "one": (600, 0)})
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": OTHER_FONTS[-1], "styleName": "Regular"})
    builder.setupOS2(sTypoAscender=800, usWinAscent=800, usWinDescent=200)
    builder.setupPost()
    builder.save(tmp_path / "one.ttf")
    before = list(fontManager.ttflist)
    fontManager.addfont(tmp_path / "one.ttf")
    yield OTHER_FONTS[-1]
    fontManager.ttflist[:] = before


def test_letters_of_many_languages_need_no_other_font() -> None:
    assert fonts()[0] == FONT
    assert without_glyph(["fröhlich", "Привет", "Χαρά", "a\nb", "$<b>|*"]) == ""


def test_letters_that_no_font_has_are_named_once() -> None:
    warning = without_glyph([CUNEIFORM + "a", CUNEIFORM])
    assert warning.count(CUNEIFORM) == 1
    assert "\n" not in warning


def test_an_installed_font_draws_what_the_first_one_lacks(installed: str) -> None:
    assert fonts()[-1] == installed
    assert without_glyph(["愤"]) == ""

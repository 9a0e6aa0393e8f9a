"""What all figures share: style, colours, and PNG with the same bytes."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from benchmark.engine.files import write_bytes
from benchmark.evaluation.leaderboard import SPEAKER_DEPENDENT, SPEAKER_INDEPENDENT
from benchmark.report.markdown import address, code, plain, shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH_IN = 9.0
"""GitHub shows a page about 900 pixels wide, so that a point of type is 1.4 pixels there."""
DPI = 160

BLUE, VERMILLION, GREEN, GREY, INK = "#0072B2", "#D55E00", "#009E73", "#999999", "#222222"
"""Okabe & Ito's colours (2008), which people with any colour vision tell apart."""

PROTOCOL_STYLES = {
    SPEAKER_DEPENDENT: (BLUE, "o"),
    SPEAKER_INDEPENDENT: (VERMILLION, "D"),
}
"""Colour and marker by protocol."""

OTHER_STYLES = [(GREEN, "s"), ("#CC79A7", "^"), ("#E69F00", "v"), ("#56B4E9", "P")]
COLOURS = [BLUE, VERMILLION, GREEN, *(colour for colour, _ in OTHER_STYLES[1:]), INK]

FONT = "DejaVu Sans"
"""Comes with matplotlib, so that figures are the same everywhere."""

OTHER_FONTS = (
    *("Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans SC", "Noto Sans JP", "Noto Sans KR"),
    *("Source Han Sans SC", "WenQuanYi Micro Hei", "WenQuanYi Zen Hei", "Droid Sans Fallback"),
    *("IPAexGothic", "PingFang SC", "Hiragino Sans", "Apple SD Gothic Neo"),
    *("Microsoft YaHei", "Yu Gothic", "Malgun Gothic", "Arial Unicode MS"),
)
"""Fonts of Chinese, Japanese and Korean names, if they are installed, in this order."""

STYLE: dict[str, Any] = {
    "font.size": 10,
    "axes.titlesize": 10.5,
    "axes.titlelocation": "left",
    "axes.labelsize": 10,
    "axes.edgecolor": "#666666",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.labelsize": 9.5,
    "ytick.labelsize": 9.5,
    "xtick.color": INK,
    "ytick.color": INK,
    "text.color": INK,
    "axes.labelcolor": INK,
    "grid.color": "#E3E3E3",
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
}


def annotate_line(axes: Axes, value: float, name: str) -> None:
    """Draw a dashed vertical line with its name above the axes."""
    axes.axvline(value, color=GREY, ls=(0, (4, 3)), lw=1, zorder=0)
    axes.annotate(
        name, (value, 1), xycoords=("data", "axes fraction"), xytext=(0, 3),
        textcoords="offset points", color="#6B6B6B", fontsize=9.5, ha="center",
    )  # fmt: skip


def mark_level(axes: Axes, value: float, rows: tuple[float, float], name: str) -> None:
    """Draw a dashed vertical line beside some rows, with its name above it."""
    axes.vlines(value, *rows, color=GREY, ls=(0, (4, 3)), lw=1, zorder=0)
    axes.annotate(
        name, (value, rows[0]), xytext=(0, 2), textcoords="offset points", color="#6B6B6B",
        fontsize=9.5, ha="center",
    )  # fmt: skip


@contextmanager
def house_style() -> Iterator[None]:
    """Apply the style of all figures, independent of the user's matplotlibrc, and restore it."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)  # type: ignore[arg-type]
        matplotlib.rcParams["font.family"] = fonts()
        matplotlib.rcParams["text.parse_math"] = False  # names of users may hold a $
        # `without_glyph` says it once, and not for each letter.
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from", UserWarning)
            yield


def fonts() -> list[str]:
    """Return the families of all figures: the later ones have what the first one lacks."""
    from matplotlib.font_manager import fontManager

    installed = set(fontManager.get_font_names())
    return [FONT, *(name for name in OTHER_FONTS if name in installed)]


def without_glyph(texts: Iterable[str]) -> str:
    """Return a warning about letters that figures show as boxes; empty if fonts have all."""
    from matplotlib import get_cachedir
    from matplotlib.font_manager import findfont, get_font

    letters = sorted({letter for text in texts for letter in text if letter.isprintable()})
    found = [get_font(findfont(name)) for name in fonts()]
    lacking = [one for one in letters if not any(font.get_char_index(ord(one)) for font in found)]
    if not lacking:
        return ""
    return (
        f"figures show boxes for letters that no font has: {shortened(lacking, 8)}. Install one of "
        f"the fonts {', '.join(OTHER_FONTS[:2])} or {OTHER_FONTS[6]}, delete matplotlib's list of "
        f"fonts ({get_cachedir()}), and make the pages again."
    )


@dataclass(frozen=True)
class Drawn:
    """Figures by file name.

    Attributes
    ----------
    figures : dict of str to bytes
        As PNG.
    failed : dict of str to str
        Why a figure could not be drawn.
    """

    figures: dict[str, bytes] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    def picture(self, name: str, words: str, place: str) -> str:
        """Return a figure in Markdown, or why it could not be drawn; empty if there is none.

        Parameters
        ----------
        name : str
        words : str
            Its alternative text.
        place : str
            Address of the folder that holds the figures.
        """
        if name in self.failed:
            return not_drawn(name, self.failed[name])
        return f"![{words}]({place}/{address(name)})" if name in self.figures else ""

    def write(self, folder: Path) -> None:
        """Write the figures into a folder, and take away those of an earlier version."""
        if self.figures:
            folder.mkdir(parents=True, exist_ok=True)
        for name, content in self.figures.items():
            write_bytes(folder / name, content)
        for stale in folder.glob("*.png"):
            if stale.name not in self.figures:
                stale.unlink()


def draw(figures: Mapping[str, bytes | Callable[[], bytes]]) -> Drawn:
    """Return figures, each drawn on its own: one that fails takes no other with it.

    `figures` has, by file name, a PNG or what draws it. An empty PNG is no figure.
    """
    drawn = Drawn()
    for name, figure in figures.items():
        try:
            content = figure if isinstance(figure, bytes) else figure()
        except Exception as error:
            drawn.failed[name] = reason_of(error)
            continue
        if content:
            drawn.figures[name] = content
    return drawn


def reason_of(error: Exception) -> str:
    """Return in a line why a figure could not be drawn."""
    words = " ".join(str(error).split())
    return f"{type(error).__name__}: {words}" if words else type(error).__name__


def not_drawn(name: str, reason: str) -> str:
    """Return what stands in a page in a figure's place."""
    return f"**The figure {code(name)} could not be drawn:** {plain(reason)}"


def png_bytes(figure: Figure) -> bytes:
    """Return a figure as PNG, without the date and the versions that would change its bytes.

    Raises
    ------
    UserWarning
        If its labels leave no room for it.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure.set_dpi(DPI)
    canvas: Any = FigureCanvasAgg(figure)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "constrained_layout not applied", UserWarning)
        canvas.draw()
    return png_of_pixels(np.asarray(canvas.buffer_rgba())[:, :, :3])


def png_of_pixels(pixels: NDArray[np.uint8]) -> bytes:
    """Return pixels of shape (height, width, 3) as a PNG of 128 colours: half the bytes."""
    from PIL import Image

    picture = Image.fromarray(np.ascontiguousarray(pixels))
    reduced = picture.quantize(128, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    buffer = io.BytesIO()
    reduced.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()

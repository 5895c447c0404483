"""The look of a report's charts, and how they become a PNG and a part of the page."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import NamedTuple
from xml.sax.saxutils import quoteattr

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from sparse_rcnn_ext.visualization.fonts import readable_text, untold_glyphs
from sparse_rcnn_ext.visualization.palette import PALETTE

DPI = 100
_PIXELS = 4 / 3  # of the page, for a point of the chart
INK, FAINT, GRID = '#1f2329', '#6e7580', '#e3e6ea'
# Without the yellow, which is lost as a line on white.
SERIES = tuple(tuple(value / 255 for value in PALETTE[index]) for index in (6, 0, 2, 5, 4, 1))
RIGHT, WRONG = SERIES[0], SERIES[3]
# The page has its own values for these, which follow the reader's light or dark setting.
_ON_PAGE = {INK: 'var(--ink)', FAINT: 'var(--faint)', GRID: 'var(--grid)', to_hex(SERIES[0]): 'var(--blue)'}
_STYLE = {
    'axes.axisbelow': True,
    'axes.edgecolor': FAINT,
    'axes.facecolor': 'none',
    'axes.labelcolor': INK,
    'axes.spines.right': False,
    'axes.spines.top': False,
    'axes.titlesize': 11,
    'font.size': 9.5,
    'grid.color': GRID,
    'legend.frameon': False,
    'svg.fonttype': 'none',  # letters stay letters: small, and found by the browser's search
    'text.color': INK,
    'text.parse_math': False,  # a class may be named '$'
    'xtick.color': INK,
    'ytick.color': INK,
}


class Chart(NamedTuple):
    """One chart of the page."""

    name: str
    """Its file is called so."""
    svg: str
    """To be put into the page as it is."""
    alt: str
    """What it shows, in words."""


@contextmanager
def new_chart(folder: Path, name: str, alt: str, size: tuple[float, float], charts: list[Chart]) -> Iterator[Figure]:
    """A figure in the look of the house; when the block ends, its PNG is written and the chart joins ``charts``.

    Args:
        folder: Where the PNG goes; it must be there.
        name: Of the file, without suffix.
        alt: What the chart shows, in words.
        size: Width and height in inches.
        charts: The list to join.
    """
    with rc_context(_STYLE):
        figure = Figure(figsize=size, dpi=DPI, layout='constrained')
        FigureCanvasAgg(figure)
        yield figure
        text = StringIO()
        no_metadata = dict.fromkeys(('Creator', 'Date', 'Format', 'Type'))
        with readable_text(figure):
            figure.savefig(folder / f'{name}.png', facecolor='white')
        # Settled by the first drawing, which takes as long as all the rest.
        figure.set_layout_engine('none')
        # Its texts stay texts, for which a browser has fonts of its own.
        with untold_glyphs():
            figure.savefig(text, format='svg', facecolor='none', metadata=no_metadata)
    charts.append(Chart(name, _for_page(text.getvalue(), alt), alt))


def _for_page(svg: str, alt: str) -> str:
    svg = svg[svg.index('<svg') :]
    for color, replacement in _ON_PAGE.items():
        svg = svg.replace(color, replacement)
    width, height = re.search(r'viewBox="0 0 (\S+) (\S+)"', svg).groups()
    # On the page it shrinks with the window, and grows no further than its letters are large.
    head = f'viewBox="0 0 {width} {height}" style="width: {float(width) * _PIXELS:.0f}px"'
    names = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" role="img"'
    return f'<svg {names} {head} aria-label={quoteattr(alt)}{svg[svg.index(">") :]}'


def draw_lines(
    axes: Axes,
    lines: Sequence[tuple[str, Sequence[float], Sequence[float]]],
    xlabel: str,
    title: str,
    points: bool = False,
) -> None:
    """Lines of ``(name, x, y)`` with a legend; more than six repeat the colours, dashed.

    Few points are marked, and then the axis begins at 0 and the legend stands above the lines.
    """
    for number, (name, xs, ys) in enumerate(lines):
        axes.plot(
            xs,
            ys,
            label=name,
            color=SERIES[number % len(SERIES)],
            linestyle=('-', '--', ':')[number // len(SERIES) % 3],
            linewidth=1.5,
            marker='o' if points else None,
            markersize=4,
        )
    axes.set(title=title, xlabel=xlabel)
    axes.grid(axis='y')
    if points:
        axes.set_ylim(0, 1.25 * axes.get_ylim()[1])
        axes.legend(fontsize=8.5, loc='upper left', ncols=len(lines), columnspacing=1, handlelength=1.2)
    elif len(lines) > 1:
        axes.legend(fontsize=8.5)

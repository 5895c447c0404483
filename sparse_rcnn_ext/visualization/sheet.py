"""Panels arranged into one picture."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from .fonts import readable_text
from .palette import Color

DPI = 100
GAP = 14  # pixels between panels
TITLE = 30  # pixels above a row of panels
LEGEND = 44  # pixels below the last row
HEADING = 66  # pixels at the top
JPEG_QUALITY = 80
_TEXT_SIZE = 12  # points
_HEADING_SIZE = 16  # points


class Panel(NamedTuple):
    """One image of a sheet."""

    image: np.ndarray
    """(h, w, 3) uint8 RGB."""
    title: str


def panel_corners(
    shapes: Sequence[tuple[int, int]], columns: int, group: int
) -> tuple[list[tuple[int, int]], int, int]:
    """Where panels go on a sheet: row by row, each row as high as its highest panel, all columns as wide as the widest.

    Args:
        shapes: Height and width of each panel in pixels.
        columns: Panels in a row.
        group: Panels that belong together; a wider gap follows each group.

    Returns:
        Left and top of each panel, and the width and height that they and the headings take, in pixels.
    """
    cell_width = max(width for _, width in shapes)
    corners, top = [], HEADING
    for first in range(0, len(shapes), columns):
        row = shapes[first : first + columns]
        lefts = [GAP + column * (cell_width + GAP) + column // group * GAP for column in range(len(row))]
        corners += [(left, top + TITLE) for left in lefts]
        top += TITLE + max(height for height, _ in row) + GAP
    return corners, max(left for left, _ in corners) + cell_width + GAP, top


def save_sheet(
    panels: Sequence[Panel],
    columns: int,
    out_file: Path,
    heading: str,
    caption: str,
    legend: Sequence[tuple[str, Color]] = (),
    group: int = 1,
) -> None:
    """Write panels, unscaled, as one PNG or JPEG; folders are made as needed.

    Args:
        panels: Row by row.
        columns: Panels in a row.
        out_file: Where to; ends in .png, .jpg or .jpeg.
        heading: What the picture shows.
        caption: How to read it, in a line below the heading.
        legend: Names and colours, below the panels.
        group: Panels that belong together; a wider gap follows each group.
    """
    corners, width, height = panel_corners([panel.image.shape[:2] for panel in panels], columns, group)
    height += LEGEND if legend else 0
    # The hundredth of a pixel outweighs matplotlib's rounding down.
    figure = Figure(figsize=((width + 0.01) / DPI, (height + 0.01) / DPI), dpi=DPI, facecolor='white')
    FigureCanvasAgg(figure)
    for panel, (left, top) in zip(panels, corners, strict=True):
        figure.figimage(panel.image, xo=left, yo=height - top - panel.image.shape[0], origin='upper')
        figure.text(left / width, 1 - (top - 7) / height, panel.title, fontsize=_TEXT_SIZE, va='bottom')
    figure.text(GAP / width, 1 - 22 / height, heading, fontsize=_HEADING_SIZE, weight='bold', va='center')
    figure.text(GAP / width, 1 - 50 / height, caption, fontsize=_TEXT_SIZE, color='0.3', va='center')
    if legend:
        handles = [Patch(facecolor=[value / 255 for value in color], label=name) for name, color in legend]
        figure.legend(
            handles=handles,
            loc='center',
            bbox_to_anchor=(0.5, LEGEND / 2 / height),
            ncols=len(handles),
            frameon=False,
            fontsize=_TEXT_SIZE,
        )
    out_file.parent.mkdir(parents=True, exist_ok=True)
    is_png = out_file.suffix.lower() == '.png'
    with readable_text(figure):
        figure.savefig(out_file, pil_kwargs={} if is_png else {'quality': JPEG_QUALITY})

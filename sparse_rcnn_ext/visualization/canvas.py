"""An image on which boxes and their labels are drawn, with mmdet's visualizer."""

from collections.abc import Iterator, Sequence

import cv2
import numpy as np
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath
from mmdet.visualization import DetLocalVisualizer
from torch import Tensor

from .fonts import font_families, readable, untold_glyphs
from .palette import BLACK, Color, ink_on

FONT_SIZE = 10.0  # points, of labels at boxes of _FULL_SIZE and more
_SMALL_FONT = 7.5
_FULL_SIZE = 60  # pixels of the panel, the square root of a box's area
LINE_WIDTH = 1.7  # points
_HALO = 1.1  # points of black around a coloured line, so that it shows on any background
_PAD = 2.0  # points around a label's text
_MIN_SHADES = 0.5  # of how much of an image's colour is left when it is dimmed


class Canvas:
    """A panel of a picture. Boxes are given in the image's own pixels; the panel has a size of its own.

    Args:
        image: (H, W, 3) uint8 RGB.
        long_side: The panel's longer side in pixels; small images are enlarged, big ones reduced.
        dimmed: Fade the image towards a light grey, for drawings with many lines.
    """

    def __init__(self, image: np.ndarray, long_side: int = 480, dimmed: bool = False) -> None:
        height, width = image.shape[:2]
        scale = long_side / max(height, width)
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        panel = cv2.resize(image, size, interpolation=cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA)
        if dimmed:
            grey = cv2.cvtColor(panel, cv2.COLOR_RGB2GRAY)[..., None]
            panel = (255 * (1 - _MIN_SHADES) + _MIN_SHADES * (0.7 * grey + 0.3 * panel)).astype(np.uint8)
        self.size = np.array(size)
        self.scale = self.size / (width, height)
        self.visualizer = DetLocalVisualizer()
        self.visualizer.set_image(panel)
        self._taken: list[np.ndarray] = []

    def draw(
        self,
        boxes: Tensor,
        colors: Sequence[Color],
        labels: Sequence[str] | None = None,
        dashed: Sequence[bool] | None = None,
        line_width: float = LINE_WIDTH,
        alpha: float = 1.0,
    ) -> None:
        """Draw boxes, and labels where there is room for them near the box.

        Args:
            boxes: (N, 4) xyxy in pixels of the image; what lies outside is drawn at the border.
            colors: One for each box.
            labels: One for each box.
            dashed: Which boxes have a broken line.
            line_width: In points.
            alpha: 1 for opaque lines with a black halo; faint lines have none.
        """
        if not len(boxes):
            return
        corners = self.to_panel(boxes)
        styles = ['--' if is_dashed else '-' for is_dashed in dashed or [False] * len(corners)]
        if alpha == 1:
            self.visualizer.draw_bboxes(corners, edge_colors=BLACK, line_widths=line_width + _HALO, alpha=1.0)
        self.visualizer.draw_bboxes(
            corners, edge_colors=list(colors), line_styles=styles, line_widths=line_width, alpha=alpha
        )
        font_families(''.join(labels or []))  # tells what no font has, in one go
        for box, color, label in zip(corners, colors, labels or []):
            self._write(label, box, color)

    def to_panel(self, boxes: Tensor) -> np.ndarray:
        """Boxes (N, 4) xyxy in pixels of the image to (N, 4) in pixels of the panel, cut off at its border."""
        corners = boxes.detach().cpu().double().numpy().reshape(-1, 2, 2) * self.scale
        # Half a pixel inside: mmengine warns about lines on the border itself. Nothing keeps a learned box from having
        # a negative width, which mmengine refuses.
        corners = np.clip(corners, 0.5, self.size - 0.5)
        return np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)

    def render(self) -> np.ndarray:
        """What was drawn so far, (h, w, 3) uint8 RGB."""
        with untold_glyphs():
            return self.visualizer.get_image()

    def _write(self, text: str, box: np.ndarray, color: Color) -> None:
        points = self.visualizer.dpi / 72
        font_size = float(np.clip(np.sqrt((box[2:] - box[:2]).prod()) / _FULL_SIZE * FONT_SIZE, _SMALL_FONT, FONT_SIZE))
        families, text = font_families(text), readable(text)
        with untold_glyphs():
            extent = TextPath((0, 0), text, size=font_size, prop=FontProperties(family=families)).get_extents()
        width = (extent.width + 2 * _PAD) * points
        height = (font_size + 2 * _PAD) * points
        spots = [spot for spot in _spots(box, width, height) if (spot[:2] >= 0).all() and (spot[2:] <= self.size).all()]
        # Where every spot is outside or taken, the least covered one.
        spots = spots or [np.array([0, 0, width, height])]
        spot = min(spots, key=lambda spot: sum(_shared(spot, other) for other in self._taken))
        self._taken.append(spot)
        self.visualizer.draw_texts(
            text,
            (spot[:2] + spot[2:]) / 2,
            font_sizes=font_size,
            font_families=[families],  # of the first and only text
            colors=ink_on(color),
            vertical_alignments='center',
            horizontal_alignments='center',
            bboxes=dict(facecolor=tuple(value / 255 for value in color), edgecolor='none', pad=_PAD),
        )


def _spots(box: np.ndarray, width: float, height: float) -> Iterator[np.ndarray]:
    """Places for a label of a box, (4,) xyxy each, the best first: above, below, inside, beside, along the top."""
    left, top, right, bottom = box
    corners = [(x, y) for y in (top - height, bottom, top, bottom - height) for x in (left, right - width)]
    corners += [(x, y) for y in (top, bottom - height) for x in (right, left - width)]
    for x, y in [*corners, *((x, top) for x in np.arange(left + width, right - 2 * width, width))]:
        yield np.array([x, y, x + width, y + height])


def _shared(one: np.ndarray, other: np.ndarray) -> float:
    """Area that two rectangles share."""
    return (np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2])).clip(0).prod()

"""Draw docs/images/architecture.png, how data flow through the model: python docs/draw_architecture.py [FILE.png]."""

import sys
from pathlib import Path

import matplotlib as mpl

mpl.use('Agg')

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch

TARGET = Path(__file__).parent / 'images/architecture.png'
INK = '#1f2933'
MMDET, OURS, DATA = '#e4e7eb', '#cfe3f7', '#fff3d6'
CENTRED = dict(ha='center', va='center', color=INK)
Point = tuple[float, float]


def node(ax: Axes, at: Point, size: Point, title: str, text: str = '', colour: str = OURS) -> None:
    """A box around ``at``, its centre, with a title and a line or two below it."""
    (x, y), (width, height) = at, size
    corner = (x - width / 2, y - height / 2)
    style = 'round,pad=0,rounding_size=0.9'
    ax.add_patch(FancyBboxPatch(corner, width, height, boxstyle=style, facecolor=colour, edgecolor=INK, linewidth=1.1))
    ax.text(x, y + 1.5 * (text.count('\n') + bool(text)), title, fontsize=13, weight='bold', **CENTRED)
    ax.text(x, y - 1.6, text, fontsize=12, linespacing=1.3, **CENTRED)


def arrow(ax: Axes, *points: Point) -> None:
    """A line through ``points`` with a head at its end."""
    ax.plot(*zip(*points), color=INK, linewidth=1.5, solid_joinstyle='round', zorder=1)
    ends = dict(arrowstyle='-|>', color=INK, linewidth=1.5, shrinkA=0, shrinkB=0)
    ax.annotate('', points[-1], points[-2], arrowprops=ends)


def draw_pyramid(ax: Axes) -> None:
    """The upper row: from images to one table."""
    node(ax, (10.7, 60), (20.4, 9), 'Images', '(B, 3, H, W)', DATA)
    node(ax, (35, 60), (16, 9), 'Backbone', 'strides 4 … 32', MMDET)
    node(ax, (60, 60), (22, 9), 'FPN', '4 levels (B, C, h, w)', MMDET)
    node(ax, (88, 60), (22, 9), 'One table', 'all levels: (R, C)')
    arrow(ax, (20.9, 60), (27, 60))
    arrow(ax, (43, 60), (49, 60))
    arrow(ax, (71, 60), (77, 60))


def draw_stage(ax: Axes) -> None:
    """The middle: the learned proposals, and what a stage does with them."""
    style = 'round,pad=0,rounding_size=1.2'
    ax.add_patch(
        FancyBboxPatch((26, 8), 75, 41, boxstyle=style, facecolor='#f5f9fd', edgecolor='#3a7bbf', linewidth=1.6)
    )
    ax.text(28, 10.8, 'A stage; S of them, each with its own weights', fontsize=13, weight='bold', color='#24578c')
    node(ax, (10.7, 41), (20.4, 9), 'Learned boxes', '(B, N, 4)', DATA)
    node(ax, (10.7, 20), (20.4, 9), 'Learned features', '(B, N, C)', DATA)
    node(ax, (43, 41), (22, 9), 'RoI features', '(B·N, 7·7, C)')
    node(ax, (38, 20), (17, 9), 'Self-attention', '(B, N, C)')
    node(ax, (63, 20), (19, 9), 'Dynamic conv', '(B, N, C)')
    node(ax, (86, 20), (15, 9), 'FFN', '(B, N, C)', MMDET)
    node(ax, (86, 40), (22, 11), 'Class and box', 'logits (B, N, K)\nboxes (B, N, 4)')
    arrow(ax, (20.9, 41), (32, 41))
    arrow(ax, (20.9, 20), (29.5, 20))
    arrow(ax, (88, 55.5), (88, 52), (43, 52), (43, 45.5))
    arrow(ax, (46.5, 20), (53.5, 20))
    arrow(ax, (54, 41), (63, 41), (63, 24.5))
    arrow(ax, (72.5, 20), (78.5, 20))
    arrow(ax, (86, 24.5), (86, 34.5))


def draw_loop(ax: Axes) -> None:
    """From a stage to the next one: boxes, and features."""
    arrow(ax, (75, 40), (70, 40), (70, 31), (23, 31), (23, 41))
    arrow(ax, (86, 15.5), (86, 4.5), (23, 4.5), (23, 20))
    ax.text(46.5, 29, 'boxes, to the next stage', fontsize=12, **CENTRED)
    ax.text(54.5, 2.5, 'features, to the next stage', fontsize=12, **CENTRED)


def draw_ends(ax: Axes) -> None:
    """The right: what becomes of the outputs of all stages."""
    node(ax, (121, 40), (24, 17), 'Criterion', 'training, all stages:\nHungarian matching,\nfocal, L1, GIoU loss')
    node(ax, (121, 20), (24, 13), 'Detections', 'test, last stage: best\nscores, no NMS')
    arrow(ax, (97, 40), (109, 40))
    arrow(ax, (105, 40), (105, 20), (109, 20))


def draw_legend(ax: Axes) -> None:
    """Whose part is what."""
    for y, colour, text in ((64, DATA, 'input, or learned'), (60, MMDET, "mmdet's"), (56, OURS, 'of this package')):
        ax.add_patch(FancyBboxPatch((109, y - 1.1), 3.5, 2.2, boxstyle='square,pad=0', facecolor=colour, edgecolor=INK))
        ax.text(114, y, text, fontsize=12, va='center', color=INK)


def main() -> None:
    figure, ax = plt.subplots(figsize=(13.2, 6.6))
    ax.set(xlim=(0, 134), ylim=(0, 67))
    ax.axis('off')
    draw_pyramid(ax)
    draw_stage(ax)
    draw_loop(ax)
    draw_ends(ax)
    draw_legend(ax)
    figure.subplots_adjust(0.005, 0.01, 0.995, 0.99)
    figure.savefig(sys.argv[1] if len(sys.argv) > 1 else TARGET, dpi=120)


if __name__ == '__main__':
    main()

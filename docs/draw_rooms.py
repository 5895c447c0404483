"""Draw docs/images/rooms.png, the package's rooms above those that they import: docs/draw_rooms.py [FILE.png]."""

import sys
from collections import defaultdict
from pathlib import Path

import matplotlib as mpl

mpl.use('Agg')

import matplotlib.pyplot as plt
from matplotlib.patches import FancyBboxPatch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.test_imports import OURS, ROOMS, imports_of, room_of

TARGET = Path(__file__).parent / 'images/rooms.png'
INK = '#1f2933'
FAMILIES = dict(engine='#fff3d6', datasets='#dcefdc', models='#cfe3f7', export='#f3dcea', analysis='#e2ddf3')
WIDTH, HEIGHT, GAP = 26.0, 4.4, 1.4


def levels() -> dict[str, int]:
    """How high each room stands: one above the highest that it imports."""
    found: dict[str, int] = {}
    for room in ROOMS:
        imported = {room_of(other) for name in OURS if room_of(name) == room for other in imports_of(name)}
        # The room itself is not there yet, nor are inner rooms that a package's face shows.
        found[room] = 1 + max((found[other] for other in imported if other in found), default=-1)
    return found


def main() -> None:
    rows = defaultdict(list)
    for room, level in levels().items():
        rows[level].append(room)
    widest = max(len(rooms) for rooms in rows.values())
    figure, ax = plt.subplots(figsize=(widest * (WIDTH + GAP) / 10, len(rows) * (HEIGHT + GAP) / 10))
    for level, rooms in rows.items():
        for number, room in enumerate(rooms):
            x = ((widest - len(rooms)) / 2 + number) * (WIDTH + GAP)
            y = level * (HEIGHT + GAP)
            colour = FAMILIES.get(room.partition('/')[0], '#e4e7eb')
            style = 'round,pad=0,rounding_size=0.7'
            ax.add_patch(FancyBboxPatch((x, y), WIDTH, HEIGHT, boxstyle=style, facecolor=colour, edgecolor=INK))
            place = dict(ha='center', va='center', color=INK)
            ax.text(x + WIDTH / 2, y + HEIGHT / 2, room, fontsize=12, weight='bold', **place)
    ax.set_xlim(-GAP, widest * (WIDTH + GAP))
    ax.set_ylim(-GAP, len(rows) * (HEIGHT + GAP))
    ax.axis('off')
    figure.savefig(sys.argv[1] if len(sys.argv) > 1 else TARGET, dpi=100, bbox_inches='tight', facecolor='white')


if __name__ == '__main__':
    main()

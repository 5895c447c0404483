"""The picture of a check: one row a data set, four views of its boxes."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from textwrap import fill, shorten

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from sparse_rcnn_ext.visualization.fonts import readable_text
from sparse_rcnn_ext.visualization.palette import PALETTE, Color

from .facts import SIZE_BORDERS, SIZES, BoxFate, Facts
from .run import CheckResult

DPI = 100
WIDTH, ROW_HEIGHT, HEAD_HEIGHT = 20.0, 4.6, 1.1  # inches
MIN_BARS, MAX_BARS = 8, 22
MAX_ASPECT = 4  # powers of two to each side of the square


def _shade(color: Color) -> tuple[float, float, float]:
    return tuple(value / 255 for value in color)


KEPT, DROPPED = _shade(PALETTE[6]), _shade(PALETTE[5])
FAINT = '0.45'
DENSITY = LinearSegmentedColormap.from_list('density', ['#c3dcf0', KEPT, '#021c33'])


def draw_check(result: CheckResult, title: str, out_file: Path) -> None:
    """Write boxes by class, box sizes, boxes an image and aspect ratios of every data set as one PNG.

    Args:
        result: Of :func:`check_datasets`.
        title: What was checked.
        out_file: Where to; its folder must be there.
    """
    rows = len(result.facts)
    figure = Figure(figsize=(WIDTH, ROW_HEIGHT * rows + HEAD_HEIGHT), dpi=DPI, facecolor='white', layout='constrained')
    FigureCanvasAgg(figure)
    fix = result.first_fix
    figure.get_layout_engine().set(w_pad=0.12, h_pad=0.08)
    bands = figure.subfigures(rows + 1, 1, height_ratios=[HEAD_HEIGHT, *[ROW_HEIGHT] * rows], squeeze=False)[:, 0]
    bands[0].text(0.01, 0.78, title, fontsize=17, weight='bold', va='center')
    caption = fill(f'First fix: {fix.sentence()}' if fix else 'Nothing to fix.', 190, max_lines=2, placeholder=' …')
    bands[0].text(0.01, 0.5, caption, fontsize=13, color=DROPPED if result.failed else '0.2', va='top')
    for band, facts in zip(bands[1:], result.facts):
        _draw_row(band, facts, result.num_proposals)
    with readable_text(figure):
        figure.savefig(out_file, format='png')


def _draw_row(band: Figure, facts: Facts, num_proposals: int | None) -> None:
    fates = Counter(facts.box_fate)
    reasons = [f'{count:,} {fate.value}' for fate, count in fates.most_common() if fate is not BoxFate.KEPT]
    heading = (
        f'{facts.source.name}: {facts.used.sum():,} of {len(facts.used):,} images used, '
        f'{fates[BoxFate.KEPT]:,} of {len(facts.kept):,} boxes kept'
    )
    heading += f'; dropped: {", ".join(reasons)}' if reasons else ', none dropped'
    band.suptitle(shorten(heading, 205, placeholder=' …'), fontsize=14, x=0.01, ha='left')
    panels: tuple[Callable[[Axes], None], ...] = (
        lambda axes: _draw_classes(axes, facts),
        lambda axes: _draw_sizes(axes, facts),
        lambda axes: _draw_counts(axes, facts, num_proposals),
        lambda axes: _draw_aspects(axes, facts),
    )
    for axes, draw in zip(band.subplots(1, 4, width_ratios=[1.25, 1, 1, 1]), panels):
        draw(axes)
        axes.spines[['top', 'right']].set_visible(False)


def _draw_classes(axes: Axes, facts: Facts) -> None:
    kept = facts.per_class(facts.kept)
    dropped = facts.per_class(facts.class_of >= 0) - kept
    order = np.argsort(-kept, kind='stable')
    bars = [(shorten(facts.source.classes[label], 22), kept[label], dropped[label]) for label in order]
    if len(bars) > MAX_BARS:
        rest = order[MAX_BARS - 1 :]
        bars = [*bars[: MAX_BARS - 1], (f'{len(rest)} others', kept[rest].sum(), dropped[rest].sum())]
    others = int((facts.class_of < 0).sum())
    if others:
        bars.append(('(no class)', 0, others))
    names, kept, dropped = (list(column) for column in zip(*bars))
    places = np.arange(len(bars))
    axes.barh(places, kept, color=KEPT, label='kept')
    axes.barh(places, dropped, left=kept, color=DROPPED, label='dropped')
    for place, (_, good, bad) in enumerate(bars):
        text = f' {good:,}' + (f'  ({bad:,} dropped)' if bad else '')
        axes.text(good + bad, place, text, va='center', fontsize=9)
    axes.set_yticks(places, names, fontsize=9)
    # A few classes get bars, not boards.
    axes.set_ylim(max(len(bars), MIN_BARS) - 0.5, -0.5)
    axes.set_xlim(0, 1.3 * max(1, *np.add(kept, dropped)))
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.set_title('Boxes by class')
    axes.legend(loc='center right', frameon=False)


def _draw_sizes(axes: Axes, facts: Facts) -> None:
    axes.set_title('Box sizes in pixels of the file')
    boxes = facts.annotations.xywh[facts.kept, 2:]
    if not len(boxes):
        _say_empty(axes)
        return
    lowest, highest = boxes.min() / 1.3, boxes.max() * 1.3
    limits = np.log10([lowest, highest])
    axes.hexbin(
        *boxes.T,
        xscale='log',
        yscale='log',
        gridsize=42,
        bins='log',
        mincnt=1,
        extent=(*limits, *limits),
        cmap=DENSITY,
        linewidths=0.1,
    )
    for border in SIZE_BORDERS:
        axes.plot([lowest, highest], [border / lowest, border / highest], color=FAINT, linewidth=1, linestyle='--')
        at_right = (highest, max(border / highest, lowest))
        axes.annotate(f'{border**0.5:.0f}²', at_right, (2, 0), textcoords='offset points', fontsize=9, color=FAINT)
    axes.set(xlim=(lowest, highest), ylim=(lowest, highest), xlabel='width', ylabel='height')
    ticks = [2**power for power in range(16) if lowest <= 2**power <= highest]
    axes.set_xticks(ticks, ticks)
    axes.set_yticks(ticks, ticks)
    axes.minorticks_off()
    shares = facts.per_class_and_size(facts.annotations.area).sum(axis=0) / len(boxes)
    areas = facts.network_areas()
    lines = [f'{name}: {share:.0%}' for name, share in zip(SIZES, shares)]
    if areas is not None:
        scaled = facts.per_class_and_size(areas).sum(axis=0) / len(boxes)
        where = '×'.join(map(str, facts.source.scale))
        lines = [f'{line}, {share:.0%} at {where}' for line, share in zip(lines, scaled)]
    axes.text(0.03, 0.97, '\n'.join(lines), transform=axes.transAxes, va='top', fontsize=9, bbox=_paper())
    axes.set_aspect('equal')


def _draw_counts(axes: Axes, facts: Facts, num_proposals: int | None) -> None:
    axes.set_title('Boxes an image')
    counts = facts.boxes_per_image()
    if not len(counts):
        _say_empty(axes)
        return
    most = int(counts.max())
    step = -(-(most + 1) // 40)
    edges = np.arange(0, most + step + 1, step) - 0.5
    heights = np.histogram(counts, edges)[0]
    over = np.histogram(counts[counts > (most if num_proposals is None else num_proposals)], edges)[0]
    axes.bar(edges[:-1], heights - over, step, align='edge', color=KEPT, edgecolor='white', linewidth=0.5)
    axes.bar(edges[:-1], over, step, heights - over, align='edge', color=DROPPED, edgecolor='white', linewidth=0.5)
    axes.set(xlabel=f'boxes (mean {counts.mean():.1f}, most {most})', ylabel='images')
    axes.set_ylim(0, 1.15 * heights.max())
    axes.yaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    if num_proposals is None:
        return
    text = f'{num_proposals} proposals'
    if num_proposals <= max(10, 2.5 * most):
        axes.axvline(num_proposals + 0.5, color='black', linewidth=1.2, linestyle='--')
        on_left = num_proposals > most / 2
        axes.annotate(
            text,
            (num_proposals + 0.5, 0.98),
            (-5 if on_left else 5, 0),
            xycoords=('data', 'axes fraction'),
            textcoords='offset points',
            ha='right' if on_left else 'left',
            va='top',
        )
    else:
        axes.text(0.98, 0.98, f'{text} →', transform=axes.transAxes, ha='right', va='top')


def _draw_aspects(axes: Axes, facts: Facts) -> None:
    axes.set_title('Aspect ratios')
    boxes = facts.annotations.xywh[facts.kept, 2:]
    if not len(boxes):
        _say_empty(axes)
        return
    powers = np.log2(boxes[:, 0] / boxes[:, 1])
    limit = int(np.clip(np.ceil(np.abs(powers).max()), 2, MAX_ASPECT))
    bins = np.linspace(-limit, limit, 12 * limit + 1)
    axes.hist(np.clip(powers, -limit, limit), bins, color=KEPT, edgecolor='white', linewidth=0.5)
    ticks = range(-limit, limit + 1)
    names = [f'1:{2**-power}' if power < 0 else f'{2**power}:1' for power in ticks]
    if np.abs(powers).max() > limit:
        names[0], names[-1] = f'≤ {names[0]}', f'≥ {names[-1]}'
    axes.set_xticks(list(ticks), names)
    axes.axvline(0, color=FAINT, linewidth=1, linestyle='--')
    axes.yaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.set(xlabel='width : height', ylabel='boxes')


def _say_empty(axes: Axes) -> None:
    axes.text(0.5, 0.5, 'none kept', transform=axes.transAxes, ha='center', va='center', color=FAINT)
    axes.set(xticks=[], yticks=[])


def _paper() -> dict:
    return dict(facecolor='white', edgecolor='none', alpha=0.8, pad=2)

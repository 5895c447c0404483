"""Fonts for names in any script: matplotlib's own has Latin, Greek and Cyrillic letters, but not those of China."""

import logging
import unicodedata
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, lru_cache, partial
from itertools import groupby

from matplotlib.category import StrCategoryFormatter
from matplotlib.figure import Figure
from matplotlib.font_manager import FontEntry, findfont, findSystemFonts, fontManager
from matplotlib.ft2font import FT2Font
from matplotlib.text import Text
from matplotlib.ticker import FixedFormatter, Formatter, FuncFormatter
from mmengine.logging import print_log

from sparse_rcnn_ext.engine.config.paths import FONT, font_file

BASE = 'DejaVu Sans'
"""Comes with matplotlib."""
# In this order, then any other.
_PREFERRED = ('Noto Sans CJK', 'Source Han Sans', 'Noto Sans', 'WenQuanYi', 'Microsoft YaHei', 'PingFang', 'Hiragino')
# They show for every character that it is none of theirs.
_LAST_RESORTS = ('lastresort', 'last resort', 'blank')

_reported: set[str] = set()


def font_families(text: str) -> list[str]:
    """What matplotlib is to draw a text with: its own font, then installed ones that have what that lacks.

    A character that none has is told in the log, once; :func:`readable` has what is drawn in its place.

    Raises:
        UserError: If ``SPARSE_RCNN_FONT`` names no font file.
    """
    return list(_families(frozenset(filter(_is_visible, text))))


def readable(text: str) -> str:
    """A text with the codes of those characters that no font has, such as \\u7ea2, rather than empty boxes."""
    missing = _fallbacks(frozenset(filter(_is_visible, text)))[1]
    return ''.join(one.encode('unicode_escape').decode() if one in missing else one for one in text)


def font_runs(text: str) -> list[tuple[str, str]]:
    """A readable text in parts, each with the path of the font that has it, for Pillow, which draws with one at a time.

    Raises:
        UserError: See :func:`font_families`.
    """
    text = readable(text)
    files = [_base_file(), *(entry.fname for entry in _fallbacks(frozenset(filter(_is_visible, text)))[0])]

    def file_of(character: str) -> str:
        return next((file for file in files if ord(character) in _characters(file)), files[0])

    return [(''.join(run), file) for file, run in groupby(text, file_of)]


@contextmanager
def readable_text(figure: Figure) -> Iterator[None]:
    """While a figure is saved as pixels: all its texts :func:`readable`, and from now on in :func:`font_families`."""
    texts = figure.findobj(Text)
    families = font_families(''.join(text.get_text() for text in texts))
    for text in texts if len(families) > 1 else ():
        text.set_fontfamily(families)
    contents = [text.get_text() for text in texts]
    formatters = {axis: axis.get_major_formatter() for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)}
    # They write a tick's text anew for each drawing.
    kinds = (FixedFormatter, FuncFormatter, StrCategoryFormatter)
    formatters = {axis: formatter for axis, formatter in formatters.items() if isinstance(formatter, kinds)}
    for text, content in zip(texts, contents):
        text.set_text(readable(content))
    for axis, formatter in formatters.items():
        axis.set_major_formatter(partial(_formatted, formatter))
    try:
        with untold_glyphs():
            yield
    finally:
        for text, content in zip(texts, contents):
            text.set_text(content)
        for axis, formatter in formatters.items():
            axis.set_major_formatter(formatter)


def _formatted(formatter: Formatter, place: float, number: int | None) -> str:
    # Some are given numbers for texts.
    return readable(str(formatter(place, number)))


@contextmanager
def untold_glyphs() -> Iterator[None]:
    """Without matplotlib's warning for each character that a font lacks, after ours."""
    with warnings.catch_warnings():
        warnings.filterwarnings('ignore', message='Glyph .* missing from')
        yield


@lru_cache
def _families(characters: frozenset[str]) -> tuple[str, ...]:
    found, missing = _fallbacks(characters)
    new = sorted(missing - _reported)
    if new:
        _reported.update(new)
        print_log(
            f'no font here has {" ".join(new)}: pictures show codes such as {readable(new[0])} instead; install one '
            'that has, such as Noto Sans CJK for Chinese, Japanese and Korean (apt install fonts-noto-cjk) or Noto '
            f'Sans (fonts-noto), or set the environment variable {FONT} to a font file that has',
            logger='current',
            level=logging.WARNING,
        )
    return BASE, *dict.fromkeys(entry.name for entry in found)


@lru_cache
def _fallbacks(characters: frozenset[str]) -> tuple[tuple[FontEntry, ...], frozenset[str]]:
    """Fonts with what the base lacks, as few as it takes, and what none of them has."""
    missing = frozenset(character for character in characters if ord(character) not in _characters(_base_file()))
    found = []
    for entry in (*_chosen(), *_candidates()) if missing else ():
        there = frozenset(character for character in missing if ord(character) in _characters(entry.fname))
        if there:
            found.append(entry)
            missing -= there
        if not missing:
            break
    return tuple(found), missing


def _chosen() -> list[FontEntry]:
    """The font that is set, under a name of its own: another of its family may be installed."""
    file = font_file()
    if file is None:
        return []
    known = [entry for entry in fontManager.ttflist if entry.name.startswith(FONT) and entry.fname == file]
    if not known:
        # A name is parsed: it must have no hyphen or colon.
        known = [FontEntry(fname=file, name=f'{FONT} {len(fontManager.ttflist)}')]
        fontManager.ttflist += known
    return known


def _candidates() -> list[FontEntry]:
    # Its list is of the time when it was first used; fonts may have been installed since.
    known = {entry.fname for entry in fontManager.ttflist}
    for path in findSystemFonts():
        if path not in known:
            try:
                fontManager.addfont(path)
            except (OSError, RuntimeError):
                continue
    usable = [entry for entry in fontManager.ttflist if not any(name in entry.name.lower() for name in _LAST_RESORTS)]
    return sorted(usable, key=_rank)


def _rank(entry: FontEntry) -> tuple:
    preferred = next((place for place, name in enumerate(_PREFERRED) if entry.name.startswith(name)), len(_PREFERRED))
    weight = entry.weight if isinstance(entry.weight, int) else 400
    return preferred, entry.style != 'normal', 'Sans' not in entry.name, abs(weight - 400), entry.name, entry.fname


def _base_file() -> str:
    return findfont(BASE)


@cache
def _characters(file: str) -> frozenset[int]:
    try:
        return frozenset(FT2Font(file).get_charmap())
    except (OSError, RuntimeError):
        return frozenset()


def _is_visible(character: str) -> bool:
    return unicodedata.category(character)[0] not in 'CZ'

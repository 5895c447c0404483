"""Fonts for names in any script: matplotlib's own has Latin, Greek and Cyrillic letters, but not those of China."""

import logging
import unicodedata
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, lru_cache
from itertools import groupby

from matplotlib.figure import Figure
from matplotlib.font_manager import FontEntry, findfont, findSystemFonts, fontManager
from matplotlib.ft2font import FT2Font
from matplotlib.text import Text
from mmengine.logging import print_log

BASE = 'DejaVu Sans'
"""Comes with matplotlib."""
# In this order, then any other.
_PREFERRED = ('Noto Sans CJK', 'Source Han Sans', 'Noto Sans', 'WenQuanYi', 'Microsoft YaHei', 'PingFang', 'Hiragino')
# They show for every character that it is none of theirs.
_LAST_RESORTS = ('lastresort', 'last resort', 'blank')

_reported: set[str] = set()


def font_families(text: str) -> list[str]:
    """What matplotlib is to draw a text with: its own font, then installed ones that have what that lacks.

    A character that none has is told in the log, once.
    """
    return list(_families(frozenset(filter(_is_visible, text))))


def font_runs(text: str) -> list[tuple[str, str]]:
    """A text in parts, each with the path of the font that has it, for Pillow, which draws with one at a time."""
    files = [_base_file(), *(entry.fname for entry in _fallbacks(frozenset(filter(_is_visible, text)))[0])]

    def file_of(character: str) -> str:
        return next((file for file in files if ord(character) in _characters(file)), files[0])

    return [(''.join(run), file) for file, run in groupby(text, file_of)]


@contextmanager
def readable_text(figure: Figure) -> Iterator[None]:
    """While a figure is saved: all its texts in :func:`font_families`."""
    texts = figure.findobj(Text)
    families = font_families(''.join(text.get_text() for text in texts))
    for text in texts if len(families) > 1 else ():
        text.set_fontfamily(families)
    with untold_glyphs():
        yield


@contextmanager
def untold_glyphs() -> Iterator[None]:
    """Without matplotlib's warning for each character that no font has, after ours."""
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
            f'no font here has {" ".join(new)}: pictures show empty boxes instead; install one that has, such as Noto '
            'Sans CJK for Chinese, Japanese and Korean (apt install fonts-noto-cjk) or Noto Sans (fonts-noto)',
            logger='current',
            level=logging.WARNING,
        )
    return BASE, *dict.fromkeys(entry.name for entry in found)


@lru_cache
def _fallbacks(characters: frozenset[str]) -> tuple[tuple[FontEntry, ...], frozenset[str]]:
    """Fonts with what the base lacks, as few as it takes, and what none of them has."""
    missing = frozenset(character for character in characters if ord(character) not in _characters(_base_file()))
    found = []
    for entry in _candidates() if missing else ():
        there = frozenset(character for character in missing if ord(character) in _characters(entry.fname))
        if there:
            found.append(entry)
            missing -= there
        if not missing:
            break
    return tuple(found), missing


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

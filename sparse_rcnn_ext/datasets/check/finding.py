"""One thing that a check found, and the order in which to mend things."""

from collections.abc import Iterable, Sequence
from enum import Enum
from typing import NamedTuple

EXAMPLES = 3


class Level(Enum):
    """How bad it is."""

    ERROR = 'error'
    """Training or evaluation stops, or works with what is wrong."""
    WARNING = 'warning'
    """It runs, but the data are not what they seem to be meant to be."""
    NOTE = 'note'
    """As it may well be, and good to know."""


class Noun(Enum):
    """What is counted, one and several."""

    IMAGE = ('image', 'images')
    BOX = ('box', 'boxes')
    CLASS = ('class', 'classes')
    CATEGORY = ('category', 'categories')
    ENTRY = ('entry', 'entries')
    FILE = ('file', 'files')


class Finding(NamedTuple):
    """A defect, or a fact worth knowing."""

    key: str
    level: Level
    where: str
    """The name of the data set."""
    file: str
    """The file or setting to look at."""
    count: int
    noun: Noun
    what: str
    """What there is about so many of them."""
    fix: str
    """What to do, as an order."""
    examples: tuple[str, ...] = ()
    """Names of the first few."""

    def text(self) -> str:
        """The count and what it counts."""
        names = ', '.join(self.examples[:EXAMPLES]) + (', …' if len(self.examples) > EXAMPLES else '')
        return f'{self.count} {self.noun.value[self.count != 1]} {self.what}' + (f' ({names})' if names else '')

    def sentence(self) -> str:
        """File, count and what to do."""
        return f'{self.file}: {self.text()}: {self.fix}.'


def first_fix(findings: Sequence[Finding]) -> Finding | None:
    """The first error, or else the first warning; findings come in the order of their weight."""
    for level in (Level.ERROR, Level.WARNING):
        for finding in findings:
            if finding.level is level:
                return finding
    return None


def some_names(names: Iterable[object]) -> tuple[str, ...]:
    """Names for :attr:`Finding.examples`: each once, and one more than is shown where there are more."""
    return tuple(dict.fromkeys(map(str, names)))[: EXAMPLES + 1]

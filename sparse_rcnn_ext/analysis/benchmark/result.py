"""What a measurement gives."""

from typing import NamedTuple

from .settings import Setting
from .timing import Comparison


class Result(NamedTuple):
    """Comparisons of one kind in one setting."""

    what: str
    """The word of the command line."""
    setting: Setting
    comparisons: list[Comparison]
    notes: list[str]
    """What was checked, and what a reader needs to know; sentences."""
    title: str = ''
    """Of the section, where the setting does not say it all."""

    def comparison(self, name: str) -> Comparison:
        """The comparison of that name."""
        return next(comparison for comparison in self.comparisons if comparison.name == name)

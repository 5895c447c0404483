"""What the user may have meant."""

from collections.abc import Iterable
from difflib import get_close_matches

_SHOWN = 12


def suggest(wrong: str, known: Iterable[str]) -> str:
    """The end of a sentence: the known name that is next to ``wrong``, or the names that there are."""
    known = sorted(set(known))
    by_case = {name.lower(): name for name in known}
    if close := get_close_matches(wrong.lower(), by_case, n=1):
        return f'did you mean {by_case[close[0]]}?'
    if not known:
        return 'leave it out'
    more = len(known) - _SHOWN
    return f'there are {", ".join(known[:_SHOWN])}{f" and {more} more" if more > 0 else ""}'

"""Which settings a class or function takes."""

import ast
import inspect
import textwrap
from functools import cache
from typing import NamedTuple


class Accepted(NamedTuple):
    """What can be given by keyword."""

    names: frozenset[str]
    others: bool
    """Whether there may be more, or that cannot be known."""


@cache
def accepted_arguments(part: object) -> Accepted:
    """The names that can be given to a class or function by keyword.

    Where a constructor passes ``**kwargs`` on to ``super().__init__``, and does nothing else with them, those of the
    next class in the MRO count too.
    """
    if not inspect.isclass(part):
        names, rest = _of_function(part)
        return Accepted(names, rest is not None)
    found: frozenset[str] = frozenset()
    for owner in part.__mro__:
        # One that makes its instances elsewhere, such as an enumeration or a named tuple.
        if '__init__' not in vars(owner):
            if '__new__' in vars(owner) and owner is not object:
                return Accepted(found, True)
            continue
        if owner is object:
            return Accepted(found, False)
        names, rest = _of_function(vars(owner)['__init__'])
        found |= names
        if rest is None:
            return Accepted(found, False)
        if not _passes_on(vars(owner)['__init__'], rest):
            break
    return Accepted(found, True)


def _of_function(function: object) -> tuple[frozenset[str], str | None]:
    """The names, and that of its ``**kwargs``."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (ValueError, TypeError):
        return frozenset(), '?'
    by_name = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    rest = [one.name for one in parameters if one.kind is inspect.Parameter.VAR_KEYWORD]
    names = frozenset(one.name for one in parameters if one.kind in by_name) - {'self'}
    return names, rest[0] if rest else None


def _passes_on(function: object, rest: str) -> bool:
    """Whether all that becomes of ``**rest`` is ``super().__init__(…, **rest)``."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):
        return False
    passed = {
        id(keyword.value)
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and ast.unparse(call.func) == 'super().__init__'
        for keyword in call.keywords
        if keyword.arg is None
    }
    uses = {id(node) for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id == rest}
    return bool(uses) and uses <= passed

"""Class names and their order, which is the order of the category ids."""

from collections.abc import Iterable, Sequence

from sparse_rcnn_ext.engine.errors import UserError


def choose_classes(asked: Sequence[str] | None, found: Iterable[str], source: str) -> tuple[str, ...]:
    """The classes that are asked for, in that order, or else those found, sorted.

    Args:
        asked: Class names of the user, or None.
        found: Class names in the data.
        source: Where the data are, for the errors.

    Raises:
        UserError: If a class is asked for twice or is not in the data, or the data have none.
    """
    found = sorted(set(found))
    if not found:
        raise UserError(f'{source} holds no labelled object: is it the right folder?')
    if asked is None:
        return tuple(found)
    if len(set(asked)) < len(asked):
        raise UserError(f'--classes names a class twice: {", ".join(asked)}')
    missing = [name for name in asked if name not in found]
    if missing:
        raise UserError(
            f'--classes asks for {", ".join(missing)}, which {source} does not have; its classes are {", ".join(found)}'
        )
    return tuple(asked)

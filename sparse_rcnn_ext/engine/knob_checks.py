"""Checks that a recipe makes of its own settings. They take them as keywords: what is wrong is told by its name."""

from .errors import UserError


def check_whole(minimum: int, **settings: object) -> None:
    """Raise UserError unless every setting is an int of at least ``minimum``."""
    for name, value in settings.items():
        if type(value) is not int or value < minimum:
            raise UserError(f'{name} is {value!r}: set it to a whole number of at least {minimum}')


def check_rate(**settings: object) -> None:
    """Raise UserError unless every setting is a number above 0 and at most 1."""
    for name, value in settings.items():
        if not _is_number(value) or not 0 < value <= 1:
            raise UserError(f'{name} is {value!r}: set it to a number above 0 and at most 1, such as 2.5e-5')


def check_weights(length: int, **settings: object) -> None:
    """Raise UserError unless every setting is a tuple or list of ``length`` numbers of at least 0."""
    for name, value in settings.items():
        fits = isinstance(value, (tuple, list)) and len(value) == length
        if not fits or not all(_is_number(weight) and weight >= 0 for weight in value):
            raise UserError(f'{name} is {value!r}: set it to {length} numbers of at least 0')


def check_choice(choices: tuple, **settings: object) -> None:
    """Raise UserError unless every setting is one of ``choices``, and of its type: 1 is not True."""
    for name, value in settings.items():
        if not any(type(value) is type(choice) and value == choice for choice in choices):
            *others, last = map(repr, choices)
            raise UserError(f'{name} is {value!r}: set it to {", ".join(others)} or {last}')


def _is_number(value: object) -> bool:
    # NaN is below and above nothing, so that a comparison finds it.
    return type(value) in (int, float) and abs(value) < float('inf')

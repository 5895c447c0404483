"""Errors that the user of a tool can cause and mend."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec


class UserError(Exception):
    """A wrong path or setting. Its text is one sentence that names it and says what to do."""

    def __init__(self, text: str) -> None:
        # torch hands an error of a data loader's worker on with the text of its traceback, whose last line is ours.
        if text.startswith(f'Caught {type(self).__name__} in '):
            text = text.rpartition(f'{type(self).__qualname__}: ')[2].strip()
        super().__init__(text)


@contextmanager
def exit_on_user_error() -> Iterator[None]:
    """Turn a :class:`UserError` into its sentence on stderr and exit code 1, without a traceback.

    So too what a part of a config raises while it is made from its settings.
    """
    try:
        yield
    except UserError as error:
        raise SystemExit(f'error: {error}') from None
    except Exception as error:
        # Tools that run without mmengine have this module too.
        if find_spec('mmengine') is None:
            raise
        from .build_errors import explain_build_error

        sentence = explain_build_error(error)
        if sentence is None:
            raise
        raise SystemExit(f'error: {sentence}') from error

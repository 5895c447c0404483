"""Errors that the user of a tool can cause and mend."""

from collections.abc import Iterator
from contextlib import contextmanager


class UserError(Exception):
    """A wrong path or setting. Its text is one sentence that names it and says what to do."""


@contextmanager
def exit_on_user_error() -> Iterator[None]:
    """Turn a :class:`UserError` into its sentence on stderr and exit code 1, without a traceback."""
    try:
        yield
    except UserError as error:
        raise SystemExit(f'error: {error}') from None

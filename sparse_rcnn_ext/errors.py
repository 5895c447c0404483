"""Errors that the user of a tool can cause and mend."""


class UserError(Exception):
    """A wrong path or setting. Its text is one sentence that names it and says what to do."""

    def __init__(self, text: str) -> None:
        # torch hands an error of a data loader's worker on with the text of its traceback, whose last line is ours.
        if text.startswith(f'Caught {type(self).__name__} in '):
            text = text.rpartition(f'{type(self).__qualname__}: ')[2].strip()
        super().__init__(text)

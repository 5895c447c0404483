"""Say what is wrong with a config file that cannot be evaluated."""

import traceback
from pathlib import Path


def explain_config_error(error: Exception, path: str, options: dict[str, object]) -> str:
    """A sentence with the file, the line where there is one, and the reason.

    Args:
        error: What evaluating raised.
        path: The config file.
        options: ``--cfg-options`` that it was evaluated with.
    """
    given = ' '.join(f'{name}={value}' for name, value in options.items())
    given = f' with --cfg-options {given}' if given else ''
    reason = ' '.join(str(error).split())
    if isinstance(error, SyntaxError):
        where = f'line {error.lineno}: {error.msg}'
        return f'{path} cannot be evaluated{given}: {where}: correct it there'
    # Bases are evaluated on the way, so the last frame of a config is the one that failed.
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.name == '<module>']
    places = [f'line {frame.lineno} of {Path(frame.filename).name}: ' for frame in frames[-1:]]
    place = places[0] if places else ''
    kind = type(error).__name__
    return f'{path} cannot be evaluated{given}: {place}{kind}: {reason}: correct it there'

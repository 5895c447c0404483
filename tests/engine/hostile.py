"""What a hostile checkpoint would hold."""

from pathlib import Path

MARKER = 'ran.txt'
CODE = f'gpu_ids = [__import__("pathlib").Path({MARKER!r}).touch()]\n'
"""Python that leaves a marker in the working directory."""


class Payload:
    """Its unpickling leaves a marker in the working directory."""

    def __reduce__(self) -> tuple:
        return Path.touch, (Path(MARKER),)


def has_run() -> bool:
    """Whether the marker is there; it is removed."""
    ran = Path(MARKER).exists()
    Path(MARKER).unlink(missing_ok=True)
    return ran

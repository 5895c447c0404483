"""One clear sentence where OpenCV does not load, instead of a traceback from inside mmcv.

onedl-mmcv requires opencv-python, which needs libGL and with it a desktop; bare servers have none. The headless build
owns the same folder ``cv2`` and needs nothing, so it has to be installed last.
"""

import importlib
import sys

# As in requirements/runtime.txt.
VERSION = '4.12.0.88' if sys.version_info < (3, 14) else '4.11.0.86'
REPAIR = f'pip install --force-reinstall --no-deps opencv-python-headless=={VERSION}'


def require_opencv() -> None:
    """Import cv2.

    Raises:
        ImportError: it is missing or asks for a library that this machine lacks; the message says what to run.
    """
    try:
        importlib.import_module('cv2')
    except ImportError as error:
        raise ImportError(
            f'OpenCV cannot be imported ({error}): run `make install`, or in an environment of your own `{REPAIR}`.'
        ) from error

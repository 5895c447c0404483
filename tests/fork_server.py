"""Runs tools as `python TOOL ARGUMENTS` does, each in a fork of one process that has imported what all of them need.

Reads one JSON object a line: tool, arguments, cwd, log, and call, None or a function of the tool to call with the
arguments in place of running it. Answers with the exit code. Starting Python anew would cost 8 s a command. The only
argument is the most seconds that a tool may take.
"""

import importlib
import json
import os
import runpy
import signal
import sys
import traceback
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
SECONDS = int(sys.argv[1])


def preload() -> None:
    """Import what takes long; sparse_rcnn_ext first."""
    sys.path.insert(0, str(REPO))
    for name in ('sparse_rcnn_ext.prediction', 'sparse_rcnn_ext.report', 'mmdet.apis', 'matplotlib.pyplot'):
        importlib.import_module(name)
    import torch  # after sparse_rcnn_ext, like all that mmdet imports

    # OpenMP's threads do not survive a fork.
    torch.set_num_threads(1)


def run(tool: str, arguments: list[str], cwd: str, log: str, call: str | None) -> None:
    """Become the tool; never returns."""
    code = 1
    try:
        os.setpgrp()
        signal.alarm(SECONDS)
        file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for stream in (1, 2):
            os.dup2(file, stream)
        sys.stdout = os.fdopen(1, 'w', buffering=1)
        os.chdir(cwd)
        path = Path(cwd, tool).resolve()
        sys.path.insert(0, str(path.parent))
        sys.argv = [tool, *arguments]
        if call:
            runpy.run_path(str(path), run_name='tool')[call](arguments)
        else:
            runpy.run_path(tool, run_name='__main__')
        code = 0
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        if isinstance(stop.code, str):
            print(stop.code)
    except BaseException:
        traceback.print_exc(file=sys.stdout)
    finally:
        sys.stdout.flush()
        os._exit(code)


def main() -> None:
    answers = os.fdopen(os.dup(1), 'w', buffering=1)
    os.dup2(2, 1)
    preload()
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if not child:
            run(**request)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), file=answers)


if __name__ == '__main__':
    main()

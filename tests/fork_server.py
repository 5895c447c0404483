"""Runs tools as `python TOOL ARGUMENTS` does, each in a fork of one process that has imported what all of them need.

Starting Python anew would cost five to eight seconds a command. Usage: fork_server.py SOCKET PYTHON WATCHED. PYTHON is
what the tools shall take for their interpreter: a script that runs forked_python.py, which says what to run; see there.
WATCHED is the number of a process with which the server ends, and the folder of SOCKET goes.
"""

import ctypes
import functools
import gc
import importlib
import json
import os
import runpy
import select
import shutil
import signal
import socket
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
PRELOADED = (
    'sparse_rcnn_ext.prediction',
    'sparse_rcnn_ext.report.write',
    'mmdet.apis',
    'mmdet.engine',
    'matplotlib.pyplot',
    'timm',
    'torch.utils.cpp_extension',  # by which mmengine asks for the compiler's version
)
LIMIT = 900
"""Seconds that a tool may take: so many that a busy machine does not reach them, only a hang does."""


def preload() -> None:
    """Import what takes long; sparse_rcnn_ext first."""
    sys.path.insert(0, str(REPO))
    leave_configs_unformatted()
    remember_configs()
    for name in PRELOADED:
        importlib.import_module(name)
    one_thread()
    look_for_garbage_seldom()


def look_for_garbage_seldom() -> None:
    """What is imported by now stays: no process, and no fork of it, need look at it, or copy its pages for that.

    Graphs that are traced are many small objects too, of which none is garbage: to look was a tenth of such tests.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 50)


def leave_configs_unformatted() -> None:
    """Have mmengine write configs as it hands them to yapf, which takes a third of a short training to break lines.

    What they say stays the same; ``original`` of the new function is yapf's, for the test of when it is called.
    """
    yapf_api = importlib.import_module('yapf.yapflib.yapf_api')

    def as_it_is(text: str, **settings: object) -> tuple[str, bool]:
        return text, False

    as_it_is.original = yapf_api.FormatCode
    yapf_api.FormatCode = as_it_is


def remember_configs() -> None:
    """Have mmengine ask a config's text once what kind it is and which bases it names: it parses it for each anew.

    The test processes read the same few files thousands of times.
    """
    config = importlib.import_module('mmengine.config').Config
    for name in ('_is_lazy_import', '_get_base_files'):
        setattr(config, name, staticmethod(answered_once_a_text(getattr(config, name))))


def answered_once_a_text(function: Callable[[str], object]) -> Callable[[str], object]:
    """What ``function(file)`` found out about a file of this text and kind; an error is none of the answers."""
    answers = {}

    @functools.wraps(function)
    def answer(file: str) -> object:
        with open(file, 'rb') as opened:  # noqa: PTH123  as mmengine: the name stays as it is in an error
            known = os.path.splitext(file)[1], opened.read()  # noqa: PTH122
        if known not in answers:
            answers[known] = function(file)
        return answers[known]

    return answer


def one_thread() -> None:
    """Have torch compute with one thread; its threads do not survive a fork.

    In the child, it also makes torch replace its pool of threads, which the first backward pass would otherwise do in
    two threads at once: now and then that ends in "Invalid thread pool!".
    """
    importlib.import_module('torch').set_num_threads(1)


def become(arguments: list[str], cwd: str, variables: dict[str, str], call: str | None, files: list[int]) -> None:
    """Be the tool; never returns."""
    code = 1
    try:
        os.setpgrp()
        # Whoever started the tests in the background ignores Ctrl-C.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.alarm(LIMIT)
        enter(files[3:])
        for stream, file in enumerate(files[:3]):
            os.dup2(file, stream)
            os.close(file)
        sys.stdin, sys.stdout = os.fdopen(0), os.fdopen(1, 'w', buffering=1)
        os.environ.clear()
        os.environ.update(variables)
        tempfile.tempdir = None
        one_thread()
        os.chdir(cwd)
        if arguments[0] == '-m':
            sys.argv = arguments[1:]
            runpy.run_module(arguments[1], run_name='__main__', alter_sys=True)
        else:
            sys.argv = arguments
            path = Path(cwd, arguments[0]).resolve()
            sys.path.insert(0, str(path.parent))
            if call:
                runpy.run_path(str(path), run_name='tool')[call](arguments[1:])
            else:
                runpy.run_path(arguments[0], run_name='__main__')
        code = 0
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        if isinstance(stop.code, str):
            print(stop.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    finally:
        # As Python does: threads end by themselves.
        threading._shutdown()
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        except OSError:
            code = 120  # as Python's own
        os._exit(code)


def enter(namespaces: list[int]) -> None:
    """See the mounts that the client sees; where these are the server's own, nothing has to be done, nor may be."""
    for file in namespaces:
        kind = os.readlink(f'/proc/self/fd/{file}').partition(':')[0]  # noqa: PTH115
        is_own = os.path.samestat(os.fstat(file), os.stat(f'/proc/self/ns/{kind}'))  # noqa: PTH116
        if not is_own and ctypes.CDLL(None, use_errno=True).setns(file, 0):
            raise OSError(ctypes.get_errno(), f'the {kind} namespace cannot be entered')
        os.close(file)


def serve(connection: socket.socket) -> None:
    """Start the tool that a client asks for; tell its number, then its exit code; end it where the client goes."""
    _, files, _, _ = socket.recv_fds(connection, 1, 5)
    lines = connection.makefile('r')
    request = json.loads(lines.readline())
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    child = os.fork()
    if not child:
        connection.close()
        become(files=list(files), **request)
    for file in files:
        os.close(file)
    connection.sendall(f'{child}\n'.encode())
    if hasattr(os, 'pidfd_open'):  # Linux; elsewhere a tool outlives a client that was killed
        ended = os.pidfd_open(child)
        ready, _, _ = select.select([ended, connection], [], [])
        if ended not in ready:
            os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    connection.sendall(f'{os.waitstatus_to_exitcode(status)}\n'.encode())


def main() -> None:
    path, sys.executable, watched = sys.argv[1:]
    # What is imported prints, too.
    ready = os.fdopen(os.dup(1), 'w')
    os.dup2(2, 1)
    preload()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(64)
    ready.write('ready\n')
    ready.close()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while is_alive(int(watched)):
        if not select.select([listener], [], [], 1)[0]:
            continue
        connection, _ = listener.accept()
        if os.fork():
            connection.close()
            continue
        listener.close()
        try:
            serve(connection)
        except BrokenPipeError:
            pass  # the client was killed
        finally:
            os._exit(0)
    shutil.rmtree(Path(path).parent)


def is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


if __name__ == '__main__':
    main()

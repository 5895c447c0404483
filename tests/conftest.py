"""Fixtures shared by all tests."""

import importlib
import os
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

import sparse_rcnn_ext  # noqa: F401  before mmdet.models, as in every tool
from tests.fork_server import leave_configs_unformatted, remember_configs

pytest_plugins = ['tests.suite']
REPO = Path(__file__).resolve().parent.parent
# The same examples each time, or a run of CI fails by chance; HYPOTHESIS_PROFILE=random looks for new ones.
for _name, _same in (('same', True), ('random', False)):
    settings.register_profile(_name, derandomize=_same, deadline=None, print_blob=True)
settings.load_profile(os.environ.get('HYPOTHESIS_PROFILE', 'same'))
TOOL_VARIABLES = {'OMP_NUM_THREADS': '1', 'CUDA_VISIBLE_DEVICES': '', 'DISPLAY': '', 'MPLBACKEND': ''}


def pytest_configure(config: pytest.Config) -> None:
    """Leave configs as they are, and read them fast; not in the process that only hands tests out."""
    if not config.getoption('numprocesses', None):
        leave_configs_unformatted()
        remember_configs()


@pytest.fixture(scope='session')
def repo_dir() -> Path:
    """The root of the repository."""
    return REPO


@pytest.fixture(scope='session')
def shared_dir() -> Path:
    """The folder with real data and golden values; tests that need it are skipped where it is absent."""
    folder = Path(os.environ.get('SPARSE_RCNN_SHARED', REPO.parent / 'shared'))
    if not folder.is_dir():
        pytest.skip(f'no folder {folder}: set SPARSE_RCNN_SHARED to the one that holds data/ and golden/')
    return folder


@pytest.fixture(scope='module', autouse=True)
def mmdet_scope() -> None:
    """Bare type names mean mmdet's, as under every config of this repository."""
    importlib.import_module('mmengine.registry').init_default_scope('mmdet')


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    """Python's handlers of signals before each test, and those of before after it.

    A suite that runs in the background ignores Ctrl-C, and a tool that is called here may leave handlers of its own,
    for Pools to inherit.
    """
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(scope='session')
def python(made_once) -> str:
    """A program that does with our tools what this interpreter does, but starts at once: see forked_python.py.

    All test processes share the server behind it, which ends when the process that runs them has ended.
    """

    def start(folder: Path) -> None:
        tests = Path(__file__).parent
        # Not in pytest's folder: the name of a socket has at most 107 characters.
        place = Path(tempfile.mkdtemp(prefix='fork-'))
        path, program = place / 'socket', place / 'python'
        client = shlex.join([sys.executable, '-SEs', str(tests / 'forked_python.py'), str(path)])
        program.write_text(f'#!/bin/sh\nexec {client} "$TOOL_CALL" "$@"\n')
        program.chmod(0o755)
        watched = os.getppid() if 'PYTEST_XDIST_WORKER' in os.environ else os.getpid()
        command = [sys.executable, str(tests / 'fork_server.py'), path, program, str(watched)]
        environment = os.environ | TOOL_VARIABLES | {'HOME': str(place)}
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        assert server.stdout.readline() == 'ready\n'
        server.stdout.close()
        (folder / 'program').write_text(str(program))

    return (made_once('fork server', start) / 'program').read_text()


@pytest.fixture(scope='session')
def tool_environment(python: str) -> dict[str, str]:
    """The environment of a tool: this interpreter, one thread a process, no GPU, no display, an empty home."""
    return os.environ | TOOL_VARIABLES | {'HOME': str(Path(python).parent), 'PYTHON': python, 'TOOL_CALL': ''}


@pytest.fixture(scope='session')
def run_process(python, tool_environment, tmp_path_factory) -> Callable[..., tuple[int, str]]:
    """``run_process(tool, arguments, cwd, call='')``: exit code and output of ``python TOOL ARGUMENTS``.

    With ``call``, that function of the tool is called with the arguments in place of running it.
    """
    # A file, for workers that mmdet's eval_map leaves behind would hold a pipe open.
    log = tmp_path_factory.mktemp('logs') / 'log'

    def run(tool: str, arguments: list[str], cwd: Path, call: str = '') -> tuple[int, str]:
        with log.open('w') as out:
            done = subprocess.run(
                [python, tool, *arguments],
                cwd=cwd,
                env=tool_environment | {'TOOL_CALL': call},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        return done.returncode, log.read_text(errors='replace')

    return run

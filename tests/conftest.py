"""Fixtures shared by all tests."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from mmengine.registry import init_default_scope

import sparse_rcnn_ext  # noqa: F401  before mmdet.models, as every tool does
from tests.time_limits import LIMIT

REPO = Path(__file__).resolve().parent.parent

# The same examples each time, or a run of CI fails by chance; HYPOTHESIS_PROFILE=random looks for new ones.
for _name, _same in (('same', True), ('random', False)):
    settings.register_profile(_name, derandomize=_same, deadline=None, print_blob=True)
settings.load_profile(os.environ.get('HYPOTHESIS_PROFILE', 'same'))

# Or gloo looks this machine's name up, which may be unknown, or wait long for an answer.
if 'lo' in (name for _, name in socket.if_nameindex()):
    os.environ.setdefault('GLOO_SOCKET_IFNAME', 'lo')


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests first: one that begins last keeps one process busy while the others have nothing to do."""
    slow = {item.path for item in items if item.get_closest_marker('slow')}
    items.sort(key=lambda item: item.path not in slow)


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
    init_default_scope('mmdet')


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
def tool_environment() -> dict[str, str]:
    """The environment of a tool: this interpreter, one thread a process, no GPU."""
    return os.environ | {'PYTHON': sys.executable, 'OMP_NUM_THREADS': '1', 'CUDA_VISIBLE_DEVICES': ''}


@pytest.fixture(scope='session')
def run_process(tool_environment, tmp_path_factory) -> Iterator[Callable[..., tuple[int, str]]]:
    """``run_process(tool, arguments, cwd, call=None)``: exit code and output of ``python TOOL ARGUMENTS``.

    The process is a fork of one that has imported mmdet already, see fork_server.py.
    """
    command = [sys.executable, str(Path(__file__).with_name('fork_server.py')), str(LIMIT)]
    log = tmp_path_factory.mktemp('logs') / 'log'
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=tool_environment
    ) as server:

        def run(tool: str, arguments: list[str], cwd: Path, call: str | None = None) -> tuple[int, str]:
            request = dict(tool=tool, arguments=arguments, cwd=str(cwd), log=str(log), call=call)
            print(json.dumps(request), file=server.stdin, flush=True)
            return int(server.stdout.readline()), log.read_text(errors='replace')

        yield run
        # It would wait for the end of its input, which workers of a pool that mmdet's eval_map left still hold.
        server.terminate()

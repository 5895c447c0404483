"""Fixtures shared by all tests."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from mmengine.registry import init_default_scope

import sparse_rcnn_ext  # noqa: F401  before mmdet.models, as every tool does

REPO = Path(__file__).resolve().parent.parent


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


@pytest.fixture(scope='session')
def tool_environment() -> dict[str, str]:
    """The environment of a tool: this interpreter, one thread a process, no GPU."""
    return os.environ | {'PYTHON': sys.executable, 'OMP_NUM_THREADS': '1', 'CUDA_VISIBLE_DEVICES': ''}


@pytest.fixture(scope='session')
def run_process(tool_environment, tmp_path_factory) -> Iterator[Callable[..., tuple[int, str]]]:
    """``run_process(tool, arguments, cwd, call=None)``: exit code and output of ``python TOOL ARGUMENTS``.

    The process is a fork of one that has imported mmdet already, see fork_server.py.
    """
    command = [sys.executable, str(Path(__file__).with_name('fork_server.py'))]
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

"""The scripts that build the environment: which Python they take, and what an interrupted installation leaves."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.time_limits import LIMIT

# Plays python: makes a "venv" that holds a copy of itself, and a pip that fails as long as the file BROKEN exists.
FAKE_PYTHON = """#!/usr/bin/env bash
set -e
here=$(dirname "$0")
case "$1 $2" in
    '-c import sys, venv'*) exit 0 ;;
    '-c import sys; print'*) echo "$0" ;;
    '-m venv') mkdir -p "$3/bin"; cp "$0" "$3/bin/python" ;;
    '-m pip') echo "$*" >>"$LOG"; [ ! -e "$BROKEN" ] ;;
    '-c import sparse_rcnn_ext'*) exit 0 ;;
    *) exit 9 ;;
esac
"""


def run(command: list, **variables: object) -> subprocess.CompletedProcess:
    """Run a command outside the make that may have started this test, which hands its variables down."""
    inherited = {
        name: value for name, value in os.environ.items() if name not in ('MAKEFLAGS', 'VENV', 'STACK', 'PYTHON')
    }
    environment = inherited | {name: str(value) for name, value in variables.items()}
    return subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, timeout=LIMIT, check=False, env=environment
    )


@pytest.fixture
def install(repo_dir: Path, tmp_path: Path):
    """Calls install.sh for the folder tmp_path/venv with the fake Python."""
    fake = tmp_path / 'python'
    fake.write_text(FAKE_PYTHON)
    fake.chmod(0o755)

    def call(requirements: str = 'requirements/runtime.txt') -> subprocess.CompletedProcess:
        command = [repo_dir / 'tools/setup/install.sh', tmp_path / 'venv', requirements, fake]
        return run(command, LOG=tmp_path / 'log', BROKEN=tmp_path / 'broken')

    return call


def test_find_python_takes_the_one_that_is_named(repo_dir: Path) -> None:
    result = run([repo_dir / 'tools/setup/find_python.sh', sys.executable])
    assert result.stdout.strip() == sys.executable


def test_find_python_refuses_an_old_one_in_one_sentence(repo_dir: Path) -> None:
    result = run([repo_dir / 'tools/setup/find_python.sh', 'python3.6'])
    assert result.returncode == 1
    assert result.stdout == ''
    assert result.stderr.count('\n') == 1
    assert 'among: python3.6. Install Python 3.10, 3.11 or 3.12' in result.stderr


def test_headless_opencv_is_unpacked_last(install, tmp_path: Path) -> None:
    assert install().returncode == 0
    calls = (tmp_path / 'log').read_text().splitlines()
    assert calls[0] == '-m pip install --requirement requirements/runtime.txt'
    assert calls[-1].startswith('-m pip install --no-deps --force-reinstall opencv-python-headless==')
    assert (tmp_path / 'venv/.state').read_text() == 'ready requirements/runtime.txt\n'


def test_an_interrupted_installation_starts_from_nothing(install, tmp_path: Path) -> None:
    (tmp_path / 'broken').touch()
    assert install().returncode != 0
    half = tmp_path / 'venv/half-a-package'
    half.touch()
    (tmp_path / 'broken').unlink()
    assert install().returncode == 0
    assert not half.exists()


def test_a_finished_environment_is_brought_up_to_date_in_place(install, tmp_path: Path) -> None:
    assert install().returncode == 0
    kept = tmp_path / 'venv/kept'
    kept.touch()
    assert install().returncode == 0
    assert kept.exists()


def test_a_folder_of_somebody_else_is_left_alone(install, tmp_path: Path) -> None:
    precious = tmp_path / 'venv/thesis.txt'
    precious.parent.mkdir()
    precious.write_text('three years')
    result = install()
    assert result.returncode == 1
    assert 'was not made by make' in result.stderr
    assert precious.read_text() == 'three years'


def test_one_folder_does_not_serve_both_stacks(install, tmp_path: Path) -> None:
    assert install().returncode == 0
    result = install('requirements/upstream.txt')
    assert result.returncode == 1
    assert 'was not made by make from requirements/upstream.txt' in result.stderr


@pytest.mark.parametrize(('stack', 'folder'), [('onedl', '.venv'), ('upstream', '.venv-upstream')])
def test_each_stack_has_its_folder(repo_dir: Path, stack: str, folder: str) -> None:
    result = run(['make', '-s', '-C', repo_dir, 'help', f'STACK={stack}'])
    assert f'only the environment {folder}\n' in result.stdout


def test_make_refuses_an_unknown_stack(repo_dir: Path) -> None:
    result = run(['make', '-s', '-C', repo_dir, 'help', 'STACK=mmdet4'])
    assert result.returncode != 0
    assert 'STACK=mmdet4 is unknown: it is onedl or upstream' in result.stderr

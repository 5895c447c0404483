"""The scripts that build the environment: which Python they take, and what an interrupted installation leaves."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

# Plays python: makes a "venv" that holds a copy of itself, and a pip that fails as long as the file BROKEN exists.
FAKE_PYTHON = """#!/usr/bin/env bash
set -e
here=$(dirname "$0")
case "$1 $2" in
    '-c import sys; print("'*) [ -z "${FAILS-}" ]; echo "${VERSION:-3.12.1}" ;;
    '-c import sys; sys.exit'*) [ -z "${TOO_OLD-}" ] ;;
    '-c import venv'*) [ -z "${NO_VENV-}" ] ;;
    '-c import sys; print(sys.executable'*) echo "$0" ;;
    '-m venv') mkdir -p "$3/bin"; cp "$0" "$3/bin/python" ;;
    '-m pip') echo "$*" >>"$LOG"; [ ! -e "$BROKEN" ] ;;
    '-c import sparse_rcnn_ext'*) exit 0 ;;
    *) exit 9 ;;
esac
"""


FAKE_UV = """#!/usr/bin/env bash
echo "uv $*" >>"$LOG"; [ -z "${UV_FAILS-}" ]
"""


PROGRAMS = ('bash', 'cat', 'cp', 'dirname', 'flock', 'grep', 'ls', 'mkdir', 'rm')
"""That the scripts need; uv is none of them, lest one that this machine has is used."""


def link(folder: Path, programs: Iterable[str]) -> Path:
    """A folder for the PATH that has these programs of this machine, and no others."""
    folder.mkdir(exist_ok=True)
    for name in programs:
        if found := shutil.which(name):
            (folder / name).symlink_to(found)
    return folder


def run(command: list, **variables: object) -> subprocess.CompletedProcess:
    """Run a command outside the make that may have started this test, which hands its variables down."""
    inherited = {
        name: value for name, value in os.environ.items() if name not in ('MAKEFLAGS', 'VENV', 'STACK', 'PYTHON')
    }
    environment = inherited | {name: str(value) for name, value in variables.items()}
    return subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, timeout=60, check=False, env=environment
    )


@pytest.fixture
def fake(tmp_path: Path) -> Path:
    path = tmp_path / 'fake-python'
    path.write_text(FAKE_PYTHON)
    path.chmod(0o755)
    return path


@pytest.fixture
def install(repo_dir: Path, tmp_path: Path, fake: Path):
    """Calls install.sh for the folder tmp_path/venv with the fake Python."""
    programs = link(tmp_path / 'bin', PROGRAMS)

    def call(requirements: str = 'requirements/runtime.txt', *extras: str) -> subprocess.CompletedProcess:
        command = [repo_dir / 'tools/setup/install.sh', tmp_path / 'venv', requirements, fake, *extras]
        return run(command, LOG=tmp_path / 'log', BROKEN=tmp_path / 'broken', PATH=programs)

    return call


def test_find_python_takes_the_one_that_is_named(repo_dir: Path) -> None:
    result = run([repo_dir / 'tools/setup/find_python.sh', sys.executable])
    assert result.stdout.strip() == sys.executable


@pytest.mark.parametrize(
    ('variables', 'found'),
    [
        (dict(VERSION='3.9.18', TOO_OLD=1), '{0} is Python 3.9.18'),
        (dict(VERSION='3.15.0', TOO_OLD=1), '{0} is Python 3.15.0'),
        (dict(VERSION='3.13.5', NO_VENV=1), '{0} is Python 3.13.5 without venv'),
        (dict(FAILS=1), '{0} is no Python that runs'),
    ],
)
def test_find_python_says_in_one_sentence_what_it_found(repo_dir: Path, fake: Path, variables, found) -> None:
    result = run([repo_dir / 'tools/setup/find_python.sh', fake], **variables)
    assert (result.returncode, result.stdout, result.stderr.count('\n')) == (1, '', 1)
    assert result.stderr.startswith(f'No usable Python: {found.format(fake)}. Install Python 3.10 to 3.14')


def test_find_python_refuses_one_that_is_not_there(repo_dir: Path, tmp_path: Path) -> None:
    result = run([repo_dir / 'tools/setup/find_python.sh', tmp_path / 'python'])
    assert result.returncode == 1
    assert result.stderr.startswith(f'No usable Python: {tmp_path}/python is not there. Install Python')


def test_find_python_takes_the_newest_that_fits(repo_dir: Path, fake: Path, tmp_path: Path) -> None:
    """Of those that the PATH has: python3.14 is there in name only, as a manager of versions leaves it."""
    programs = link(tmp_path / 'bin', ('bash', 'dirname'))
    (programs / 'python3.14').write_text('#!/usr/bin/env bash\nexit 127\n')
    (programs / 'python3.14').chmod(0o755)
    for name in ('python3.13', 'python3.10', 'python3'):
        (programs / name).symlink_to(fake)
    command = [repo_dir / 'tools/setup/find_python.sh']
    assert run(command, PATH=programs).stdout == f'{programs}/python3.13\n'
    refused = run(command, PATH=programs, VERSION='3.9.2', TOO_OLD=1)
    assert refused.stderr.startswith(
        'No usable Python: python3.14 is no Python that runs, python3.13 is Python 3.9.2, python3.10 is Python 3.9.2, '
        'python3 is Python 3.9.2. Install'
    )


def test_python_versions_are_the_same_everywhere(repo_dir: Path) -> None:
    assert "requires-python = '>=3.10,<3.15'" in (repo_dir / 'pyproject.toml').read_text()
    script = (repo_dir / 'tools/setup/find_python.sh').read_text()
    assert '(3, 10) <= sys.version_info[:2] < (3, 15)' in script
    names = re.search(r'candidates=\((python3\.1.+?) python3 python\)', script)[1].split()
    assert names == [f'python3.{minor}' for minor in range(14, 9, -1)]
    for name in ('README.md', 'Makefile'):
        assert 'Python 3.10 to 3.14' in (repo_dir / name).read_text(), name


def test_headless_opencv_is_unpacked_last(install, tmp_path: Path) -> None:
    assert install().returncode == 0
    calls = (tmp_path / 'log').read_text().splitlines()
    assert calls[0] == '-m pip install --no-compile --requirement requirements/runtime.txt'
    assert calls[-1].startswith('-m pip install --no-compile --no-deps --force-reinstall opencv-python-headless==')
    assert (tmp_path / 'venv/.state').read_text() == 'ready requirements/runtime.txt\n'


def test_extras_come_with_the_pins_of_the_stack(install, tmp_path: Path) -> None:
    assert install().returncode == 0
    assert install('requirements/runtime.txt', 'requirements/tests.txt', 'requirements/demo.txt').returncode == 0
    assert (tmp_path / 'log').read_text().splitlines()[-1] == (
        '-m pip install --no-compile --requirement=requirements/tests.txt --requirement=requirements/demo.txt '
        '--constraint requirements/runtime.txt'
    )


@pytest.mark.parametrize('fails', ['', '1'])
def test_uv_installs_where_there_is_one_and_pip_what_it_cannot(install, tmp_path: Path, monkeypatch, fails) -> None:
    uv = tmp_path / 'bin/uv'
    uv.write_text(FAKE_UV)
    uv.chmod(0o755)
    monkeypatch.setenv('UV_FAILS', fails)
    result = install()
    assert result.returncode == 0
    calls = (tmp_path / 'log').read_text().splitlines()
    by_uv = [call for call in calls if call.startswith('uv ')]
    assert by_uv[0] == f'uv pip install --python {tmp_path}/venv/bin/python --requirement requirements/runtime.txt'
    assert len(by_uv) == 3
    assert [call for call in calls if call not in by_uv] == [
        call.replace(f'uv pip install --python {tmp_path}/venv/bin/python', '-m pip install --no-compile')
        for call in by_uv
        if fails
    ]
    assert result.stderr.count('trying pip') == (3 if fails else 0)


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

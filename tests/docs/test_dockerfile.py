"""The Dockerfile, step by step: building it needs an engine, so its steps are tried here with what they would find."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.tools.test_setup import FAKE_PYTHON

INSTALL = 'make install'


class Step(NamedTuple):
    name: str
    words: list[str]


@pytest.fixture(scope='module')
def steps(repo_dir: Path) -> list[Step]:
    """The instructions in their order, options such as --chown left out."""
    lines = [line for line in (repo_dir / 'Dockerfile').read_text().splitlines() if not line.startswith('#')]
    found = []
    for line in '\n'.join(lines).replace('\\\n', ' ').splitlines():
        if line.strip():
            name, _, rest = line.partition(' ')
            words = json.loads(rest) if rest.startswith('[') else shlex.split(rest)
            found.append(Step(name, [word for word in words if not re.match('--(chown|mount)=', word)]))
    return found


def position(steps: list[Step], command: str) -> int:
    """Where ``command`` is run."""
    (number,) = [number for number, step in enumerate(steps) if step.name == 'RUN' and ' '.join(step.words) == command]
    return number


@pytest.fixture
def image(steps, repo_dir, tmp_path) -> Path:
    """A folder with the files that the image has when it installs, copied as the steps say."""
    app = tmp_path / 'app'
    app.mkdir()
    for step in steps[: position(steps, INSTALL)]:
        if step.name == 'COPY':
            *sources, target = step.words
            for source in sources:
                if source.endswith('/'):
                    shutil.copytree(repo_dir / source, app / target, ignore=shutil.ignore_patterns('__pycache__'))
                else:
                    shutil.copy(repo_dir / source, app / target)
    return app


def make(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess:
    """Run make as the image would: not as a part of the make that runs this test."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name not in ('MAKEFLAGS', 'MFLAGS', 'MAKELEVEL', 'VENV', 'STACK', 'PYTHON')
    }
    return subprocess.run(
        ['make', *arguments], cwd=folder, env=inherited | variables, capture_output=True, text=True, timeout=60
    )


def test_base_fits_the_package(steps, repo_dir):
    (base,) = [step.words for step in steps if step.name == 'FROM']
    version = re.fullmatch(r'python:(3\.\d+)-slim', *base)[1]
    assert "requires-python = '>=3.10,<3.15'" in (repo_dir / 'pyproject.toml').read_text()
    assert version in ('3.10', '3.11', '3.12', '3.13', '3.14')


def test_files_suffice_for_the_installation(image, tmp_path):
    """make install, with a Python that only records what pip is asked for."""
    fake = tmp_path / 'python'
    fake.write_text(FAKE_PYTHON)
    fake.chmod(0o755)
    done = make(image, 'install', f'PYTHON={fake}', LOG=str(tmp_path / 'log'), BROKEN=str(tmp_path / 'broken'))
    assert done.returncode == 0, done.stderr
    calls = [shlex.split(line) for line in (tmp_path / 'log').read_text().splitlines()]
    assert (image / calls[0][calls[0].index('--requirement') + 1]).is_file()
    assert any(call[-2:] == ['--editable', '.'] for call in calls)
    assert (image / '.venv/.installed-onedl').is_file()


def test_files_suffice_for_the_packaging(image):
    """What pyproject.toml reads when pip installs the folder."""
    # Python 3.10 has no reader of TOML.
    text = (image / 'pyproject.toml').read_text()
    files = re.findall(r"^readme = '(.+)'$", text, re.MULTILINE) + re.findall(r"\bfile = \['(.+?)'\]", text)
    assert files[:2] == ['README.md', 'requirements/runtime.txt'] and len(files) == 6
    assert [name for name in files if not (image / name).is_file()] == []


def test_files_suffice_for_the_import(image):
    """The installation ends with it."""
    code = 'import sparse_rcnn_ext, mmdet.models; print(sparse_rcnn_ext.__file__)'
    done = subprocess.run([sys.executable, '-c', code], cwd=image, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip().splitlines()[-1]).is_relative_to(image)


def test_container_does_the_quickstart_without_installing(steps, image):
    """Also where the files of the last COPY are younger than the installation."""
    stamp = image / '.venv/.installed-onedl'
    assert steps[position(steps, f'touch {stamp.relative_to(image)}') - 1] == Step('COPY', ['.', '.'])
    (image / '.venv').mkdir()
    stamp.touch()
    command = [step.words for step in steps if step.name == 'CMD']
    assert command == [['make', 'quickstart']]
    done = make(image, '--dry-run', 'quickstart')
    assert done.stdout.split() == ['.venv/bin/python', 'tools/quickstart.py']
    os.utime(image / 'pyproject.toml', (stamp.stat().st_mtime + 5,) * 2)
    assert 'install.sh' in make(image, '--dry-run', 'quickstart').stdout, 'this is what the touch is for'


def test_steps_are_in_order(steps):
    """make is there before it is used; nothing of ours runs as root; the folder belongs to the user."""
    names = [step.name for step in steps]
    user = names.index('USER')
    assert steps[user].words == ['user'] and names.count('USER') == 1
    setup = [' '.join(step.words) for step in steps[:user] if step.name == 'RUN']
    packages = setup[0].partition('apt-get install')[2].partition('&&')[0].split()
    assert [word for word in packages if not word.startswith('--')] == ['make']
    assert 'useradd' in setup[1] and 'chown user:user /app' in setup[1]
    assert [step.words for step in steps[user:] if step.name == 'WORKDIR'] == [['/app']]
    assert user < position(steps, INSTALL)


def test_context_is_what_git_keeps(repo_dir):
    """.dockerignore leaves out no file of the repository, and all that is large or private."""
    rules = [line for line in (repo_dir / '.dockerignore').read_text().splitlines() if line and line[0] != '#']

    def left_out(name: str) -> bool:
        parts = Path(name).parts
        heads = ['/'.join(parts[: count + 1]) for count in range(len(parts))]
        out = False
        for rule in rules:
            pattern = rule.removeprefix('!').removeprefix('**/')
            anywhere = rule.startswith('**/')
            hit = any(head.count('/') == pattern.count('/') and fnmatch(head, pattern) for head in heads) or (
                anywhere and pattern in parts
            )
            if hit:
                out = not rule.startswith('!')
        return out

    listing = subprocess.run(['git', 'ls-files'], cwd=repo_dir, capture_output=True, text=True)
    if listing.returncode:
        pytest.skip('not a checkout of git')
    assert [name for name in listing.stdout.splitlines() if left_out(name)] == []
    for name in ('.git/config', '.venv/bin/python', '.venv-upstream/x', 'data/coco/a.jpg', 'work_dirs/run/epoch_1.pth'):
        assert left_out(name), name
    assert left_out('sparse_rcnn_ext/__pycache__/x.pyc') and not left_out('work_dirs/.gitkeep')

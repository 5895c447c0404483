"""How ablate.py starts the tools under each launcher; what the scripts do with it stands in test_distributed.py."""

import importlib
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope='module')
def launch(repo_dir: Path):
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(repo_dir / 'tools')
        return importlib.import_module('launch_command').Launch


def test_one_process(launch, repo_dir: Path):
    command = launch('none', 1, None).command('train', Path('a b/config.py'), '--seed', 3)
    assert command == [sys.executable, str(repo_dir / 'tools/train.py'), 'a b/config.py', '--seed', '3']


def test_pytorch(launch, repo_dir: Path):
    run = launch('pytorch', 4, None)
    assert run.command('train', 'config.py', '--seed', 3) == [
        str(repo_dir / 'tools/dist_train.sh'),
        'config.py',
        '4',
        '--seed',
        '3',
    ]
    assert run.command('test', 'config.py', 'last.pth', '--work-dir', 'there') == [
        str(repo_dir / 'tools/dist_test.sh'),
        'config.py',
        'last.pth',
        '4',
        '--work-dir',
        'there',
    ]
    assert run.environment()['PYTHON'] == sys.executable


def test_slurm(launch, repo_dir: Path):
    run = launch('slurm', 4, 'gpus')
    script = str(repo_dir / 'tools/slurm_test.sh')
    assert run.command('test', 'runs/row/config.py', 'last.pth') == [
        script,
        'gpus',
        'row',
        'runs/row/config.py',
        'last.pth',
    ]
    assert run.environment()['GPUS'] == '4'


def test_mpi(launch, repo_dir: Path, monkeypatch):
    monkeypatch.delenv('MASTER_ADDR', raising=False)
    run = launch('mpi', 2, None)
    tool = str(repo_dir / 'tools/train.py')
    expected = ['mpirun', '-np', '2', sys.executable, tool, 'config.py', '--seed', '0', '--launcher', 'mpi']
    assert run.command('train', 'config.py', '--seed', 0) == expected
    assert run.environment()['MASTER_ADDR'] == '127.0.0.1'
    monkeypatch.setenv('MASTER_ADDR', '10.0.0.7')
    assert run.environment()['MASTER_ADDR'] == '10.0.0.7'

"""Checkpoints of mmengine's Runner load with weights_only=True, and only harmless objects come with them."""

import importlib.metadata
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer

from tests.engine.line_runner import make_runner
from tests.fork_server import LIMIT

pytestmark = pytest.mark.skipif(torch.__version__ < (2, 6), reason='torch < 2.6 does not load with weights_only=True')

MAINTAINED = any(distribution.name == 'onedl-mmengine' for distribution in importlib.metadata.distributions())


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file that a Runner wrote after its first epoch of two iterations."""
    work_dir = tmp_path_factory.mktemp('run')
    make_runner(work_dir, max_epochs=1).train()
    return work_dir / 'epoch_1.pth'


def test_loads_with_weights_only(checkpoint: Path) -> None:
    content = torch.load(checkpoint, weights_only=True)
    assert {'meta', 'state_dict', 'optimizer', 'param_schedulers', 'message_hub', 'ema_state_dict'} <= set(content)
    hub = content['message_hub']
    assert hub['runtime_info']['best_score'] == 0.5
    history = hub['log_scalars']['train/loss']
    assert isinstance(history, HistoryBuffer)
    assert len(history.data[0]) == 2
    assert history.statistics('mean') == pytest.approx(history.data[0].mean())


def test_runner_resumes_and_the_registration_survives_it(checkpoint: Path) -> None:
    runner = make_runner(checkpoint.parent, max_epochs=2, load_from=checkpoint)
    runner.train()
    assert (runner.epoch, runner.iter) == (2, 4)
    # mmengine's own loader takes what it allows off torch's list again.
    assert torch.load(checkpoint.parent / 'epoch_2.pth', weights_only=True)['meta']['epoch'] == 2


@pytest.mark.parametrize('dtype', ['float64', 'float32', 'float16', 'int64', 'int32', 'uint32', 'uint8', 'bool'])
def test_numpy_arrays_and_scalars_load(tmp_path: Path, dtype: str) -> None:
    array = np.array([0, 1, 2]).astype(dtype)
    torch.save({'array': array, 'scalar': array[1]}, tmp_path / 'numpy.pth')
    content = torch.load(tmp_path / 'numpy.pth', weights_only=True)
    assert content['array'].dtype == array.dtype
    assert np.array_equal(content['array'], array)
    assert content['scalar'] == array[1]


@pytest.mark.parametrize('name', ['numpy.core', 'numpy._core'])
def test_both_names_that_numpy_had_load(tmp_path: Path, name: str) -> None:
    """A pickle holds the name that the function had where it was written; 'numpy.core' became 'numpy._core' in 2.0."""
    torch.save({'scalar': np.float64(0.5), 'array': np.ones(2)}, tmp_path / 'ours.pth')
    written = 'numpy._core' if np.lib.NumpyVersion(np.__version__) >= '2.0.0' else 'numpy.core'
    with zipfile.ZipFile(tmp_path / 'ours.pth') as ours, zipfile.ZipFile(tmp_path / 'theirs.pth', 'w') as theirs:
        for record in ours.namelist():
            data = ours.read(record)
            if record.endswith('data.pkl'):
                assert f'c{written}.multiarray\nscalar'.encode() in data
                data = data.replace(f'c{written}.'.encode(), f'c{name}.'.encode())
            theirs.writestr(record, data)
    content = torch.load(tmp_path / 'theirs.pth', weights_only=True)
    assert content['scalar'] == 0.5
    assert np.array_equal(content['array'], np.ones(2))


class AttributeOf:
    """Pickles as a call of getattr."""

    def __init__(self, owner: type, name: str) -> None:
        self.call = (owner, name)

    def __reduce__(self) -> tuple:
        return getattr, self.call


def test_getattr_yields_nothing_but_statistics(tmp_path: Path) -> None:
    torch.save(AttributeOf(HistoryBuffer, 'mean'), tmp_path / 'good.pth')
    assert torch.load(tmp_path / 'good.pth', weights_only=True) is HistoryBuffer.mean
    for owner, name in [(HistoryBuffer, '__init__'), (HistoryBuffer, 'absent'), (np.ndarray, 'tofile')]:
        torch.save(AttributeOf(owner, name), tmp_path / 'bad.pth')
        with pytest.raises(pickle.UnpicklingError, match=f'asks for the attribute {name!r}'):
            torch.load(tmp_path / 'bad.pth', weights_only=True)


@pytest.mark.skipif(MAINTAINED, reason='the maintained mmengine loads its checkpoints by itself')
def test_upstream_fails_without_this_package(checkpoint: Path) -> None:
    code = """
import sys, torch
from mmengine.runner import load_checkpoint
load_checkpoint(torch.nn.Linear(2, 1), sys.argv[1])
"""
    bare = subprocess.run([sys.executable, '-c', code, checkpoint], capture_output=True, text=True, timeout=LIMIT)
    assert bare.returncode != 0
    assert 'Weights only load failed' in bare.stderr

"""Published files through the commands that take checkpoints, and what the commands do with a hostile one."""

import re
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from sparse_rcnn_ext.prediction import Predictor
from tests.engine.hostile import MARKER, Payload
from tests.tools.test_train_test import COCO_LINE

pytestmark = pytest.mark.skipif(torch.__version__ < (2, 6), reason='torch < 2.6 cannot load safely')


@pytest.fixture(scope='module')
def trained(tmp_path_factory, tiny_config, run_tool) -> tuple[Path, str]:
    """The folder in which a training with averaged weights ran, and what it printed."""
    folder = tmp_path_factory.mktemp('trained')
    options = ['default_hooks.averaging.type=EMAHook', 'optim_wrapper.optimizer.lr=0.001']
    result = run_tool('train.py', tiny_config, '--seed', 0, '--cfg-options', *options, cwd=folder)
    assert result.returncode == 0, result.stdout
    return folder, result.stdout


@pytest.fixture(scope='module')
def published(trained, run_tool) -> tuple[Path, str]:
    """The published file, and what was printed."""
    folder, _ = trained
    result = run_tool('deploy/publish.py', 'work_dirs/tiny/epoch_1.pth', 'tiny.safetensors', cwd=folder)
    assert result.returncode == 0, result.stdout
    (path,) = folder.glob('tiny-*.safetensors')
    return path, result.stdout


def test_what_publish_prints(published):
    path, printed = published
    assert re.search(rf'^{path.name}: \d+\.\d MB, \d\.\d\d million numbers, 80 classes, config tiny$', printed, re.M)
    sha256 = re.search(r'^ {4}SHA256: ([0-9a-f]{64})$', printed, re.M)[1]
    assert f'    Weights: ADDRESS/{path.name}\n' in printed
    assert path.name == f'tiny-{sha256[:8]}.safetensors'


def test_a_published_file_scores_as_its_training_did(published, trained, tiny_config, run_tool):
    path, _ = published
    result = run_tool('test.py', tiny_config, path.name, cwd=path.parent)
    assert result.returncode == 0, result.stdout
    assert COCO_LINE.findall(result.stdout) == COCO_LINE.findall(trained[1])


def test_a_published_file_starts_a_training(published, tiny_config, run_tool, tmp_path):
    path, _ = published
    options = [f'load_from={path}', 'optim_wrapper.optimizer.lr=0.0', 'optim_wrapper.optimizer.weight_decay=0.0']
    result = run_tool('train.py', tiny_config, '--cfg-options', *options, cwd=tmp_path)
    assert result.returncode == 0, result.stdout
    after = torch.load(tmp_path / 'work_dirs/tiny/epoch_1.pth', weights_only=True)['state_dict']
    before = Predictor(Config.fromfile(tiny_config), str(path), 'cpu').model.state_dict()
    for name, value in before.items():
        if 'running' not in name and not name.endswith('num_batches_tracked'):
            assert torch.equal(after[name], value), name


@pytest.mark.parametrize('tool', ['test.py', 'train.py'])
def test_a_hostile_checkpoint(tool, trained, tiny_config, run_tool, tmp_path):
    content = torch.load(trained[0] / 'work_dirs/tiny/epoch_1.pth', weights_only=True)
    torch.save({**content, 'payload': Payload()}, tmp_path / 'crafted.pth')
    arguments = ['crafted.pth'] if tool == 'test.py' else ['--resume', 'crafted.pth']
    result = run_tool(tool, tiny_config, *arguments, cwd=tmp_path)
    assert result.returncode == 1
    assert re.search(r'^error: crafted\.pth holds pathlib\.\S+, which could run code: ', result.stdout, re.M)
    assert 'Traceback' not in result.stdout
    assert not (tmp_path / MARKER).exists()
    if tool == 'test.py':
        result = run_tool(tool, tiny_config, *arguments, '--trust-checkpoint', cwd=tmp_path)
        assert result.returncode == 0, result.stdout
        assert (tmp_path / MARKER).exists(), 'the payload is live'

"""Detectors for prediction run no code of a checkpoint."""

from pathlib import Path

import pytest
import torch
from mmdet.apis import DetInferencer, init_detector
from mmengine.config import Config

from sparse_rcnn_ext.errors import UserError
from sparse_rcnn_ext.prediction import Predictor
from tests.engine.hostile import CODE, Payload, has_run
from tests.prediction.conftest import CLASSES

pytestmark = pytest.mark.skipif(torch.__version__ < (2, 6), reason='torch < 2.6 cannot load safely')


@pytest.fixture(autouse=True)
def in_tmp_path(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)


def saved(source: Path, **changes) -> str:
    """The same checkpoint with other entries, in the working directory."""
    torch.save({**torch.load(source, weights_only=True), **changes}, 'crafted.pth')
    return str(Path('crafted.pth').resolve())


@pytest.mark.parametrize('build', [init_detector, DetInferencer, Predictor])
def test_objects_are_refused_by_name(build, tiny_detector):
    config, path = tiny_detector
    crafted = saved(path, payload=Payload())
    config = Config.fromfile(config)
    with pytest.raises(UserError, match='which could run code'):
        build(config, crafted, device='cpu')
    assert not has_run()


def test_as_in_the_model_zoo(tiny_detector):
    config, path = tiny_detector
    zoo = saved(path, meta=dict(mmdet_version='2.7.0', config=CODE, CLASSES=CLASSES, epoch=12), optimizer={'state': {}})
    model = init_detector(str(config), zoo, device='cpu')
    assert model.dataset_meta['classes'] == CLASSES
    assert not has_run()

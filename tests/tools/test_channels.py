"""Images whose channels are not the network's: one sentence, before the first iteration."""

import re

import cv2
import numpy as np
import pytest
import torch
from mmdet.models.backbones import CSPDarknet
from mmengine.config import Config
from torch import nn

from sparse_rcnn_ext.engine.config.input_images import blank_images, channel_problem, input_channels
from sparse_rcnn_ext.errors import UserError
from sparse_rcnn_ext.prediction import InferencePipeline, UnreadableError
from tests.models.small_model import build_model

PREPROCESSOR = 'model.data_preprocessor'


@pytest.mark.parametrize('channels', [1, 3, 4])
def test_channels_of_a_backbone(mmdet_scope, channels):
    assert input_channels(nn.Sequential(nn.ReLU(), nn.Conv2d(channels, 8, 3), nn.Conv2d(8, 2, 3))) == channels
    detector = build_model({'model.backbone.in_channels': channels})
    assert blank_images(detector, 64, 96, batch_size=2).shape == (2, channels, 64, 96)


def test_channels_behind_a_focus():
    backbone = CSPDarknet(widen_factor=0.125, deepen_factor=0.33)
    assert backbone.stem.conv.conv.in_channels == 12
    assert input_channels(backbone) == 3
    assert backbone(blank_images(backbone, 64, 64))


def test_a_network_without_convolutions():
    assert input_channels(nn.Linear(3, 4)) == 3


@pytest.mark.parametrize(
    ('options', 'channels', 'words'),
    [
        ({}, 3, None),
        ({}, 4, None),  # the preprocessor takes the first three
        ({}, 1, 'bgr_to_rgb turns 3 around'),
        ({f'{PREPROCESSOR}.bgr_to_rgb': False}, 1, '1 channel, and model.data_preprocessor.mean is of 3'),
        ({f'{PREPROCESSOR}.bgr_to_rgb': False}, 4, '4 channels, and model.data_preprocessor.mean is of 3'),
        ({f'{PREPROCESSOR}.{name}': value for name, value in (('mean', None), ('std', None), ('bgr_to_rgb', False))}, 4,
         r'4 channels, and the network \(model.backbone\) takes 3'),
    ],
)  # fmt: skip
def test_what_a_preprocessor_makes_of_channels(mmdet_scope, options, channels, words):
    """The phrase comes exactly where mmdet's own way ends in an error."""
    detector = build_model(options).eval()
    problem = channel_problem(detector, channels)
    assert (problem is None) == (words is None)
    inputs = dict(inputs=[torch.zeros(channels, 64, 64, dtype=torch.uint8)], data_samples=None)
    with torch.no_grad():
        if words is None:
            detector.backbone(detector.data_preprocessor(inputs)['inputs'])
            return
        with pytest.raises(Exception, match=r'index|\(3, H, W\)|channels'):
            detector.backbone(detector.data_preprocessor(inputs)['inputs'])
    assert re.search(words, problem)


@pytest.fixture
def grey_config(tiny_config, tmp_path):
    """The tiny config with a loader of grey images, and a network of colours."""
    cfg = Config.fromfile(tiny_config)
    for phase in ('train', 'val', 'test'):
        cfg[f'{phase}_dataloader'].dataset.pipeline[0].color_type = 'grayscale'
    cfg.dump(tmp_path / 'grey.py')
    return tmp_path / 'grey.py'


def test_train_and_test_say_it_first(grey_config, random_detector, run_here, tmp_path):
    sentence = r'the images of {}_dataloader have 1 channel, and model.data_preprocessor.bgr_to_rgb turns 3 around: see'
    for phase, call in (
        ('train', ('train.py', grey_config)),
        ('test', ('test.py', grey_config, random_detector[1])),
        ('test', ('test.py', grey_config, random_detector[1], '--tta')),
    ):
        with pytest.raises(SystemExit, match=sentence.format(phase)):
            run_here(*call, '--work-dir', tmp_path / 'run')
    assert not list(tmp_path.rglob('*.pth'))


def test_predict_skips_such_images(random_detector, grey_config, run_here, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    cv2.imwrite('a.png', np.zeros((40, 60, 3), np.uint8))
    with pytest.raises(SystemExit, match='1'):
        run_here('predict.py', grey_config, random_detector[1], 'a.png')
    assert 'skipped a.png: it has 1 channel, and' in capsys.readouterr().err


class Needy:
    """A loader that asks for more than a path."""

    def __call__(self, results: dict) -> dict:
        return dict(results, img=cv2.imread(results['thermal_path']))


class Failing:
    """A loader with an error of its own."""

    def __call__(self, results: dict) -> dict:
        raise RuntimeError('block 7 is missing\nand more')


@pytest.mark.parametrize(
    ('steps', 'error', 'words'),
    [
        ([Needy()], UserError, "asks for 'thermal_path' of an image before it is loaded, which a file alone does not"),
        ([Failing()], UnreadableError, 'loader of the test pipeline says RuntimeError: block 7 is missing$'),
        ([lambda results: None], UnreadableError, 'gives it up'),
        ([dict], UserError, 'no transform of the test pipeline loads an image'),
        ([], UserError, 'no transform of the test pipeline loads an image'),
    ],
)
def test_loaders_that_cannot(tmp_path, steps, error, words):
    (tmp_path / 'a.raw').write_bytes(b'1')
    with pytest.raises(error, match=words):
        InferencePipeline(steps).read(tmp_path / 'a.raw')
    with pytest.raises(UserError, match='only LoadImageFromFile with a color_type'):
        InferencePipeline(steps).take(np.zeros((8, 8, 3), np.uint8))

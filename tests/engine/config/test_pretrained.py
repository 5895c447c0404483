"""Weights that are not there."""

from urllib.error import URLError

import pytest
from mmengine.config import Config

from sparse_rcnn_ext.engine.config.pretrained import check_pretrained, explain_failed_download
from sparse_rcnn_ext.errors import UserError


def cfg(checkpoint):
    init_cfg = {'type': 'Pretrained', 'checkpoint': checkpoint}
    return Config({'model': {'type': 'X', 'backbone': {'type': 'ResNet', 'init_cfg': init_cfg}}})


def test_missing_file():
    with pytest.raises(UserError, match=r'no file r50\.pth: set model\.backbone\.init_cfg\.checkpoint'):
        check_pretrained(cfg('r50.pth'))


def test_address_or_no_weights():
    check_pretrained(cfg('torchvision://resnet50'))
    check_pretrained(Config({'model': {'backbone': {'init_cfg': None}}}))


def test_failed_download():
    with pytest.raises(UserError) as error, explain_failed_download(cfg('torchvision://resnet50')):
        raise URLError('no route')
    sentence = str(error.value)
    assert 'cannot download torchvision://resnet50' in sentence and 'no route' in sentence
    assert 'set model.backbone.init_cfg.checkpoint to a local copy' in sentence
    assert 'model.backbone.init_cfg=None' in sentence


def test_failed_download_of_load_from():
    cfg = Config({'model': {'backbone': {'init_cfg': None}}, 'load_from': 'https://example.org/zoo.pth'})
    expected = r'https://example\.org/zoo\.pth .*set load_from'
    with pytest.raises(UserError, match=expected), explain_failed_download(cfg):
        raise URLError('no route')


def test_an_unrelated_failure_stays():
    with pytest.raises(URLError), explain_failed_download(Config({'model': {}})):
        raise URLError('a dataset on the network')

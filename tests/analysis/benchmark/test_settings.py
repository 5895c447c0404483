"""What is measured."""

import pytest

from sparse_rcnn_ext.analysis.benchmark.settings import MODELS, REPO, Setting, read_model, settle
from sparse_rcnn_ext.errors import UserError


def test_config_fills_in_what_is_not_given(tiny_model):
    setting = settle(Setting(model=tiny_model, dtype='bfloat16'))
    assert (setting.proposals, setting.stages, setting.ours_dtype) == (10, 2, 'bfloat16')
    setting = settle(Setting(model=tiny_model, proposals=7, stages=1, ours_dtype='bfloat16'))
    assert (setting.proposals, setting.stages, setting.dtype) == (7, 1, 'float32')
    assert settle(setting) == setting


@pytest.mark.parametrize('name', MODELS)
def test_named_models_are_full_size_and_download_nothing(name):
    model = read_model(settle(Setting(model=name)))
    assert (model.rpn_head.num_proposals, model.roi_head.num_stages) == (100, 6)
    assert (model.neck.out_channels, model.roi_head.bbox_head.in_channels) == (256, 256)
    assert model.backbone.init_cfg is None and 'pretrained_file' not in model.backbone


def test_options_of_our_side_in_words():
    assert Setting().our_options == ''
    assert Setting(dtype='bfloat16', ours_dtype='bfloat16').our_options == ''
    setting = Setting(ours_dtype='bfloat16', channels_last=True, compile=True, fuse_conv_bn=True, fused=True)
    assert setting.our_options == 'bfloat16, channels last, compiled, batch norm folded, fused AdamW'


@pytest.mark.parametrize(
    ('wrong', 'sentence'),
    [
        (dict(batch=0), '--batch is 0: give at least 1'),
        (dict(rounds=0), '--rounds is 0: give at least 1'),
        (dict(stages=0), '--stages is 0: give at least 1'),
        (dict(boxes=-1), '--boxes is -1: give at least 0'),
        (dict(size=(640, 31)), '--size is 640 31: give at least 32 pixels a side'),
        (dict(dtype='float16'), 'float16 needs a GPU: use --dtype bfloat16'),
        (dict(ours_dtype='float16'), 'float16 needs a GPU'),
        (dict(model='nowhere.py'), 'no config file nowhere.py'),
        (dict(model=str(REPO / 'configs/_base_/schedules/schedule_1x.py')), 'only one of type sparse_rcnn_ext'),
    ],
)
def test_what_cannot_be_is_one_sentence(wrong, sentence):
    with pytest.raises(UserError, match=sentence):
        settle(Setting(**wrong))


def test_cuda_needs_a_gpu(monkeypatch):
    monkeypatch.setattr('torch.cuda.is_available', lambda: False)
    with pytest.raises(UserError, match='--device is cuda, and torch finds no GPU here'):
        settle(Setting(device='cuda'))

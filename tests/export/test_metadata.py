"""What an exported file says of itself."""

import copy

import pytest

from sparse_rcnn_ext.errors import UserError
from sparse_rcnn_ext.export.metadata import describe
from sparse_rcnn_ext.export.runtime.sessions import LATER_NAMES, NAMES
from tests.export.examples import read_recipe

SQUARE = 'sparse-rcnn_r50_fpn_128-proposals_640-3x_coco'


def test_of_the_main_recipe(tiny_detector, repo_dir):
    cfg = read_recipe(repo_dir)
    metadata = describe(cfg, tiny_detector, cfg.classes, dynamic=False, half=True)
    assert metadata == dict(
        classes=list(cfg.classes),
        stages=2,
        proposals=20,
        top_k=20,
        precision='float16',
        clip_boxes=True,
        size=[800, 1344],
        resize=dict(scale=[800, 1333], keep_ratio=True),
        pad=None,
        pad_divisor=32,
        channel_order='rgb',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
    )
    assert set(metadata) == {*NAMES, *LATER_NAMES}
    assert describe(cfg, tiny_detector, cfg.classes, dynamic=True, half=True)['size'] is None
    free = copy.copy(tiny_detector)
    free.clip_boxes = False
    assert describe(cfg, free, cfg.classes, dynamic=False, half=True)['clip_boxes'] is False


def test_grey_borders_belong_to_the_image(tiny_detector, repo_dir):
    cfg = read_recipe(repo_dir, SQUARE)
    cfg.test_dataloader.dataset.pipeline[2].pad_val = dict(img=(1, 2, 3))
    metadata = describe(cfg, tiny_detector, cfg.classes, dynamic=False, half=False)
    assert metadata['pad'] == dict(size=[640, 640], value=[3, 2, 1])
    assert (metadata['size'], metadata['pad_divisor']) == ([640, 640], 640)
    cfg.test_dataloader.dataset.pipeline[2].pad_val = 7
    assert describe(cfg, tiny_detector, cfg.classes, False, False)['pad']['value'] == [7, 7, 7]


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        ({'test_dataloader.dataset.pipeline.1.type': 'RandomFlip'}, 'tests with LoadImageFromFile, RandomFlip'),
        ({'test_dataloader.dataset.pipeline.1.interpolation': 'nearest'}, 'needs a bilinear'),
        ({'model.data_preprocessor.pad_value': 3}, 'pad_value 3'),
        ({'model.data_preprocessor.type': 'BatchFixedSizePad'}, 'data_preprocessor of type BatchFixedSizePad'),
    ],
)
def test_what_a_runtime_cannot_do_is_refused(tiny_detector, repo_dir, options, words):
    cfg = read_recipe(repo_dir, options=options)
    with pytest.raises(UserError, match=words):
        describe(cfg, tiny_detector, cfg.classes, True, False)


def test_a_pad_without_a_size_is_refused(tiny_detector, repo_dir):
    cfg = read_recipe(repo_dir, SQUARE)
    cfg.test_dataloader.dataset.pipeline[2] = dict(type='Pad', size_divisor=32)
    with pytest.raises(UserError, match='needs one with a size'):
        describe(cfg, tiny_detector, cfg.classes, True, False)


def test_a_score_threshold_is_refused(tiny_detector, repo_dir, monkeypatch):
    monkeypatch.setattr(tiny_detector, 'score_thr', 0.3)
    cfg = read_recipe(repo_dir)
    with pytest.raises(UserError, match=r'score_thr is 0\.3, .*: set it to None, and give score_thr to the Detector'):
        describe(cfg, tiny_detector, cfg.classes, dynamic=False, half=False)

"""The test pipeline of a config, of joined data sets too."""

import copy

import pytest
from mmengine.config import Config

from sparse_rcnn_ext.engine.config.input_images import find_pipeline, pipeline_of_tests, usual_steps
from sparse_rcnn_ext.errors import UserError

LOAD, RESIZE = dict(type='LoadImageFromFile'), dict(type='Resize', scale=(1333, 800), keep_ratio=True)
PIPELINE = [LOAD, RESIZE, dict(type='LoadAnnotations', with_bbox=True), dict(type='PackDetInputs')]


def joined(*pipelines: list[dict]) -> Config:
    parts = [dict(type='CocoDataset', pipeline=copy.deepcopy(pipeline)) for pipeline in pipelines]
    return Config(
        dict(test_dataloader=dict(dataset=dict(type='ConcatDataset', datasets=parts))),
        cfg_text='#',
        filename='joined.py',
    )


def test_of_joined_data_the_first_where_the_network_gets_the_same():
    cfg = joined(PIPELINE, [LOAD, RESIZE, dict(type='mmdet.PackDetInputs', meta_keys=('img_id',))])
    assert pipeline_of_tests(cfg) == find_pipeline(cfg) == PIPELINE
    assert list(usual_steps(PIPELINE)) == ['LoadImageFromFile', 'Resize', 'LoadAnnotations', 'PackDetInputs']


def test_joined_data_that_are_read_in_two_ways():
    cfg = joined(PIPELINE, [LOAD, RESIZE | dict(scale=(640, 640)), *PIPELINE[2:]])
    assert find_pipeline(cfg) == PIPELINE, 'what only names a usual size may go by the first'
    with pytest.raises(UserError) as error:
        pipeline_of_tests(cfg)
    assert str(error.value) == (
        'test_dataloader.dataset.datasets.0.pipeline and test_dataloader.dataset.datasets.1.pipeline of joined.py give '
        'the network images in two ways: set test_dataloader.dataset to the data set whose way is meant'
    )


def test_without_one():
    cfg = Config(dict(model=dict()), cfg_text='#', filename='bare.py')
    assert find_pipeline(cfg) == []
    with pytest.raises(UserError, match=r'^bare.py has no test_dataloader.dataset.pipeline, which says'):
        pipeline_of_tests(cfg)

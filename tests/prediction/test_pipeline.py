"""Files through a test pipeline: what an odd one does with them, or why it cannot."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from mmcv.transforms import BaseTransform, LoadAnnotations
from mmdet.registry import TRANSFORMS

from sparse_rcnn_ext.errors import UserError
from sparse_rcnn_ext.prediction import UnreadableError
from sparse_rcnn_ext.prediction.pipeline import InferencePipeline

LOAD = dict(type='LoadImageFromFile')
PACK = dict(type='PackDetInputs', meta_keys=('img_shape',))


@TRANSFORMS.register_module()
class CallsOne(BaseTransform):
    """A transform of a user's own, which does what it is told."""

    def __init__(self, does: str) -> None:
        self.does = does

    def transform(self, results: dict) -> dict | None:
        match self.does:
            case 'give up':
                return None
            case 'take the depth':
                return dict(results, img=cv2.imread(results['depth_path']))
            case 'import':
                raise ImportError('no module named spectral')
            case 'fail':
                raise RuntimeError('no such band\nin this file')
        return results


def one(does: str) -> dict:
    return dict(type='CallsOne', does=does)


@pytest.fixture
def path(tmp_path) -> Path:
    file = tmp_path / 'a.png'
    cv2.imwrite(str(file), np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8))
    return file


@pytest.mark.usefixtures('mmdet_scope')
@pytest.mark.parametrize('decoder', ['cv2', 'pillow'])
def test_files_lie_here_wherever_the_data_lie(path, decoder):
    """A loader of data in other storage, such as ``backend='http'``, reads what a user names from the disk."""
    away = dict(LOAD, imdecode_backend=decoder, backend_args=dict(backend='http'))
    loaded = InferencePipeline([away, PACK]).read(path)
    np.testing.assert_array_equal(loaded.picture, cv2.imread(str(path)))
    assert away['backend_args'] == dict(backend='http')


@pytest.mark.usefixtures('mmdet_scope')
def test_annotations_are_not_looked_for(path):
    pipeline = InferencePipeline(
        [LOAD, dict(type=LoadAnnotations, with_bbox=False, with_label=False, with_seg=True), PACK]
    )
    finished = pipeline.finish(pipeline.read(path))
    assert finished['inputs'].shape == (3, 20, 30) and not finished['data_samples'].gt_instances


@pytest.mark.usefixtures('mmdet_scope')
@pytest.mark.parametrize(
    ('steps', 'kind', 'message'),
    [
        ([one('take the depth')], UserError, "asks for 'depth_path' of an image before it is loaded"),
        ([one('import')], UserError, 'the loader of the test pipeline lacks a package: .*spectral'),
        ([one('nothing')], UserError, 'no transform of the test pipeline loads an image'),
        ([one('give up'), LOAD], UnreadableError, 'the loader of the test pipeline gives it up'),
        ([one('fail')], UnreadableError, 'the loader of the test pipeline says RuntimeError: no such band$'),
    ],
)
def test_loaders_that_cannot_read_it(path, steps, kind, message):
    with pytest.raises(kind, match=message):
        InferencePipeline([*steps, PACK]).read(path)


@pytest.mark.usefixtures('mmdet_scope')
def test_given_up_after_it_was_loaded(path):
    pipeline = InferencePipeline([LOAD, one('give up'), PACK])
    with pytest.raises(UnreadableError, match=r'^CallsOne of the test pipeline gives it up$'):
        pipeline.finish(pipeline.read(path))


@pytest.mark.usefixtures('mmdet_scope')
def test_slices(path):
    loaded = InferencePipeline([LOAD, PACK]).read(path)
    part = loaded.crop(5, 2, 25, 12)
    np.testing.assert_array_equal(part.results['img'], loaded.picture[2:12, 5:25])
    assert part.results['ori_shape'] == part.results['img_shape'] == part.picture.shape[:2] == (10, 20)
    half = loaded._replace(results=dict(loaded.results, img=loaded.results['img'][::2, ::2]))
    with pytest.raises(UnreadableError, match='gives it in another size, which cannot be sliced'):
        half.crop(0, 0, 10, 10)

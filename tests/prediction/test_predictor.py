"""A detector for images in memory."""

from pathlib import Path

import numpy as np
import pytest
import torch
from mmdet.apis import inference_detector, init_detector
from mmengine.config import Config

from sparse_rcnn_ext.engine.config.test_time_augmentation import switch_tta
from sparse_rcnn_ext.errors import UserError
from sparse_rcnn_ext.prediction import Predictor
from tests.prediction.conftest import CLASSES

SIZES = ((60, 100), (90, 70), (300, 200))


@pytest.fixture(scope='module')
def images() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in SIZES]


@pytest.fixture(scope='module')
def predictor(tiny_detector) -> Predictor:
    config, checkpoint = tiny_detector
    return Predictor(Config.fromfile(config), str(checkpoint), 'cpu')


def assert_same(ours, theirs) -> None:
    for field, tolerance in (('bboxes', 1e-3), ('scores', 1e-5), ('labels', 0)):
        torch.testing.assert_close(ours[field], theirs[field], atol=tolerance, rtol=1e-4)


def test_detections_are_those_of_mmdets_api(tiny_detector, predictor, images):
    config, checkpoint = tiny_detector
    model = init_detector(str(config), str(checkpoint), device='cpu')
    for image in images:
        (ours,) = predictor.predict([image])
        assert len(ours) == 10 and ours.scores[0] > 0.3
        assert_same(ours, inference_detector(model, image).pred_instances)


def test_a_batch_of_one_size_equals_single_images(predictor):
    rng = np.random.default_rng(1)
    batch = [rng.integers(0, 256, (64, 96, 3), dtype=np.uint8) for _ in range(3)]
    for together, image in zip(predictor.predict(batch), batch):
        assert_same(together, predictor.predict([image])[0])


def test_images_are_left_alone(predictor, images):
    before = images[0].copy()
    predictor.predict(images[:1])
    np.testing.assert_array_equal(images[0], before)


def test_with_test_time_augmentation(tiny_detector, images):
    """One view and no fusion: the plain detections."""
    config, checkpoint = tiny_detector
    cfg = Config.fromfile(config)
    plain = Predictor(cfg, str(checkpoint), 'cpu').predict(images)
    cfg.tta_views = dict(ratios=(1.0,), flip=False)
    cfg.tta_model.update(iou_threshold=1.0, min_score=0.0)
    switch_tta(cfg)
    augmented = Predictor(cfg, str(checkpoint), 'cpu').predict(images)
    for one, other in zip(plain, augmented):
        proper = (one.bboxes[:, 2:] > one.bboxes[:, :2]).all(dim=1)
        assert proper.sum() > 5
        assert_same(other, one[proper])


def saved(folder: Path, tiny_detector, **changes) -> str:
    """Another checkpoint."""
    checkpoint = torch.load(tiny_detector[1], weights_only=True)
    torch.save({**checkpoint, **changes}, folder / 'other.pth')
    return str(folder / 'other.pth')


def test_class_names(tiny_detector, predictor, tmp_path):
    assert predictor.classes == CLASSES
    cfg = Config.fromfile(tiny_detector[0])
    names = tuple('vwxyz')
    # mmdet 2 wrote CLASSES.
    assert Predictor(cfg, saved(tmp_path, tiny_detector, meta=dict(CLASSES=names)), 'cpu').classes == names
    bare = saved(tmp_path, tiny_detector, meta={})
    with pytest.raises(UserError, match=r'names for 5 classes: set test_dataloader\.dataset\.metainfo\.classes'):
        Predictor(cfg, bare, 'cpu')
    cfg.test_dataloader.dataset.metainfo = dict(classes=names)
    assert Predictor(cfg, bare, 'cpu').classes == names


def test_a_checkpoint_that_does_not_fit(tiny_detector, tmp_path):
    cfg = Config.fromfile(tiny_detector[0])
    state = torch.load(tiny_detector[1], weights_only=True)['state_dict']
    lacking = {name: value for name, value in state.items() if 'instance_interactive_conv' not in name}
    path = saved(tmp_path, tiny_detector, state_dict=lacking)
    with pytest.raises(UserError, match=r'other\.pth does not fit the config; \d+ of \d+ .*interactive_conv.*not in'):
        Predictor(cfg, path, 'cpu')
    cfg.model.roi_head.bbox_head.num_classes = 7
    with pytest.raises(UserError, match=r'set model\.roi_head\.bbox_head\.num_classes to 5'):
        Predictor(cfg, str(tiny_detector[1]), 'cpu')


class Payload:
    """What a hostile checkpoint would hold."""

    def __reduce__(self):
        return Path.touch, (Path('ran.txt'),)


def test_no_code_of_a_checkpoint_is_run(tiny_detector, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = saved(tmp_path, tiny_detector, meta=dict(payload=Payload()))
    with pytest.raises(UserError, match='could run code'):
        Predictor(Config.fromfile(tiny_detector[0]), path, 'cpu')
    assert not Path('ran.txt').exists()
    torch.load(path, weights_only=False)
    assert Path('ran.txt').exists(), 'the payload is live'


def test_files_that_are_no_checkpoint(tiny_detector, tmp_path):
    cfg = Config.fromfile(tiny_detector[0])
    (tmp_path / 'text.pth').write_text('hello')
    (tmp_path / 'empty.pth').touch()
    torch.save(torch.zeros(3), tmp_path / 'tensor.pth')
    for name in ('text.pth', 'empty.pth', 'tensor.pth'):
        with pytest.raises(UserError, match=f'{name} .*give one of tools/train.py'):
            Predictor(cfg, str(tmp_path / name), 'cpu')


def test_a_device_that_is_not_there(tiny_detector):
    for device in ('cuda:97', 'toaster'):
        with pytest.raises(UserError, match=f'--device {device} is not to be had here'):
            Predictor(Config.fromfile(tiny_detector[0]), str(tiny_detector[1]), device)

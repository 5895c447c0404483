"""Images as the config's loader reads them reach the network in every use, or the use is refused in a sentence."""

import json
from contextlib import nullcontext
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pytest
import torch
from mmcv.transforms import BaseTransform
from mmdet.registry import DATASETS, TRANSFORMS
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.structures import InstanceData

from sparse_rcnn_ext.analysis import count_complexity
from sparse_rcnn_ext.demo import look_at
from sparse_rcnn_ext.engine.config.test_time_augmentation import switch_tta
from sparse_rcnn_ext.engine.speed.fast_inference import fast_forward_stages
from sparse_rcnn_ext.errors import UserError
from sparse_rcnn_ext.export.metadata import describe
from sparse_rcnn_ext.prediction import Predictor, UnreadableError
from sparse_rcnn_ext.prediction.slices import SlicedPredictor
from sparse_rcnn_ext.visualization.examples import load_example
from tests.models.small_model import CLASSES, SIZES, initialise

HEIGHT, WIDTH = 50, 80
RESIZE = dict(type='Resize', scale=(160, 96), keep_ratio=True)
PACK = dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'))
GREY = {
    'model.backbone.in_channels': 1,
    'model.data_preprocessor.mean': [100.0],
    'model.data_preprocessor.std': [60.0],
    'model.data_preprocessor.bgr_to_rgb': False,
}


@TRANSFORMS.register_module()
class LoadNumpyArray(BaseTransform):
    """A loader of a user's own, of files that no decoder of images knows."""

    def transform(self, results: dict) -> dict:
        image = np.load(results['img_path']).astype(np.float32)
        return dict(results, img=image, img_shape=image.shape[:2], ori_shape=image.shape[:2])


class Case(NamedTuple):
    """A way to read images."""

    load: dict
    depth: type = np.uint8
    channels: int = 3
    options: dict = {}
    suffix: str = '.png'
    resizes: bool = True
    refusal: str | None = None
    """Why no file is exported; None: one is."""


SIXTEEN_BITS = {'model.data_preprocessor.mean': [30000.0] * 3, 'model.data_preprocessor.std': [15000.0] * 3}
UNCHANGED = dict(type='LoadImageFromFile', color_type='unchanged', to_float32=True)
GRAYSCALE = dict(type='LoadImageFromFile', color_type='grayscale')
NO_COLOR = "with color_type='unchanged'"
CASES = {
    '8 bits': Case(dict(type='LoadImageFromFile')),
    '16 bits': Case(UNCHANGED, np.uint16, options=SIXTEEN_BITS, refusal=NO_COLOR),
    'grey': Case(GRAYSCALE, options=GREY, refusal=r'\(model.backbone\) takes 1 channel,'),
    'four channels': Case(
        UNCHANGED,
        channels=4,
        options={**GREY, 'model.backbone.in_channels': 4},
        refusal=r'\(model.backbone\) takes 4 channels',
    ),
    'float': Case(dict(type='LoadImageFromFile', to_float32=True)),
    'own class': Case(
        dict(type='LoadNumpyArray'), np.uint16, options=SIXTEEN_BITS, suffix='.npy', refusal='tests with LoadNumpyArray'
    ),
    'Pillow': Case(dict(type='LoadImageFromFile', imdecode_backend='pillow')),
    'no Resize': Case(dict(type='LoadImageFromFile'), resizes=False, refusal='tests with LoadImageFromFile, PackDet'),
}


class Setup(NamedTuple):
    case: Case
    config: Path
    checkpoint: Path
    images: Path

    def cfg(self) -> Config:
        return Config.fromfile(self.config)

    def predictor(self, cfg: Config) -> Predictor:
        return Predictor(cfg, str(self.checkpoint), 'cpu')


def write_data(folder: Path, case: Case) -> None:
    """Two images of the kind, and their COCO file."""
    rng = np.random.default_rng(0)
    (folder / 'images').mkdir()
    for number in (1, 2):
        pixels = rng.integers(0, np.iinfo(case.depth).max, (HEIGHT, WIDTH, case.channels)).astype(case.depth)
        path = folder / f'images/{number}{case.suffix}'
        np.save(path, pixels) if case.suffix == '.npy' else cv2.imwrite(str(path), pixels)
    images = [dict(id=n, file_name=f'{n}{case.suffix}', width=WIDTH, height=HEIGHT) for n in (1, 2)]
    boxes = [dict(id=n, image_id=n, category_id=1, bbox=[10, 10, 20, 20], area=400, iscrowd=0) for n in (1, 2)]
    categories = [dict(id=n + 1, name=f'class {n}') for n in range(CLASSES)]
    (folder / 'coco.json').write_text(json.dumps(dict(images=images, annotations=boxes, categories=categories)))


@pytest.fixture(scope='module', params=CASES)
def setup(request, tmp_path_factory, repo_dir, mmdet_scope) -> Setup:
    case = CASES[request.param]
    folder = tmp_path_factory.mktemp('loader')
    write_data(folder, case)
    cfg = Config.fromfile(repo_dir / 'configs/sparse_rcnn/sparse-rcnn_r50_fpn_1x_coco.py')
    names = tuple(f'class {number}' for number in range(CLASSES))
    cfg.merge_from_dict({**SIZES, **case.options})
    cfg.test_dataloader.update(batch_size=1, num_workers=0, persistent_workers=False)
    cfg.test_dataloader.dataset.update(
        data_root=f'{folder}/', ann_file='coco.json', data_prefix=dict(img='images/'), metainfo=dict(classes=names)
    )
    cfg.test_dataloader.dataset.pipeline = [case.load, *([RESIZE] if case.resizes else []), PACK]
    cfg.test_evaluator = dict(type='sparse_rcnn_ext.CocoMetric', ann_file=f'{folder}/coco.json')
    cfg.dump(folder / 'tiny.py')
    detector = initialise(cfg, seed=3)
    with torch.no_grad():
        for stage in detector.roi_head.bbox_head:
            stage.fc_reg.weight.mul_(0.05)  # boxes stay where the image is
    state = detector.state_dict()
    torch.save(dict(state_dict=state, meta=dict(dataset_meta=dict(classes=names))), folder / 'tiny.pth')
    return Setup(case, folder / 'tiny.py', folder / 'tiny.pth', folder / 'images')


@pytest.fixture(scope='module')
def predictor(setup) -> Predictor:
    return setup.predictor(setup.cfg())


def as_tested(predictor: Predictor, cfg: Config) -> list[InstanceData]:
    """The detections of a test's own way: data set, collate, model."""
    dataset = DATASETS.build(cfg.test_dataloader.dataset)
    with torch.no_grad():
        return [
            predictor.model.test_step(pseudo_collate([dataset[index]]))[0].pred_instances
            for index in range(len(dataset))
        ]


def assert_same(found: InstanceData, expected: InstanceData) -> None:
    assert len(found) == len(expected) > 0 and expected.scores[0] > 0.1
    for field in ('bboxes', 'scores', 'labels'):
        assert torch.equal(found[field], expected[field]), field


def test_prediction_is_a_test(setup, predictor):
    paths = sorted(setup.images.iterdir())
    tested = as_tested(predictor, setup.cfg())
    for path, expected in zip(paths, tested, strict=True):
        assert_same(predictor.predict([predictor.read(path)])[0], expected)
    assert not torch.equal(tested[0].bboxes, tested[1].bboxes), 'the network sees what is in the images'
    # An image that is no larger than a slice, and one that is.
    sliced = SlicedPredictor(predictor, WIDTH)
    assert_same(sliced.predict([sliced.read(paths[0])])[0], tested[0])
    assert len(SlicedPredictor(predictor, 64).predict([predictor.read(paths[0])])[0]) > 0


def test_augmented_prediction_is_an_augmented_test(setup):
    cfg = setup.cfg()
    cfg.tta_views = dict(ratios=(0.8, 1.0), flip=False)
    switch_tta(cfg)
    predictor = setup.predictor(cfg)
    for path, expected in zip(sorted(setup.images.iterdir()), as_tested(predictor, cfg), strict=True):
        assert_same(predictor.predict([predictor.read(path)])[0], expected)


def test_stages_pictures_and_the_page(setup, predictor):
    cfg = setup.cfg()
    expected = as_tested(predictor, cfg)[0]
    loaded = predictor.read(sorted(setup.images.iterdir())[0])
    scene = look_at(predictor, loaded, 'a.png')
    last = scene.trace.scores[-1].flatten().sort(descending=True).values[: len(expected)]
    torch.testing.assert_close(last, expected.scores)
    example = load_example(DATASETS.build(cfg.test_dataloader.dataset), 0)
    assert loaded.picture.shape == example.image.shape == (HEIGHT, WIDTH, 3)
    assert loaded.picture.dtype == np.uint8 and np.ptp(loaded.picture) > 200, 'neither dark nor cut off'
    np.testing.assert_array_equal(loaded.picture, example.image[..., ::-1])


def test_runs_that_only_look_at_shapes(setup, predictor):
    detector = predictor.model
    packed = predictor.pack([predictor.read(sorted(setup.images.iterdir())[0])])
    batch = detector.data_preprocessor(packed)['inputs']
    whwh = torch.tensor([[160.0, 96.0, 160.0, 96.0]])
    with torch.no_grad():
        plain = detector.forward_stages(batch, whwh)
        folded = fast_forward_stages(detector, fuse_conv_bn=True)(batch, whwh)
    torch.testing.assert_close(folded.logits, plain.logits, atol=1e-3, rtol=1e-3)
    first = detector.backbone.conv1
    per_channel = first.out_channels * first.kernel_size[0] ** 2 * 48 * 80  # multiply-adds at half the sides
    assert count_complexity(detector, (96, 160)).flops > per_channel * first.in_channels


def test_a_file_is_exported_or_refused(setup, predictor):
    written = pytest.raises(UserError, match=setup.case.refusal) if setup.case.refusal else nullcontext()
    with written:
        metadata = describe(setup.cfg(), predictor.model, predictor.classes, dynamic=True, half=False)
        assert metadata['channel_order'] == 'rgb'


def test_frames_of_a_video(setup, predictor):
    frame = np.random.default_rng(1).integers(0, 256, (HEIGHT, WIDTH, 1), dtype=np.uint8).repeat(3, axis=2)
    if setup.case.suffix == '.npy':
        with pytest.raises(
            UserError, match='the test pipeline begins with LoadNumpyArray, Resize: only LoadImageFromF'
        ):
            predictor.predict([frame])
    elif setup.case.channels == 4:
        with pytest.raises(UnreadableError, match=r'3 channels, and the network .* takes 4'):
            predictor.predict([frame])
    else:
        path = setup.images.parent / 'frame.png'
        cv2.imwrite(str(path), frame)
        assert_same(predictor.predict([frame])[0], predictor.predict([predictor.read(path)])[0])


def is_same(one: dict, other: dict, with_box: bool) -> bool:
    """Whether predict.py, which clips boxes and rounds, and test.py mean the same detection."""
    keys = ('image_id', 'category_id')
    same = all(one[key] == other[key] for key in keys) and abs(one['score'] - other['score']) < 1e-5
    return same and (not with_box or np.abs(np.subtract(one['bbox'], other['bbox'])).max() < 0.01)


def test_the_tools_write_the_same_detections(setup, run_here, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = setup.images.parent
    run_here('test.py', setup.config, setup.checkpoint, '--out', 'tested.json', '--show-dir', 'shown')
    images = sorted(setup.images.iterdir())
    ids = ('--ids', data / 'coco.json')
    run_here('predict.py', setup.config, setup.checkpoint, *images, '--json', 'found.json', '--score-thr', 0, *ids)

    tested, found = (json.loads(Path(name).read_text()) for name in ('tested.json', 'found.json'))
    assert len(found) > 10
    for one in found:
        left, top, width, height = one['bbox']
        is_inside = min(left, top) > 0 and left + width < WIDTH and top + height < HEIGHT
        assert any(is_same(one, other, with_box=is_inside) for other in tested)
    assert len(list(Path('shown').rglob('*.*'))) == 2

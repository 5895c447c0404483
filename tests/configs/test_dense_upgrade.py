"""The dense upgrade over recipes of one size, of many sizes, and with crops; and what it makes of real images."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import DATASETS, init_default_scope
from mmengine.runner import Runner

from sparse_rcnn_ext.ablation import put_over
from sparse_rcnn_ext.datasets.convert.coco_json import write_splits
from sparse_rcnn_ext.datasets.convert.voc import convert_voc
from sparse_rcnn_ext.engine.config.run_config import load_config
from sparse_rcnn_ext.errors import UserError
from tests.configs.recipe_640 import OneWeight
from tests.durability.small_training import train

RECIPES = Path(__file__).resolve().parents[2] / 'configs/sparse_rcnn'
DENSE = RECIPES / 'upgrades/dense.py'
SHAPES, BCCD = 'sparse-rcnn_lite0_fpn_shapes.py', 'sparse-rcnn_lite0_fpn_bccd.py'
CROPS = 'sparse-rcnn_r50_fpn_300-proposals_crop-ms-480-800-3x_coco.py'
OTHERS = ['sparse-rcnn_r50_fpn_128-proposals_640-3x_coco.py', 'sparse-rcnn_r50_fpn_500-proposals_crowdhuman.py']
ANY = pytest.mark.parametrize('name', [SHAPES, BCCD, CROPS])


def test_is_short_and_a_delta_of_the_main_recipe():
    lines = DENSE.read_text().splitlines()
    assert len(lines) <= 15 and lines[0].startswith('# ')
    assert lines[1] == "_base_ = '../sparse-rcnn_r50_fpn_ms-480-800-3x_coco.py'"
    assert load_config(str(DENSE), None, None).train_cfg.max_epochs == 36


@pytest.mark.parametrize('name', [SHAPES, BCCD, CROPS, *OTHERS])
def test_changes_the_training_images_only(name):
    recipe, dense = Config.fromfile(RECIPES / name).to_dict(), put_over(DENSE, RECIPES / name).to_dict()
    plain, pipeline = (cfg['train_dataloader']['dataset'].pop('pipeline') for cfg in (recipe, dense))
    assert pipeline[: len(plain) - 1] == plain[:-1] and pipeline[-1] == plain[-1]
    assert [step['type'] for step in pipeline[len(plain) - 1 : -1]] == ['RandomApply'] * 2
    assert [step['prob'] for step in pipeline[len(plain) - 1 : -1]] == [0.5, 0.5]
    for step in pipeline[len(plain) - 1 : -1]:
        assert step['transforms'][0]['transforms'] == plain[:-1], "the others go through the recipe's pipeline too"
    hook = dense['default_hooks'].pop('last_epochs')
    assert hook == dict(type='sparse_rcnn_ext.LastEpochsPipelineHook', share=0.5, pipeline=plain)
    assert recipe.pop('train_pipeline') == plain and dense.pop('train_pipeline') == pipeline
    assert {key: dense[key] for key in recipe} == recipe


def test_goes_with_changes_of_the_model(tmp_path):
    """Over one, and below one: the two deltas of a table may be stacked in either order."""
    row = RECIPES / 'ablations/proposals-300.py'
    first, second = tmp_path / 'first.py', tmp_path / 'second.py'
    put_over(row, RECIPES / SHAPES).dump(first)
    put_over(DENSE, RECIPES / SHAPES).dump(second)
    over, below = put_over(DENSE, first), put_over(row, second)
    assert over.to_dict() == below.to_dict()
    assert over.model.rpn_head.num_proposals == 300 and 'last_epochs' in over.default_hooks


def test_settings_of_a_recipe_stay_settings(own_data_folder):
    child = own_data_folder / 'child.py'
    text, count = re.subn(
        '^_base_ = .*$',
        f'_base_ = {str(RECIPES / "sparse-rcnn_lite0_fpn_own-data.py")!r}',
        DENSE.read_text(),
        flags=re.MULTILINE,
    )
    assert count == 1
    child.write_text(text)
    cfg = load_config(str(child), dict(long_side=96), None)
    resizes = [step['scale'] for step in walk(cfg.train_dataloader.dataset.pipeline) if 'scale' in step]
    assert resizes == [(96, 96)] * 3, 'of the image, of the others of a mosaic, and of that of a mixup'


def walk(pipeline: list):
    """All transforms, those within others too."""
    for step in pipeline:
        yield step
        yield from walk(step.get('transforms', []))


def test_data_sets_of_several_parts():
    """VOC's two years have a pipeline each, and mmdet's VOCDataset hands no other images over."""
    with pytest.raises(UserError, match=r"dense.py cannot be put over .*voc0712.py: .*has no attribute 'pipeline'"):
        put_over(DENSE, RECIPES / 'sparse-rcnn_r50_fpn_voc0712.py')


@pytest.fixture(scope='module')
def shapes(made_once, run_process, repo_dir) -> Path:
    tool = str(repo_dir / 'tools/dataset/make_shapes_coco.py')
    options = ['--num-train=24', '--num-val=2', '--size=160']

    def make(folder: Path) -> None:
        code, printed = run_process(tool, [str(folder), *options], folder)
        assert code == 0, printed

    return made_once('dense shapes', make)


def read(name: str, request: pytest.FixtureRequest) -> Config:
    """The upgrade over a recipe with 24 real, or generated, training images."""
    cfg = put_over(DENSE, RECIPES / name)
    dataset = cfg.train_dataloader.dataset
    if name == SHAPES:
        dataset.data_root = f'{request.getfixturevalue("shapes")}/'
        return cfg
    root = request.getfixturevalue('shared_dir') / 'data' / ('bccd' if name == BCCD else 'coco_mini')
    if not root.is_dir():
        pytest.skip(f'no folder {root}')
    dataset.update(data_root=f'{root}/', indices=24)
    if name == BCCD:
        out = request.getfixturevalue('tmp_path')
        write_splits(convert_voc(root, ['train'], list(cfg.classes))[0], out, root, 'JPEGImages')
        dataset.ann_file = f'{out}/train.json'
    return cfg


def take(dataset, number: int) -> list[dict]:
    samples = []
    for index in range(number):
        np.random.seed(index)
        samples.append(dataset[index % len(dataset)])
    return samples


@ANY
def test_more_boxes_at_the_same_size(name, request):
    """What comes first in the pipeline draws the same numbers with and without the upgrade."""
    cfg = read(name, request)
    dense = DATASETS.build(cfg.train_dataloader.dataset)
    plain = DATASETS.build(dict(cfg.train_dataloader.dataset, pipeline=cfg.default_hooks.last_epochs.pipeline))
    counts, same = [], 0
    for one, other in zip(take(plain, 72), take(dense, 72)):
        (before, found), (after, more) = (
            (sample['inputs'], sample['data_samples'].gt_instances) for sample in (one, other)
        )
        assert after.dtype == torch.uint8 and after.shape == before.shape
        assert other['data_samples'].img_shape == one['data_samples'].img_shape == tuple(after.shape[1:])
        boxes = more.bboxes.tensor
        assert len(boxes) == len(more.labels) and boxes.dtype == torch.float32
        height, width = after.shape[1:]
        assert (boxes >= 0).all() and (boxes <= torch.tensor([width, height, width, height]) + 1e-3).all()
        assert (boxes[:, 2:] > boxes[:, :2]).all()
        same += torch.equal(before, after)
        counts.append((len(found), len(more)))
    before, after = np.mean(counts, axis=0)
    # Four times as many for half of the samples, and then those of one more image for half of them: 3 times.
    assert 2.4 * before < after < 3.6 * before
    assert 8 <= same <= 28, 'a quarter of the samples is as without'


class CountBoxes(Hook):
    """Boxes of the images of each epoch."""

    def __init__(self) -> None:
        self.counts: dict[int, list[int]] = {}

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
        counts = [len(sample.gt_instances) for sample in data_batch['data_samples']]
        self.counts.setdefault(runner.epoch, []).extend(counts)


@pytest.mark.parametrize('workers', [0, 1])
def test_plain_images_in_the_last_epochs(workers, request, tmp_path):
    cfg = read(SHAPES, request)
    init_default_scope('mmdet')
    cfg.train_dataloader.update(num_workers=workers, persistent_workers=workers > 0)
    plain = DATASETS.build(dict(cfg.train_dataloader.dataset, pipeline=cfg.default_hooks.last_epochs.pipeline))
    total = sum(len(sample['data_samples'].gt_instances) for sample in take(plain, len(plain)))
    counter = CountBoxes()
    runner = Runner(
        OneWeight(),
        str(tmp_path),
        train_dataloader=cfg.train_dataloader,
        train_cfg=dict(by_epoch=True, max_epochs=4),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
        default_hooks=dict(last_epochs=cfg.default_hooks.last_epochs, checkpoint=None, logger=None),
        custom_hooks=[counter],
        default_scope='mmdet',
        experiment_name=f'{tmp_path.name}-{workers}',
        randomness=dict(seed=0),
    )
    train(runner)
    sums = [sum(counter.counts[epoch]) for epoch in range(4)]
    assert min(sums[:2]) > 2 * total and sums[2:] == [total, total]

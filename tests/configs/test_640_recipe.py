"""The 640-pixel recipe: image geometry, and the learning rate that training really sees."""

import re
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.hooks import EMAHook, Hook
from mmengine.model import BaseModel
from mmengine.registry import DATASETS, MODELS, init_default_scope
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from sparse_rcnn_ext.engine.amp_optim_wrapper import AmpOptimWrapper

RECIPE = Path(__file__).resolve().parents[2] / 'configs/sparse_rcnn/sparse-rcnn_r50_fpn_128-proposals_640-3x_coco.py'


@pytest.fixture
def cfg() -> Config:
    return Config.fromfile(RECIPE)


def test_numbers(cfg):
    assert cfg.model.rpn_head.num_proposals == 128
    assert cfg.optim_wrapper.type == 'OptimWrapper'
    assert cfg.optim_wrapper.optimizer == {'type': 'AdamW', 'lr': 2.5e-5, 'weight_decay': 1e-4}
    assert cfg.train_cfg.max_epochs == 36
    assert 'ema' not in cfg.default_hooks


@pytest.mark.parametrize('split', ['train', 'val', 'test'])
def test_images_become_640_squares(cfg, shared_dir, split):
    init_default_scope('mmdet')
    dataset_cfg = cfg[f'{split}_dataloader'].dataset
    dataset_cfg.data_root = str(shared_dir / 'data/coco_mini')
    dataset = DATASETS.build(dataset_cfg)
    shapes = [dataset.get_data_info(i) for i in range(len(dataset))]
    wide = next(i for i, shape in enumerate(shapes) if shape['width'] > shape['height'])
    tall = next(i for i, shape in enumerate(shapes) if shape['width'] < shape['height'])
    preprocessor = MODELS.build(cfg.model.data_preprocessor)
    for indices in ([wide], [tall], [wide, tall]):
        batch = preprocessor(pseudo_collate([dataset[i] for i in indices]), training=False)
        assert batch['inputs'].shape == (len(indices), 3, 640, 640)
        for image, sample in zip(batch['inputs'], batch['data_samples']):
            height, width = sample.img_shape
            assert max(height, width) == 640 > min(height, width)
            original_height, original_width = sample.ori_shape
            assert width / height == pytest.approx(original_width / original_height, abs=0.005)
            assert image[:, height:].abs().sum() == image[:, :, width:].abs().sum() == 0
            assert image[:, height - 1, width - 1].abs().sum() > 0


class OneWeight(BaseModel):
    """The smallest model that a Runner trains."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))

    def forward(self, inputs, data_samples=None, mode='tensor'):
        return {'loss': self.weight.sum()}


class RecordRate(Hook):
    def __init__(self):
        self.rates = []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.rates.append(runner.optim_wrapper.get_lr()['lr'][0])


def train_one_weight(cfg, tmp_path, epoch_length, **changes):
    recorder = RecordRate()
    images = [{'inputs': torch.zeros(1)}] * epoch_length
    settings = {
        'train_cfg': cfg.train_cfg,
        'optim_wrapper': cfg.optim_wrapper,
        'param_scheduler': cfg.param_scheduler,
        'default_hooks': {'checkpoint': None, 'logger': None},
        'custom_hooks': [recorder],
        'default_scope': 'mmdet',
        'log_level': 'ERROR',
        'experiment_name': tmp_path.name,
    } | changes
    runner = Runner(OneWeight(), str(tmp_path), DataLoader(images, collate_fn=pseudo_collate), **settings)
    runner.train()
    return runner, recorder.rates


def test_learning_rate_seen_by_training(cfg, tmp_path):
    epoch = 40
    _, rates = train_one_weight(cfg, tmp_path, epoch)
    assert len(rates) == 36 * epoch
    # mmengine reaches the full rate at the last of the 1000 iterations.
    for iteration in (0, 1, 500, 998, 999):
        assert rates[iteration] == pytest.approx(2.5e-5 * (0.01 + 0.99 * iteration / 999), rel=1e-6)
    assert rates[0] == pytest.approx(2.5e-7)
    assert rates[999 : 27 * epoch] == pytest.approx([2.5e-5] * (27 * epoch - 999))
    assert rates[27 * epoch - 1 : 27 * epoch + 1] == pytest.approx([2.5e-5, 2.5e-6])
    assert rates[33 * epoch - 1 : 33 * epoch + 1] == pytest.approx([2.5e-6, 2.5e-7])
    assert rates[-1] == pytest.approx(2.5e-7)


def test_switches(cfg, tmp_path):
    """The two options that the recipe's comment names."""
    options = dict(re.findall(r'([\w.]+\.type)=([\w.]+)', RECIPE.read_text()))
    assert set(options) == {'default_hooks.ema.type', 'optim_wrapper.type'}
    cfg.merge_from_dict(options)
    cfg.train_cfg.max_epochs = 1
    hooks = {'checkpoint': None, 'logger': None, 'ema': cfg.default_hooks.ema}
    runner, _ = train_one_weight(cfg, tmp_path, 2, default_hooks=hooks)
    assert isinstance(runner.optim_wrapper, AmpOptimWrapper)
    assert any(isinstance(hook, EMAHook) for hook in runner.hooks)

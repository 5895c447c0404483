"""Unknown types and settings are refused when a config is loaded; what is known to some class passes."""

import time
from pathlib import Path

import mmdet
import pytest
from mmengine.config import Config

from sparse_rcnn_ext.engine.config.config_check import check_config
from sparse_rcnn_ext.engine.config.run_config import load_config
from sparse_rcnn_ext.errors import UserError

REPO = Path(__file__).resolve().parents[3]
THEIRS = Path(mmdet.__file__).parent / '.mim/configs'
OURS = [path for path in sorted(REPO.glob('configs/**/*.py')) if not path.stem.endswith('own-data')]
RECIPE = REPO / 'configs/sparse_rcnn/sparse-rcnn_r50_fpn_1x_coco.py'


def mistake(settings: dict) -> str:
    cfg = Config.fromfile(RECIPE)
    cfg.merge_from_dict(settings)
    with pytest.raises(UserError) as error:
        check_config(cfg, 'my.py')
    return str(error.value)


def test_no_false_alarm_on_our_configs():
    assert len(OURS) > 40
    for path in OURS:
        check_config(Config.fromfile(path), str(path))


@pytest.mark.parametrize('folder', ['sparse_rcnn', 'faster_rcnn', 'retinanet', 'detr', 'dino', 'yolox', 'mask_rcnn'])
def test_no_false_alarm_on_configs_of_mmdet(folder):
    paths = sorted(THEIRS.glob(f'{folder}/*.py'))
    if not paths:
        pytest.skip('mmdet was installed without its configs')
    for path in paths:
        check_config(Config.fromfile(path), str(path))


def test_class_weights_of_any_loss_pass():
    cfg = Config.fromfile(RECIPE)
    cfg.merge_from_dict({'model.criterion.loss_cls.class_weight': [1.0] * 80})
    check_config(cfg, 'my.py')


@pytest.mark.parametrize(
    ('setting', 'value', 'sentence'),
    [
        ('model.type', 'SparseRCN', 'which does not exist: did you mean SparseRCNN?'),
        ('model.roi_head.type', 'sparse_rcnn_ext.SparseRoiHead', 'did you mean sparse_rcnn_ext.SparseRoIHead?'),
        ('model.backbone.type', 'ResNeet', 'did you mean ResNet?'),
        ('model.rpn_head.type', 'nowhere.EmbeddingRPNHead', 'did you mean EmbeddingRPNHead?'),
        ('train_dataloader.dataset.pipeline.1.type', 'LoadAnotations', 'did you mean LoadAnnotations?'),
        ('train_dataloader.dataset.type', 'mmdet.CocoDatasset', 'did you mean CocoDataset?'),
        ('test_evaluator.type', 'CocoMetrik', 'did you mean CocoMetric?'),
        ('optim_wrapper.optimizer.type', 'AdamX', 'did you mean Adam'),
        ('param_scheduler.0.type', 'LinearL', 'did you mean LinearLR?'),
        ('default_hooks.logger.type', 'LogerHook', 'did you mean LoggerHook?'),
        ('visualizer.vis_backends.0.type', 'LocalVisBackends', 'did you mean LocalVisBackend?'),
        ('train_cfg.type', 'EpochTrainLoop', 'did you mean EpochBasedTrainLoop?'),
    ],
)
def test_unknown_type(setting, value, sentence):
    text = mistake({setting: value})
    assert text.startswith(f'{setting} in my.py is {value}, which does not exist: did you mean')
    assert sentence in text


@pytest.mark.parametrize(
    ('setting', 'meant'),
    [
        ('model.rpn_head.num_proposal', 'num_proposals'),
        ('model.bakbone', 'backbone'),
        ('model.roi_head.bbox_head.num_class', 'num_classes'),
        ('model.backbone.with_cpp', 'with_cp'),
        ('train_dataloader.batch_sise', 'batch_size'),
        ('train_dataloader.dataset.indice', 'indices'),
        ('train_dataloader.sampler.shufle', 'shuffle'),
        ('val_evaluator.ann_fil', 'ann_file'),
        ('optim_wrapper.optimizer.weight_decai', 'weight_decay'),
        ('optim_wrapper.clip_gard', 'clip_grad'),
        ('param_scheduler.0.begn', 'begin'),
        ('train_cfg.max_epoch', 'max_epochs'),
        ('default_hooks.checkpoint.intervall', 'interval'),
        ('randomness.sed', 'seed'),
        ('env_cfg.mp_cfg.mp_start', 'mp_start_method'),
        ('auto_scale_lr.base_batch', 'base_batch_size'),
    ],
)
def test_setting_that_its_class_does_not_take(setting, meant):
    text = mistake({setting: 1})
    assert text.startswith(f'{setting} in my.py is nothing that ')
    assert text.endswith(f': did you mean {meant}?')


@pytest.mark.parametrize(
    ('name', 'value', 'without'), [('persistent_workers', True, False), ('prefetch_factor', 2, None), ('timeout', 9, 0)]
)
def test_settings_of_workers_without_any(name, value, without):
    none = {'val_dataloader.num_workers': 0, 'val_dataloader.persistent_workers': False}
    text = mistake({**none, f'val_dataloader.{name}': value})
    assert text == (
        f'val_dataloader.{name} in my.py is {value}, which needs workers: '
        f'set it to {without}, or val_dataloader.num_workers to at least 1'
    )


@pytest.mark.parametrize('value', [-1, 2.5, float('inf'), 'two', None, True])
def test_a_number_of_workers_that_is_none(value):
    text = mistake({'train_dataloader.num_workers': value})
    assert text == f'train_dataloader.num_workers in my.py is {value!r}: set it to a number of processes, 0 or more'


@pytest.mark.parametrize(('name', 'value'), [('sampler', 'DefaultSampler'), ('sampler', 2), ('batch_sampler', [1])])
def test_a_sampler_that_is_no_dict(name, value):
    text = mistake({f'val_dataloader.{name}': value})
    assert text == f'val_dataloader.{name} in my.py is {value!r}: set it to a dict of settings'


def test_nothing_near():
    assert mistake({'model.xyz': 3}) == (
        'model.xyz in my.py is nothing that sparse_rcnn_ext.SparseRCNN takes: there are backbone, criterion, '
        'data_preprocessor, denoising, init_cfg, neck, roi_head, rpn_head, test_cfg, train_cfg'
    )


def test_hook_without_a_type():
    assert mistake({'default_hooks.chekpoint': dict(interval=1)}) == (
        'default_hooks.chekpoint in my.py has no type: did you mean checkpoint?'
    )


def test_no_dict():
    assert mistake({'model': 3}) == 'model in my.py is 3: set it to a dict of settings'
    assert mistake({'model.neck.type': [1]}) == 'model.neck.type in my.py is [1]: set it to the name of a class'


@pytest.mark.parametrize(
    'settings',
    [
        {'train_dataloader.dataset.indices': 4},
        {'model.backbone.with_cp': True, 'model.roi_head.with_cp': True},
        {'optim_wrapper.paramwise_cfg.custom_keys.backbone.lr_mult': 0.1},
        {'optim_wrapper.type': 'AmpOptimWrapper', 'optim_wrapper.dtype': 'bfloat16'},
        {'train_dataloader.dataset.metainfo.palette': []},
        {'env_cfg.dist_cfg.timeout': 1800},
        {'visualizer.vis_backends.0': dict(type='WandbVisBackend', init_kwargs=dict(project='x'))},
        {'custom_hooks': [dict(type='EMAHook', ema_type='ExpMomentumEMA', momentum=0.1, gamma=10, priority=49)]},
        {'default_hooks.checkpoint.save_best': 'auto', 'default_hooks.logger': None},
        {'train_dataloader.num_workers': 0, 'train_dataloader.persistent_workers': False},
        {'train_dataloader.collate_fn': dict(type='pseudo_collate'), 'train_dataloader.num_batch_per_epoch': 2},
        {'model.neck.norm_cfg': dict(type='GN', num_groups=4, requires_grad=True)},
    ],
)
def test_new_settings_that_are_read(settings):
    cfg = Config.fromfile(RECIPE)
    cfg.merge_from_dict(settings)
    check_config(cfg, 'my.py')


def test_found_in_a_file_too(tmp_path):
    path = tmp_path / 'child.py'
    path.write_text(f'_base_ = {str(RECIPE)!r}\nmodel = dict(rpn_head=dict(num_proposal=3))\n')
    with pytest.raises(UserError, match=r'^model\.rpn_head\.num_proposal in .*child\.py .* did you mean num_proposals'):
        load_config(str(path), None, None)


def test_takes_no_time():
    cfg = Config.fromfile(RECIPE)
    check_config(cfg, 'my.py')
    start = time.perf_counter()
    check_config(cfg, 'my.py')
    assert time.perf_counter() - start < 0.3

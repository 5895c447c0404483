"""The recipes: mmdet's in every number, short, buildable, and open to an override of one value."""

from pathlib import Path

import mmdet
import pytest
import torch
from mmdet.datasets import CocoDataset
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, init_default_scope

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
RECIPES = CONFIGS / 'sparse_rcnn'
MMDET_RECIPES = Path(mmdet.__file__).parent / '.mim/configs/sparse_rcnn'
EVERY_CONFIG = sorted(path.relative_to(CONFIGS).as_posix() for path in RECIPES.rglob('*.py'))
SHARED_WITH_MMDET = [
    'sparse-rcnn_r50_fpn_1x_coco',
    'sparse-rcnn_r50_fpn_ms-480-800-3x_coco',
    'sparse-rcnn_r101_fpn_ms-480-800-3x_coco',
    'sparse-rcnn_r50_fpn_300-proposals_crop-ms-480-800-3x_coco',
    'sparse-rcnn_r101_fpn_300-proposals_crop-ms-480-800-3x_coco',
]
SAME_PARTS = [
    'train_dataloader',
    'val_dataloader',
    'test_dataloader',
    'train_cfg',
    'val_cfg',
    'test_cfg',
    'param_scheduler',
    'optim_wrapper',
    'auto_scale_lr',
    'default_scope',
    'default_hooks',
    'env_cfg',
    'visualizer',
    'log_processor',
    'log_level',
    'load_from',
    'resume',
]
# They compute their rates of stochastic depth as tensors.
NOT_ON_META = ('SwinTransformer', 'PyramidVisionTransformerV2')
OUR_HOOKS = {
    'checkpoint_fit': 'CheckpointFitHook',
    'class_names': 'ClassNamesHook',
    'cpu_memory': 'CpuMemoryHook',
    'finite_loss': 'FiniteLossHook',
    'garbage': 'GarbageHook',
    'held_out': 'HeldOutHook',
    'image_channels': 'ImageChannelsHook',
    'report': 'ReportHook',
    'exact_resume': 'ExactResumeHook',
    'resume_changes': 'ResumeChangesHook',
    'stop_signal': 'StopSignalHook',
}


def build_model(cfg: Config):
    init_default_scope(cfg.default_scope)
    return MODELS.build(cfg.model)


def mmdet_model(model: dict) -> dict:
    """mmdet's model config in our words; every key of it is used up, so none can be overlooked."""
    model = Config(model).to_dict()
    roi_head, train_cfg, test_cfg = model.pop('roi_head'), model.pop('train_cfg'), model.pop('test_cfg')
    stages = roi_head.pop('num_stages')
    assert roi_head.pop('stage_loss_weights') == [1] * stages, 'ours weighs all stages alike'
    heads, matchings = roi_head.pop('bbox_head'), train_cfg.pop('rcnn')
    assert heads == [heads[0]] * stages and matchings == [matchings[0]] * stages, 'ours has one template'
    head, matching = heads[0], matchings[0]
    extractor, conv = roi_head.pop('bbox_roi_extractor'), head['dynamic_conv_cfg']
    channels = model['rpn_head']['proposal_feature_channel']

    # Values that ours has no second place for: they must agree with the first.
    assert roi_head.pop('proposal_feature_channel') == extractor.pop('out_channels') == head['in_channels'] == channels
    assert conv.pop('in_channels') == conv.pop('out_channels') == channels
    assert conv.pop('input_feat_shape') == extractor['roi_layer']['output_size']
    # Fixed in our code, where the parity tests cover them.
    assert conv.pop('norm_cfg') == {'type': 'LN'}
    assert conv.pop('act_cfg') == head.pop('ffn_act_cfg') == {'type': 'ReLU', 'inplace': True}
    coder = {'type': 'DeltaXYWHBBoxCoder', 'clip_border': False}
    coder |= {'target_means': [0.0, 0.0, 0.0, 0.0], 'target_stds': [0.5, 0.5, 1.0, 1.0]}
    assert head.pop('bbox_coder') == coder
    assert matching.pop('sampler') == {'type': 'PseudoSampler'} and matching.pop('pos_weight') == 1
    assert extractor.pop('type') == 'SingleRoIExtractor' and extractor['roi_layer'].pop('type') == 'RoIAlign'
    assert roi_head.pop('type') == 'SparseRoIHead' and train_cfg.pop('rpn') is None and test_cfg.pop('rpn') is None
    costs = matching.pop('assigner').pop('match_costs')
    assert costs[1].pop('box_format') == 'xyxy'
    detections = test_cfg.pop('rcnn')
    assert not roi_head and not train_cfg and not test_cfg and not matching, 'a part of mmdet config is not compared'
    return {
        'parts': model,
        'stages': stages,
        'roi_features': {'featmap_strides': extractor.pop('featmap_strides')} | extractor.pop('roi_layer'),
        'costs': costs,
        'losses': {name: head.pop(name) for name in ('loss_cls', 'loss_bbox', 'loss_iou')},
        'head': head,
        'unused': extractor,
        'detections': detections,
    }


def our_model(model: dict) -> dict:
    """Our model config, cut in the same way."""
    model = Config(model).to_dict()
    roi_head, criterion, test_cfg = model.pop('roi_head'), model.pop('criterion'), model.pop('test_cfg')
    features, head = roi_head.pop('roi_features'), roi_head.pop('bbox_head')
    stages = roi_head.pop('num_stages')
    assert features.pop('finest_scale') == 56, 'the default of mmdet SingleRoIExtractor'
    assert features.pop('type') == 'sparse_rcnn_ext.RoIFeatures'
    assert roi_head == {'type': 'sparse_rcnn_ext.SparseRoIHead'}
    costs = criterion.pop('assigner').pop('match_costs')
    assert criterion.pop('type') == 'sparse_rcnn_ext.SparseRCNNCriterion'
    for part in (model, model['rpn_head'], head, head['dynamic_conv_cfg'], *costs.values()):
        part['type'] = part['type'].removeprefix('sparse_rcnn_ext.')
    assert test_cfg.pop('num_stages') is None and test_cfg.pop('clip_boxes') is True
    if test_cfg['max_per_img'] is None:
        test_cfg['max_per_img'] = model['rpn_head']['num_proposals']
    return {
        'parts': model,
        'stages': stages,
        'roi_features': features,
        'costs': [costs[name] for name in ('cls', 'bbox', 'iou')],
        'losses': criterion,
        'head': head,
        'unused': {},
        'detections': test_cfg,
    }


@pytest.fixture(scope='module', params=SHARED_WITH_MMDET)
def both(request) -> tuple[Config, Config]:
    theirs = MMDET_RECIPES / f'{request.param}.py'
    if not theirs.is_file():
        pytest.skip(f'this mmdet was installed without its configs ({MMDET_RECIPES})')
    return Config.fromfile(RECIPES / theirs.name), Config.fromfile(theirs)


def in_mmdet_words(part: dict) -> dict:
    """A part of our config without what is ours: names that are looked up, and hooks that leave the model alone."""
    if isinstance(part, list):
        return [in_mmdet_words(child) for child in part]
    if not isinstance(part, dict):
        return part
    part = {key: in_mmdet_words(value) for key, value in part.items()}
    if part.get('type') == 'sparse_rcnn_ext.CocoDataset':
        part['type'] = 'CocoDataset'
        assert part.pop('metainfo') == {'classes': CocoDataset.METAINFO['classes']}
    if part.get('type') == 'sparse_rcnn_ext.CocoMetric':
        part['type'] = 'CocoMetric'
    if part.get('type') == 'sparse_rcnn_ext.AtomicCheckpointHook':
        part['type'] = 'CheckpointHook'
    for name, type_ in OUR_HOOKS.items():
        if name in part:
            assert part.pop(name) == {'type': f'sparse_rcnn_ext.{type_}'}
    return part


@pytest.mark.parametrize('part', SAME_PARTS)
def test_equals_mmdet(both, part):
    ours, theirs = (cfg.to_dict()[part] for cfg in both)
    assert in_mmdet_words(ours) == theirs


def test_ours_is_named_as_ours(both):
    """So that the comparison with mmdet does not pass by comparing nothing of ours."""
    ours, _ = both
    for split in ('train', 'val', 'test'):
        assert ours[f'{split}_dataloader'].dataset.type == 'sparse_rcnn_ext.CocoDataset'
    assert ours.val_evaluator.type == ours.test_evaluator.type == 'sparse_rcnn_ext.CocoMetric'
    assert set(OUR_HOOKS) <= set(ours.default_hooks)


def test_no_part_of_mmdet_is_left_out(both):
    ours, theirs = both
    leftover = set(theirs.to_dict()) - {*SAME_PARTS, 'model', 'val_evaluator', 'test_evaluator'}
    # Intermediate names of mmdet's config files, which the parts above are made of.
    leftover -= {'num_stages', 'num_proposals', 'max_epochs', 'dataset_type', 'data_root', 'backend_args'}
    assert leftover == {'train_pipeline', 'test_pipeline', 'vis_backends'}
    assert all(ours[name] == theirs[name] for name in leftover)


def test_model_equals_mmdet(both):
    ours, theirs = both
    assert our_model(ours.model) == mmdet_model(theirs.model)


@pytest.mark.parametrize('split', ['val', 'test'])
def test_evaluator_differs_from_mmdet_by_max_dets_only(both, split):
    ours, theirs = (cfg.to_dict()[f'{split}_evaluator'] for cfg in both)
    assert ours.pop('proposal_nums') == (1, 10, 100)
    assert in_mmdet_words(ours) == theirs


def innermost_datasets(dataset):
    """The data sets that images come from, below those that wrap or join them."""
    parts = dataset.get('datasets') or [part for part in [dataset.get('dataset')] if part]
    return [inner for part in parts for inner in innermost_datasets(part)] or [dataset]


@pytest.mark.parametrize('name', EVERY_CONFIG)
def test_builds(name, own_data_folder):
    cfg = Config.fromfile(CONFIGS / name)
    # Shapes without values, which take most of the time.
    with torch.device('cpu' if cfg.model.backbone.type in NOT_ON_META else 'meta'):
        model = build_model(cfg)
    for split in ('train', 'val', 'test'):
        for dataset in innermost_datasets(cfg[f'{split}_dataloader'].dataset):
            assert len(Compose(dataset.pipeline).transforms) == len(dataset.pipeline)
    optimizer = build_optim_wrapper(model, cfg.optim_wrapper).optimizer
    trained = {id(parameter) for group in optimizer.param_groups for parameter in group['params']}
    # Under a paramwise_cfg, mmengine leaves out those that are frozen.
    assert trained >= {id(parameter) for parameter in model.parameters() if parameter.requires_grad}
    assert trained <= {id(parameter) for parameter in model.parameters()}
    groups = cfg.optim_wrapper.get('paramwise_cfg', {}).get('custom_keys', {}).values()
    largest = cfg.optim_wrapper.optimizer.lr * max([1.0, *(group.get('lr_mult', 1.0) for group in groups)])
    assert max(group['lr'] for group in optimizer.param_groups) == pytest.approx(largest)


# The 640-pixel recipe stands in one file, with all that it lets change.
@pytest.mark.parametrize('name', [name for name in EVERY_CONFIG if '_coco' in name and '_640-' not in name])
def test_at_most_15_lines(name):
    lines = [line.strip() for line in (CONFIGS / name).read_text().splitlines()]
    assert 0 < len([line for line in lines if line and not line.startswith('#')]) <= 15


@pytest.mark.parametrize(
    ('override', 'expected'),
    [
        ('roi_head=dict(num_stages=2)', (2, 100, 80)),
        ('rpn_head=dict(num_proposals=7)', (6, 7, 80)),
        ('roi_head=dict(bbox_head=dict(num_classes=3))', (6, 100, 3)),
    ],
)
def test_one_value_overrides(tmp_path, override, expected):
    child = tmp_path / 'child.py'
    child.write_text(f'_base_ = {str(RECIPES / "sparse-rcnn_r50_fpn_1x_coco.py")!r}\nmodel = dict({override})\n')
    model = build_model(Config.fromfile(child))
    stages, proposals, classes = expected
    assert len(model.roi_head.bbox_head) == stages
    assert model.rpn_head.init_proposal_bboxes.weight.shape == (proposals, 4)
    assert model.rpn_head.init_proposal_features.weight.shape == (proposals, 256)
    assert {head.fc_cls.out_features for head in model.roi_head.bbox_head} == {classes}

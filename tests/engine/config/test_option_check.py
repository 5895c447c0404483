"""An option that nothing reads is refused, where mmengine adds it silently."""

import re
from pathlib import Path

import pytest
from mmengine.config import Config, DictAction

from sparse_rcnn_ext.engine.config.run_config import load_config
from sparse_rcnn_ext.errors import UserError

REPO = Path(__file__).resolve().parents[3]
RECIPE = REPO / 'configs/sparse_rcnn/sparse-rcnn_r50_fpn_1x_coco.py'
KNOBS = REPO / 'configs/sparse_rcnn/sparse-rcnn_r50_fpn_128-proposals_640-3x_coco.py'


@pytest.mark.parametrize(
    ('option', 'sentence'),
    [
        ('trian_cfg.max_epochs', 'has no setting trian_cfg, and nothing reads one: did you mean train_cfg?'),
        ('train_pipeline.2.prob', 'train_pipeline has done its work: name the setting that was made of it, such as '),
        ('resum', 'has no setting resum, and nothing reads one: did you mean resume?'),
        ('nothing', 'has no setting nothing, and nothing reads one: there are '),
        ('default_hooks.chekpoint.interval', 'has no chekpoint there: did you mean checkpoint?'),
        ('env_cfg.cudnn_benchmrk', 'has no cudnn_benchmrk there: did you mean cudnn_benchmark?'),
        ('model.test_cfg.max_per_imgs', 'has no max_per_imgs there: did you mean max_per_img?'),
        ('train_dataloader.dataset.pipeline.9.type', 'is a list of 5: give a number from 0 to 4 in the place of 9'),
        ('train_dataloader.dataset.pipeline.5.type', 'is a list of 5: give a number from 0 to 4 in the place of 5'),
        ('param_scheduler.first.end', 'is a list of 2: give a number from 0 to 1 in the place of first'),
    ],
)
def test_unknown_option(option, sentence):
    Config.fromfile(RECIPE)  # evaluates
    with pytest.raises(UserError) as error:
        load_config(str(RECIPE), {option: 1}, None)
    assert str(error.value).startswith(f'--cfg-options {option}: ')
    assert sentence in str(error.value)


def test_the_stack_alone_adds_it():
    cfg = Config.fromfile(RECIPE)
    cfg.merge_from_dict({'trian_cfg.max_epochs': 1})
    assert cfg.trian_cfg.max_epochs == 1


def test_option_that_its_class_does_not_take():
    with pytest.raises(UserError, match=r'^model\.rpn_head\.num_proposal in .* did you mean num_proposals\?$'):
        load_config(str(RECIPE), {'model.rpn_head.num_proposal': 3}, None)


def test_knobs():
    assert load_config(str(KNOBS), {'long_side': 512, 'debug': 16}, None).train_dataloader.dataset.indices == 16
    with pytest.raises(UserError, match=r'has no setting long_sid, and nothing reads one: did you mean long_side\?$'):
        load_config(str(KNOBS), {'long_sid': 512}, None)


@pytest.mark.parametrize(
    'options',
    [
        {'load_from': 'a.pth', 'resume': True, 'work_dir': 'a', 'randomness.seed': 1, 'auto_scale_lr.enable': True},
        {'compile': True, 'sync_bn': 'torch', 'find_unused_parameters': True, 'experiment_name': 'x'},
        {'custom_hooks': [], 'model_wrapper_cfg.type': 'MMDistributedDataParallel', 'tta_views.flip': False},
        {'default_hooks.ema.type': 'EMAHook', 'train_dataloader.dataset.metainfo.palette': [(1, 2, 3)]},
        {'optim_wrapper.paramwise_cfg.custom_keys.backbone.lr_mult': 0.1, 'env_cfg.dist_cfg.timeout': 1},
    ],
)
def test_options_that_are_read(options):
    load_config(str(RECIPE), options, None)


def test_options_of_the_documents():
    """Whatever stands after --cfg-options in a document fits the recipe of its command, or the default one."""
    seen = 0
    for document in [REPO / 'README.md', *REPO.glob('docs/*.md'), REPO / 'configs/sparse_rcnn/README.md']:
        text = document.read_text().replace('\\\n', ' ')
        for line in text.splitlines():
            before, found, after = line.partition('--cfg-options ')
            words = re.findall(r'["`]?([a-z_][\w.]*=(?:\([^)]*\)|[^\s"`]+))', after)
            if not found or not words or '=…' in after or 'data_root=' in after:
                continue
            config = re.search(r'configs/sparse_rcnn/\S+\.py', before)
            options = dict(word.split('=', 1) for word in words)
            values = {name: DictAction._parse_iterable(value.rstrip(';,.')) for name, value in options.items()}
            load_config(str(REPO / config[0]) if config else str(RECIPE), values, None)
            seen += 1
    assert seen >= 8

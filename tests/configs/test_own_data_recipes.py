"""The recipes for one's own data: the folder is all that has to be set."""

import shutil
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import DATASETS, MODELS

from sparse_rcnn_ext.engine.config.run_config import load_config
from sparse_rcnn_ext.errors import UserError

RECIPES = Path(__file__).resolve().parents[2] / 'configs/sparse_rcnn'
NAMES = ['sparse-rcnn_r50_fpn_own-data.py', 'sparse-rcnn_lite0_fpn_own-data.py']


@pytest.mark.parametrize('name', NAMES)
def test_classes_and_splits_are_read(name, own_data_folder):
    cfg = Config.fromfile(RECIPES / name)
    heads = MODELS.build(cfg.model).roi_head.bbox_head
    assert {head.fc_cls.out_features for head in heads} == {2}
    assert cfg.classes == ('cat', 'dog')
    for split, files in (('train', ['0.png', '1.png']), ('val', ['10.png', '11.png']), ('test', ['10.png', '11.png'])):
        dataset = DATASETS.build(cfg[f'{split}_dataloader'].dataset)
        assert dataset.metainfo['classes'] == ('cat', 'dog')
        samples = [dataset[index] for index in range(2)]
        assert [Path(sample['data_samples'].img_path).name for sample in samples] == files
        for sample in samples:
            assert sample['data_samples'].gt_instances.labels.tolist() == [0, 1]
            sides = max(sample['inputs'].shape) / cfg.long_side
            assert 0.74 < sides < 1.26 if split == 'train' else sides == 1
    assert Config.fromstring(cfg.pretty_text, '.py').to_dict() == cfg.to_dict(), 'a resumed run reads it back'


@pytest.mark.parametrize('name', NAMES)
def test_knobs(name, own_data_folder):
    shutil.move('data/mine', 'elsewhere')
    values = dict(data_root='elsewhere', long_side=96, num_proposals=7, batch_size=1, base_lr=3e-4, max_epochs=4)
    cfg = load_config(str(RECIPES / name), values | dict(num_workers=0, load_from='start.pth'), None)
    assert (cfg.train_cfg.max_epochs, cfg.param_scheduler[1].end, cfg.param_scheduler[1].T_max) == (4, 4, 4)
    assert cfg.optim_wrapper.optimizer.lr == 3e-4
    assert cfg.model.rpn_head.num_proposals == 7
    assert cfg.load_from == 'start.pth'
    for split in ('train', 'val', 'test'):
        loader = cfg[f'{split}_dataloader']
        assert (loader.num_workers, loader.persistent_workers) == (0, False)
        assert loader.dataset.data_root == 'elsewhere/'
        (resize,) = [step for step in loader.dataset.pipeline if 'scale' in step]
        assert resize.scale == (96, 96)
    assert cfg.train_dataloader.batch_size == 1
    assert cfg.val_evaluator.ann_file == cfg.test_evaluator.ann_file == 'elsewhere/valid/_annotations.coco.json'


@pytest.mark.parametrize('name', NAMES)
def test_wrong_knobs_are_one_sentence(name, own_data_folder):
    with pytest.raises(UserError, match=r'^there is no folder nowhere below the current folder'):
        load_config(str(RECIPES / name), dict(data_root='nowhere'), None)
    with pytest.raises(UserError, match=r'^max_epochs is 0: set it to a whole number of at least 1$'):
        load_config(str(RECIPES / name), dict(max_epochs=0), None)

"""What all rows share, and what tells trainings apart."""

from pathlib import Path

import pytest
from mmengine.config import Config

from sparse_rcnn_ext.ablation import fingerprint, last_checkpoint_name, load_base, training_length
from sparse_rcnn_ext.errors import UserError

QUICKSTART = 'configs/sparse_rcnn/sparse-rcnn_lite0_fpn_shapes.py'


def test_recipe_without_validation(repo_dir: Path):
    cfg = load_base(repo_dir / QUICKSTART, {'data_root': 'elsewhere/', 'model.roi_head.num_stages': 2}, 4)
    assert cfg.train_cfg.max_epochs == 4 and cfg.param_scheduler[1].T_max == 4
    assert cfg.model.roi_head.num_stages == 2
    assert cfg.train_dataloader.dataset.data_root == 'elsewhere/'
    assert cfg.test_evaluator.ann_file == 'elsewhere/annotations/instances_val.json'
    assert cfg.val_cfg is cfg.val_dataloader is cfg.val_evaluator is None
    assert cfg.test_dataloader is not None
    assert 'work_dir' not in cfg


def test_recipe_with_validation(repo_dir: Path):
    cfg = load_base(repo_dir / QUICKSTART, None, 4, 2)
    assert cfg.train_cfg.val_interval == 2 and cfg.val_dataloader is not None
    with pytest.raises(UserError, match=r'has no val_cfg: give it one, or leave --val-interval out$'):
        load_base(repo_dir / QUICKSTART, dict(val_cfg=None, val_dataloader=None, val_evaluator=None), 4, 2)


def test_nothing_waits_for_a_validation(repo_dir: Path):
    path = repo_dir / 'configs/sparse_rcnn/sparse-rcnn_r50_fpn_128-proposals_640-3x_coco.py'
    checkpoint = load_base(path, None, None).default_hooks.checkpoint
    assert 'save_best' in Config.fromfile(path).default_hooks.checkpoint
    assert checkpoint == dict(type='sparse_rcnn_ext.AtomicCheckpointHook', interval=1, max_keep_ckpts=2)


@pytest.mark.parametrize(
    ('train_cfg', 'length', 'checkpoint'),
    [
        (dict(max_epochs=12), '12 epochs', 'epoch_12.pth'),
        (dict(max_epochs=1), '1 epoch', 'epoch_1.pth'),
        (dict(max_iters=900), '900 iterations', 'iter_900.pth'),
    ],
)
def test_length(train_cfg: dict, length: str, checkpoint: str):
    cfg = Config(dict(train_cfg=train_cfg))
    assert training_length(cfg) == length
    assert last_checkpoint_name(cfg) == checkpoint


def test_fingerprint_follows_every_setting():
    one = Config(dict(lr=0.1, model=dict(depth=2, sizes=[1, 2])))
    same = Config(dict(model=dict(sizes=[1, 2], depth=2), lr=0.1))
    assert fingerprint(one, 'data') == fingerprint(same, 'data')
    others = [
        fingerprint(Config(dict(lr=0.1, model=dict(depth=2, sizes=[2, 1]))), 'data'),
        fingerprint(Config(dict(lr=0.2, model=dict(depth=2, sizes=[1, 2]))), 'data'),
        fingerprint(one, 'other data'),
        fingerprint(one, 'data', 2),
    ]
    assert len({fingerprint(one, 'data'), *others}) == 5

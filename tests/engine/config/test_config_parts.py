"""What a config's part is, in every form of its type."""

from pathlib import Path

import pytest
from mmdet.datasets.transforms import Resize
from mmdet.evaluation import CocoMetric as MMDetCocoMetric
from mmdet.models import L1Loss
from mmengine.config import Config
from mmengine.model import PretrainedInit
from mmengine.registry import MODELS

from sparse_rcnn_ext.engine.config.config_parts import is_part, part_class, part_name, scope_of, walk_evaluators
from sparse_rcnn_ext.engine.config.pretrained import pretrained_settings
from sparse_rcnn_ext.engine.config.run_config import load_config
from sparse_rcnn_ext.errors import UserError
from sparse_rcnn_ext.evaluation import CocoMetric

OURS = 'sparse_rcnn_ext.evaluation.coco_metric.CocoMetric'
# mmdet.models.losses exports a function of this module's name.
SHADOWED = 'mmdet.models.losses.smooth_l1_loss'


@pytest.mark.parametrize('kind', ['Resize', 'mmdet.Resize', 'mmdet.datasets.transforms.transforms.Resize', Resize])
def test_one_transform_in_its_forms(kind):
    assert part_class(dict(type=kind), 'test_dataloader') is Resize
    assert is_part(dict(type=kind), Resize, 'test_dataloader')
    assert not is_part(dict(type=kind), PretrainedInit, 'test_dataloader')


def test_scopes():
    assert scope_of(Config(dict(default_scope=None))) == scope_of(Config()) == 'mmdet'
    assert scope_of(Config(dict(default_scope='mmengine'))) == 'mmengine'
    assert part_class(dict(type='CocoMetric'), 'test_evaluator') is MMDetCocoMetric
    assert part_class(dict(type='CocoMetric', _scope_='sparse_rcnn_ext'), 'test_evaluator') is CocoMetric
    assert part_class(dict(type='Resize'), 'test_dataloader', 'mmengine') is not Resize


def test_what_is_nothing():
    assert part_class(dict(scale=1), 'test_dataloader') is None
    assert part_class(dict(type='NoSuchThing'), 'test_dataloader') is None
    assert not is_part(dict(type='NoSuchThing'), object, 'test_dataloader')


@pytest.mark.parametrize('kind', ['sparse_rcnn_ext.CocoMetric', OURS, CocoMetric])
def test_ours_is_one_of_mmdets_kind_too(kind):
    assert is_part(dict(type=kind), MMDetCocoMetric, 'val_evaluator')
    assert part_name(dict(type=kind)) in ('sparse_rcnn_ext.CocoMetric', OURS)


def test_metrics_of_evaluators():
    metrics = [dict(type='CocoMetric'), dict(type='VOCMetric')]
    assert list(walk_evaluators(metrics[0], 'e')) == [('e', metrics[0])]
    assert list(walk_evaluators(metrics, 'e')) == [('e.0', metrics[0]), ('e.1', metrics[1])]
    several = dict(type='MultiDatasetsEvaluator', metrics=metrics, dataset_prefixes=['a', 'b'])
    assert list(walk_evaluators(several, 'e')) == [('e.metrics.0', metrics[0]), ('e.metrics.1', metrics[1])]
    assert list(walk_evaluators(None, 'e')) == []


@pytest.mark.parametrize('kind', ['Pretrained', PretrainedInit, 'mmengine.model.weight_init.PretrainedInit'])
def test_pretrained_weights(kind):
    backbone = dict(type='ResNet', init_cfg=dict(type=kind, checkpoint='a.pth'))
    assert list(pretrained_settings(dict(backbone=backbone))) == [('model.backbone.init_cfg', 'a.pth')]


def write(folder: Path, name: str, *lines: str) -> str:
    path = folder / f'{name}.py'
    path.write_text('\n'.join([*lines, '']))
    return str(path)


def test_class_of_a_module_with_the_name_of_a_function(tmp_path):
    """In pure Python; as text; and in the copy that a run leaves."""
    pure = write(tmp_path, 'pure', f'from {SHADOWED} import L1Loss', 'model = dict(type=L1Loss, loss_weight=2.0)')
    text = write(tmp_path, 'text', f'model = dict(type="{SHADOWED}.L1Loss", loss_weight=2.0)')
    for path in (pure, text):
        cfg = load_config(path, None, None)
        cfg.dump(tmp_path / 'copy.py')
        copy = load_config(str(tmp_path / 'copy.py'), None, None)
        for loaded in (cfg, copy, Config.fromfile(tmp_path / 'copy.py')):
            loss = MODELS.build(loaded.model)
            assert type(loss) is L1Loss and loss.loss_weight == 2
    # It is mmengine that cannot do it.
    assert Config.fromfile(text).model.type == f'{SHADOWED}.L1Loss'
    with pytest.raises(KeyError, match='is not in the'):
        MODELS.build(Config.fromfile(text).model)


def test_mistakes_in_pure_python(tmp_path):
    header = f'from {SHADOWED} import L1Loss'
    path = write(tmp_path, 'pure', header, 'model = dict(type=L1Loss, loss_wait=2.0)')
    with pytest.raises(UserError, match=r'^model\.loss_wait in .*L1Loss takes: did you mean loss_weight\?$'):
        load_config(path, None, None)
    path = write(tmp_path, 'wrong', header, 'model = dict(type=L1Loss)', 'test_evaluator = dict(metrics=[3])')
    with pytest.raises(UserError, match=r'^test_evaluator\.metrics in .* is 3: set it to a dict of settings$'):
        load_config(path, None, None)


def test_a_name_means_the_same_in_every_tool(tmp_path):
    path = write(tmp_path, 'bare', 'default_scope = None', 'model = dict(type="ResNet", depth=18)')
    assert load_config(path, None, None).default_scope == 'mmdet'

"""What a config spells as mmdet does is refused in one sentence with our spelling, when the model is built."""

import pytest
from mmdet.registry import MODELS

from sparse_rcnn_ext.errors import UserError
from tests.models.small_model import small_config

COSTS = 'model.criterion.assigner.match_costs'


def refusal(**settings: object) -> str:
    """What is said of the small config with settings whose names have ``__`` for dots."""
    cfg = small_config()
    for name, value in settings.items():
        *owners, last = name.split('__')
        node = cfg.model
        for owner in owners:
            node = node[owner]
        node[last] = value
    with pytest.raises(UserError) as error:
        MODELS.build(cfg.model)
    return str(error.value)


@pytest.mark.parametrize(
    ('setting', 'name'),
    [
        ('rpn_head', 'EmbeddingRPNHead'),
        ('roi_head', 'SparseRoIHead'),
        ('roi_head__bbox_head', 'DIIHead'),
        ('roi_head__bbox_head__dynamic_conv_cfg', 'DynamicConv'),
        ('criterion__assigner', 'HungarianAssigner'),
        ('criterion__assigner__match_costs__cls', 'FocalLossCost'),
        ('criterion__assigner__match_costs__bbox', 'BBoxL1Cost'),
        ('criterion__assigner__match_costs__iou', 'IoUCost'),
    ],
)
def test_part_of_mmdet(setting, name):
    assert refusal(**{f'{setting}__type': name}) == (
        f"model.{setting.replace('__', '.')}.type is mmdet's {name}, which takes other inputs than ours: "
        f"set it to 'sparse_rcnn_ext.{name}'"
    )


def test_part_of_mmdet_under_a_name_that_we_lack():
    text = refusal(roi_head__roi_features=dict(type='SingleRoIExtractor'))
    assert text.endswith("set it to 'sparse_rcnn_ext.RoIFeatures'")


def test_list_of_stages():
    stage = small_config().model.roi_head.bbox_head
    assert refusal(roi_head__bbox_head=[stage] * 6) == (
        'model.roi_head.bbox_head is a list of 6: set it to one dict, the template of all stages, '
        'and num_stages to their number'
    )


def test_costs_without_names():
    costs = small_config().model.criterion.assigner.match_costs
    advice = 'give each cost a name, such as dict(cls=dict(type=…), bbox=dict(type=…), iou=dict(type=…))'
    assert refusal(criterion__assigner__match_costs=[*costs.values()]) == f'{COSTS} is a list: {advice}'
    assert refusal(criterion__assigner__match_costs=costs.iou) == f'{COSTS} is one cost: {advice}'
    assert refusal(criterion__assigner__match_costs__iou=2.0) == (
        f"{COSTS}.iou is 2.0: set it to one dict, of type 'sparse_rcnn_ext.IoUCost'"
    )


def test_settings_of_training_and_test():
    assert refusal(train_cfg=dict(rpn=None, rcnn=[dict(pos_weight=1)])) == (
        'model.train_cfg.rpn is nothing that a SparseRCNN reads: '
        'leave train_cfg out; the matching is model.criterion.assigner'
    )
    for name, settings in (
        ('rpn', dict(rpn=None, rcnn=dict(max_per_img=100))),
        ('nms', dict(max_per_img=3, nms=dict(iou_threshold=0.5))),
    ):
        text = refusal(test_cfg=settings)
        assert text.startswith(f'model.test_cfg.{name} is nothing that a SparseRCNN reads: there are max_per_img, ')


def test_empty_settings_pass():
    cfg = small_config()
    cfg.model.update(train_cfg=None, test_cfg=None)
    MODELS.build(cfg.model)

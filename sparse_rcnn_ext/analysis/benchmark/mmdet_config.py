"""The config of mmdet's own SparseRCNN that stands for the same network as one of ours."""

from mmengine.config import ConfigDict

from sparse_rcnn_ext.engine.config.config_parts import DEFAULT_SCOPE, find_parts, part_class, part_name
from sparse_rcnn_ext.errors import UserError

OURS = 'sparse_rcnn_ext.'
# What mmdet has too, under the same name without our scope.
SHARED = ('EmbeddingRPNHead', 'SparseRoIHead', 'DIIHead', 'DynamicConv', 'HungarianAssigner')
SHARED_COSTS = ('FocalLossCost', 'BBoxL1Cost', 'IoUCost')


def mmdet_model(model: ConfigDict) -> ConfigDict:
    """Write a model of ours as mmdet writes it.

    Args:
        model: The ``model`` of a config of this repository. Its backbone, neck and losses are passed on as they are.

    Returns:
        The config of mmdet's ``SparseRCNN``, with a sampler and an assigner for each stage.

    Raises:
        UserError: If it has a part that mmdet lacks.
    """
    rpn_head, roi_head, criterion = model.rpn_head, model.roi_head, model.criterion
    head, roi_features = roi_head.bbox_head, roi_head.roi_features
    for key, part in [('rpn_head', rpn_head), ('roi_head', roi_head), ('roi_head.bbox_head', head)]:
        _require(key, part, SHARED)
    _require('criterion', criterion, ('SparseRCNNCriterion',))
    _require('criterion.assigner', criterion.assigner, SHARED)
    _require('roi_head.roi_features', roi_features, ('RoIFeatures',))
    if head.get('attention_cfg'):
        _require('roi_head.bbox_head.attention_cfg', head.attention_cfg, ('ProposalSelfAttention',))
    num_stages, channels = roi_head.num_stages, head.in_channels
    train_cfg = dict(assigner=_assigner(criterion.assigner), sampler=dict(type='PseudoSampler'), pos_weight=1)
    weights = criterion.get('stage_loss_weights') or [1.0] * num_stages
    return ConfigDict(
        type='SparseRCNN',
        data_preprocessor=model.data_preprocessor,
        backbone=model.backbone,
        neck=model.neck,
        rpn_head=dict(
            type='EmbeddingRPNHead',
            num_proposals=rpn_head.num_proposals,
            proposal_feature_channel=rpn_head.proposal_feature_channel,
        ),
        roi_head=dict(
            type='SparseRoIHead',
            num_stages=num_stages,
            stage_loss_weights=list(weights),
            proposal_feature_channel=rpn_head.proposal_feature_channel,
            bbox_roi_extractor=roi_extractor(roi_features, channels),
            bbox_head=[_stage(head, criterion, roi_features.output_size) for _ in range(num_stages)],
        ),
        train_cfg=dict(rpn=None, rcnn=[train_cfg for _ in range(num_stages)]),
        test_cfg=dict(
            rpn=None,
            rcnn=dict(max_per_img=(model.get('test_cfg') or {}).get('max_per_img') or rpn_head.num_proposals),
        ),
    )


def roi_extractor(roi_features: ConfigDict, channels: int) -> dict:
    """mmdet's RoIAlign level by level, with the sizes of our ``roi_features``."""
    return dict(
        type='SingleRoIExtractor',
        roi_layer=dict(
            type='RoIAlign', output_size=roi_features.output_size, sampling_ratio=roi_features.sampling_ratio
        ),
        out_channels=channels,
        featmap_strides=list(roi_features.featmap_strides),
        finest_scale=roi_features.finest_scale,
    )


def _stage(head: ConfigDict, criterion: ConfigDict, roi_size: int) -> dict:
    dynamic_conv = head.dynamic_conv_cfg
    _require('roi_head.bbox_head.dynamic_conv_cfg', dynamic_conv, SHARED)
    same = ('num_classes', 'num_ffn_fcs', 'num_heads', 'num_cls_fcs', 'num_reg_fcs', 'feedforward_channels')
    relu = dict(type='ReLU', inplace=True)
    return dict(
        type='DIIHead',
        **{name: head[name] for name in same},
        in_channels=head.in_channels,
        dropout=head.dropout,
        ffn_act_cfg=relu,
        dynamic_conv_cfg=dict(
            type='DynamicConv',
            in_channels=head.in_channels,
            feat_channels=dynamic_conv.feat_channels,
            out_channels=head.in_channels,
            input_feat_shape=roi_size,
            act_cfg=relu,
            norm_cfg=dict(type='LN'),
        ),
        loss_bbox=criterion.loss_bbox,
        loss_iou=criterion.loss_iou,
        loss_cls=criterion.loss_cls,
        bbox_coder=dict(
            type='DeltaXYWHBBoxCoder',
            clip_border=False,
            target_means=[0.0, 0.0, 0.0, 0.0],
            target_stds=list(head.get('bbox_stds', (0.5, 0.5, 1.0, 1.0))),
        ),
    )


def _assigner(assigner: ConfigDict) -> dict:
    costs = []
    for name, cost in assigner.match_costs.items():
        kind = _require(f'criterion.assigner.match_costs.{name}', cost, SHARED_COSTS)
        settings = {key: value for key, value in cost.items() if key != 'type'}
        # Ours is in corners always; mmdet's is in centres unless it is told.
        if kind == 'BBoxL1Cost':
            settings['box_format'] = 'xyxy'
        costs.append(dict(type=kind, **settings))
    return dict(type='HungarianAssigner', match_costs=costs)


def _require(key: str, part: dict, known: tuple[str, ...]) -> str:
    """The name of a part without our scope, where mmdet has such a part."""
    kind = part_class(part, 'model')
    name = next((one for one in known if kind in find_parts(OURS + one, DEFAULT_SCOPE, 'model')), None)
    if name is None:
        raise UserError(
            f'model.{key} is a {part_name(part)}, which mmdet has no counterpart of: measure a config whose {key} is '
            f'one of {", ".join(OURS + name for name in known)}'
        )
    return name

# The query generator, denoising and MAL: the first two gain most, alone and together.
_base_ = '../sparse-rcnn_r50_fpn_ms-480-800-3x_coco.py'

proposals, channels = _base_.model.rpn_head.num_proposals, _base_.model.rpn_head.proposal_feature_channel
generator = dict(type='sparse_rcnn_ext.QueryGenerator', num_proposals=proposals, proposal_feature_channel=channels)
model = dict(
    rpn_head=dict(_delete_=True, **generator),
    denoising=dict(type='sparse_rcnn_ext.BoxDenoising', in_channels=channels, num_groups=5, noise=0.4),
    criterion=dict(loss_cls=dict(_delete_=True, type='sparse_rcnn_ext.MatchabilityAwareLoss', gamma=1.5)),
)

# Proposals that are found in the image, and two stages: the fast recipe.
_base_ = '../sparse-rcnn_r50_fpn_ms-480-800-3x_coco.py'

model = dict(
    rpn_head=dict(
        _delete_=True,
        type='sparse_rcnn_ext.QueryGenerator',
        num_proposals=_base_.model.rpn_head.num_proposals,
        proposal_feature_channel=_base_.model.rpn_head.proposal_feature_channel,
    ),
    roi_head=dict(num_stages=2),
)

# Scores that say how good the box is: the loss and the matching of Stable-DINO.
_base_ = '../sparse-rcnn_r50_fpn_ms-480-800-3x_coco.py'

model = dict(
    criterion=dict(
        assigner=dict(
            match_costs=dict(cls=dict(_delete_=True, type='sparse_rcnn_ext.PositionModulatedCost', weight=2.0))
        ),
        loss_cls=dict(_delete_=True, type='sparse_rcnn_ext.PositionSupervisedLoss', gamma=2.0, loss_weight=6.0),
    )
)

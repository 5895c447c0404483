# Class, L1 and GIoU weigh alike in the matching, and 2, 5 and 2 in the loss as ever.
_base_ = '../sparse-rcnn_r50_fpn_ms-480-800-3x_coco.py'

model = dict(
    criterion=dict(assigner=dict(match_costs=dict(cls=dict(weight=1.0), bbox=dict(weight=1.0), iou=dict(weight=1.0))))
)

# Softmax over the classes and "no object", which weighs 0.1, in place of the focal loss.
_base_ = '../sparse-rcnn_r50_fpn_ms-480-800-3x_coco.py'

model = dict(
    roi_head=dict(bbox_head=dict(type='sparse_rcnn_ext.SoftmaxDIIHead')),
    criterion=dict(
        type='sparse_rcnn_ext.SoftmaxCriterion',
        assigner=dict(match_costs=dict(cls=dict(_delete_=True, type='sparse_rcnn_ext.SoftmaxCost', weight=2.0))),
        loss_cls=dict(
            _delete_=True, type='sparse_rcnn_ext.NoObjectCrossEntropy', no_object_weight=0.1, loss_weight=2.0
        ),
    ),
)

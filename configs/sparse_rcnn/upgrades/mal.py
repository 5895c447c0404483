# Scores that say how good the box is: MAL of DEIM.
_base_ = '../sparse-rcnn_r50_fpn_ms-480-800-3x_coco.py'

model = dict(criterion=dict(loss_cls=dict(_delete_=True, type='sparse_rcnn_ext.MatchabilityAwareLoss', gamma=1.5)))

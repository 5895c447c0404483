# 300 proposals.
_base_ = '../sparse-rcnn_r50_fpn_ms-480-800-3x_coco.py'

model = dict(rpn_head=dict(num_proposals=300))

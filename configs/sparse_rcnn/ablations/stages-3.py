# 3 stages.
_base_ = '../sparse-rcnn_r50_fpn_ms-480-800-3x_coco.py'

model = dict(roi_head=dict(num_stages=3))

# A dropout of 0.1 in attention, interaction and feed-forward network.
_base_ = '../sparse-rcnn_r50_fpn_ms-480-800-3x_coco.py'

model = dict(roi_head=dict(bbox_head=dict(dropout=0.1)))

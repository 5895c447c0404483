# All stages share one set of parameters.
_base_ = '../sparse-rcnn_r50_fpn_ms-480-800-3x_coco.py'

model = dict(roi_head=dict(type='sparse_rcnn_ext.SharedSparseRoIHead'))

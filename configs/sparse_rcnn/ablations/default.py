# The recipe itself: the row of a table that changes nothing.
_base_ = '../sparse-rcnn_r50_fpn_ms-480-800-3x_coco.py'

# A learned encoding of each proposal's box, added to its feature.
_base_ = '../sparse-rcnn_r50_fpn_ms-480-800-3x_coco.py'

model = dict(rpn_head=dict(type='sparse_rcnn_ext.PositionedRPNHead'))

# Proposal boxes start with normally distributed centres and sides.
_base_ = '../sparse-rcnn_r50_fpn_ms-480-800-3x_coco.py'

model = dict(rpn_head=dict(proposal_boxes=dict(type='sparse_rcnn_ext.RandomBoxes')))

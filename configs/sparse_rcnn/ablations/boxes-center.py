# Proposal boxes start in the middle of the image, with a tenth of its sides.
_base_ = '../sparse-rcnn_r50_fpn_ms-480-800-3x_coco.py'

model = dict(rpn_head=dict(proposal_boxes=dict(type='sparse_rcnn_ext.CenterBoxes', side=0.1)))

# No deep supervision: the loss of the last stage alone.
_base_ = '../sparse-rcnn_r50_fpn_ms-480-800-3x_coco.py'

model = dict(criterion=dict(type='sparse_rcnn_ext.LastStageCriterion'))

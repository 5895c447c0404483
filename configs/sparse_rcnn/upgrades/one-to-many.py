# Several proposals for each ground truth in the early stages, fewer from stage to stage, one in the last.
_base_ = '../sparse-rcnn_r50_fpn_ms-480-800-3x_coco.py'

model = dict(criterion=dict(assigner=dict(type='sparse_rcnn_ext.OneToManyAssigner', top_candidates=8, order='falling')))

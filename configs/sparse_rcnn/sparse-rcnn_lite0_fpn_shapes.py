# The quickstart: `make quickstart`, or by hand
#   python tools/dataset/make_shapes_coco.py data/shapes
#   python tools/train.py configs/sparse_rcnn/sparse-rcnn_lite0_fpn_shapes.py
_base_ = [
    '../_base_/models/sparse-rcnn_lite0_fpn.py',
    '../_base_/datasets/shapes_coco.py',
    '../_base_/schedules/schedule_quickstart.py',
    '../_base_/default_runtime.py',
]

model = dict(
    backbone=dict(frozen_stages=4),  # all of it: in the same time, more steps for the rest gain more
    roi_head=dict(bbox_head=dict(num_classes=5)),
)
default_hooks = dict(logger=dict(interval=20), checkpoint=dict(max_keep_ckpts=1))
randomness = dict(seed=0)

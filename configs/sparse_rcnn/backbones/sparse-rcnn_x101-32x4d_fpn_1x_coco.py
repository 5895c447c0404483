# Weights and image scaling as in mmdet's retinanet_x101-32x4d_fpn_1x_coco.py.
_base_ = '../sparse-rcnn_r50_fpn_1x_coco.py'

model = dict(
    backbone=dict(
        type='ResNeXt',
        depth=101,
        groups=32,
        base_width=4,
        init_cfg=dict(checkpoint='open-mmlab://resnext101_32x4d'),
    )
)

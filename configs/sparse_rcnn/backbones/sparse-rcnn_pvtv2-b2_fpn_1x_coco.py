# Backbone as in mmdet's retinanet_pvtv2-b2_fpn_1x_coco.py. The authors' Sparse R-CNN (https://github.com/whai362/PVT)
# has the learning rate of this recipe, divided by 1.4 for half the batch.
_base_ = '../sparse-rcnn_r50_fpn_1x_coco.py'

weights = 'https://github.com/whai362/PVT/releases/download/v2/pvt_v2_b2.pth'
model = dict(
    backbone=dict(
        _delete_=True,
        type='PyramidVisionTransformerV2',
        embed_dims=64,
        num_layers=[3, 4, 6, 3],
        init_cfg=dict(type='Pretrained', checkpoint=weights),
    ),
    neck=dict(in_channels=[64, 128, 320, 512]),
)

# Backbone as in mmdet's mask-rcnn_swin-t-p4-w7_fpn_1x_coco.py. The learning rate stays and two kinds of weights do not
# decay, as for Swin-T in QueryInst (https://github.com/hustvl/QueryInst), which has the same box head.
_base_ = '../sparse-rcnn_r50_fpn_1x_coco.py'

weights = 'https://github.com/SwinTransformer/storage/releases/download/v1.0.0/swin_tiny_patch4_window7_224.pth'
model = dict(
    backbone=dict(
        _delete_=True,
        type='SwinTransformer',  # Swin-T is its default
        drop_path_rate=0.2,
        convert_weights=True,
        init_cfg=dict(type='Pretrained', checkpoint=weights),
    ),
    neck=dict(in_channels=[96, 192, 384, 768]),
)
no_decay = dict(decay_mult=0.0)
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(norm=no_decay, relative_position_bias_table=no_decay)))

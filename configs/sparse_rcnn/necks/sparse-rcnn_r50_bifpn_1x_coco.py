_base_ = '../sparse-rcnn_r50_fpn_1x_coco.py'

model = dict(
    neck=dict(
        _delete_=True,
        type='sparse_rcnn_ext.BiFPN',
        in_channels=[256, 512, 1024, 2048],
        out_channels=256,
        num_outs=4,
        num_layers=3,
        # The paper's batch norm wants more images than the two of each process here.
        norm_cfg=dict(type='GN', num_groups=32),
        act_cfg=dict(type='SiLU'),
    )
)

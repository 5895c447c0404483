# The cascade of roi-fc.py, with self-attention among the proposals.
_base_ = '../sparse-rcnn_r50_fpn_ms-480-800-3x_coco.py'

model = dict(
    roi_head=dict(
        bbox_head=dict(
            dynamic_conv_cfg=dict(_delete_=True, type='sparse_rcnn_ext.RoIFullyConnected'),
        )
    )
)

# Stages without self-attention; RoI features go through fully connected layers, object features on to the next stage.
_base_ = '../sparse-rcnn_r50_fpn_ms-480-800-3x_coco.py'

model = dict(
    roi_head=dict(
        bbox_head=dict(
            attention_cfg=dict(type='sparse_rcnn_ext.NoSelfAttention'),
            dynamic_conv_cfg=dict(_delete_=True, type='sparse_rcnn_ext.RoIFullyConnected'),
        )
    )
)

# One set of parameters for all stages but the first, which know where their boxes are.
_base_ = '../sparse-rcnn_r50_fpn_ms-480-800-3x_coco.py'

model = dict(
    roi_head=dict(
        type='sparse_rcnn_ext.RecursiveSparseRoIHead',
        bbox_head=dict(attention_cfg=dict(type='sparse_rcnn_ext.PositionedSelfAttention')),
    )
)

_base_ = [
    '../_base_/models/sparse-rcnn_r50_fpn.py',
    '../_base_/datasets/coco_detection_640.py',
    '../_base_/schedules/schedule_3x.py',
    '../_base_/default_runtime.py',
]

model = dict(data_preprocessor=dict(pad_size_divisor=640), rpn_head=dict(num_proposals=128))

param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=1000),
    dict(type='MultiStepLR', begin=0, end=36, by_epoch=True, milestones=[27, 33], gamma=0.1),
]

# Two switches, off as the recipe stands, each one option of tools/train.py (or the same line in a child config):
#   EMA of the weights   --cfg-options default_hooks.ema.type=EMAHook
#   mixed precision      --cfg-options optim_wrapper.type=sparse_rcnn_ext.AmpOptimWrapper, or in short --amp

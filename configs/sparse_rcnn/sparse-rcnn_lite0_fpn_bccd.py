# Blood cells on a CPU in half an hour: docs/bccd.md goes through it step by step and says what each setting gained.
_base_ = [
    '../_base_/models/sparse-rcnn_lite0_fpn.py',
    '../_base_/datasets/bccd.py',
    '../_base_/schedules/schedule_1x.py',
    '../_base_/default_runtime.py',
]

max_epochs = 24
model = dict(
    rpn_head=dict(proposal_boxes=dict(type='sparse_rcnn_ext.GridBoxes')),
    roi_head=dict(bbox_head=dict(num_classes=3)),
)
train_dataloader = dict(batch_size=2)
train_cfg = dict(max_epochs=max_epochs, val_interval=4)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=100),
    dict(type='CosineAnnealingLR', begin=0, end=max_epochs, T_max=max_epochs, convert_to_iter_based=True),
]
optim_wrapper = dict(
    optimizer=dict(lr=2e-4),
    # Adam moves a number by its rate at most: at the plain one, proposals would hardly leave where they start.
    paramwise_cfg=dict(custom_keys=dict(rpn_head=dict(lr_mult=5.0))),
)
auto_scale_lr = dict(base_batch_size=2)
default_hooks = dict(
    logger=dict(interval=20),
    checkpoint=dict(max_keep_ckpts=1, save_best='coco/bbox_mAP', rule='greater'),
)
randomness = dict(seed=0)

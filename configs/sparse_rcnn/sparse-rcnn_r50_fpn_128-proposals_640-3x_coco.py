# ---- What you will change; each is an option too: tools/train.py CONFIG --cfg-options long_side=512 ema=False
data_root = 'data/coco/'
long_side = 640  # pixels; the short side keeps the aspect and is padded to a square
num_proposals = 128
batch_size = 2  # images a process
base_lr = 2.5e-5  # for 16 images a step over all processes; --auto-scale-lr fits it to another number
max_epochs = 36
warmup_iters = 1000
decay = 'multistep'  # 'multistep': a tenth after 3/4 and again after 11/12 of the epochs; 'cosine': smoothly to zero
ema = True  # validate, and keep in the checkpoints, a running average of the weights
amp = None  # mixed precision: 'fp16' (needs CUDA) or 'bf16'
sync_bn = None  # 'torch': BatchNorm averages over the images of all processes; needs frozen_bn = False
frozen_bn = True  # BatchNorm keeps the statistics and the weights that the backbone was trained with
clip_grad = True  # to a norm of 1
use_crowd = False  # learn from boxes around crowds too
remove_blank = True  # leave out training images without a box
mosaic_cache = 0  # images that each worker keeps for mosaics instead of reading anew; 40 are up to 200 MB; 0: none
debug = 0  # train and test on the first so many images; 0: on all
match_weights = (1.0, 1.0, 1.0)  # of class, L1 and IoU in the cost of the matching
loss_weights = (2.0, 5.0, 2.0)  # of class, L1 and IoU in the loss
cost_iou_type = 'giou'  # 'iou', 'giou', 'diou' or 'ciou'; so the loss's
loss_iou_type = 'giou'

_base_ = [
    '../_base_/models/sparse-rcnn_r50_fpn.py',
    '../_base_/datasets/coco_detection.py',
    '../_base_/schedules/schedule_3x.py',
    '../_base_/default_runtime.py',
]

# ---- Can it work with these values?
from sparse_rcnn_ext.engine.config import knobs  # noqa: E402  (mmengine wants _base_ to stand first)

knobs.check_whole(32, long_side=long_side)
knobs.check_whole(1, num_proposals=num_proposals, batch_size=batch_size, max_epochs=max_epochs)
knobs.check_whole(2, warmup_iters=warmup_iters)
knobs.check_whole(0, debug=debug, mosaic_cache=mosaic_cache)
knobs.check_rate(base_lr=base_lr)
knobs.check_weights(3, match_weights=match_weights, loss_weights=loss_weights)
knobs.check_choice(('multistep', 'cosine'), decay=decay)
knobs.check_choice((None, 'fp16', 'bf16'), amp=amp)
knobs.check_choice((True, False), ema=ema, frozen_bn=frozen_bn, clip_grad=clip_grad)
knobs.check_choice((True, False), use_crowd=use_crowd, remove_blank=remove_blank)
knobs.check_choice(('iou', 'giou', 'diou', 'ciou'), cost_iou_type=cost_iou_type, loss_iou_type=loss_iou_type)
knobs.check_choice((None, 'torch'), sync_bn=sync_bn)
if sync_bn and frozen_bn:
    raise knobs.UserError('sync_bn has nothing to average while frozen_bn is True: set frozen_bn to False too')

# ---- Model
model = dict(
    # A batch becomes squares of the long side, rounded up to the coarsest stride.
    data_preprocessor=dict(pad_size_divisor=-(-long_side // 32) * 32),
    backbone=dict(norm_cfg=dict(requires_grad=not frozen_bn), norm_eval=frozen_bn),
    rpn_head=dict(num_proposals=num_proposals),
    criterion=dict(
        assigner=dict(
            match_costs=dict(
                cls=dict(weight=match_weights[0]),
                bbox=dict(weight=match_weights[1]),
                iou=dict(weight=match_weights[2], iou_mode=cost_iou_type),
            )
        ),
        loss_cls=dict(loss_weight=loss_weights[0]),
        loss_bbox=dict(loss_weight=loss_weights[1]),
        loss_iou=dict(
            loss_weight=loss_weights[2],
            # mmdet's IoULoss takes the logarithm unless told otherwise; its CIoULoss is NaN for a perfect box.
            **dict(
                iou=dict(type='IoULoss', mode='linear'),
                giou=dict(type='GIoULoss'),
                diou=dict(type='DIoULoss'),
                ciou=dict(type='sparse_rcnn_ext.CIoULoss'),
            )[loss_iou_type],
        ),
    ),
)

# ---- Optimisation
optim_wrapper = dict(
    optimizer=dict(lr=base_lr),
    paramwise_cfg=dict(norm_decay_mult=0.0),
    clip_grad=dict(max_norm=1, norm_type=2) if clip_grad else None,
)
if amp:
    optim_wrapper.update(type='sparse_rcnn_ext.AmpOptimWrapper', dtype=dict(fp16='float16', bf16='bfloat16')[amp])

train_cfg = dict(max_epochs=max_epochs)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=warmup_iters),
    dict(
        multistep=dict(
            type='MultiStepLR',
            begin=0,
            end=max_epochs,
            by_epoch=True,
            milestones=[-(-max_epochs * 3 // 4), -(-max_epochs * 11 // 12)],
            gamma=0.1,
        ),
        cosine=dict(
            type='CosineAnnealingLR', begin=0, end=max_epochs, T_max=max_epochs, eta_min=0.0, convert_to_iter_based=True
        ),
    )[decay],
]

default_hooks = dict(
    checkpoint=dict(interval=1, max_keep_ckpts=1, save_best='coco/bbox_mAP', rule='greater'),
)
if ema:
    # At its t-th update the average keeps 0.9999 · (1 − exp(−t / 2000)) of itself.
    default_hooks.update(
        ema=dict(type='EMAHook', ema_type='ExpMomentumEMA', momentum=0.0001, gamma=2000, update_buffers=True)
    )

# ---- Data
# An image is a square of the long side, in training and in test: what is warped or put together has no other shape, and
# img_shape, to which proposals and the L1 loss are relative, shall mean the same in both. So a Pad transform fills it
# up, not the data_preprocessor, which would leave img_shape at the size before padding.
square, grey = (long_side, long_side), (114, 114, 114)
fit = [
    dict(type='Resize', scale=square, keep_ratio=True),
    dict(type='Pad', size=square, pad_val=dict(img=grey)),
]
load = [
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='sparse_rcnn_ext.LoadReducedImage', long_side=long_side),
]
colour = dict(
    type='RandomChoice',
    transforms=[
        [],
        [dict(type='sparse_rcnn_ext.HSVJitter', hue=0.014, saturation=0.68, value=0.36)],
        [dict(type='sparse_rcnn_ext.RandomBlur', kernel_sizes=(3, 5))],
        [dict(type='sparse_rcnn_ext.GaussianNoise', std_range=(2.0, 15.0))],
    ],
)
crop = dict(
    type='RandomCrop',
    crop_type='relative_range',
    crop_size=(0.6, 0.6),
    allow_negative_crop=True,
    bbox_clip_border=False,
)
warp = dict(
    type='sparse_rcnn_ext.RandomPerspective',
    max_rotate_degree=10.0,
    scaling_ratio_range=(0.8, 1.2),
    max_translate_ratio=0.0,
    max_shear_degree=2.0,
    max_perspective=0.1,
    border_val=grey,
    bbox_clip_border=False,
)
# After what cuts, and told not to clip: a clipped box does not show how much was cut off.
drop = dict(type='sparse_rcnn_ext.FilterBoxes', min_side=2.0, max_aspect=20.0, min_visible=0.2)
basic = [
    colour,
    dict(type='RandomApply', transforms=[crop, drop], prob=0.2),
    dict(type='sparse_rcnn_ext.FitAndWarp', size=square, warp=warp),
    drop,
]
mosaic = [
    dict(type='sparse_rcnn_ext.LoadOtherImages', number=3, transforms=load, cache=mosaic_cache),
    # Each of the four at the long side, on a canvas of twice that; the warp keeps the middle of it, one long side wide.
    dict(type='sparse_rcnn_ext.MosaicAndWarp', size=square, warp=warp, transforms=[colour]),
    drop,
]
mixup = [
    *basic,
    dict(type='sparse_rcnn_ext.LoadOtherImages', number=1, transforms=[*load, *basic]),
    dict(type='sparse_rcnn_ext.BetaMixUp', alpha=8.0, beta=8.0),
]
train_pipeline = [
    *load,
    dict(type='RandomChoice', transforms=[mosaic, basic, mixup], prob=[0.8, 0.2, 0.0]),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape')),
]
test_meta_keys = ('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')
test_pipeline = [
    dict(type='LoadImageFromFile'),
    *fit,
    # After the resize, so that boxes stay in the pixels of the file, on which the pictures are drawn.
    dict(type='LoadAnnotations', with_bbox=True),
    # A part of the data is scored by the truth that its images bring along, as no file has just that.
    dict(type='PackDetInputs', meta_keys=(*test_meta_keys, 'instances') if debug else test_meta_keys),
]
train_dataloader = dict(
    batch_size=batch_size,
    batch_sampler=None,  # all images have one aspect
    dataset=dict(
        data_root=data_root,
        use_crowd=use_crowd,
        filter_cfg=dict(filter_empty_gt=remove_blank),
        indices=debug or None,
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(dataset=dict(data_root=data_root, indices=debug or None, pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(
    ann_file=None if debug else data_root.rstrip('/') + '/annotations/instances_val2017.json',
)
test_evaluator = val_evaluator

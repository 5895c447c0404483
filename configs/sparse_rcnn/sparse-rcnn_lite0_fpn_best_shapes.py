# The quickstart: `make quickstart`, or by hand
#   python tools/dataset/make_shapes_coco.py data/shapes
#   python tools/train.py configs/sparse_rcnn/sparse-rcnn_lite0_fpn_best_shapes.py
# Query generator, denoising and MAL (docs/upgrades.md) over the plain recipe: two stages do what three did.
_base_ = './sparse-rcnn_lite0_fpn_shapes.py'

max_epochs = 10
proposals, channels = _base_.model.rpn_head.num_proposals, _base_.model.rpn_head.proposal_feature_channel
generator = dict(type='sparse_rcnn_ext.QueryGenerator', num_proposals=proposals, proposal_feature_channel=channels)
model = dict(
    rpn_head=dict(_delete_=True, **generator),
    # Two groups: images with a dozen objects have enough to learn from, and a step stays short.
    denoising=dict(type='sparse_rcnn_ext.BoxDenoising', in_channels=channels, num_groups=2, noise=0.4),
    roi_head=dict(num_stages=2),
    criterion=dict(loss_cls=dict(_delete_=True, type='sparse_rcnn_ext.MatchabilityAwareLoss', gamma=1.5)),
)
train_cfg = dict(max_epochs=max_epochs, val_interval=5)
# It starts from nothing, and its layers are few.
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(rpn_head=dict(lr_mult=3.0))))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=100),
    dict(type='CosineAnnealingLR', begin=0, end=max_epochs, T_max=max_epochs, convert_to_iter_based=True),
]

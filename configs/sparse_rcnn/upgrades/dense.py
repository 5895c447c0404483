# Mosaics and mixups, each of half of the samples, in the first half of the epochs: Dense O2O of DEIM (2412.04234).
_base_ = '../sparse-rcnn_r50_fpn_ms-480-800-3x_coco.py'

plain_pipeline = _base_.train_dataloader.dataset.pipeline  # ends with packing
load_three = dict(type='sparse_rcnn_ext.LoadOtherImages', number=3, transforms=plain_pipeline[:-1])
four_in_one = [load_three, dict(type='sparse_rcnn_ext.HalvedMosaic')]
two_in_one = [dict(load_three, number=1), dict(type='sparse_rcnn_ext.BetaMixUp', pad_val=114)]
mixing = [dict(type='RandomApply', transforms=transforms, prob=0.5) for transforms in (four_in_one, two_in_one)]
train_pipeline = [*plain_pipeline[:-1], *mixing, plain_pipeline[-1]]

train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
default_hooks = dict(
    last_epochs=dict(type='sparse_rcnn_ext.LastEpochsPipelineHook', share=0.5, pipeline=plain_pipeline)
)

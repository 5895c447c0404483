# Noised ground truth among the proposals of training.
_base_ = '../sparse-rcnn_r50_fpn_ms-480-800-3x_coco.py'

channels = _base_.model.rpn_head.proposal_feature_channel
model = dict(denoising=dict(type='sparse_rcnn_ext.BoxDenoising', in_channels=channels, num_groups=5, noise=0.4))

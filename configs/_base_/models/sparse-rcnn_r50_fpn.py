# num_proposals, num_stages and num_classes each stand once; a child config overrides that one value.
model = dict(
    type='sparse_rcnn_ext.SparseRCNN',
    data_preprocessor=dict(
        type='DetDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_size_divisor=32,
    ),
    backbone=dict(
        type='ResNet',
        depth=50,
        num_stages=4,
        out_indices=(0, 1, 2, 3),
        frozen_stages=1,
        norm_cfg=dict(type='BN', requires_grad=True),
        norm_eval=True,
        style='pytorch',
        init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet50'),
    ),
    neck=dict(
        type='FPN',
        in_channels=[256, 512, 1024, 2048],
        out_channels=256,
        start_level=0,
        add_extra_convs='on_input',
        num_outs=4,
    ),
    rpn_head=dict(type='sparse_rcnn_ext.EmbeddingRPNHead', num_proposals=100, proposal_feature_channel=256),
    roi_head=dict(
        type='sparse_rcnn_ext.SparseRoIHead',
        num_stages=6,
        roi_features=dict(
            type='sparse_rcnn_ext.RoIFeatures',
            output_size=7,
            sampling_ratio=2,
            featmap_strides=[4, 8, 16, 32],
            finest_scale=56,
        ),
        bbox_head=dict(
            type='sparse_rcnn_ext.DIIHead',
            num_classes=80,
            num_ffn_fcs=2,
            num_heads=8,
            num_cls_fcs=1,
            num_reg_fcs=3,
            feedforward_channels=2048,
            in_channels=256,
            dropout=0.0,
            dynamic_conv_cfg=dict(type='sparse_rcnn_ext.DynamicConv', feat_channels=64),
        ),
    ),
    criterion=dict(
        type='sparse_rcnn_ext.SparseRCNNCriterion',
        assigner=dict(
            type='sparse_rcnn_ext.HungarianAssigner',
            match_costs=dict(
                cls=dict(type='sparse_rcnn_ext.FocalLossCost', weight=2.0),
                bbox=dict(type='sparse_rcnn_ext.BBoxL1Cost', weight=5.0),
                iou=dict(type='sparse_rcnn_ext.IoUCost', iou_mode='giou', weight=2.0),
            ),
        ),
        loss_cls=dict(type='FocalLoss', use_sigmoid=True, gamma=2.0, alpha=0.25, loss_weight=2.0),
        loss_bbox=dict(type='L1Loss', loss_weight=5.0),
        loss_iou=dict(type='GIoULoss', loss_weight=2.0),
    ),
    # None: as many detections an image as there are proposals; inference through all stages. clip_boxes: boxes end at
    # the border of the image, as in the official code; mmdet's may reach over it.
    test_cfg=dict(max_per_img=None, num_stages=None, clip_boxes=True),
)

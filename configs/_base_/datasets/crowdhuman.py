# CrowdHuman below the current folder: data/crowdhuman/{Images,annotation_train.odgt,annotation_val.odgt}, and
# data/crowdhuman/annotations/{train,val}.json, made from them by
#   python tools/dataset/convert_crowdhuman.py data/crowdhuman data/crowdhuman/annotations
_base_ = './coco_detection.py'

data_root = 'data/crowdhuman/'
classes = ('person',)

# The short side is 800 pixels, in training 480 to 800; the long side at most 1500.
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='RandomChoiceResize', scales=[(short, 1500) for short in range(480, 801, 32)], keep_ratio=True),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(1500, 800), keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')),
]

train_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        ann_file='annotations/train.json',
        data_prefix=dict(img='Images/'),
        metainfo=dict(classes=classes),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        ann_file='annotations/val.json',
        data_prefix=dict(img='Images/'),
        metainfo=dict(classes=classes),
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader

val_evaluator = dict(
    _delete_=True,
    type='sparse_rcnn_ext.CrowdHumanMetric',
    ann_file=data_root + 'annotation_val.odgt',
    metric=['AP', 'MR', 'JI'],
)
test_evaluator = val_evaluator

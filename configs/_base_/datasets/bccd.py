# BCCD, 364 photographs of blood cells (https://github.com/Shenggan/BCCD_Dataset), below the current folder:
# data/bccd/{Annotations,ImageSets,JPEGImages}, and data/bccd/coco/{train,val,test}.json, made from them by
#   python tools/dataset/convert_voc.py data/bccd data/bccd/coco --split train val test --classes RBC WBC Platelets
_base_ = './coco_detection.py'

data_root = 'data/bccd/'
classes = ('RBC', 'WBC', 'Platelets')

resize = dict(type='Resize', scale=(320, 240), keep_ratio=True)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    resize,
    # A smear has no upper side.
    dict(type='RandomFlip', prob=[0.25, 0.25, 0.25], direction=['horizontal', 'vertical', 'diagonal']),
    dict(type='PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    resize,
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')),
]

train_dataloader = dict(
    num_workers=1,
    batch_sampler=None,
    dataset=dict(
        data_root=data_root,
        ann_file='coco/train.json',
        data_prefix=dict(img='JPEGImages/'),
        metainfo=dict(classes=classes),
        filter_cfg=dict(filter_empty_gt=False, min_size=1),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=8,
    num_workers=1,
    dataset=dict(
        data_root=data_root,
        ann_file='coco/val.json',
        data_prefix=dict(img='JPEGImages/'),
        metainfo=dict(classes=classes),
        pipeline=test_pipeline,
    ),
)
test_dataloader = dict(
    batch_size=8,
    num_workers=1,
    dataset=dict(
        data_root=data_root,
        ann_file='coco/test.json',
        data_prefix=dict(img='JPEGImages/'),
        metainfo=dict(classes=classes),
        pipeline=test_pipeline,
    ),
)
val_evaluator = dict(ann_file=data_root + 'coco/val.json')
test_evaluator = dict(ann_file=data_root + 'coco/test.json')

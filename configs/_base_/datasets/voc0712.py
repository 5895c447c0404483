# Pascal VOC 2007 and 2012 as they are unpacked: data/VOCdevkit/{VOC2007,VOC2012}; no conversion. mmdet's VOCDataset
# maps classes by name and marks the difficult objects, which its VOCMetric leaves out of account, as VOC's rules do.
_base_ = './coco_detection_ms-480-800.py'

dataset_type = 'VOCDataset'
data_root = 'data/VOCdevkit/'

train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='ConcatDataset',
        # The one thing in which the two years' descriptions differ.
        ignore_keys=['dataset_type'],
        datasets=[
            dict(
                type=dataset_type,
                data_root=data_root,
                ann_file=f'VOC{year}/ImageSets/Main/trainval.txt',
                data_prefix=dict(sub_data_root=f'VOC{year}/'),
                filter_cfg=dict(filter_empty_gt=True, min_size=32),
                pipeline={{_base_.train_pipeline}},
            )
            for year in (2007, 2012)
        ],
    ),
)
val_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type=dataset_type,
        data_root=data_root,
        ann_file='VOC2007/ImageSets/Main/test.txt',
        data_prefix=dict(sub_data_root='VOC2007/'),
        test_mode=True,
        pipeline={{_base_.test_pipeline}},
    ),
)
test_dataloader = val_dataloader

# Mean AP at IoU 0.5: by the 11 points of VOC 2007, and as the area under the curve, the rule since 2010.
val_evaluator = [
    dict(type='VOCMetric', metric='mAP', eval_mode='11points', prefix='voc_11points'),
    dict(type='VOCMetric', metric='mAP', eval_mode='area', prefix='voc_area'),
]
test_evaluator = val_evaluator

_base_ = [
    '../_base_/models/sparse-rcnn_r50_fpn.py',
    '../_base_/datasets/coco_detection_ms-480-800.py',
    '../_base_/schedules/schedule_3x.py',
    '../_base_/default_runtime.py',
]

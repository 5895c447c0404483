_base_ = '../sparse-rcnn_r50_fpn_1x_coco.py'

model = dict(neck=dict(type='PAFPN'))

"""A batch that was not finite is kept: it survives a safe load, whatever it was made of."""

from pathlib import Path

import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import HorizontalBoxes
from mmengine.structures import InstanceData

from sparse_rcnn_ext.engine.training.non_finite import plain


def test_a_batch(tmp_path):
    images = torch.arange(24.0).reshape(2, 3, 4, 1)
    sample = DetDataSample(metainfo=dict(img_path=Path('a.jpg'), img_shape=(4, 1), scale_factor=np.float32(0.5)))
    sample.gt_instances = InstanceData(
        bboxes=HorizontalBoxes(torch.tensor([[0.0, 1, 2, 3]])), labels=torch.tensor([7]), names=np.array(['cat'])
    )
    batch = dict(inputs=[images[0]], data_samples=[sample], masks=np.eye(2, dtype=np.uint8), kind=object)
    torch.save(plain(batch), tmp_path / 'batch.pt')
    saved = torch.load(tmp_path / 'batch.pt', weights_only=True)
    assert torch.equal(saved['inputs'][0], images[0])
    assert saved['inputs'][0].untyped_storage().nbytes() == images[0].numel() * 4
    assert saved['masks'].tolist() == [[1, 0], [0, 1]]
    assert saved['kind'] == repr(object)
    (found,) = saved['data_samples']
    assert (found['img_path'], found['img_shape'], found['scale_factor']) == ('a.jpg', [4, 1], 0.5)
    assert found['gt_instances']['bboxes'].tolist() == [[0, 1, 2, 3]]
    assert found['gt_instances']['labels'].tolist() == [7]
    assert found['gt_instances']['names'] == ['cat']


def test_the_original_is_left(tmp_path):
    value = torch.zeros(2, requires_grad=True)
    copy = plain([value])[0]
    copy += 1
    assert value.tolist() == [0, 0] and not copy.requires_grad

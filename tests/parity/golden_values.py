"""What the official implementation left in golden/official_tiny.pth, and its inputs for our model."""

from pathlib import Path

import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData
from torch import Tensor, nn


def load_golden(shared_dir: Path) -> dict:
    """The file's content; skips the test where it is absent."""
    path = shared_dir / 'golden' / 'official_tiny.pth'
    if not path.is_file():
        pytest.skip(f'no file {path}')
    return torch.load(path, weights_only=True)


def golden_batch(golden: dict, model: nn.Module, dtype: torch.dtype) -> tuple[Tensor, list[DetDataSample]]:
    """The golden images and boxes through our data preprocessor."""
    samples = []
    for image, truth in zip(golden['images'], golden['gt'], strict=True):
        sample = DetDataSample(metainfo=dict(img_shape=tuple(image.shape[1:]), scale_factor=(1.0, 1.0)))
        sample.gt_instances = InstanceData(bboxes=truth['boxes'].to(dtype), labels=truth['labels'])
        samples.append(sample)
    # mmengine keeps mean and std in float32; the golden values were made with them in float64.
    for name in ('mean', 'std'):
        exact = torch.tensor(golden['settings'][f'pixel_{name}'], dtype=dtype).view(-1, 1, 1)
        setattr(model.data_preprocessor, name, exact)
    data = model.data_preprocessor(dict(inputs=[image.to(dtype) for image in golden['images']], data_samples=samples))
    return data['inputs'], data['data_samples']


def assert_golden_detections(golden: dict, results: list[DetDataSample]) -> None:
    """Compare what ``predict`` gave for :func:`golden_batch` in float64, without rescaling.

    The official post-processing clips boxes to the image and then drops those without area; mmdet's and ours does not.
    """
    for sample, expected in zip(results, golden['detections'], strict=True):
        order = expected['scores'].argsort(descending=True)
        found = sample.pred_instances
        height, width = sample.img_shape
        clipped = found.bboxes.clamp(min=0).minimum(found.bboxes.new_tensor([width, height, width, height]))
        kept = (clipped[:, 2:] > clipped[:, :2]).all(dim=1)
        torch.testing.assert_close(found.scores[kept], expected['scores'][order], rtol=1e-9, atol=0)
        torch.testing.assert_close(clipped[kept], expected['boxes'][order], rtol=1e-9, atol=1e-9)
        assert found.labels[kept].tolist() == expected['labels'][order].tolist()

"""Images of a data set with their ground truth, as the pictures need them."""

from typing import NamedTuple

import numpy as np
import torch
from mmdet.datasets import BaseDetDataset
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData
from torch import Tensor

from sparse_rcnn_ext.datasets.image_loading import dataset_picture


class Example(NamedTuple):
    """One image of a data set."""

    image: np.ndarray
    """(H, W, 3) uint8 RGB, the file as the pipeline loads it."""
    truth: InstanceData
    """``bboxes`` (G, 4) xyxy in pixels of the file, ``labels`` (G,), ``crowds`` (G,) bool."""
    name: str
    """The file's name."""
    batch: dict[str, list[Tensor] | list[DetDataSample]]
    """What the data preprocessor takes: ``inputs`` and ``data_samples`` with one entry each."""


def load_example(dataset: BaseDetDataset, index: int) -> Example:
    """Read one image. The ground truth comes from the annotations, whatever the pipeline does with boxes.

    Args:
        dataset: With a test pipeline that ends in ``PackDetInputs``.
        index: Which image.
    """
    info = dataset.get_data_info(index)
    instances = info['instances']
    truth = InstanceData(
        bboxes=torch.tensor([instance['bbox'] for instance in instances], dtype=torch.float32).reshape(-1, 4),
        labels=torch.tensor([instance['bbox_label'] for instance in instances], dtype=torch.long),
        crowds=torch.tensor([bool(instance['ignore_flag']) for instance in instances], dtype=torch.bool),
    )
    image = dataset_picture(dataset, index)
    packed = dataset[index]
    batch = dict(inputs=[packed['inputs']], data_samples=[packed['data_samples']])
    return Example(image, truth, info['img_path'].replace('\\', '/').rpartition('/')[2], batch)

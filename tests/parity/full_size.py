"""mmdet's own SparseRCNN and ours at full size, with the same weights, for test_mmdet.py: it takes gigabytes.

Usage: full_size.py FOLDER. Writes FOLDER/found.pth: of both models, mmdet's first, the shapes of the state dict, the
losses of each batch of CASES, and the predictions; and of each batch how far the gradients are from each other.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import mmdet
import numpy as np
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData
from torch import Tensor, nn

REPO = Path(__file__).resolve().parents[2]
MMDET_CONFIG = Path(mmdet.__file__).parent / '.mim/configs/sparse_rcnn/sparse-rcnn_r50_fpn_1x_coco.py'
BATCH_SHAPE = (96, 128)
SIZES = ((96, 120), (80, 128))
PROPOSALS = 25  # not 100: in float64 their filters are gigabytes
CASES = {'two sizes': (7, 3), 'one image without boxes': (5, 0)}
"""The number of boxes of each image."""


def sample(size: tuple[int, int], num_boxes: int, seed: int) -> DetDataSample:
    """A data sample of an image (height, width) with random boxes."""
    generator = torch.Generator().manual_seed(seed)
    height, width = size
    corner = torch.rand(num_boxes, 2, generator=generator, dtype=torch.float64)
    side = 0.1 + 0.4 * torch.rand(num_boxes, 2, generator=generator, dtype=torch.float64)
    scale = torch.tensor([width, height], dtype=torch.float64)
    boxes = torch.cat([corner * scale * 0.5, (corner * 0.5 + side) * scale], dim=1)
    meta = dict(img_shape=size, ori_shape=size, batch_input_shape=BATCH_SHAPE, scale_factor=(0.5, 0.5))
    result = DetDataSample(metainfo=meta)
    labels = torch.randint(0, 80, (num_boxes,), generator=generator)
    result.gt_instances = InstanceData(bboxes=boxes, labels=labels)
    return result


def build_models() -> tuple[nn.Module, nn.Module]:
    """mmdet's model from mmdet's config, and ours from our config with the same weights, both in float64.

    The weights are the same in memory too: twice would be nearly a gigabyte more.
    """
    torch.manual_seed(0)
    theirs = Config.fromfile(MMDET_CONFIG).model
    ours = Config.fromfile(REPO / 'configs/sparse_rcnn/sparse-rcnn_r50_fpn_1x_coco.py').model
    for cfg in (theirs, ours):
        cfg.backbone.init_cfg = None
        cfg.rpn_head.num_proposals = PROPOSALS
    theirs.test_cfg.rcnn.max_per_img = PROPOSALS
    ours.test_cfg.clip_boxes = False
    ours = MODELS.build(ours)
    torch.set_default_dtype(torch.float64)
    try:
        theirs = MODELS.build(theirs)
        theirs.init_weights()
    finally:
        torch.set_default_dtype(torch.float32)
    # Fresh weights would give every class the same low score and every stage nearly the same box.
    with torch.no_grad():
        for head in theirs.roi_head.bbox_head:
            head.fc_cls.bias.normal_(-2, 1)
    ours.load_state_dict(theirs.state_dict(), strict=True, assign=True)
    return theirs, ours


def make_inputs() -> Tensor:
    """Two normalised images; the batch is padded to the larger sides."""
    images = torch.zeros(2, 3, *BATCH_SHAPE, dtype=torch.float64)
    generator = torch.Generator().manual_seed(1)
    for image, (height, width) in zip(images, SIZES, strict=True):
        image[:, :height, :width] = torch.randn(3, height, width, generator=generator, dtype=torch.float64)
    return images


@contextmanager
def each_gradient(model: nn.Module, use: Callable[[str, Tensor], None]) -> Iterator[None]:
    """Call ``use(name, gradient)`` for each parameter as a backward pass computes it, and keep none."""

    def hook(name: str, parameter: nn.Parameter) -> None:
        use(name, parameter.grad)
        parameter.grad = None

    handles = [
        parameter.register_post_accumulate_grad_hook(partial(hook, name))
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    ]
    yield
    for handle in handles:
        handle.remove()


def train_both(models: tuple[nn.Module, nn.Module], inputs: Tensor, boxes: tuple[int, int], folder: Path) -> dict:
    """Losses of both, and of each parameter the distance of the gradients, 1 being a millionth of their length.

    mmdet's gradients wait in files: those of 106 million parameters are a gigabyte.
    """
    losses, expected, deviations = [], set(), {}

    def keep(name: str, gradient: Tensor) -> None:
        np.save(folder / f'{name}.npy', gradient.numpy())
        expected.add(name)

    def compare(name: str, gradient: Tensor) -> None:
        theirs = torch.from_numpy(np.load(folder / f'{name}.npy'))
        deviations[name] = ((gradient - theirs).norm() / (1e-6 * theirs.norm() + 1e-12)).item()

    for model, use in zip(models, (keep, compare), strict=True):
        model.train()
        samples = [sample(size, number, seed) for seed, (size, number) in enumerate(zip(SIZES, boxes), start=2)]
        found = model.loss(inputs, samples)
        with each_gradient(model, use):
            sum(value for name, value in found.items() if 'loss' in name).backward()
        losses.append({name: value.item() for name, value in found.items()})
    return dict(losses=losses, expected=expected, deviations=deviations)


@torch.no_grad()
def predict(model: nn.Module, inputs: Tensor) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Of each image the scores, boxes and labels."""
    results = model.eval().predict(inputs, [sample(size, 0, 0) for size in SIZES])
    return [(found.scores, found.bboxes, found.labels) for found in (result.pred_instances for result in results)]


def main(folder: Path) -> None:
    init_default_scope('mmdet')
    models, inputs = build_models(), make_inputs()
    shapes = [{name: tuple(value.shape) for name, value in model.state_dict().items()} for model in models]
    trained = {case: train_both(models, inputs, boxes, folder) for case, boxes in CASES.items()}
    predictions = [predict(model, inputs) for model in models]
    torch.save(dict(shapes=shapes, trained=trained, predictions=predictions), folder / 'found.pth')
    for path in folder.glob('*.npy'):
        path.unlink()


if __name__ == '__main__':
    main(Path(sys.argv[1]))

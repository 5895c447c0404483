"""Our model computes what mmdet's own SparseRCNN computes, at full size, from the same state dict."""

from contextlib import contextmanager
from functools import partial
from pathlib import Path

import mmdet
import numpy as np
import pytest
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.structures import InstanceData

BATCH_SHAPE = (96, 128)
PROPOSALS = 25  # not 100: in float64 their filters are gigabytes


def sample(size, num_boxes, seed):
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


@pytest.fixture(scope='module')
def models(repo_dir):
    """mmdet's model from mmdet's config, and ours from our config with the same weights, both in float64.

    The weights are the same in memory too: twice would be nearly a gigabyte more.
    """
    path = Path(mmdet.__file__).parent / '.mim/configs/sparse_rcnn/sparse-rcnn_r50_fpn_1x_coco.py'
    if not path.is_file():
        pytest.skip(f'this mmdet comes without its configs: no {path}')
    torch.manual_seed(0)
    theirs = Config.fromfile(path).model
    ours = Config.fromfile(repo_dir / 'configs/sparse_rcnn/sparse-rcnn_r50_fpn_1x_coco.py').model
    for cfg in (theirs, ours):
        cfg.backbone.init_cfg = None
        cfg.rpn_head.num_proposals = PROPOSALS
    theirs.test_cfg.rcnn.max_per_img = PROPOSALS
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


@pytest.fixture(scope='module')
def inputs():
    """Two normalised images; the batch is padded to the larger sides."""
    images = torch.zeros(2, 3, *BATCH_SHAPE, dtype=torch.float64)
    generator = torch.Generator().manual_seed(1)
    images[0, :, :96, :120] = torch.randn(3, 96, 120, generator=generator, dtype=torch.float64)
    images[1, :, :80, :128] = torch.randn(3, 80, 128, generator=generator, dtype=torch.float64)
    return images


def test_state_dicts_have_the_same_names_and_shapes(models):
    theirs, ours = ({name: value.shape for name, value in model.state_dict().items()} for model in models)
    assert theirs == ours


@contextmanager
def each_gradient(model, use):
    """Call ``use(name, gradient)`` for each parameter as a backward pass computes it, and keep none."""

    def hook(name, parameter):
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


@pytest.mark.parametrize('num_boxes', [(7, 3), (5, 0)], ids=['two sizes', 'one image without boxes'])
def test_losses_and_gradients(models, inputs, num_boxes, tmp_path):
    """mmdet's gradients wait in files: those of 106 million parameters are a gigabyte."""
    losses, expected, deviations = [], set(), {}

    def keep(name, gradient):
        np.save(tmp_path / f'{name}.npy', gradient.numpy())
        expected.add(name)

    def compare(name, gradient):
        theirs = torch.from_numpy(np.load(tmp_path / f'{name}.npy'))
        deviations[name] = (gradient - theirs).norm() / (1e-6 * theirs.norm() + 1e-12)

    for model, use in zip(models, (keep, compare), strict=True):
        model.train()
        samples = [sample((96, 120), num_boxes[0], 2), sample((80, 128), num_boxes[1], 3)]
        found = model.loss(inputs, samples)
        with each_gradient(model, use):
            sum(value for name, value in found.items() if 'loss' in name).backward()
        losses.append({name: value.item() for name, value in found.items()})

    theirs, ours = losses
    assert set(theirs) == set(ours)
    for name, value in theirs.items():
        # mmdet adds 1.2e-7 to the number of boxes that it divides by.
        assert ours[name] == pytest.approx(value, rel=1e-6), name
    assert len(expected) > 300 and set(deviations) == expected
    assert {name: deviation for name, deviation in deviations.items() if not deviation <= 1} == {}


def test_predictions(models, inputs):
    found = []
    for model in models:
        model.eval()
        with torch.no_grad():
            results = model.predict(inputs, [sample((96, 120), 0, 0), sample((80, 128), 0, 0)])
        found.append([result.pred_instances for result in results])
    for theirs, ours in zip(*found, strict=True):
        theirs = theirs[theirs.scores.argsort(descending=True)]  # mmdet leaves its detections unsorted
        torch.testing.assert_close(ours.scores, theirs.scores, rtol=1e-9, atol=0)
        torch.testing.assert_close(ours.bboxes, theirs.bboxes, rtol=1e-7, atol=1e-7)
        assert ours.labels.tolist() == theirs.labels.tolist()

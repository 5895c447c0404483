"""RoI features from the table equal torchvision's RoIAlign level by level, values and gradients."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from sparse_rcnn_ext.errors import UserError
from sparse_rcnn_ext.models.roi_features import RoIFeatures
from tests.reference.boxes import area, pyramid_level
from tests.reference.roi_align import level_index, roi_features

IMAGE = (96, 160)  # height, width
STRIDES = (4, 8, 16, 32)


def make_pyramid(batch: int = 2, channels: int = 3, seed: int = 0, dtype=torch.float64) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    sizes = [(batch, channels, IMAGE[0] // stride, IMAGE[1] // stride) for stride in STRIDES]
    return [torch.randn(size, generator=generator, dtype=torch.float64).to(dtype).requires_grad_() for size in sizes]


def make_boxes(batch: int, num_boxes: int, seed: int) -> Tensor:
    """Boxes (batch, num_boxes, 4) of sides from 0.1 to 3000 px, inside, across and outside of the image."""
    generator = torch.Generator().manual_seed(seed)

    def draw() -> Tensor:
        return torch.rand(batch, num_boxes, 2, generator=generator, dtype=torch.float64)

    center = (draw() * 2 - 0.5) * torch.tensor(IMAGE[::-1], dtype=torch.float64)
    side = 0.1 * 30000 ** draw()
    return torch.cat([center - side / 2, center + side / 2], dim=-1)


def assert_equals_oracle(module: RoIFeatures, stages: list[Tensor], dtype=torch.float64, **tolerance) -> None:
    """Pool all stages from one table and compare values, then gradients of one backward pass through all of them."""
    batch = len(stages[0])
    ours, theirs = (make_pyramid(batch, dtype=dtype) for _ in range(2))
    table = module.tabulate(ours)
    pooled = [module.pool(table, boxes.to(dtype)) for boxes in stages]
    expected = [roi_features(theirs, boxes.to(dtype), module.output_size, module.sampling_ratio) for boxes in stages]
    generator = torch.Generator().manual_seed(9)
    for found, wanted in zip(pooled, expected, strict=True):
        torch.testing.assert_close(found, wanted, **tolerance)
    upstream = [torch.randn(p.shape, generator=generator, dtype=torch.float64).to(dtype) for p in pooled]
    torch.autograd.backward(pooled, upstream)
    torch.autograd.backward(expected, upstream)
    for level, (found, wanted) in enumerate(zip(ours, theirs, strict=True)):
        # Levels that no box reads have no gradient in the oracle and zeros in the table.
        wanted_grad = torch.zeros_like(wanted) if wanted.grad is None else wanted.grad
        torch.testing.assert_close(found.grad, wanted_grad, msg=f'gradient of level {level}', **tolerance)


@settings(deadline=None, max_examples=25)
@given(
    batch=st.integers(1, 3),
    num_boxes=st.integers(1, 8),
    num_stages=st.integers(1, 3),
    output_size=st.sampled_from([1, 2, 7]),
    sampling_ratio=st.integers(1, 3),
    seed=st.integers(0, 2**31),
)
def test_random_boxes(batch, num_boxes, num_stages, output_size, sampling_ratio, seed):
    module = RoIFeatures(output_size, sampling_ratio)
    stages = [make_boxes(batch, num_boxes, seed + stage) for stage in range(num_stages)]
    assert_equals_oracle(module, stages, rtol=1e-10, atol=1e-11)


def test_float32():
    assert_equals_oracle(RoIFeatures(), [make_boxes(2, 20, 3), make_boxes(2, 20, 4)], torch.float32, rtol=0, atol=1e-4)


SPECIAL_BOXES = {
    'whole image': (0, 0, 160, 96),
    'far outside': (900.3, 900.3, 950.3, 950.3),
    'far outside, negative': (-900.3, -900.3, -700.3, -700.3),
    'across the left border': (-30.3, 20.2, 40.1, 70.4),
    'across the lower right corner': (150.2, 90.3, 190.4, 130.7),
    'within the outermost half cell': (158.3, 94.3, 159.9, 95.8),
    'huge': (-1e5 + 0.3, -1e5 + 0.1, 1e5, 1e5),
    'tiny': (50.3, 50.3, 50.3001, 50.3001),
    'a point': (50.3, 50.3, 50.3, 50.3),
    'a line': (20.3, 50.3, 140.2, 50.3),
    'wrong way round in x': (90.1, 20.2, 30.3, 80.4),
    'long and thin': (-500.3, 40.1, 900.2, 41.3),
}


@pytest.mark.parametrize('box', SPECIAL_BOXES.values(), ids=SPECIAL_BOXES)
def test_special_boxes(box):
    assert_equals_oracle(RoIFeatures(), [torch.tensor([[box]], dtype=torch.float64)], rtol=1e-10, atol=1e-11)


def test_samples_exactly_on_the_borders():
    # One sample a bin and sides that are powers of two: every sample is computed exactly, by both alike. On the finest
    # level they lie at cells -1.5, -1, … 2 in y; and in x at 36.5, … 40, where the last cell is 39.
    boxes = torch.tensor([[[146, -6, 162, 10], [-6, 82, 10, 98]]], dtype=torch.float64)
    module = RoIFeatures(output_size=8, sampling_ratio=1)
    assert_equals_oracle(module, [boxes + 1], rtol=1e-12, atol=1e-13)
    ones = [torch.ones_like(level) for level in make_pyramid(1)]
    inside = module.pool(module.tabulate(ones), boxes + 1)[0, :, 0].view(8, 8)
    assert inside[0].eq(0).all()  # y = -1.5
    assert inside[1].eq(1).all()  # y = -1 still takes the value of row 0
    assert inside[1:, -1].eq(1).all()  # x = 40 that of column 39


@settings(deadline=None, max_examples=200)
@given(width=st.floats(0, 2000), height=st.floats(0, 2000), x=st.floats(-500, 500), y=st.floats(-500, 500))
def test_level_is_the_papers(width, height, x, y):
    box = (x, y, x + width, y + height)
    if area(box) > 0:
        level = pyramid_level(box)
        if abs(level - round(level)) < 1e-5:
            return  # the epsilon inside the logarithm decides, see test_level_borders
    found = RoIFeatures().levels(torch.tensor(box, dtype=torch.float64))
    assert found.item() == level_index(box, len(STRIDES))


@pytest.mark.parametrize('side', [112, 224, 448])
def test_level_borders(side):
    level = {112: 1, 224: 2, 448: 3}[side]
    sides = torch.tensor([side - 1e-2, side - 1e-6, side, side + 1e-2], dtype=torch.float64)
    boxes = torch.stack([torch.zeros(4), torch.zeros(4), sides, sides], dim=-1)
    # The side itself belongs to the coarser level; mmdet's 1e-6 already takes the next smaller ones there.
    assert RoIFeatures().levels(boxes).tolist() == [level - 1, level, level, level]
    assert RoIFeatures(level_eps=0).levels(boxes).tolist() == [level - 1, level - 1, level, level]


@pytest.mark.parametrize('bad', [float('nan'), float('inf'), -float('inf'), 1e30])
def test_boxes_that_are_no_boxes_do_not_crash(bad):
    ours, module = make_pyramid(2), RoIFeatures()
    boxes = make_boxes(2, 3, 0)
    boxes[0, 1] = bad
    boxes[1, 2, 2] = bad
    table = module.tabulate(ours)
    pooled = module.pool(table, boxes).unflatten(0, (2, 3))
    pooled.nan_to_num().sum().backward()
    # The others do not notice.
    clean = [(0, 0), (0, 2), (1, 0), (1, 1)]
    expected = roi_features(make_pyramid(2), boxes.nan_to_num(0, 0, 0)).unflatten(0, (2, 3))
    for image, box in clean:
        torch.testing.assert_close(pooled[image, box], expected[image, box], rtol=1e-10, atol=1e-11)
    if bad != bad:
        assert pooled[0, 1].isnan().all()  # so that the loss shows it


def test_bfloat16_pyramid_is_pooled_in_float32():
    pyramid = [level.detach().bfloat16() for level in make_pyramid()]
    module, boxes = RoIFeatures(), make_boxes(2, 6, 5)
    found = module.pool(module.tabulate(pyramid), boxes.float())
    assert found.dtype == torch.bfloat16
    exact = module.pool(module.tabulate([level.float() for level in pyramid]), boxes.float())
    assert torch.equal(found, exact.bfloat16())


def test_wrong_number_of_levels():
    with pytest.raises(UserError, match=r'got 3 pyramid levels for 4 featmap_strides.*num_outs'):
        RoIFeatures().tabulate(make_pyramid()[:3])


def test_other_strides():
    # Without P2 the finest level is P3, and its boxes are twice as large.
    module = RoIFeatures(featmap_strides=(8, 16, 32), finest_scale=112)
    pyramid, boxes = make_pyramid()[1:], make_boxes(2, 10, 6)
    found = module.pool(module.tabulate(pyramid), boxes)
    assert module.levels(boxes).tolist() == (RoIFeatures().levels(boxes) - 1).clamp(min=0).tolist()
    expected = [
        # The oracle on a pyramid of that one level and image.
        roi_features(
            [pyramid[level][image : image + 1]], boxes[image : image + 1, box : box + 1], first_stride=8 << level
        )
        for image in range(2)
        for box, level in enumerate(module.levels(boxes)[image].tolist())
    ]
    torch.testing.assert_close(found, torch.cat(expected), rtol=1e-10, atol=1e-11)

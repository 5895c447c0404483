"""mmcv's operators without its compiled module: the same numbers as torchvision, and a clear word where none exist."""

import sys

import mmcv.ops
import pytest
import torch
import torch.nn.functional as F
import torchvision

compiled = getattr(sys.modules['mmcv._ext'], '__file__', None) is not None
portable_only = pytest.mark.skipif(compiled, reason='this mmcv has its compiled operators')


def make_rois() -> torch.Tensor:
    """(5, 5) image index and xyxy: inside, across the border, tiny, empty, whole image."""
    return torch.tensor(
        [[0, 4, 6, 40, 50], [1, -10, -8, 30, 20], [1, 10, 10, 10.5, 10.2], [0, 20, 20, 20, 20], [1, 0, 0, 64, 48]],
        dtype=torch.float64,
    )


def make_boxes(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    corner = torch.rand(count, 2, generator=generator) * 60
    size = torch.rand(count, 2, generator=generator) * 40 + 1
    return torch.cat([corner, corner + size], dim=1), torch.rand(count, generator=generator)


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
@pytest.mark.parametrize('aligned', [True, False])
@pytest.mark.parametrize('sampling_ratio', [0, 2])
def test_roi_align_equals_torchvision(dtype: torch.dtype, aligned: bool, sampling_ratio: int) -> None:
    features = torch.randn(2, 3, 12, 16, dtype=dtype, generator=torch.Generator().manual_seed(0))
    rois = make_rois().to(dtype)
    ours, theirs = features.clone().requires_grad_(), features.clone().requires_grad_()

    pooled = mmcv.ops.RoIAlign((7, 5), 0.25, sampling_ratio, aligned=aligned)(ours, rois)
    expected = torchvision.ops.roi_align(theirs, rois, (7, 5), 0.25, sampling_ratio, aligned)
    grad = torch.randn(expected.shape, dtype=dtype, generator=torch.Generator().manual_seed(1))
    pooled.backward(grad)
    expected.backward(grad)

    assert pooled.dtype == dtype
    torch.testing.assert_close(pooled, expected, rtol=0, atol=0)
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=0, atol=0)
    assert ours.grad.abs().sum() > 0


def test_roi_align_gradient_is_the_derivative() -> None:
    features = torch.randn(2, 2, 6, 8, dtype=torch.float64, requires_grad=True)
    layer = mmcv.ops.RoIAlign(3, 0.125, 2)
    assert torch.autograd.gradcheck(lambda x: layer(x, make_rois()), features)


def test_roi_align_without_rois() -> None:
    features = torch.randn(1, 4, 8, 8, requires_grad=True)
    pooled = mmcv.ops.RoIAlign(7, 1.0, 2)(features, torch.zeros(0, 5))
    pooled.sum().backward()
    assert pooled.shape == (0, 4, 7, 7)
    assert torch.equal(features.grad, torch.zeros_like(features))


@portable_only
def test_roi_align_under_bfloat16_autocast() -> None:
    features = torch.randn(2, 3, 12, 16)
    rois = make_rois()
    with torch.autocast('cpu', torch.bfloat16):
        pooled = mmcv.ops.RoIAlign(7, 0.25, 2)(features.bfloat16(), rois.bfloat16())
    expected = torchvision.ops.roi_align(features, rois.float(), 7, 0.25, 2, True)
    assert pooled.dtype == torch.bfloat16
    torch.testing.assert_close(pooled.float(), expected, rtol=0.05, atol=0.05)


@portable_only
def test_maximum_pooling_is_refused() -> None:
    layer = mmcv.ops.RoIAlign(7, 1.0, 2, pool_mode='max')
    with pytest.raises(RuntimeError, match=r"pool_mode='max'.*pip install"):
        layer(torch.zeros(1, 1, 8, 8), torch.zeros(1, 5))


@pytest.mark.parametrize('offset', [0, 1])
def test_nms_equals_torchvision(offset: int) -> None:
    boxes, scores = make_boxes(60)
    kept, index = mmcv.ops.nms(boxes, scores, 0.4, offset=offset)
    pixels = boxes + torch.tensor([0, 0, offset, offset])
    expected = torchvision.ops.nms(pixels, scores, 0.4)
    assert 1 < len(index) < 60
    assert torch.equal(index, expected)
    assert torch.equal(kept, torch.cat([boxes, scores[:, None]], dim=1)[expected])


def test_nms_offset_counts_the_last_pixel() -> None:
    boxes = torch.tensor([[0.0, 0, 9, 9], [5, 0, 14, 9]])  # 10 pixels wide, 5 shared: IoU 50 / 150
    scores = torch.tensor([0.9, 0.8])
    assert len(mmcv.ops.nms(boxes, scores, 0.32, offset=1)[1]) == 1
    assert len(mmcv.ops.nms(boxes, scores, 0.34, offset=1)[1]) == 2
    assert len(mmcv.ops.nms(boxes, scores, 0.32, offset=0)[1]) == 2  # 4 · 9 / 126 = 0.29


def test_batched_nms_equals_torchvision() -> None:
    boxes, scores = make_boxes(80)
    labels = torch.arange(80) % 3
    kept, index = mmcv.ops.batched_nms(boxes, scores, labels, dict(type='nms', iou_threshold=0.3))
    expected = torchvision.ops.batched_nms(boxes, scores, labels, 0.3)
    assert torch.equal(index, expected)
    assert torch.equal(kept[:, :4], boxes[expected])


def test_nms_of_nothing() -> None:
    kept, index = mmcv.ops.nms(torch.zeros(0, 4), torch.zeros(0), 0.5)
    assert kept.shape == (0, 5)
    assert index.shape == (0,)


@pytest.mark.parametrize('weighted', [False, True])
def test_sigmoid_focal_loss_is_the_formula(weighted: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(6, 3, dtype=torch.float64, generator=generator).requires_grad_()
    target = torch.tensor([0, 1, 2, 3, 3, 1])  # 3 is the background
    # The compiled build reads past the weights for background rows, so those are checked without weights only.
    rows = slice(0, 3) if weighted else slice(None)
    weight = torch.tensor([0.5, 2.0, 3.0], dtype=torch.float64) if weighted else None

    loss = mmcv.ops.sigmoid_focal_loss(logits[rows], target[rows], 2.0, 0.25, weight, 'none')
    (grad,) = torch.autograd.grad(loss.sum(), logits)

    positive = F.one_hot(target[rows], 4)[:, :3].bool()
    probability = logits[rows].sigmoid()
    expected = torch.where(
        positive,
        -0.25 * (1 - probability) ** 2 * probability.log(),
        -0.75 * probability**2 * (1 - probability).log(),
    )
    if weighted:
        expected = expected * weight[target[rows]][:, None]
    (expected_grad,) = torch.autograd.grad(expected.sum(), logits)
    torch.testing.assert_close(loss, expected, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(grad, expected_grad, rtol=1e-9, atol=1e-12)


@portable_only
def test_other_operators_say_what_to_install() -> None:
    with pytest.raises(RuntimeError, match=r"'softnms' needs the compiled build of mmcv.*pip install.*mmcv=="):
        mmcv.ops.soft_nms(torch.zeros(2, 4), torch.zeros(2))


@portable_only
def test_module_looks_like_a_module() -> None:
    module = sys.modules['mmcv._ext']
    assert module.__spec__.name == 'mmcv._ext'
    assert module.__spec__.loader is not None
    assert not hasattr(module, '__file__')
    assert 'portable_ops' in mmcv.ops.get_compiler_version()

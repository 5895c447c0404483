"""The fast forward pass finds what the plain one finds."""

import copy

import pytest
import torch
from mmdet.models.detectors import BaseDetector
from torch import nn
from torch._dynamo.testing import CompileCounterWithBackend

from sparse_rcnn_ext.engine.speed.fast_inference import fast_forward_stages
from sparse_rcnn_ext.errors import UserError
from tests.engine.speed.test_batch_norm_folding import spread_statistics
from tests.models.small_model import build_model, make_images, make_sample

SIZES = [(64, 90), (50, 128)]
SHALLOW = {'model.backbone.depth': 18, 'model.neck.in_channels': [4, 8, 16, 32]}
COMPILED = dict(backend='eager', fullgraph=True)


@pytest.fixture(scope='module')
def detector() -> BaseDetector:
    model = build_model(SHALLOW)
    spread_statistics(model.backbone)
    return model.eval()


@pytest.fixture(autouse=True)
def no_graphs_of_others():
    torch._dynamo.reset()


def detect(detector: BaseDetector, sizes: list[tuple[int, int]] = SIZES) -> list:
    samples = [make_sample(size, 0) for size in sizes]
    with torch.no_grad():
        return [sample.pred_instances for sample in detector.predict(make_images(sizes, torch.float32), samples)]


def detect_fast(detector: BaseDetector, **settings) -> list:
    detector.forward_stages = fast_forward_stages(detector, **settings)
    try:
        return detect(detector)
    finally:
        del detector.forward_stages


FLOAT32 = {
    'channels last': dict(channels_last=True),
    'folded': dict(fuse_conv_bn=True, channels_last=False),
    'folded and channels last': dict(fuse_conv_bn=True),
    'traced whole': dict(fuse_conv_bn=True, compile=COMPILED),
}


@pytest.mark.parametrize('settings', FLOAT32.values(), ids=FLOAT32)
def test_same_detections_in_float32(detector, settings):
    for fast, plain in zip(detect_fast(detector, **settings), detect(detector), strict=True):
        torch.testing.assert_close(fast.scores, plain.scores, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(fast.bboxes, plain.bboxes, rtol=1e-3, atol=1e-3)
        assert fast.labels.tolist() == plain.labels.tolist()


def test_bfloat16_is_near_and_is_bfloat16(detector):
    plain, fast = fast_stages(detector), fast_stages(detector, fuse_conv_bn=True, dtype='bfloat16')
    assert (plain.logits.dtype, fast.logits.dtype, fast.boxes.dtype) == (torch.float32, torch.bfloat16, torch.float32)
    # Three stages feed each other; the first one shows rounding alone, at 8 bits.
    torch.testing.assert_close(fast.logits[0].float(), plain.logits[0], rtol=0.05, atol=0.05)
    torch.testing.assert_close(fast.boxes[0], plain.boxes[0], rtol=0.05, atol=1.5)
    assert not torch.equal(fast.logits.float(), plain.logits)
    for found in detect_fast(detector, fuse_conv_bn=True, dtype='bfloat16'):
        assert found.scores.dtype == found.bboxes.dtype == torch.float32


def fast_stages(detector, **settings):
    forward = fast_forward_stages(detector, channels_last=True, **settings)
    with torch.no_grad():
        return forward(make_images(SIZES, torch.float32), torch.tensor([[90.0, 64, 90, 64], [128, 50, 128, 50]]))


def test_weights_are_held_in_half_precision(detector, monkeypatch):
    """Else autocast casts every one for every image."""
    seen = set()
    fast = fast_forward_stages(detector, dtype='bfloat16')
    monkeypatch.setattr(nn.Linear, 'forward', watch(nn.Linear.forward, seen))
    monkeypatch.setattr(nn.Conv2d, 'forward', watch(nn.Conv2d.forward, seen))
    with torch.no_grad():
        fast(make_images(SIZES, torch.float32), torch.ones(2, 4) * 64)
    assert seen == {torch.bfloat16}


def watch(forward, seen: set):
    def watched(self, features):
        seen.add(self.weight.dtype)
        return forward(self, features)

    return watched


def test_the_detector_stays_as_it_was(detector):
    before = copy.deepcopy(detector.state_dict())
    assert not detector.training
    detect_fast(detector, fuse_conv_bn=True, dtype='bfloat16')
    after = detector.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], value) and after[name].dtype == value.dtype for name, value in before.items())
    assert all(value.is_contiguous() for value in after.values())
    assert all(parameter.requires_grad for parameter in detector.roi_head.parameters())


def test_few_graphs_for_many_sizes(detector):
    counter = CompileCounterWithBackend('eager')
    forward = fast_forward_stages(detector, compile=dict(backend=counter, fullgraph=True))
    counts = []
    for size in [(64, 64), (96, 96), (64, 96), (128, 96), (160, 192), (192, 160), (64, 64)]:
        with torch.no_grad():
            forward(make_images([size, size], torch.float32), torch.tensor([[*size[::-1], *size[::-1]]] * 2).float())
        counts.append(counter.frame_count)
    # One for the first size, then one or two for all, as torch sees that sides vary, and apart from each other.
    assert counts[0] == 1
    assert counts[-1] == counts[2] <= 3


def test_what_cannot_be(detector):
    with pytest.raises(UserError, match='float16 needs CUDA'):
        fast_forward_stages(detector, dtype='float16')
    with pytest.raises(UserError, match="'int8'"):
        fast_forward_stages(detector, dtype='int8')
    with pytest.raises(UserError, match='the model is a Linear'):
        fast_forward_stages(nn.Linear(1, 1))

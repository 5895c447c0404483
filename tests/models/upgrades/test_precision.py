"""Mixed precision and hostile values: whatever comes in, losses and gradients of every upgrade are finite."""

import copy
from functools import cache

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmdet.structures import DetDataSample
from torch import Tensor, nn

from tests.configs.ablation_rows import MODEL_ROWS, build_upgrade
from tests.models.small_model import make_images, make_sample

SIZES = [(64, 90), (50, 128)]
ANY = pytest.mark.parametrize('name', MODEL_ROWS)


@cache
def fresh(name: str, seed: int = 0) -> nn.Module:
    return build_upgrade(name, seed=seed).train()


def make_samples(counts: tuple[int, int], seed: int = 0) -> list[DetDataSample]:
    return [make_sample(size, n, 2 * seed + i) for i, (size, n) in enumerate(zip(SIZES, counts, strict=True))]


def step(
    model: nn.Module, samples: list[DetDataSample], dtype: torch.dtype | None, noise: int = 0
) -> dict[str, Tensor]:
    """Losses of a step whose noise hangs on a seed; gradients are left in the model."""
    torch.manual_seed(noise)
    with torch.autocast('cpu', dtype=dtype, enabled=dtype is not None):
        losses = model.loss(make_images(SIZES, torch.float32), samples)
    sum(value for name, value in losses.items() if 'loss' in name).backward()
    return losses


def assert_finite(model: nn.Module, losses: dict[str, Tensor], gradients: bool = True) -> None:
    for name, value in losses.items():
        assert value.dtype == torch.float32 and value.isfinite(), (name, value)
    for name, parameter in model.named_parameters():
        if gradients and parameter.requires_grad:
            assert parameter.grad.dtype == torch.float32 and parameter.grad.isfinite().all(), name


@ANY
@settings(max_examples=3)
@given(seed=st.integers(0, 99), counts=st.tuples(st.integers(0, 4), st.integers(0, 4)))
def test_a_step_in_half_precision_is_finite(name, seed, counts):
    model = copy.deepcopy(fresh(name, seed % 3))
    assert_finite(model, step(model, make_samples(counts, seed), torch.bfloat16, seed))


@ANY
@pytest.mark.parametrize('seed', range(2))
def test_losses_in_half_precision_are_near_those_in_single(name, seed):
    samples = make_samples((3, 2), seed)
    plain, found = (step(copy.deepcopy(fresh(name, seed)), samples, dtype, seed) for dtype in (None, torch.bfloat16))
    assert plain.keys() == found.keys()
    # Of the first stage: one feeds the next.
    first = [loss for loss in plain if 'loss' in loss and loss.startswith(('rpn.', 's0.', 'dn_s0.'))]
    assert len(first) == 3 + 2 * ('rpn.loss_cls' in plain) + 3 * ('dn_s0.loss_cls' in plain)
    for loss in first:
        # With the last bits the last place among the proposals may change, and who is matched.
        share = 0.2 if loss.startswith('s0.') else 0.02
        assert found[loss].item() == pytest.approx(plain[loss].item(), rel=share), loss
        assert found[loss].item() != plain[loss].item(), loss  # something did run in bfloat16


# As (x, y, width, height) in images of 64 × 90 and 50 × 128.
DEGENERATE = {
    'point': (20.0, 20.0, 0.0, 0.0),
    'line': (10.0, 30.0, 60.0, 0.0),
    'speck': (40.0, 40.0, 1e-3, 1e-3),
    'corner': (0.0, 0.0, 0.0, 0.0),
    'everything': (0.0, 0.0, 90.0, 50.0),
    'outside': (1e4, -1e4, 5.0, 5.0),
}


@ANY
@settings(max_examples=5)
@given(
    kinds=st.lists(st.sampled_from(sorted(DEGENERATE)), min_size=1, max_size=4),
    loudness=st.sampled_from([0.0, 10.0, 1e4]),
    dtype=st.sampled_from([torch.bfloat16, torch.float16]),
    seed=st.integers(0, 99),
)
def test_degenerate_boxes_and_extreme_outputs(name, kinds, loudness, dtype, seed):
    """A gradient over 65504 is the loss scaler's, see tests/models/test_extreme_values.py."""
    model = copy.deepcopy(fresh(name))
    torch.manual_seed(seed)
    heads = [layer for stage in model.roi_head.bbox_head.children() for layer in (stage.fc_cls, stage.fc_reg)]
    if not model.rpn_head.are_learned:
        heads += [model.rpn_head.objectness, model.rpn_head.box]
    for layer in heads if loudness else ():
        nn.init.uniform_(layer.bias, -loudness, loudness)
    samples = make_samples((len(kinds), len(kinds)))
    for sample in samples:
        x, y, width, height = torch.tensor([DEGENERATE[kind] for kind in kinds], dtype=torch.float64).T
        sample.gt_instances.bboxes = torch.stack([x, y, x + width, y + height], dim=1)
    assert_finite(model, step(model, samples, dtype, seed), gradients=dtype == torch.bfloat16)


@pytest.mark.parametrize('name', ['query-generator', 'denoising', 'recursive'])
def test_boxes_and_objectness_stay_in_single_precision(name):
    model = copy.deepcopy(fresh(name)).eval()
    inputs = make_images(SIZES, torch.float32), torch.tensor([[90.0, 64, 90, 64], [128, 50, 128, 50]])
    with torch.no_grad(), torch.autocast('cpu', dtype=torch.bfloat16):
        proposals = model.rpn_head(inputs[1], model.extract_feat(inputs[0]))
        outputs = model.forward_stages(*inputs)
    assert proposals[0].dtype == outputs.boxes.dtype == torch.float32
    # A prior of 8 bits would tie.
    assert [prior.dtype for prior in proposals[2:]] == [torch.float32] * (name == 'query-generator')
    assert all(part.isfinite().all() for part in (*proposals, *outputs))

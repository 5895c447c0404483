"""Box decoding equals R-CNN's formula in scalar arithmetic."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sparse_rcnn_ext.models.dii_head import decode_deltas
from tests.reference import boxes as reference

MMDET = (16 / 1000, 1000 / 16)
OFFICIAL = (0, 100000 / 16)
LOPSIDED = (0.5, 3.0)
STDS = (0.5, 0.5, 1.0, 1.0)

coordinate = st.floats(-1000, 1000)
delta = st.floats(-12, 12)  # exp(±12) lies beyond both ranges


@settings(max_examples=100)
@given(
    corner=st.tuples(coordinate, coordinate),
    sides=st.tuples(st.floats(0, 1000), st.floats(0, 1000)),
    deltas=st.tuples(delta, delta, delta, delta),
    stds=st.sampled_from([STDS, (0.1, 0.1, 0.2, 0.2), (1.0, 0.7, 0.3, 0.9)]),
    wh_scale_range=st.sampled_from([MMDET, OFFICIAL, LOPSIDED]),
)
def test_equals_the_formula(corner, sides, deltas, stds, wh_scale_range):
    box = (*corner, corner[0] + sides[0], corner[1] + sides[1])
    found = decode_deltas(*(torch.tensor(value, dtype=torch.float64) for value in (box, deltas, stds)), wh_scale_range)
    expected = torch.tensor(reference.decode(box, deltas, stds, wh_scale_range), dtype=torch.float64)
    size = max(1.0, *(abs(value) for value in (*box, *expected.tolist())))
    assert (found - expected).abs().max() <= 1e-12 * size


@pytest.mark.parametrize(
    ('wh_scale_range', 'shrunk', 'grown'),
    [(MMDET, 0.016, 62.5), (OFFICIAL, torch.tensor(-20.0).exp().item(), 6250), (LOPSIDED, 0.5, 3)],
)
def test_bounds_of_one_stage(wh_scale_range, shrunk, grown):
    boxes = torch.tensor([[0.0, 0, 10, 10]], dtype=torch.float64).repeat(2, 1)
    deltas = torch.tensor([[0.0, 0, -20, -20], [0, 0, 20, 20]], dtype=torch.float64)
    found = decode_deltas(boxes, deltas, torch.tensor(STDS), wh_scale_range)
    sides = found[:, 2:] - found[:, :2]
    expected = torch.tensor([[shrunk] * 2, [grown] * 2], dtype=torch.float64) * 10
    torch.testing.assert_close(sides, expected, rtol=1e-5, atol=0)


def test_known_values():
    boxes = torch.tensor([[10.0, 20, 30, 60]], dtype=torch.float64)
    deltas = torch.tensor([[1.0, -1, torch.log(torch.tensor(2.0)), 0]], dtype=torch.float64)
    # The centre (20, 40) moves by half a width of 20 and minus half a height of 40; the width doubles.
    expected = torch.tensor([[10.0, 0, 50, 40]], dtype=torch.float64)
    torch.testing.assert_close(decode_deltas(boxes, deltas, torch.tensor(STDS), MMDET), expected, rtol=0, atol=1e-5)


def test_not_clipped_to_the_image():
    found = decode_deltas(torch.zeros(1, 4), torch.zeros(1, 4), torch.tensor(STDS), MMDET)
    assert found.eq(0).all()
    boxes = torch.tensor([[-50.0, -40, 90000, 80000]])
    torch.testing.assert_close(decode_deltas(boxes, torch.zeros(1, 4), torch.tensor(STDS), MMDET), boxes)


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_half_precision_deltas_move_boxes_in_float32(dtype):
    boxes = torch.tensor([[1000.3, 900.7, 1010.9, 930.1]])
    found = decode_deltas(boxes, torch.zeros(1, 4, dtype=dtype), torch.tensor(STDS), MMDET)
    assert found.dtype == torch.float32
    assert (found - boxes).abs().max() < 1e-3  # bfloat16 itself would be off by pixels


def test_gradients_reach_boxes_and_deltas():
    boxes = torch.tensor([[10.0, 20, 30, 60]], dtype=torch.float64, requires_grad=True)
    deltas = torch.full((1, 4), 0.1, dtype=torch.float64, requires_grad=True)
    stds = torch.tensor(STDS, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda b, d: decode_deltas(b, d, stds, MMDET), (boxes, deltas))

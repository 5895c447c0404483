"""Where the rows' proposals start, how many there are, and what their features know."""

import pytest
import torch
from torch import Tensor

from tests.configs.ablation_rows import WHWH, build_row
from tests.models.small_model import PROPOSALS


def first_boxes(row: str, num_proposals: int = PROPOSALS, seed: int = 0, other_start: str | None = None) -> Tensor:
    """Where a row's boxes start, as xyxy shares of an image of 200 × 100 pixels."""
    overrides = {'model.rpn_head.num_proposals': num_proposals}
    if other_start:
        overrides['model.rpn_head.proposal_boxes'] = dict(type=other_start)
    model = build_row(row, overrides, seed, spread=False)
    size = torch.tensor([[200.0, 100, 200, 100]], dtype=torch.float64)
    return (model.rpn_head(size)[0][0] / size).detach()


@pytest.mark.parametrize('other_start', [None, 'sparse_rcnn_ext.GridBoxes'])
def test_center_boxes(other_start):
    expected = torch.tensor([0.45, 0.45, 0.55, 0.55], dtype=torch.float64).expand(PROPOSALS, 4)
    torch.testing.assert_close(first_boxes('boxes-center', other_start=other_start), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(('row', 'other_start'), [('default', None), ('boxes-image', 'sparse_rcnn_ext.GridBoxes')])
def test_image_boxes(row, other_start):
    expected = torch.tensor([0.0, 0, 1, 1], dtype=torch.float64).expand(PROPOSALS, 4)
    assert torch.equal(first_boxes(row, other_start=other_start), expected)


@pytest.mark.parametrize('num_proposals', [50, 100])
def test_grid_boxes_tile_the_image(num_proposals):
    boxes = first_boxes('boxes-grid', num_proposals)
    x1, y1, x2, y2 = boxes.unbind(1)
    assert boxes.min() > -1e-6 and boxes.max() < 1 + 1e-6
    points = (torch.arange(97) + 0.5) / 97
    x, y = (axis.reshape(-1, 1) for axis in torch.meshgrid(points, points, indexing='xy'))
    covered = (x1 - 1e-6 < x) & (x < x2 + 1e-6) & (y1 - 1e-6 < y) & (y < y2 + 1e-6)
    assert covered.any(1).all()
    assert ((x2 - x1) * (y2 - y1)).sum().item() == pytest.approx(1, abs=1e-5)
    if num_proposals == 100:
        assert (boxes[:, 2:] - boxes[:, :2]).sub(0.1).abs().max() < 1e-6


def test_random_boxes():
    boxes = first_boxes('boxes-random', 300)
    assert torch.equal(boxes, first_boxes('boxes-random', 300))
    assert not torch.isclose(boxes, first_boxes('boxes-random', 300, seed=1)).all(dim=1).any()
    assert boxes.min() > -1e-6 and boxes.max() < 1 + 1e-6
    sides = boxes[:, 2:] - boxes[:, :2]
    assert sides.min() > 0.05 - 1e-6
    for numbers in (sides, boxes[:, :2] + sides / 2):
        assert numbers.mean().item() == pytest.approx(0.5, abs=0.05)
        assert 0.1 < numbers.std() < 0.25


@pytest.mark.parametrize('number', [100, 300, 500])
def test_number_of_proposals(number):
    model = build_row(f'proposals-{number}')
    boxes, feats = model.rpn_head(WHWH)
    assert boxes.shape[1] == feats.shape[1] == model.max_per_img == number


@pytest.mark.parametrize(('row', 'follows'), [('position-encoding', True), ('default', False)])
def test_features_follow_their_box_by_position_encoding_alone(row, follows):
    head = build_row(row).rpn_head
    before = head(WHWH)[1].detach().clone()
    with torch.no_grad():
        head.init_proposal_bboxes.weight[2] += 0.1
    moved = (head(WHWH)[1] - before).abs().amax((0, 2)) > 1e-6
    assert moved.tolist() == [follows and index == 2 for index in range(PROPOSALS)]


def test_position_encoding_is_added_and_learned():
    head = build_row('position-encoding').rpn_head
    with torch.no_grad():
        head.init_proposal_bboxes.weight[1] = head.init_proposal_bboxes.weight[0]
    added = head(WHWH)[1] - head.init_proposal_features.weight  # (B, N, C)
    torch.testing.assert_close(added[0], added[1])
    torch.testing.assert_close(added[:, 0], added[:, 1])
    assert (added[:, 2:] - added[:, :1]).abs().amax(-1).gt(1e-3).all()
    added.pow(2).sum().backward()
    assert all(parameter.grad.any() for parameter in head.position_encoding.parameters())

"""Where the learned proposals start."""

import pytest
import torch
from mmdet.registry import MODELS
from torchvision.ops import box_convert

from sparse_rcnn_ext.models.embedding_rpn_head import GridBoxes, ImageBoxes


def test_image_boxes_are_the_whole_image():
    assert ImageBoxes()(3).tolist() == [[0.5, 0.5, 1.0, 1.0]] * 3


@pytest.mark.parametrize('num_proposals', [1, 2, 3, 10, 48, 50, 100, 128, 300])
def test_grid_boxes_cover_the_image_evenly(num_proposals):
    boxes = GridBoxes()(num_proposals)
    assert boxes.shape == (num_proposals, 4)
    assert len({tuple(centre) for centre in boxes[:, :2].tolist()}) == num_proposals
    x1, y1, x2, y2 = box_convert(boxes, 'cxcywh', 'xyxy').unbind(1)
    # Every cell of a fine raster lies in a box, and in none of too many.
    points = (torch.arange(64) + 0.5) / 64
    x, y = (axis.reshape(-1, 1) for axis in torch.meshgrid(points, points, indexing='xy'))
    times = ((x1 < x) & (x < x2) & (y1 < y) & (y < y2)).sum(1)
    assert times.min() >= 1
    assert times.max() <= 6
    widths, heights = boxes[:, 2], boxes[:, 3]
    assert heights.unique().numel() == 1
    assert widths.max() < 2 * widths.min() + 1e-6 and widths.mean() < 2.1 * heights.mean()


def test_overlap_one_leaves_no_gap_and_no_overlap():
    boxes = GridBoxes(overlap=1.0)(50)
    assert boxes[:, 2:].prod(1).sum().item() == pytest.approx(1.0)


def test_rpn_head_starts_from_the_part_of_the_config():
    head = MODELS.build(
        dict(
            type='sparse_rcnn_ext.EmbeddingRPNHead',
            num_proposals=9,
            proposal_feature_channel=4,
            proposal_boxes=dict(type='sparse_rcnn_ext.GridBoxes', overlap=1.0),
        )
    )
    head.init_weights()
    boxes, _ = head(torch.tensor([[300.0, 600.0, 300.0, 600.0]]))
    expected = [[100 * x, 200 * y, 100 * (x + 1), 200 * (y + 1)] for y in range(3) for x in range(3)]
    torch.testing.assert_close(boxes, torch.tensor([expected], dtype=torch.float32))

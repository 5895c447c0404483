"""What is compared with the official detections, on made-up ones: boxes that lie outside the image."""

import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

from tests.parity.golden_values import assert_golden_detections

# Of an image 60 wide and 40 high, by falling score: inside, left of it, over its border, below it, at its corner.
BOXES = [[10, 5, 30, 20], [-9, 5, -2, 20], [50, -7, 70, 30], [10, 41, 30, 50], [60, 40, 80, 70]]
SCORES = [0.9, 0.8, 0.7, 0.6, 0.5]
LABELS = [1, 0, 2, 0, 1]


def detections(boxes, scores, labels) -> dict:
    return dict(
        boxes=torch.tensor(boxes, dtype=torch.float64),
        scores=torch.tensor(scores, dtype=torch.float64),
        labels=torch.tensor(labels),
    )


@pytest.fixture
def results() -> list[DetDataSample]:
    ours = detections(BOXES, SCORES, LABELS)
    sample = DetDataSample(metainfo=dict(img_shape=(40, 60)))
    sample.pred_instances = InstanceData(bboxes=ours['boxes'], scores=ours['scores'], labels=ours['labels'])
    return [sample]


def test_official_detections_are_clipped_and_none_is_empty(results):
    # In the order of the proposals.
    official = detections([[50, 0, 60, 30], [10, 5, 30, 20]], [0.7, 0.9], [2, 1])
    assert_golden_detections(dict(detections=[official]), results)


@pytest.mark.parametrize(
    'official',
    [
        ([[10, 5, 30, 20]], [0.9], [1]),  # lacks one
        ([[10, 5, 30, 20], [0, 5, 0, 20], [50, 0, 60, 30]], [0.9, 0.8, 0.7], [1, 0, 2]),  # has an empty one
        ([[10, 5, 30, 20], [50, 0, 60, 31]], [0.9, 0.7], [1, 2]),
        ([[10, 5, 30, 20], [50, 0, 60, 30]], [0.9, 0.71], [1, 2]),
        ([[10, 5, 30, 20], [50, 0, 60, 30]], [0.9, 0.7], [1, 0]),
    ],
)
def test_what_differs_is_noticed(results, official):
    with pytest.raises(AssertionError):
        assert_golden_detections(dict(detections=[detections(*official)]), results)

"""What is shown of a scene whose boxes and scores are known."""

import contextlib
import io
import json

import numpy as np
import pytest
import torch
from pycocotools.coco import COCO

from sparse_rcnn_ext.demo import Scene, show
from sparse_rcnn_ext.visualization import StageTrace
from sparse_rcnn_ext.visualization.palette import color_of

# Of a file of 100×50 pixels, shown at twice its size. The first proposal becomes a bee at once, the second an ant at
# the last stage, the third nothing.
BOXES = (
    ((10, 10, 90, 40), (0, 0, 100, 50), (60, 22, 70, 32)),
    ((10, 10, 30, 30), (40, 5, 95, 45), (60, 22, 70, 32)),
    ((12, 8, 32, 28), (50, 10, 90, 40), (61, 23, 71, 33)),
)
SCORES = (
    ((0.1, 0.8), (0.2, 0.1), (0.1, 0.1)),
    ((0.05, 0.9), (0.6, 0.1), (0.15, 0.2)),
)
GREY = 128


@pytest.fixture
def scene() -> Scene:
    trace = StageTrace(torch.tensor(BOXES, dtype=torch.float32), torch.tensor(SCORES))
    return Scene('a.jpg', (100, 50), np.full((100, 200, 3), GREY, np.uint8), trace, ('ant', 'bee'), 4)


def pixel(picture: np.ndarray, x: int, y: int) -> tuple[int, ...]:
    """RGB."""
    return tuple(picture[y, x, ::-1].tolist())


ANT, BEE, PLAIN = color_of(0), color_of(1), (GREY,) * 3


def test_the_table_follows_the_stage(scene):
    assert show(scene, 2, 0.3).rows == [
        ['bee', 0.9, 12.0, 8.0, 32.0, 28.0],
        ['ant', 0.6, 50.0, 10.0, 90.0, 40.0],
    ]
    assert show(scene, 1, 0.3).rows == [['bee', 0.8, 10.0, 10.0, 30.0, 30.0]]
    assert show(scene, 0, 0.3).rows == [
        ['', None, 10.0, 10.0, 90.0, 40.0],
        ['', None, 0.0, 0.0, 100.0, 50.0],
        ['', None, 60.0, 22.0, 70.0, 32.0],
    ], 'learned proposals, those first that end with the highest scores'


def test_the_table_follows_the_score(scene):
    assert [len(show(scene, 2, score).rows) for score in (0.0, 0.16, 0.3, 0.6, 0.7, 0.95)] == [4, 3, 2, 2, 1, 0]


def test_coco_results(scene, tmp_path):
    results = show(scene, 2, 0.3).results
    assert results == [
        dict(image_id=1, category_id=2, category_name='bee', bbox=[12, 8, 20, 20], score=0.9),
        dict(image_id=1, category_id=1, category_name='ant', bbox=[50, 10, 40, 30], score=0.6),
    ]
    (tmp_path / 'found.json').write_text(json.dumps(results))
    truth = COCO()
    truth.dataset = dict(images=[dict(id=1)], categories=[dict(id=1, name='ant'), dict(id=2, name='bee')])
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        loaded = truth.loadRes(str(tmp_path / 'found.json'))
    assert [entry['area'] for entry in loaded.anns.values()] == [400, 1200]
    assert show(scene, 0, 0.3).results == [], 'proposals are no detections'


def test_last_stage_in_pixels(scene):
    picture = show(scene, 2, 0.3).picture
    assert pixel(picture, 24, 40) == pixel(picture, 40, 56) == BEE, 'at twice the coordinates of the file'
    assert pixel(picture, 100, 60) == ANT
    assert pixel(picture, 132, 32) == pixel(picture, 5, 90) == PLAIN
    assert (scene.picture == GREY).all(), 'the scene is left as it is'


def test_what_becomes_a_detection_later_is_outlined_in_its_color(scene):
    view = show(scene, 1, 0.3)
    assert pixel(view.picture, 80, 60) == ANT and pixel(view.picture, 20, 50) == BEE
    assert pixel(view.picture, 120, 54) == PLAIN
    assert view.caption == '1 detection after stage 1, and 1 to come (without a label)'
    raised = show(scene, 1, 0.7)
    assert pixel(raised.picture, 80, 60) == PLAIN and raised.caption == '1 detection after stage 1'


def test_learned_proposals(scene):
    view = show(scene, 0, 0.3)
    assert pixel(view.picture, 20, 50) == BEE and pixel(view.picture, 0, 60) == ANT
    assert pixel(view.picture, 120, 54) == (255, 255, 255)
    assert view.caption == '3 learned proposals, the same for every image; 2 become detections'


def test_all_other_boxes(scene):
    """They come in addition: a white line and its soft shade, nothing else."""
    without, both = (show(scene, 2, 0.3, with_rest).picture for with_rest in (False, True))
    assert pixel(without, 122, 56) == PLAIN and pixel(both, 122, 56) == (255, 255, 255)
    changed = (without != both).any(axis=2)
    assert changed[44:69, 119:146].sum() == changed.sum() > 0


def test_boxes_beyond_the_image(scene):
    """Cut off at its border in table and results; a detection that lies outside is none."""
    boxes = scene.trace.boxes.clone()
    boxes[:, 0] = torch.tensor([-7.0, -3, 32, 28])
    boxes[:, 1] = torch.tensor([50.0, 10, 130, 70])
    boxes[:, 2] = torch.tensor([101.0, 10, 120, 40])
    view = show(scene._replace(trace=scene.trace._replace(boxes=boxes)), 2, 0.1)
    assert view.rows == [['bee', 0.9, 0, 0, 32, 28], ['ant', 0.6, 50, 10, 100, 50]]
    assert [entry['bbox'] for entry in view.results] == [[0, 0, 32, 28], [50, 10, 50, 40]]
    assert view.caption == '2 detections after stage 2'
    proposals = show(scene._replace(trace=scene.trace._replace(boxes=boxes)), 0, 0.1).rows
    assert [row[2:] for row in proposals] == [[0, 0, 32, 28], [50, 10, 100, 50], [100, 10, 100, 40]]


def test_boxes_far_outside_and_inverted(scene):
    boxes = scene.trace.boxes.clone()
    boxes[:, 0] = torch.tensor([-1e12, -1e12, 1e12, 1e12])
    boxes[:, 1] = torch.tensor([80.0, 40, 20, 10])
    broken = scene._replace(trace=scene.trace._replace(boxes=boxes))
    for stage in range(3):
        view = show(broken, stage, 0.0, with_rest=True)
        assert view.picture.shape == (100, 200, 3) and (view.picture != GREY).any()


def test_nothing_found(scene):
    view = show(scene, 2, 1.0)
    assert view.rows == view.results == [] and view.caption == 'no detections after stage 2'
    assert (view.picture == GREY).all()

"""One look of the model at an image holds what every stage says."""

import numpy as np
import pytest
import torch
from mmengine.config import Config

from sparse_rcnn_ext.demo import look_at, require_stages, show
from sparse_rcnn_ext.engine.config.run_config import stop_early
from sparse_rcnn_ext.errors import UserError
from sparse_rcnn_ext.models.post_process import inside_image
from sparse_rcnn_ext.prediction import Predictor


@pytest.fixture(scope='module')
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (200, 300, 3), dtype=np.uint8)


@pytest.mark.parametrize('stage', [1, 2, 3])
def test_each_stage_gives_what_a_model_that_stops_there_detects(tiny_detector, predictor, image, stage):
    config, checkpoint = tiny_detector
    cfg = Config.fromfile(config)
    stop_early(cfg, stage)
    (expected,) = Predictor(cfg, str(checkpoint), 'cpu').predict([image])
    assert len(expected) == 10
    expected = inside_image(expected, *image.shape[:2])
    view = show(look_at(predictor, image, 'a.jpg'), stage, 0.0)
    assert len(view.rows) == len(expected) > 5
    assert [row[0] for row in view.rows] == [predictor.classes[label] for label in expected.labels]
    np.testing.assert_allclose([row[1] for row in view.rows], expected.scores, atol=6e-4)
    np.testing.assert_allclose(np.array([row[2:] for row in view.rows]), expected.bboxes, atol=0.06)


def test_a_model_of_one_label_a_proposal(predictor, image, monkeypatch):
    monkeypatch.setattr(predictor.model, 'max_per_img', 100)
    assert len(show(look_at(predictor, image, 'a.jpg'), 3, 0.0).rows) > 10
    monkeypatch.setattr(predictor.model.roi_head.bbox_head[-1], 'one_label', True)
    rows = show(look_at(predictor, image, 'a.jpg'), 3, 0.0).rows
    (expected,) = predictor.predict([image])
    assert len(expected) == 10
    expected = inside_image(expected, *image.shape[:2])
    assert [row[0] for row in rows] == [predictor.classes[label] for label in expected.labels.tolist()]


def test_proposals_of_the_image_are_called_so(predictor, image, monkeypatch):
    monkeypatch.setattr(type(predictor.model.rpn_head), 'are_learned', False)
    assert show(look_at(predictor, image, 'a.jpg'), 0, 0.3).caption.startswith('10 proposals of this image; ')


def test_stage_0_is_the_learned_proposals_in_pixels_of_the_file(predictor, image):
    view = show(look_at(predictor, image, 'a.jpg'), 0, 0.3)
    centres, sizes = predictor.model.rpn_head.init_proposal_bboxes.weight.detach().split(2, dim=1)
    expected = torch.cat([centres - sizes / 2, centres + sizes / 2], dim=1) * torch.tensor([300, 200, 300, 200])
    expected = expected.clamp(min=0).minimum(torch.tensor([300, 200, 300, 200]))
    found = torch.tensor([row[2:] for row in view.rows])
    assert {tuple(row[:2]) for row in view.rows} == {('', None)} and view.results == []
    # The network's own size is rounded to whole pixels, which moves boxes by less than one.
    assert torch.cdist(expected, found).min(dim=1).values.max() < 1.5


def test_the_model_runs_once(predictor, image, monkeypatch):
    calls = []
    forward = predictor.model.forward_stages
    monkeypatch.setattr(predictor.model, 'forward_stages', lambda *inputs: calls.append(1) or forward(*inputs))
    scene = look_at(predictor, image, 'a.jpg')
    for stage in range(scene.num_stages + 1):
        show(scene, stage, 0.3)
    assert len(calls) == 1 and scene.num_stages == 3


@pytest.mark.parametrize(
    ('size', 'on_screen'), [((40, 60), (480, 720)), ((900, 600), (900, 600)), ((1000, 3200), (500, 1600))]
)
def test_pictures_suit_a_screen(predictor, size, on_screen):
    scene = look_at(predictor, np.full((*size, 3), 77, np.uint8), 'a.jpg')
    assert scene.picture.shape == (*on_screen, 3) and scene.size == size[::-1]
    assert (scene.picture == 77).all()


def test_other_models_are_refused(predictor, monkeypatch):
    require_stages(predictor)
    monkeypatch.setattr(predictor, 'model', torch.nn.Identity())
    with pytest.raises(UserError, match=r'the model is a Identity, .*SparseRCNN'):
        require_stages(predictor)

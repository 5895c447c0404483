"""What is left of the last stage's boxes as detections, and where they lie."""

import pytest
import torch
from torch import nn

from sparse_rcnn_ext.errors import UserError
from tests.models.small_model import CLASSES, PROPOSALS, build_model, make_images
from tests.models.test_sparse_rcnn import SIZES, make_samples


@pytest.fixture(scope='module')
def model() -> nn.Module:
    return build_model().double().eval()


@pytest.mark.parametrize(
    ('max_per_img', 'expected'), [(None, PROPOSALS), (3, 3), (17, 17), (1000, PROPOSALS * CLASSES)]
)
def test_number_of_detections(max_per_img, expected):
    model = build_model({'model.test_cfg.max_per_img': max_per_img}).double().eval()
    with torch.no_grad():
        results = model.predict(make_images(SIZES), make_samples())
    for result in results:
        found = result.pred_instances
        assert found.bboxes.shape == (expected, 4)
        assert found.scores.shape == found.labels.shape == (expected,)
        assert (found.scores[:-1] >= found.scores[1:]).all()
        assert 0 < found.scores[-1] <= found.scores[0] < 1
        assert set(found.labels.tolist()) <= set(range(CLASSES))


def test_detections_below_the_threshold_are_dropped(model):
    images = make_images(SIZES)
    with torch.no_grad():
        everything = [sample.pred_instances for sample in model.predict(images, make_samples())]
        limit = sorted(torch.cat([found.scores for found in everything]).tolist())[12]
        dial = 'model.test_cfg.score_thr'
        kept = [
            sample.pred_instances
            for sample in build_model({dial: limit}).double().eval().predict(images, make_samples())
        ]
    assert 0 < sum(map(len, kept)) == sum(map(len, everything)) - 12
    for found, of_all in zip(kept, everything, strict=True):
        assert len(found) == (of_all.scores >= limit).sum()
        for name in ('bboxes', 'scores', 'labels'):
            torch.testing.assert_close(found[name], of_all[name][: len(found)])


def test_no_detection_is_left(model):
    strict = build_model({'model.test_cfg.score_thr': 1}).double().eval()
    with torch.no_grad():
        (found, *_) = strict.predict(make_images(SIZES), make_samples())
    assert found.pred_instances.bboxes.shape == (0, 4) and found.pred_instances.labels.dtype == torch.long


@pytest.mark.parametrize('value', [-0.1, 1.5, float('nan'), True, '0.3'])
def test_no_score(value):
    with pytest.raises(
        UserError, match=r'^model\.test_cfg\.score_thr is .*: set it to a number from 0 to 1, or to None'
    ):
        build_model({'model.test_cfg.score_thr': value})


def test_detections_are_the_last_stages(model):
    images, samples = make_images(SIZES), make_samples()
    with torch.no_grad():
        outputs = model(images, samples, mode='tensor')
        results = model.predict(images, samples)
    for index, result in enumerate(results):
        found = result.pred_instances
        scores = outputs.logits[-1, index].sigmoid()
        rows = [outputs.boxes[-1, index].tolist().index(box) for box in found.bboxes.tolist()]
        assert torch.equal(scores[rows, found.labels], found.scores)


def test_rescale_divides_by_the_scale_factor(model):
    images = make_images(SIZES)
    factors = [(0.5, 0.25), (2.0, 2.0), (1.0, 3.0)]  # of width and height
    with torch.no_grad():
        plain = model.predict(images, make_samples(), rescale=False)
        samples = make_samples()
        for sample, factor in zip(samples, factors, strict=True):
            sample.set_metainfo(dict(scale_factor=factor))
        rescaled = model.predict(images, samples)
    for before, after, (x, y) in zip(plain, rescaled, factors, strict=True):
        divisor = torch.tensor([x, y, x, y], dtype=torch.float64)
        torch.testing.assert_close(after.pred_instances.bboxes * divisor, before.pred_instances.bboxes)
        assert torch.equal(after.pred_instances.scores, before.pred_instances.scores)


def test_boxes_end_at_the_border_where_asked_for():
    model = build_model({'model.test_cfg.clip_boxes': True}).double().eval()
    with torch.no_grad():
        model.roi_head.bbox_head[-1].fc_reg.weight.mul_(5)  # some lie outside
    sizes, samples = [], make_samples()
    for sample in samples:
        # As after a pipeline that adds a border: the original image is no larger than half of what the network gets.
        height, width = (side // 4 for side in sample.img_shape)
        sizes.append((width, height))
        sample.set_metainfo(dict(scale_factor=(2.0, 2.0), ori_shape=(height, width)))
    with torch.no_grad():
        found = [x.pred_instances for x in model.predict(make_images(SIZES), samples)]
        in_input = [x.pred_instances for x in model.predict(make_images(SIZES), make_samples(), rescale=False)]
        model.clip_boxes = False
        free = [x.pred_instances for x in model.predict(make_images(SIZES), make_samples(), rescale=False)]
    assert sum(map(len, found)) < sum(map(len, in_input)) < sum(map(len, free))
    for image, sizes_of in ((found, sizes), (in_input, [size[::-1] for size in SIZES])):
        for detections, size in zip(image, sizes_of, strict=True):
            corner = torch.tensor(size * 2)
            assert (detections.bboxes >= 0).all() and (detections.bboxes <= corner).all()
            assert (detections.bboxes[:, 2:] > detections.bboxes[:, :2]).all()
    for detections, all_of in zip(in_input, free, strict=True):
        assert set(detections.scores.tolist()) < set(all_of.scores.tolist())
    with pytest.raises(UserError, match=r'model.test_cfg.clip_boxes is 1: set it to True or False'):
        build_model({'model.test_cfg.clip_boxes': 1})


def test_images_that_were_not_resized_have_no_scale_factor(model):
    """As of a test pipeline without Resize."""
    samples = make_samples()
    del samples[1].scale_factor
    with torch.no_grad():
        plain = model.predict(make_images(SIZES), make_samples(), rescale=False)
        found = model.predict(make_images(SIZES), samples)
    assert torch.equal(found[1].pred_instances.bboxes, plain[1].pred_instances.bboxes)
